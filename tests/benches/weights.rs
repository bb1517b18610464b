//! Linear layers by the form of their weights, and what Decoupled LoRA Control costs in passes over them.
//!
//! Three tables: rates of products by form; one pass of four rows (two branches, two guidance halves)
//! against four passes of one row, with the bytes of frozen weights that each reads; and a step
//! forward in f32 and with narrow weights. Every figure is the best of alternating runs.

#![expect(clippy::print_stdout, reason = "a benchmark's result is its output")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use candle_core::quantized::{GgmlDType, QMatMul, QTensor};
use candle_core::{DType, Device, Module as _, Tensor};
use one4d_engine::memory::CountingAllocator;
use one4d_engine::models::one4d::{DenoiserSpec, One4d};
use one4d_engine::models::{Denoiser as _, DenoiserInputs};
use one4d_engine::nn::{LinearWeight, WeightForm, Weights, linear};
use one4d_engine::plan::{DitParts, Holding};
use one4d_tests::draw;
use one4d_tests::probe::{probe_adapters, probe_config, write_probe_model};

/// As in the program.
#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const FORMS: [WeightForm; 4] = [
    WeightForm::Plain,
    WeightForm::Bf16,
    WeightForm::Q8_0,
    WeightForm::Q4K,
];

fn random(shape: &[usize]) -> Tensor {
    draw::normal(0.1, shape)
}

/// Best time of each piece of work, alternating for a few seconds.
fn best(work: &mut [Box<dyn FnMut() + '_>]) -> Vec<f64> {
    let mut best = vec![f64::INFINITY; work.len()];
    let started = Instant::now();
    for round in 0..40 {
        for (work, best) in work.iter_mut().zip(&mut best) {
            let start = Instant::now();
            work();
            *best = best.min(start.elapsed().as_secs_f64());
        }
        if round > 1 && started.elapsed() > Duration::from_secs(4) {
            break;
        }
    }
    best
}

fn rates() {
    println!("| linear layer | f32 | bf16 | Q8_0 | Q4_K | library's Q8_0 | library's bf16 |");
    println!("|---|---|---|---|---|---|---|");
    for (rows, inputs, outputs) in [(512, 2560, 2560), (4096, 768, 3072), (4096, 1536, 1536)] {
        let (x, weight) = (random(&[rows, inputs]), random(&[outputs, inputs]));
        let forms = FORMS.map(|form| LinearWeight::rounded(&weight, form).expect("a form"));
        let library = QTensor::quantize(&weight, GgmlDType::Q8_0).expect("blocks");
        let library = QMatMul::from_qtensor(library).expect("a product");
        let half = |t: &Tensor| t.to_dtype(DType::BF16).expect("bf16");
        let (x_half, w_half) = (half(&x), half(&weight).t().expect("a matrix"));
        let mut work: Vec<Box<dyn FnMut()>> = Vec::new();
        for form in &forms {
            let x = &x;
            work.push(Box::new(move || {
                black_box(form.forward(x, None).expect("a product"));
            }));
        }
        work.push(Box::new(|| {
            black_box(library.forward(&x).expect("a product"));
        }));
        work.push(Box::new(|| {
            black_box(x_half.matmul(&w_half).expect("a product"));
        }));
        let gflop = 2e-9 * (rows * inputs * outputs) as f64;
        let cells: Vec<String> = best(&mut work)
            .iter()
            .map(|s| format!("{:.0}", gflop / s))
            .collect();
        println!(
            "| {rows} x {inputs} to {outputs}, GFLOP/s | {} |",
            cells.join(" | ")
        );
        let plain = linear(&x, &weight, None).expect("a product");
        let errors = forms.iter().map(|form| {
            let difference = (form.forward(&x, None).expect("a product") - &plain).expect("a sum");
            let norm = |t: &Tensor| {
                t.sqr()
                    .and_then(|t| t.sum_all()?.to_scalar::<f32>())
                    .expect("a sum")
            };
            format!("{:.2} %", 100.0 * (norm(&difference) / norm(&plain)).sqrt())
        });
        println!(
            "| relative error | {} | | |",
            errors.collect::<Vec<_>>().join(" | ")
        );
    }
}

/// A denoiser on disk and one step's arguments.
struct Step {
    folder: tempfile::TempDir,
    spec: DenoiserSpec,
    rgb: Tensor,
    xyz: Tensor,
    inputs: DenoiserInputs,
}

impl Step {
    fn new(grid: [usize; 3]) -> Self {
        let cfg = probe_config();
        let folder = tempfile::tempdir().expect("a folder");
        let spec = write_probe_model(folder.path(), &cfg, DType::BF16).expect("a model");
        let [t, h, w] = grid;
        Self {
            folder,
            spec,
            rgb: random(&[1, cfg.out_dim, t, h, w]),
            xyz: random(&[1, cfg.out_dim, t, h, w]),
            inputs: DenoiserInputs {
                text: random(&[2, cfg.text_len, cfg.text_dim]),
                mask: random(&[1, 4, t, h, w]),
                condition: random(&[1, cfg.out_dim, t, h, w]),
                image: None,
                xyz: None,
            },
        }
    }

    fn base(&self, holding: Holding) -> Weights {
        let path = self.folder.path().join(&self.spec.base);
        let base = Weights::open(&path, DType::F32, &Device::Cpu).expect("a file");
        let base = base.in_form(holding.form);
        if holding.streamed {
            base.streamed()
        } else {
            base
        }
    }

    fn model(&self, holding: Holding) -> One4d {
        let adapters = self.folder.path().join(&self.spec.adapters);
        let base = self.base(holding);
        One4d::load(&self.spec, &base, &adapters, &Device::Cpu).expect("a model")
    }

    /// Both branches and both halves in one batch.
    fn at_once(&self, model: &One4d) {
        let out = model.velocities(&self.rgb, &self.xyz, 0.7, &self.inputs);
        black_box(out.expect("velocities"));
    }

    /// What a program does that runs every branch and half through the base by itself.
    fn apart(&self, base: &one4d_engine::models::wan::WanDit) {
        let cfg = base.config();
        let given = [&self.rgb, &self.inputs.mask, &self.inputs.condition];
        let rgb = Tensor::cat(&given, 1).expect("channels");
        let missing = cfg.in_dim - cfg.out_dim;
        let xyz = self.xyz.pad_with_zeros(1, 0, missing).expect("channels");
        for x in [rgb, xyz] {
            for half in 0..2 {
                let text = self.inputs.text.narrow(0, half, 1).expect("a row");
                black_box(base.forward(&x, &[700.0], &text, None).expect("a velocity"));
            }
        }
    }
}

fn passes() {
    println!(
        "\n| step of four rows | one pass ms | four passes ms | ratio | weights read, one | four |"
    );
    println!("|---|---|---|---|---|---|");
    let ways = [
        ("f32, resident", WeightForm::Plain, false),
        ("f32, streamed from bf16", WeightForm::Plain, true),
        ("bf16, resident", WeightForm::Stored, false),
        ("bf16, streamed", WeightForm::Stored, true),
        ("Q8_0, resident", WeightForm::Q8_0, false),
        ("Q4_K, resident", WeightForm::Q4K, false),
    ];
    for (tokens, grid) in [(24, [1, 8, 12]), (480, [5, 16, 24])] {
        let step = Step::new(grid);
        let cfg = probe_config();
        let base = step.base(Holding::default());
        let parts = DitParts::of_file(&cfg, &probe_adapters(&cfg), &base).expect("sizes");
        for (name, form, streamed) in ways {
            let holding = Holding {
                form,
                streamed,
                hidden_tokens: None,
                codec_tile: None,
            };
            let bytes = if streamed {
                parts.stored.total_bytes
            } else {
                let held = |shape: &[usize; 2]| form.held_bytes(*shape, 4);
                let blocks: Option<u64> = parts.linears.iter().map(held).sum();
                blocks.map_or(parts.stored.total_bytes, |block| {
                    block * cfg.num_layers as u64
                })
            };
            let model = step.model(holding);
            let alone = one4d_engine::models::wan::WanDit::from_weights(&cfg, &step.base(holding));
            let alone = alone.expect("a base");
            let mut work: Vec<Box<dyn FnMut()>> = vec![
                Box::new(|| step.at_once(&model)),
                Box::new(|| step.apart(&alone)),
            ];
            let times = best(&mut work);
            println!(
                "| {tokens} tokens a row, {name} | {:.0} | {:.0} | {:.2} | {} MB | {} MB |",
                1e3 * times[0],
                1e3 * times[1],
                times[0] / times[1],
                bytes / 1_000_000,
                4 * bytes / 1_000_000,
            );
        }
    }
}

fn main() {
    rates();
    passes();
}

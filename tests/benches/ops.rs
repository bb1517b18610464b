//! Each fused operation beside its composed form, forwards and forwards with backwards.
//!
//! Criterion reports every case; a table of the ratios follows, each from the best of alternating
//! runs, so that other work on the machine touches both sides alike.

#![expect(clippy::print_stdout, reason = "a benchmark's result is its output")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use candle_core::{Device, Tensor, Var};
use criterion::Criterion;
use one4d_engine::Result;
use one4d_engine::memory::CountingAllocator;
use one4d_engine::nn::{self, RopeTable, composed};
use rand::{RngExt, SeedableRng};

/// As in the program.
#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

type Operation = Box<dyn Fn(&[Tensor]) -> Result<Tensor>>;

/// An operation in both forms, its arguments and the work of its forward pass in GFLOP.
struct Case {
    name: String,
    args: Vec<Tensor>,
    gflop: f64,
    forms: [Operation; 2],
}

const FORMS: [&str; 2] = ["fused", "composed"];

impl Case {
    fn forward(&self, form: usize) {
        let out = (self.forms[form])(&self.args).expect("the case runs");
        black_box(out);
    }

    fn train(&self, form: usize) {
        let vars: Vec<Var> = self
            .args
            .iter()
            .map(|arg| Var::from_tensor(arg).expect("a tensor becomes a variable"))
            .collect();
        let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
        // From a gradient of ones, without a loss before it.
        let out = (self.forms[form])(&tensors).expect("the case runs");
        black_box(out.backward().expect("the case has gradients"));
    }
}

/// The operations of a block, in one of two forms.
#[derive(Clone, Copy)]
struct Ops {
    linear: fn(&Tensor, &Tensor, Option<&Tensor>) -> Result<Tensor>,
    attention: fn(&Tensor, &Tensor, &Tensor, f64, Option<&Tensor>) -> Result<Tensor>,
    modulated: fn(&Tensor, &Tensor, &Tensor, f64) -> Result<Tensor>,
    layer_norm: fn(&Tensor, f64, Option<(&Tensor, &Tensor)>) -> Result<Tensor>,
    rms_norm: fn(&Tensor, &Tensor, f64) -> Result<Tensor>,
    gated_add: fn(&Tensor, &Tensor, &Tensor) -> Result<Tensor>,
    rope: fn(&Tensor, &RopeTable) -> Result<Tensor>,
    gelu: fn(&Tensor) -> Result<Tensor>,
}

const OPS: [Ops; 2] = [
    Ops {
        linear: nn::linear,
        attention: nn::attention,
        modulated: nn::modulated_layer_norm,
        layer_norm: nn::layer_norm,
        rms_norm: nn::rms_norm,
        gated_add: nn::gated_add,
        rope: nn::apply_rope,
        gelu: nn::gelu_tanh,
    },
    Ops {
        linear: composed::linear,
        attention: composed::attention,
        modulated: composed::modulated_layer_norm,
        layer_norm: composed::layer_norm,
        rms_norm: composed::rms_norm,
        gated_add: composed::gated_add,
        rope: composed::apply_rope,
        gelu: composed::gelu_tanh,
    },
];

fn random(dims: &[usize]) -> Tensor {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(dims.iter().sum::<usize>() as u64);
    let values: Vec<f32> = (0..dims.iter().product())
        .map(|_| rng.random_range(-0.1..0.1))
        .collect();
    Tensor::from_vec(values, dims, &Device::Cpu).expect("the shape holds the values")
}

fn case(name: &str, shapes: &[&[usize]], gflop: f64, make: impl Fn(usize) -> Operation) -> Case {
    Case {
        name: name.to_owned(),
        args: shapes.iter().map(|dims| random(dims)).collect(),
        gflop,
        forms: [make(0), make(1)],
    }
}

fn linear(rows: usize, inputs: usize, outputs: usize) -> Case {
    let shapes: [&[usize]; 3] = [&[1, rows, inputs], &[outputs, inputs], &[outputs]];
    let name = format!("linear {rows} x {inputs} to {outputs}");
    let gflop = 2e-9 * (rows * inputs * outputs) as f64;
    case(&name, &shapes, gflop, |form| {
        let linear = OPS[form].linear;
        Box::new(move |t| linear(&t[0], &t[1], Some(&t[2])))
    })
}

fn attention(r: usize, n: usize, a: usize, d: usize) -> Case {
    let shape = [r, n, a, d];
    let name = format!("attention {r} x {n} tokens, {a} x {d}");
    let gflop = 4e-9 * (r * n * n * a * d) as f64;
    case(&name, &[&shape, &shape, &shape], gflop, |form| {
        let attention = OPS[form].attention;
        Box::new(move |t| attention(&t[0], &t[1], &t[2], 0.125, None))
    })
}

/// Operations that move data rather than compute.
fn elementwise(r: usize, n: usize, e: usize) -> Vec<Case> {
    let (x, vector, rows): (&[usize], &[usize], &[usize]) = (&[r, n, e], &[e], &[r, 1, e]);
    let hidden: &[usize] = &[r, n, 4 * e];
    let heads: &[usize] = &[r, n, e / 64, 64];
    vec![
        case("layer norm", &[x, vector, vector], 0.0, |form| {
            let norm = OPS[form].layer_norm;
            Box::new(move |t| norm(&t[0], 1e-6, Some((&t[1], &t[2]))))
        }),
        case("modulated layer norm", &[x, rows, rows], 0.0, |form| {
            let norm = OPS[form].modulated;
            Box::new(move |t| norm(&t[0], &t[1], &t[2], 1e-6))
        }),
        case("rms norm", &[x, vector], 0.0, |form| {
            let norm = OPS[form].rms_norm;
            Box::new(move |t| norm(&t[0], &t[1], 1e-6))
        }),
        case("gated add", &[x, x, rows], 0.0, |form| {
            let add = OPS[form].gated_add;
            Box::new(move |t| add(&t[0], &t[1], &t[2]))
        }),
        case("rope", &[heads], 0.0, |form| {
            let rope = OPS[form].rope;
            let table = RopeTable::grid([1, 1, n], 64, 10_000.0, &Device::Cpu).expect("a table");
            Box::new(move |t| rope(&t[0], &table))
        }),
        case("gelu of the hidden layer", &[hidden], 0.0, |form| {
            let gelu = OPS[form].gelu;
            Box::new(move |t| gelu(&t[0]))
        }),
    ]
}

/// Indices of a block's arguments.
const X: usize = 0;
const TEXT: usize = 1;
const MODULATION: usize = 2;
const VECTOR: usize = 3;
const SQUARE: usize = 4;
const UP: usize = 12;
const DOWN: usize = 13;
const UP_BIAS: usize = 14;

/// A block of the Wan DiT: self attention, cross attention, feed-forward.
fn block(ops: Ops, t: &[Tensor], table: &RopeTable) -> Result<Tensor> {
    let (r, n, e) = t[X].dims3()?;
    let chunk = |i| t[MODULATION].narrow(1, i, 1);
    let map = |x: &Tensor, i: usize| (ops.linear)(x, &t[SQUARE + i], Some(&t[VECTOR]));
    let split = |x: Tensor| -> Result<Tensor> {
        let tokens = x.dim(1)?;
        Ok(x.reshape((r, tokens, e / 64, 64))?)
    };
    let normed = |x: &Tensor| (ops.rms_norm)(x, &t[VECTOR], 1e-6);
    let attend = |q: &Tensor, k: &Tensor, v: &Tensor| -> Result<Tensor> {
        Ok((ops.attention)(q, k, v, 0.125, None)?.reshape((r, n, e))?)
    };

    let y = (ops.modulated)(&t[X], &chunk(0)?, &chunk(1)?, 1e-6)?;
    let q = (ops.rope)(&split(normed(&map(&y, 0)?)?)?, table)?;
    let k = (ops.rope)(&split(normed(&map(&y, 1)?)?)?, table)?;
    let y = attend(&q, &k, &split(map(&y, 2)?)?)?;
    let x = (ops.gated_add)(&t[X], &map(&y, 3)?, &chunk(2)?)?;

    let y = (ops.layer_norm)(&x, 1e-6, Some((&t[VECTOR], &t[VECTOR])))?;
    let q = split(normed(&map(&y, 4)?)?)?;
    let k = split(normed(&map(&t[TEXT], 5)?)?)?;
    let y = attend(&q, &k, &split(map(&t[TEXT], 6)?)?)?;
    let x = (x + map(&y, 7)?)?;

    let y = (ops.modulated)(&x, &chunk(3)?, &chunk(4)?, 1e-6)?;
    let y = (ops.gelu)(&(ops.linear)(&y, &t[UP], Some(&t[UP_BIAS]))?)?;
    let y = (ops.linear)(&y, &t[DOWN], Some(&t[VECTOR]))?;
    (ops.gated_add)(&x, &y, &chunk(5)?)
}

fn block_case(r: usize, n: usize, e: usize) -> Case {
    let text = 32;
    let mut shapes: Vec<Vec<usize>> = vec![vec![r, n, e], vec![r, text, e], vec![r, 6, e], vec![e]];
    shapes.extend(vec![vec![e, e]; 8]);
    shapes.extend([vec![4 * e, e], vec![e, 4 * e], vec![4 * e]]);
    let shapes: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
    let (rows, square) = ((r * n) as f64, (e * e) as f64);
    let linears = 2.0 * square * (14.0 * rows + 2.0 * (r * text) as f64);
    let attentions = 4.0 * rows * ((n + text) * e) as f64;
    let name = format!("DiT block, {r} x {n} tokens of {e}");
    case(&name, &shapes, 1e-9 * (linears + attentions), |form| {
        let table = RopeTable::grid([1, 1, n], 64, 10_000.0, &Device::Cpu).expect("a table");
        Box::new(move |t| block(OPS[form], t, &table))
    })
}

fn convolution(c: usize, side: usize) -> Case {
    let shapes: [&[usize]; 3] = [&[1, c, 4, side, side], &[c, c, 3, 3, 3], &[c]];
    let gflop = 2e-9 * (27 * c * c * 4 * side * side) as f64;
    let name = format!("causal convolution {c} channels, 4 x {side} x {side}");
    case(&name, &shapes, gflop, |form| {
        let convolve = [nn::causal_conv3d, composed::causal_conv3d][form];
        Box::new(move |t| convolve(&t[0], &t[1], Some(&t[2]), None))
    })
}

/// Best time of each form, alternating.
fn best(case: &Case, run: fn(&Case, usize)) -> [Duration; 2] {
    let mut best = [Duration::MAX; 2];
    let start = Instant::now();
    for round in 0..50 {
        for (form, best) in best.iter_mut().enumerate() {
            let start = Instant::now();
            run(case, form);
            *best = (*best).min(start.elapsed());
        }
        if round > 2 && start.elapsed() > Duration::from_secs(2) {
            break;
        }
    }
    best
}

fn print_row(case: &Case) {
    let runs: [(fn(&Case, usize), f64); 2] = [(Case::forward, 1.0), (Case::train, 3.0)];
    let mut row = format!("| {} |", case.name);
    for (run, passes) in runs {
        let [fused, composed] = best(case, run).map(|time| time.as_secs_f64());
        let rate = match case.gflop * passes / fused {
            0.0 => String::new(),
            rate => format!(" {rate:.0} |"),
        };
        let blank = if rate.is_empty() { " |" } else { "" };
        row += &format!(
            " {:.2} | {:.2} | {:.1} |{rate}{blank}",
            1e3 * fused,
            1e3 * composed,
            composed / fused
        );
    }
    println!("{row}");
}

fn main() {
    let mut cases = vec![
        block_case(4, 320, 384),
        block_case(4, 240, 256),
        linear(1280, 384, 384),
        linear(1280, 384, 1536),
        linear(4096, 256, 1024),
        attention(4, 320, 6, 64),
        attention(1, 1024, 6, 64),
    ];
    cases.extend(elementwise(4, 320, 384));
    cases.extend([convolution(96, 64), convolution(32, 32)]);
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let wanted = |case: &&Case| {
        filter
            .as_ref()
            .is_none_or(|f| case.name.contains(f) || f.contains(&case.name))
    };

    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600))
        .sample_size(10)
        .configure_from_args();
    for case in cases.iter().filter(wanted) {
        for (form, name) in FORMS.into_iter().enumerate() {
            let mut group = criterion.benchmark_group(&case.name);
            group.bench_function(format!("{name}, forward"), |b| {
                b.iter(|| case.forward(form));
            });
            group.bench_function(format!("{name}, training"), |b| b.iter(|| case.train(form)));
        }
    }
    criterion.final_summary();

    println!(
        "\n| | forward: fused ms | composed ms | ratio | GFLOP/s | with backward: fused ms | composed ms | ratio | GFLOP/s |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    cases.iter().filter(wanted).for_each(print_row);
}

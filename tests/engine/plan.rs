//! Memory plans: what is chosen for which machine, and that each way to hold a model computes the same.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use one4d_engine::Result;
use one4d_engine::models::wan::{WanConfig, WanDit};
use one4d_engine::nn::{LinearWeight, ParamStore, WeightForm, Weights};
use one4d_engine::plan::{self, Holding, Machine, ModelParts, Plan, RunShape};
use one4d_tests::draw;

pub(crate) const FULL: RunShape = RunShape {
    frames: 81,
    height: 480,
    width: 832,
    steps: 50,
    guided: true,
    step_cache: 0.0,
    has_image: true,
};
pub(crate) const GB: u64 = 1_000_000_000;

fn wan(cfg: &WanConfig) -> ModelParts {
    ModelParts::of_wan("Wan", cfg, WeightForm::Bf16).unwrap()
}

pub(crate) fn stage<'a>(plan: &'a Plan, name: &str) -> &'a plan::StageMemory {
    plan.stages
        .iter()
        .find(|stage| stage.stage == name)
        .unwrap()
}

#[test]
fn published_sizes_are_counted() {
    let parts = wan(&WanConfig::fun_inp_14b());
    assert_eq!(parts.dit.values(), 16_394_878_784);
    assert_eq!(parts.dit.linears.len(), 12);
    // Rank 64 on twelve layers of forty blocks, twice.
    assert_eq!(40 * parts.dit.adapters.block_values, 718_274_560);
    assert_eq!(wan(&WanConfig::fun_inp_1_3b()).dit.values(), 1_564_428_608);
    assert!(
        (5_600_000_000..5_700_000_000).contains(&parts.text.values),
        "{}",
        parts.text.values
    );
}

#[test]
fn each_target_gets_a_plan_that_fits() {
    let (large, small) = (
        wan(&WanConfig::fun_inp_14b()),
        wan(&WanConfig::fun_inp_1_3b()),
    );
    let card = |gb| Machine::gpu(gb * GB);
    for (name, model, machine) in [
        ("14B on a card of 24 GB", &large, card(24)),
        ("1.3B on a card of 8 GB", &small, card(8)),
        (
            "1.3B in 24 GB of main memory",
            &small,
            Machine::cpu(24 * GB, 8),
        ),
    ] {
        let plan = plan::choose(model, &FULL, &machine, None);
        assert!(plan.fits && plan.advice.is_empty(), "{name}:\n{plan}");
        // Nothing is rounded beyond what the files hold.
        assert_eq!(plan.holding.form, WeightForm::Stored, "{name}");
        let sum = plan.stages.iter().map(plan::StageMemory::bytes).max();
        assert_eq!(sum, Some(plan.peak_bytes));
    }
    let streamed = plan::choose(&large, &FULL, &card(24), None);
    assert!(
        streamed.holding.streamed,
        "33 GB of weights do not stay on a card of 24"
    );
    let resident = plan::choose(&large, &FULL, &card(80), None);
    assert!(resident.fits && !resident.holding.streamed);
}

#[test]
fn the_small_model_fits_in_seven_gigabytes_of_main_memory_in_tiles() {
    let small = wan(&WanConfig::fun_inp_1_3b());
    let plan = plan::choose(&small, &FULL, &Machine::cpu(7 * GB, 8), None);
    assert!(plan.fits, "{plan}");
    // Nothing is rounded; whole pictures would not pass the codec.
    assert_eq!(plan.holding.form, WeightForm::Stored);
    assert!(plan.holding.codec_tile.is_some(), "{plan}");
    assert!(plan.to_string().contains("the codec takes tiles of"));
    let whole = Holding {
        codec_tile: None,
        ..plan.holding
    };
    let whole = plan::with_holding(&small, &FULL, &plan.machine, whole);
    assert!(!whole.fits && whole.time.decode_secs < plan.time.decode_secs);
}

#[test]
fn lora_files_and_the_step_cache_are_counted() {
    let mut model = wan(&WanConfig::fun_inp_1_3b());
    let plain = plan::choose(&model, &FULL, &Machine::cpu(64 * GB, 8), None);
    (model.lora_values, model.lora_files) = (100_000_000, 1);
    let with = plan::with_holding(&model, &FULL, &plain.machine, plain.holding);
    let more = |name| stage(&with, name).bytes() - stage(&plain, name).bytes();
    // Read as f32, kept as bf16 beside the bf16 of the base.
    assert_eq!((more("text"), more("load")), (200_000_000, 600_000_000));
    // What they add to the feed-forward's hidden layer, and the sum.
    let hidden = 4 * (4 * 21 * 30 * 52) * 8960;
    assert!(more("denoise") > 200_000_000 + hidden);
    let cached = RunShape {
        step_cache: 0.1,
        ..FULL
    };
    let with = plan::with_holding(&model, &cached, &plain.machine, plain.holding);
    let kept = stage(&with, "denoise")
        .terms
        .iter()
        .find(|t| t.what == "step cache")
        .unwrap();
    let tokens = 4 * 21 * 30 * 52 * 1536;
    assert_eq!(kept.bytes, 5 * tokens);
    assert!(with.time.reused_steps > 0 && with.time.denoise_secs < plain.time.denoise_secs);
    // As measured on the bundled model: half of 50 steps at 0.08, and none of few.
    let reused = |steps, step_cache| {
        let run = RunShape {
            steps,
            step_cache,
            ..FULL
        };
        plan::with_holding(&model, &run, &plain.machine, plain.holding)
            .time
            .reused_steps
    };
    assert!((24..30).contains(&reused(50, 0.08)));
    assert!(reused(50, 0.15) > reused(50, 0.08) && reused(50, 0.05) < 24);
    assert_eq!(
        (reused(4, 0.1), reused(20, 0.05), reused(50, 0.0)),
        (0, 0, 0)
    );
    let assumed = Machine::gpu(80 * GB);
    let text = plan::with_holding(&model, &FULL, &assumed, plain.holding).to_string();
    assert!(text.contains("assumed speeds"), "{text}");
}

#[test]
fn less_memory_never_chooses_a_larger_plan_and_in_the_end_says_what_to_do() {
    let model = wan(&WanConfig::fun_inp_1_3b());
    let mut before = u64::MAX;
    for gb in [64, 32, 24, 16, 12, 10, 8] {
        let plan = plan::choose(&model, &FULL, &Machine::cpu(gb * GB, 8), None);
        assert!(plan.peak_bytes <= before, "{gb} GB");
        assert_eq!(plan.fits, plan.peak_bytes <= gb * GB);
        before = plan.peak_bytes;
    }
    // Just enough for 33 frames.
    let short = RunShape { frames: 33, ..FULL };
    let enough = plan::alternatives(&model.dit, None)
        .into_iter()
        .map(|holding| plan::with_holding(&model, &short, &Machine::cpu(0, 8), holding).peak_bytes)
        .min()
        .unwrap();
    let plan = plan::choose(&model, &FULL, &Machine::cpu(enough, 8), None);
    assert!(!plan.fits);
    let advice = plan.advice.join("\n");
    assert!(advice.contains("short of what there is"), "{advice}");
    assert!(advice.contains("33 frames fit"), "{advice}");
    assert!(plan::choose(&model, &short, &plan.machine, None).fits);
}

#[test]
fn a_form_that_is_asked_for_is_kept_to() {
    let model = wan(&WanConfig::fun_inp_14b());
    for form in [WeightForm::Q4K, WeightForm::Q8_0, WeightForm::Bf16] {
        let plan = plan::choose(&model, &FULL, &Machine::gpu(80 * GB), Some(form));
        assert_eq!(plan.holding.form, form);
    }
    // Four and a half bits a weight of the linear layers.
    let plan = plan::choose(&model, &FULL, &Machine::gpu(80 * GB), Some(WeightForm::Q4K));
    let blocks = plan
        .placements
        .iter()
        .find(|p| p.part == "denoiser, blocks")
        .unwrap();
    let expected = model.dit.linear_values() as f64 * 40.0 * 4.5 / 8.0;
    assert!((blocks.held_bytes as f64 / expected - 1.0).abs() < 0.01);
}

/// A random matrix and a batch of inputs.
fn matrix(outputs: usize, inputs: usize, rows: usize) -> (Tensor, Tensor) {
    let weight = draw::normal(0.05, &[outputs, inputs]);
    (weight, draw::normal(1.0, &[2, rows, inputs]))
}

pub(crate) fn relative(a: &[f32], b: &[f32]) -> f64 {
    let sum = |f: &dyn Fn(f64, f64) -> f64| -> f64 {
        a.iter()
            .zip(b)
            .map(|(a, b)| f(f64::from(*a), f64::from(*b)))
            .sum()
    };
    (sum(&|a, b| (a - b).powi(2)) / sum(&|_, b| b * b)).sqrt()
}

#[test]
fn narrow_weights_multiply_within_their_rounding() {
    let (weight, x) = matrix(300, 512, 40);
    let values = |t: Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let wide = LinearWeight::rounded(&weight, WeightForm::Plain).unwrap();
    let truth = values(wide.forward(&x, None).unwrap());
    let bias = Tensor::ones(300, DType::F32, &Device::Cpu).unwrap();
    for (form, bound, bits) in [
        (WeightForm::Bf16, 0.004, 16.0),
        (WeightForm::Q8_0, 0.01, 8.5),
        (WeightForm::Q4K, 0.1, 4.5),
    ] {
        let narrow = LinearWeight::rounded(&weight, form).unwrap();
        assert_eq!(
            narrow.held_bytes() as f64 * 8.0,
            300.0 * 512.0 * bits,
            "{form:?}"
        );
        assert_eq!(Some(narrow.held_bytes()), form.held_bytes([300, 512], 4));
        let y = values(narrow.forward(&x, None).unwrap());
        let error = relative(&y, &truth);
        assert!(error > 0.0 && error < bound, "{form:?}: {error}");
        let with_bias = values(narrow.forward(&x, Some(&bias)).unwrap());
        assert!(
            with_bias
                .iter()
                .zip(&y)
                .all(|(a, b)| (a - b - 1.0).abs() < 1e-4)
        );
    }
    // A width that is no whole number of blocks stays bf16.
    let (odd, _) = matrix(4, 100, 1);
    let narrow = LinearWeight::rounded(&odd, WeightForm::Q4K).unwrap();
    assert_eq!(narrow.held_bytes(), 2 * 400);
}

#[test]
fn narrow_weights_still_have_a_gradient_where_they_are_halves_and_refuse_where_not() {
    let (weight, x) = matrix(32, 256, 3);
    let x = candle_core::Var::from_tensor(&x).unwrap();
    let half = LinearWeight::rounded(&weight, WeightForm::Bf16).unwrap();
    let y = half
        .forward(x.as_tensor(), None)
        .unwrap()
        .sum_all()
        .unwrap();
    assert!(y.backward().unwrap().get(&x).is_some());
    let blocks = LinearWeight::rounded(&weight, WeightForm::Q8_0).unwrap();
    let y = blocks
        .forward(x.as_tensor(), None)
        .unwrap()
        .sum_all()
        .unwrap();
    assert!(
        y.backward().is_err(),
        "a missing gradient must not pass silently"
    );
}

/// A base network in a file, in pieces of any kind.
fn tiny_file(folder: &Path) -> (WanConfig, PathBuf) {
    let cfg = WanConfig {
        dim: 64,
        ffn_dim: 256,
        num_layers: 5,
        ..WanConfig::tiny()
    };
    let store = ParamStore::default();
    WanDit::from_weights(&cfg, &Weights::fresh(&store, 3, DType::F32, &Device::Cpu)).unwrap();
    let stirred = store.vars().into_iter().map(|(name, var)| {
        let noise = draw::normal(0.1, var.dims());
        (name, (var.as_detached_tensor() + noise).unwrap())
    });
    let tensors: std::collections::HashMap<String, Tensor> = stirred.collect();
    let path = folder.join("base.safetensors");
    candle_core::safetensors::save(&tensors, &path).unwrap();
    (cfg, path)
}

fn tiny_forward(cfg: &WanConfig, weights: &Weights, hidden: Option<usize>) -> Result<Vec<f32>> {
    let mut dit = WanDit::from_weights(cfg, weights)?;
    weights.finish()?;
    dit.limit_hidden(hidden)?;
    let ramp = |shape: &[usize]| -> Result<Tensor> {
        let value = |i: usize| ((i * 29) % 83) as f32 / 40.0 - 1.0;
        let count = shape.iter().product();
        Ok(Tensor::from_vec(
            (0..count).map(value).collect::<Vec<_>>(),
            shape,
            &Device::Cpu,
        )?)
    };
    let x = ramp(&[2, cfg.in_dim, 2, 4, 6])?;
    let text = ramp(&[2, 7, cfg.text_dim])?;
    Ok(dit
        .forward(&x, &[500.0], &text, None)?
        .flatten_all()?
        .to_vec1()?)
}

#[test]
fn streamed_blocks_compute_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let (cfg, path) = tiny_file(folder.path());
    let open = || Weights::open(&path, DType::F32, &Device::Cpu).unwrap();
    for form in [WeightForm::Plain, WeightForm::Bf16, WeightForm::Q8_0] {
        let resident = tiny_forward(&cfg, &open().in_form(form), None).unwrap();
        let streamed = tiny_forward(&cfg, &open().in_form(form).streamed(), None).unwrap();
        assert_eq!(resident, streamed, "{form:?}");
    }
    let whole = tiny_forward(&cfg, &open(), None).unwrap();
    for tokens in [1, 5, 11, 12, 100] {
        let pieces = tiny_forward(&cfg, &open().streamed(), Some(tokens)).unwrap();
        assert!(
            relative(&pieces, &whole) < 1e-6,
            "{tokens} tokens at a time"
        );
    }
    let half = tiny_forward(&cfg, &open().in_form(WeightForm::Bf16), None).unwrap();
    let error = relative(&half, &whole);
    assert!(error > 0.0 && error < 0.02, "{error}");
}

#[test]
fn a_streamed_file_is_checked_whole_before_the_first_step() {
    let folder = tempfile::tempdir().unwrap();
    let (cfg, path) = tiny_file(folder.path());
    let refused = |cfg: WanConfig| {
        let weights = Weights::open(&path, DType::F32, &Device::Cpu).unwrap();
        let weights = weights.streamed();
        WanDit::from_weights(&cfg, &weights).unwrap();
        weights.finish().unwrap_err().to_string()
    };
    let deeper = refused(WanConfig {
        num_layers: 6,
        ..cfg.clone()
    });
    assert!(deeper.contains("blocks.5.modulation"), "{deeper}");
    let narrower = refused(WanConfig {
        ffn_dim: 128,
        ..cfg.clone()
    });
    let misfit = "blocks.0.ffn.0.weight is [256, 64], must be [128, 64]";
    assert!(narrower.contains(misfit), "{narrower}");
}

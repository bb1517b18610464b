//! Tests: operations in bf16 against the same in f32 on the same values.

use candle_core::{DType, Device, Tensor, Var};
use one4d_engine::Result;
use one4d_engine::models::wan::{WanConfig, WanDit};
use one4d_engine::nn::{self, ParamStore, RopeTable, Weights, composed};
use rand::{RngExt, SeedableRng};

/// Rounding to eight bits, relative to the largest value.
const ROUNDING: f64 = 1.0 / 256.0;

/// Uniform values in -1..1 that bf16 holds exactly.
fn random(dims: &[usize], seed: u64) -> Tensor {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let count = dims.iter().product();
    let values: Vec<f32> = (0..count).map(|_| rng.random_range(-1.0..1.0)).collect();
    let values = Tensor::from_vec(values, dims, &Device::Cpu).unwrap();
    values.to_dtype(DType::BF16).unwrap()
}

fn wide(x: &Tensor) -> Tensor {
    x.to_dtype(DType::F32).unwrap()
}

/// Largest difference relative to the largest value.
fn distance(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.dims(), b.dims());
    let values = |x: &Tensor| -> Vec<f64> {
        let x = x.flatten_all().unwrap().to_dtype(DType::F64).unwrap();
        x.to_vec1().unwrap()
    };
    let (a, b) = (values(a), values(b));
    let scale = b.iter().fold(1e-3, |m: f64, v| m.max(v.abs()));
    let worst = a.iter().zip(&b).map(|(a, b)| (a - b).abs());
    worst.fold(0.0, |m, d| if d <= m { m } else { d }) / scale
}

/// `f` in bf16 comes out in bf16 and within `bound` roundings of `f` in f32.
fn check(name: &str, inputs: &[Tensor], bound: f64, f: impl Fn(&[Tensor]) -> Result<Tensor>) {
    let out = f(inputs).unwrap();
    assert_eq!(out.dtype(), DType::BF16, "{name}");
    let truth = f(&inputs.iter().map(wide).collect::<Vec<_>>()).unwrap();
    let error = distance(&wide(&out), &truth) / ROUNDING;
    assert!(error < bound, "{name}: {error} roundings");
}

#[test]
fn linear_maps_match_f32_at_every_shape() {
    for (i, (rows, inputs, outputs)) in [
        (1, 1, 1),
        (3, 17, 5),
        (6, 64, 64),
        (70, 33, 130),
        (150, 96, 1000),
    ]
    .into_iter()
    .enumerate()
    {
        let seed = 10 * i as u64;
        let args = [
            random(&[1, rows, inputs], seed),
            random(&[outputs, inputs], seed + 1),
            random(&[outputs], seed + 2),
        ];
        check("linear", &args, 1.05, |t| {
            nn::linear(&t[0], &t[1], Some(&t[2]))
        });
        check("linear", &args, 1.05, |t| nn::linear(&t[0], &t[1], None));
        // A view that has to be laid out first.
        check("linear of a slice", &args, 1.05, |t| {
            let half = t[0].narrow(1, rows / 2, rows - rows / 2)?;
            nn::linear(&half, &t[1], None)
        });
    }
}

#[test]
fn attention_matches_f32_across_tiles() {
    for (i, (r, n, m, a, d)) in [
        (1, 1, 1, 1, 2),
        (2, 7, 5, 3, 8),
        (1, 100, 600, 2, 24),
        (2, 97, 1025, 1, 64),
    ]
    .into_iter()
    .enumerate()
    {
        let seed = 50 + 10 * i as u64;
        let args = [
            // Large enough for sharp weights.
            (random(&[r, n, a, d], seed) * 4.0).unwrap(),
            random(&[r, m, a, d], seed + 1),
            random(&[r, m, a, d], seed + 2),
        ];
        check("attention", &args, 1.6, |t| {
            nn::attention(&t[0], &t[1], &t[2], 1.0 / (d as f64).sqrt(), None)
        });
    }
}

#[test]
fn rows_match_f32() {
    let (r, n, e) = (2, 37, 48);
    let args = [
        random(&[r, n, e], 1),
        random(&[e], 2),
        random(&[e], 3),
        random(&[r, n, e], 4),
    ];
    check("layer norm", &args, 1.05, |t| {
        nn::layer_norm(&t[0], 1e-6, Some((&t[1], &t[2])))
    });
    check("plain layer norm", &args, 1.05, |t| {
        nn::layer_norm(&t[0], 1e-6, None)
    });
    check("rms norm", &args, 1.05, |t| {
        nn::rms_norm(&t[0], &t[1], 1e-6)
    });
    check("silu", &args, 1.05, |t| nn::silu(&t[0]));
    check("gelu", &args, 1.05, |t| nn::gelu_tanh(&t[0]));
    check("gelu erf", &args, 1.05, |t| nn::gelu_erf(&t[0]));
    check("add", &args, 1.05, |t| nn::add(&t[0], &t[3]));
    for rows in [1, r] {
        let (shift, scale) = (
            wide(&random(&[rows, 1, e], 5)),
            wide(&random(&[rows, 1, e], 6)),
        );
        check("modulated norm", &args, 1.05, |t| {
            nn::modulated_layer_norm(&t[0], &shift, &scale, 1e-6)
        });
        check("gated add", &args, 1.05, |t| {
            nn::gated_add(&t[0], &t[3], &scale)
        });
    }
    let table = RopeTable::grid([2, 3, 4], 16, 1e4, &Device::Cpu).unwrap();
    check("rope", &[random(&[r, 24, 3, 16], 7)], 1.05, |t| {
        nn::apply_rope(&t[0], &table)
    });
}

#[test]
fn what_a_variable_leads_to_keeps_its_gradient() {
    let x = Var::from_tensor(&random(&[4, 8], 1)).unwrap();
    let w = random(&[6, 8], 2);
    let y = nn::linear(x.as_tensor(), &w, None).unwrap();
    let reference = composed::linear(x.as_tensor(), &w, None);
    // candle has no product of bf16 on some processors; then neither form runs.
    let Ok(reference) = reference else { return };
    assert!(distance(&wide(&y), &wide(&reference)) < ROUNDING);
    assert!(y.track_op());
}

/// A transformer in bf16 stays as near to f32 as its roundings allow.
#[test]
fn transformer_in_bf16_stays_near_f32() {
    let cfg = WanConfig {
        dim: 96,
        ffn_dim: 256,
        num_heads: 4,
        ..WanConfig::tiny()
    };
    let store = ParamStore::default();
    WanDit::from_weights(&cfg, &Weights::fresh(&store, 3, DType::F32, &Device::Cpu)).unwrap();
    let build = |dtype: DType| {
        let tensors = store
            .vars()
            .into_iter()
            .map(|(name, var)| (name, var.as_detached_tensor()))
            .collect();
        let weights = Weights::from_tensors(tensors, "test", dtype, &Device::Cpu);
        WanDit::from_weights(&cfg, &weights).unwrap()
    };
    let x = random(&[2, cfg.in_dim, 3, 8, 10], 4);
    let text = random(&[2, cfg.text_len, cfg.text_dim], 5);
    let run = |dit: &WanDit, dtype: DType| {
        let (x, text) = (x.to_dtype(dtype).unwrap(), text.to_dtype(dtype).unwrap());
        dit.forward(&x, &[700.0, 300.0], &text, None).unwrap()
    };
    let truth = run(&build(DType::F32), DType::F32);
    let ours = run(&build(DType::BF16), DType::BF16);
    let error = distance(&ours, &truth);
    assert!(error < 0.03, "{error}");
}

//! The engine beside PyTorch and diffusers on the same two threads, run by run in turns.
//!
//! `ONE4D_TORCH_PYTHON` names a Python with `torch` and `diffusers`; without it there is nothing to
//! compare with and the bench says so. Words after `--` choose cases by part of their name.

#![expect(clippy::print_stdout, reason = "a benchmark's result is its output")]

use std::collections::HashMap;
use std::hint::black_box;
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use one4d_engine::job::JobCtx;
use one4d_engine::memory::CountingAllocator;
use one4d_engine::models::VideoVae as _;
use one4d_engine::models::wan::vae::{WanVae, WanVaeConfig};
use one4d_engine::models::wan::{WanConfig, WanDit};
use one4d_engine::nn::{self, ParamStore, Weights};
use one4d_tests::draw;
use one4d_tests::python_peer::PythonPeer;

/// As in the program.
#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Times each side runs a case after its first run; the best counts.
const RUNS: usize = 5;

type Run = Box<dyn Fn()>;

fn random(dims: &[usize], dtype: DType) -> Tensor {
    draw::normal(1.0, dims).to_dtype(dtype).expect("memory")
}

/// Random weights as a file would give them: not variables, in `dtype`.
fn weights(dtype: DType, build: impl FnOnce(&Weights)) -> Weights {
    let store = ParamStore::default();
    build(&Weights::fresh(&store, 1, DType::F32, &Device::Cpu));
    let tensors: HashMap<_, _> = store
        .vars()
        .into_iter()
        .map(|(name, var)| (name, var.as_detached_tensor()))
        .collect();
    Weights::from_tensors(tensors, "random", dtype, &Device::Cpu)
}

fn linear(dtype: DType) -> Run {
    let (x, w, b) = (
        random(&[4096, 768], dtype),
        random(&[3072, 768], dtype),
        random(&[3072], dtype),
    );
    Box::new(move || {
        black_box(nn::linear(&x, &w, Some(&b)).expect("a linear map"));
    })
}

fn attention(dtype: DType) -> Run {
    let [q, k, v] = [(); 3].map(|()| random(&[1, 4096, 6, 128], dtype));
    Box::new(move || {
        black_box(nn::attention(&q, &k, &v, 128_f64.sqrt().recip(), None).expect("attention"));
    })
}

fn transformer(dtype: DType) -> Run {
    let cfg = WanConfig {
        dim: 768,
        ffn_dim: 3072,
        num_heads: 6,
        num_layers: 12,
        ..WanConfig::t2v_1_3b()
    };
    let weights = weights(dtype, |fresh| {
        WanDit::from_weights(&cfg, fresh).expect("a network");
    });
    let dit = WanDit::from_weights(&cfg, &weights).expect("a network");
    let (x, text) = (
        random(&[1, 16, 16, 32, 32], dtype), // 4,096 tokens
        random(&[1, 512, 4096], dtype),
    );
    Box::new(move || {
        black_box(dit.forward(&x, &[500.0], &text, None).expect("a velocity"));
    })
}

fn vae() -> WanVae {
    let config = WanVaeConfig {
        base_dim: 32,
        ..WanVaeConfig::wan21()
    };
    let weights = weights(DType::F32, |fresh| {
        WanVae::new(&config, fresh).expect("a codec");
    });
    WanVae::new(&config, &weights).expect("a codec")
}

fn encode() -> Run {
    let (vae, video) = (vae(), random(&[1, 3, 17, 128, 224], DType::F32));
    Box::new(move || {
        black_box(vae.encode(&video, &JobCtx::silent()).expect("latents"));
    })
}

fn decode() -> Run {
    let (vae, latents) = (vae(), random(&[1, 16, 5, 16, 28], DType::F32));
    Box::new(move || {
        black_box(vae.decode(&latents, &JobCtx::silent()).expect("a video"));
    })
}

/// Name, as the peer knows it; work in GFLOP where one figure says it; set-up.
const CASES: [(&str, Option<f64>, fn() -> Run); 8] = [
    ("linear f32", Some(19.3), || linear(DType::F32)),
    ("linear bf16", Some(19.3), || linear(DType::BF16)),
    ("attention f32", Some(51.5), || attention(DType::F32)),
    ("attention bf16", Some(51.5), || attention(DType::BF16)),
    ("dit f32", None, || transformer(DType::F32)),
    ("dit bf16", None, || transformer(DType::BF16)),
    ("vae encode f32", None, encode),
    ("vae decode f32", None, decode),
];

fn main() {
    let Ok(python) = std::env::var("ONE4D_TORCH_PYTHON") else {
        println!("skipped: ONE4D_TORCH_PYTHON names no Python with torch and diffusers");
        return;
    };
    rayon::ThreadPoolBuilder::new()
        .num_threads(2)
        .build_global()
        .expect("the first pool");
    let filters: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    let peer = PythonPeer::start(&python, "torch_peer.py");
    let mut peer = peer.expect("ONE4D_TORCH_PYTHON has torch and diffusers");
    println!("{}", peer.greeting);
    println!("| case | here ms | GFLOP/s | PyTorch ms | time ratio |\n|---|---|---|---|---|");
    for (name, gflop, make) in CASES {
        if !filters.is_empty() && !filters.iter().any(|f| name.contains(f.as_str())) {
            continue;
        }
        let run = make();
        run();
        let (mut here, mut there) = (f64::INFINITY, f64::INFINITY);
        for _ in 0..RUNS {
            let start = Instant::now();
            run();
            here = here.min(start.elapsed().as_secs_f64());
            there = there.min(peer.seconds(name).expect("the peer knows the case"));
        }
        let rate = gflop.map_or_else(|| "–".to_owned(), |g| format!("{:.0}", g / here));
        println!(
            "| {name} | {:.1} | {rate} | {:.1} | {:.2} |",
            here * 1e3,
            there * 1e3,
            here / there
        );
    }
}

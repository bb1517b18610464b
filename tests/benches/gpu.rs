//! The engine on an NVIDIA GPU: attention alone, and a step of the 14B network on 352 x 624 x 81.
//!
//! `cargo bench --features cuda --bench gpu`, or `scripts/gpu.sh`. Weights are made on the card. Where the
//! card does not hold forty blocks, fewer are run and the time is scaled to forty. Beside it, run by run
//! in turns, PyTorch with its fused attention, where `ONE4D_TORCH_PYTHON` names a Python whose torch
//! sees the card. Without a card it says so and ends.

#![expect(clippy::print_stdout, reason = "a benchmark's result is its output")]

use std::collections::HashMap;
use std::time::Instant;

use candle_core::cuda_backend::cudarc::driver::result::mem_get_info;
use candle_core::cuda_backend::cudarc::driver::sys::CUdevice_attribute as Attribute;
use candle_core::{DType, Device, Tensor};
use one4d_engine::Result;
use one4d_engine::device::DeviceChoice;
use one4d_engine::models::wan::{WanConfig, WanDit};
use one4d_engine::nn::{self, ShapeStore, Weights};
use one4d_tests::python_peer::PythonPeer;

/// Times each side runs a case after its first run; the best counts.
const RUNS: usize = 5;
/// Latents of 81 frames of 352 x 624.
const LATENTS: [usize; 3] = [21, 44, 78];
/// Tokens of the attention: 81 frames of 480 x 832.
const TOKENS: usize = 32_760;
const TEXT: usize = 512;
const IMAGE: usize = 257;

/// A card and what its tensor cores could do.
struct Card {
    device: Device,
    name: String,
    /// bf16 products with f32 sums.
    peak_tflops: f64,
}

impl Card {
    fn open(device: Device) -> Result<Self> {
        let Device::Cuda(cuda) = &device else {
            return Err(one4d_engine::Error::invalid(
                "device",
                "is not a CUDA device",
            ));
        };
        let stream = cuda.cuda_stream();
        let context = stream.context();
        let said =
            |e: &dyn std::fmt::Display| one4d_engine::Error::invalid("device", e.to_string());
        let name = context.name().map_err(|e| said(&e))?;
        let attribute = |of| context.attribute(of).map(f64::from).map_err(|e| said(&e));
        let units = attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?;
        let hertz = 1e3 * attribute(Attribute::CU_DEVICE_ATTRIBUTE_CLOCK_RATE)?;
        let capability = context.compute_capability().map_err(|e| said(&e))?;
        let peak_tflops = units * hertz * operations_a_clock(capability, &name) / 1e12;
        Ok(Self {
            device,
            name,
            peak_tflops,
        })
    }

    fn finish(&self) -> Result<()> {
        Ok(self.device.synchronize()?)
    }

    /// Values that look random, without a copy from main memory.
    fn values(&self, dims: &[usize], scale: f64) -> Result<Tensor> {
        let count: usize = dims.iter().product();
        let ramp = Tensor::arange(0_u32, count as u32, &self.device)?.to_dtype(DType::F32)?;
        let noise = ((ramp * 12.9898)?.sin()? * scale)?;
        Ok(noise.to_dtype(DType::BF16)?.reshape(dims)?)
    }
}

/// bf16 operations of one multiprocessor in one clock, from NVIDIA's architecture papers; cards sold for
/// games sum in f32 at half the rate.
fn operations_a_clock((major, minor): (i32, i32), name: &str) -> f64 {
    let for_games = name.contains("GeForce");
    match (major, minor) {
        (8, 0) => 2048.0,
        (8 | 12, _) if for_games => 512.0,
        (8 | 12, _) => 1024.0,
        (9, _) => 4096.0,
        _ => 8192.0,
    }
}

/// Best seconds of `RUNS` runs here and, in turns, of a case there.
fn in_turns(
    card: &Card,
    peer: &mut Option<PythonPeer>,
    case: &str,
    run: impl Fn() -> Result<Tensor>,
) -> Result<(f64, Option<f64>)> {
    drop(run()?);
    card.finish()?;
    let (mut here, mut there): (f64, Option<f64>) = (f64::INFINITY, None);
    for _ in 0..RUNS {
        let start = Instant::now();
        drop(run()?);
        card.finish()?;
        here = here.min(start.elapsed().as_secs_f64());
        let seconds = peer.as_mut().and_then(|peer| peer.seconds(case));
        there = match (there, seconds) {
            (Some(best), Some(now)) => Some(f64::min(best, now)),
            (best, now) => best.or(now),
        };
    }
    Ok((here, there))
}

fn report(card: &Card, name: &str, tflop: f64, (here, there): (f64, Option<f64>)) {
    let rate = tflop / here;
    let share = 100.0 * rate / card.peak_tflops;
    let (seconds, ratio) = match there {
        Some(there) => (format!("{there:.4}"), format!("{:.2}", here / there)),
        None => ("–".to_owned(), "–".to_owned()),
    };
    println!("| {name} | {here:.4} | {rate:.0} | {share:.0} % | {seconds} | {ratio} |");
}

fn product(card: &Card, peer: &mut Option<PythonPeer>) -> Result<()> {
    const SIDE: usize = 8192;
    let [a, b] = [
        card.values(&[SIDE, SIDE], 1.0)?,
        card.values(&[SIDE, SIDE], 0.5)?,
    ];
    let seconds = in_turns(card, peer, "product", || Ok(a.matmul(&b)?))?;
    report(
        card,
        "bf16 product 8192",
        2.0 * (SIDE as f64).powi(3) / 1e12,
        seconds,
    );
    Ok(())
}

fn attention(card: &Card, peer: &mut Option<PythonPeer>) -> Result<()> {
    let dims = [1, TOKENS, 40, 128];
    let (q, k, v) = (
        card.values(&dims, 1.0)?,
        card.values(&dims, 0.7)?,
        card.values(&dims, 0.5)?,
    );
    let scale = 128_f64.sqrt().recip();
    let seconds = in_turns(card, peer, "attention", || {
        nn::attention(&q, &k, &v, scale, None)
    })?;
    let tflop = 4.0 * (TOKENS as f64).powi(2) * 5120.0 / 1e12;
    report(
        card,
        &format!("attention {TOKENS} x 40 x 128"),
        tflop,
        seconds,
    );
    Ok(())
}

/// Operations of one block for one row, in TFLOP.
fn block_tflop(cfg: &WanConfig, tokens: usize) -> f64 {
    let (n, d, f) = (tokens as f64, cfg.dim as f64, cfg.ffn_dim as f64);
    let context = (TEXT + IMAGE) as f64;
    let linear = 2.0 * n * (6.0 * d * d + 2.0 * d * f) + 2.0 * context * 2.0 * d * d;
    let attention = 4.0 * n * n * d + 4.0 * n * context * d;
    (linear + attention) / 1e12
}

fn step(card: &Card, peer: &mut Option<PythonPeer>) -> Result<()> {
    let full = WanConfig::fun_inp_14b();
    let (free, _total) = mem_get_info()
        .map_err(|e| one4d_engine::Error::invalid("free memory of the card", e.to_string()))?;
    // 0.81 GB a block and 5 GB for the rest; PyTorch holds the same beside it.
    let share = if peer.is_some() { 0.42 } else { 0.85 };
    let room = (free as f64 * share - 5e9) / 0.81e9;
    let blocks = (room.max(1.0) as usize).min(full.num_layers);
    let cfg = WanConfig {
        num_layers: blocks,
        ..full.clone()
    };
    let store = ShapeStore::default();
    WanDit::from_weights(&cfg, &Weights::dry(&store, DType::BF16, &card.device))?;
    let tensors = store
        .shapes()
        .into_iter()
        .map(|(name, dims)| Ok((name, card.values(&dims, 0.02)?)))
        .collect::<Result<HashMap<_, _>>>()?;
    let weights = Weights::from_tensors(tensors, "made here", DType::BF16, &card.device);
    let dit = WanDit::from_weights(&cfg, &weights)?;
    let [t, h, w] = LATENTS;
    let (x, text, image) = (
        card.values(&[1, cfg.in_dim, t, h, w], 1.0)?,
        card.values(&[1, TEXT, cfg.text_dim], 1.0)?,
        card.values(&[1, IMAGE, 1280], 1.0)?,
    );
    let seconds = in_turns(card, peer, &format!("dit {blocks}"), || {
        dit.forward(&x, &[500.0], &text, Some(&image))
    })?;
    let tokens = t * (h / 2) * (w / 2);
    let tflop = block_tflop(&cfg, tokens) * blocks as f64;
    report(
        card,
        &format!("14B step, {blocks} of 40 blocks"),
        tflop,
        seconds,
    );
    let scaled = seconds.0 * full.num_layers as f64 / blocks as f64;
    println!("\nA forward pass of all 40 blocks for one row: {scaled:.2} s (scaled).");
    Ok(())
}

fn main() -> Result<()> {
    let device = match DeviceChoice::Cuda.open() {
        Ok(device) => device,
        Err(reason) => {
            println!("skipped: {reason}");
            return Ok(());
        }
    };
    let card = Card::open(device)?;
    println!(
        "{}: {:.0} TFLOP/s in bf16 at its highest clock",
        card.name, card.peak_tflops
    );
    let python = std::env::var("ONE4D_TORCH_PYTHON").ok();
    let mut peer = python.and_then(|python| PythonPeer::start(&python, "gpu_peer.py"));
    match &peer {
        Some(peer) => println!("{}", peer.greeting),
        None => println!("no PyTorch beside it: ONE4D_TORCH_PYTHON names none that sees the card"),
    }
    println!(
        "\n| case | here s | TFLOP/s | of peak | PyTorch s | time ratio |\n|---|---|---|---|---|---|"
    );
    product(&card, &mut peer)?;
    attention(&card, &mut peer)?;
    step(&card, &mut peer)
}

//! A denoiser held as a plan says, in a process whose memory is counted and may be limited.
//!
//! `plan_probe JOB.json` loads it, runs it, writes the latents beside the job as `NAME.f32` and prints
//! the peak as JSON. Over the limit an allocation fails and the process ends.

#![expect(
    clippy::print_stdout,
    reason = "the result goes to the test on standard output"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use candle_core::{DType, Device, Tensor};
use one4d_engine::job::JobCtx;
use one4d_engine::memory::{self, CountingAllocator, PeakMeter};
use one4d_engine::models::one4d::One4d;
use one4d_engine::models::wan::vae::WanVae;
use one4d_engine::models::wan::{LoraPlacement, LoraStack};
use one4d_engine::models::{Denoiser, DenoiserInputs, VideoVae as _};
use one4d_engine::nn::{ParamStore, WeightForm, Weights};
use one4d_engine::sampler::{self, Latents, Reusing, SamplerSettings, SolverKind};
use one4d_tests::probe::{DecodeJob, PiecesJob, ProbeJob};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() -> anyhow::Result<()> {
    let path = PathBuf::from(std::env::args().nth(1).context("give the job")?);
    let folder = path.parent().context("the job lies in a folder")?;
    let text = std::fs::read(&path)?;
    if let Ok(job) = serde_json::from_slice::<DecodeJob>(&text) {
        let peak_bytes = decode(&job)?;
        println!("{}", serde_json::json!({ "peak_bytes": peak_bytes }));
        return Ok(());
    }
    if let Ok(job) = serde_json::from_slice::<PiecesJob>(&text) {
        let resident_bytes = resident_after(&job)?;
        println!(
            "{}",
            serde_json::json!({ "resident_bytes": resident_bytes })
        );
        return Ok(());
    }
    let job: ProbeJob = serde_json::from_slice(&text)?;
    if let Some(limit) = job.limit_bytes {
        memory::set_limit(limit);
    }
    // The pool's threads and their stacks are no part of a plan.
    rayon::broadcast(|_| ());
    let meter = PeakMeter::start();
    let model = load(&job, folder)?;
    let out = run(&model, &job)?;
    let peak_bytes = meter.peak_bytes().context("memory is not counted")?;
    let bytes: Vec<u8> = out.iter().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(folder.join(format!("{}.f32", job.name)), bytes)?;
    println!("{}", serde_json::json!({ "peak_bytes": peak_bytes }));
    Ok(())
}

/// As the pipeline loads it.
fn load(job: &ProbeJob, folder: &Path) -> anyhow::Result<One4d> {
    let (spec, holding) = (&job.spec, job.holding);
    let base = Weights::open(&folder.join(&spec.base), DType::F32, &Device::Cpu)?;
    let files = job.loras.iter();
    let files: Vec<_> = files
        .map(|(name, strength)| (folder.join(name), *strength))
        .collect();
    let loras = Arc::new(LoraStack::open(&files, &base, &JobCtx::silent())?);
    let placement = match holding.form {
        WeightForm::Plain if !holding.streamed => LoraPlacement::Merged,
        _ => LoraPlacement::Beside,
    };
    let mut base = loras.applied(&base, placement).in_form(holding.form);
    if holding.streamed {
        base = base.streamed();
    }
    let mut model = One4d::load(spec, &base, &folder.join(&spec.adapters), &Device::Cpu)?;
    model.limit_hidden(holding.hidden_tokens)?;
    if placement == LoraPlacement::Beside {
        model.put_beside(&loras)?;
    }
    Ok(model)
}

/// Memory of the process's own that lies in main memory when all large pieces are freed; `None` where
/// the system does not tell it.
fn resident_after(job: &PiecesJob) -> anyhow::Result<Option<u64>> {
    let mut small = Vec::new();
    // The first piece that is freed is what the system's allocator goes by.
    drop(vec![1_u8; job.piece_bytes]);
    let large: Vec<Vec<u8>> = (0..job.pieces)
        .map(|_| {
            let piece = vec![1_u8; job.piece_bytes];
            small.push(vec![1_u8; 1 << 12]);
            piece
        })
        .collect();
    drop(large);
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else {
        return Ok(None);
    };
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kibibytes = kibibytes.context("no RssAnon in the status of a process")?;
    anyhow::ensure!(small.iter().all(|piece| piece[0] == 1));
    Ok(Some(1024 * kibibytes.trim().parse::<u64>()?))
}

/// What decoding one clip holds beside the codec's weights.
fn decode(job: &DecodeJob) -> anyhow::Result<u64> {
    let store = ParamStore::default();
    let config = job.config();
    WanVae::new(
        &config,
        &Weights::fresh(&store, 1, DType::F32, &Device::Cpu),
    )?;
    // Variables would keep every activation for a backward pass.
    let tensors = store.vars().into_iter();
    let tensors = tensors
        .map(|(name, var)| (name, var.as_detached_tensor()))
        .collect();
    let weights = Weights::from_tensors(tensors, "codec", DType::F32, &Device::Cpu);
    let codec = WanVae::new(&config, &weights)?.with_tile(job.tile);
    let (h, w) = (job.height / 8, job.width / 8);
    let shape = (1, config.z_dim, (job.frames - 1) / 4 + 1, h, w);
    let latents = Tensor::ones(shape, DType::F32, &Device::Cpu)?;
    rayon::broadcast(|_| ());
    let meter = PeakMeter::start();
    codec.decode(&latents, &JobCtx::silent())?;
    meter.peak_bytes().context("memory is not counted")
}

/// Latents of both branches after a few steps.
fn run(model: &One4d, job: &ProbeJob) -> anyhow::Result<Vec<f32>> {
    let cfg = &job.spec.config;
    let [t, h, w] = job.grid;
    let clip = |seed: usize, channels: usize| -> anyhow::Result<Tensor> {
        let shape = (1, channels, t, h, w);
        let value = |i: usize| ((i * 37 + seed * 101) % 211) as f32 / 100.0 - 1.05;
        let values: Vec<f32> = (0..channels * t * h * w).map(value).collect();
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
    };
    let text = (0..2 * cfg.text_len * cfg.text_dim).map(|i| ((i * 53) % 97) as f32 / 50.0 - 0.97);
    let text: Vec<f32> = text.collect();
    let inputs = DenoiserInputs {
        text: Tensor::from_vec(text, (2, cfg.text_len, cfg.text_dim), &Device::Cpu)?,
        mask: clip(3, 4)?,
        condition: clip(4, cfg.out_dim)?,
        image: None,
        xyz: None,
    };
    let noise = Latents {
        rgb: clip(1, cfg.out_dim)?,
        xyz: clip(2, cfg.out_dim)?,
    };
    let settings = SamplerSettings {
        solver: SolverKind::Euler,
        steps: job.run.steps,
        shift: 3.0,
        guidance: job.run.guidance,
    };
    let reusing = Reusing::new(model, job.run.step_cache, job.run.steps);
    let denoiser: &dyn Denoiser = if job.run.step_cache > 0.0 {
        &reusing
    } else {
        model
    };
    let silent = &mut |_, _: &Latents| Ok(());
    let latents = sampler::sample(
        denoiser,
        &noise,
        &inputs,
        &settings,
        &JobCtx::silent(),
        silent,
    )?;
    let mut out = latents.rgb.flatten_all()?.to_vec1::<f32>()?;
    out.extend(latents.xyz.flatten_all()?.to_vec1::<f32>()?);
    Ok(out)
}

//! The trainer: codec, base and Decoupled LoRA Control stages, from clips to a bundle.
//!
//! A run lives in a folder. [`run`] does whatever is still missing there, in order, and can be
//! stopped at any step and called again: a resumed run equals an uninterrupted one, bit for bit on
//! the CPU, because every batch is a function of seed and step.
//!
//! | file | what |
//! |---|---|
//! | `codec.safetensors` | the linear codec |
//! | `cache/`, `validation/` | latents of training and held-out clips |
//! | `base.checkpoint.safetensors`, `dlc.checkpoint.safetensors` | state of the stages |
//! | `*.loss.csv`, `*.validation.csv`, with a picture each | curves |
//! | `report.json` | what was reached, beside the baselines |
//! | `bundle/` | the model, as the pipeline loads it |

mod batch;
mod bundle;
mod cache;
mod checkpoint;
mod codec_stage;
mod config;
mod curves;
mod fingerprint;
mod fit;
mod loss;
pub mod optim;
mod schedule;
mod source;
mod start;
mod trainee;
mod validate;

pub use cache::{CacheSpec, ClipLatents, LatentCache};
pub use checkpoint::{CheckpointMeta, averages};
pub use codec_stage::CodecReport;
pub use config::{
    CodecConfig, CurriculumStep, DataConfig, DataPart, FilesPart, ModelConfig, StageConfig,
    TrainConfig, WorldPart,
};
pub use curves::Curve;
pub use fit::{StageKind, StageReport};
pub use loss::{channel_weights, clean_of, noisy, target, weighted_square_error};
pub use schedule::{learning_rate, noise_level};
pub use validate::{DepthError, Losses};

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use candle_core::Device;
use serde::Serialize;

use crate::atomic_file;
use crate::job::JobCtx;
use crate::models::linear_codec::LinearCodec;
use crate::{Error, Result};
use fit::{Fit, Materials, checkpoint_path};
use start::Start;
use trainee::Trainee;
use validate::Validation;

/// What a run has reached.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The codec on unseen clips.
    pub codec: CodecReport,
    /// Depth that the codec itself leaves: the floor of what can be reached.
    pub codec_depth: DepthError,
    /// Baseline: one depth for every pixel.
    pub constant_depth: DepthError,
    /// Baseline: the mean pointmap of the training data.
    pub mean_depth: DepthError,
    /// The stages that have begun.
    pub stages: Vec<StageReport>,
    /// The bundle, once the second stage has begun.
    pub bundle: Option<PathBuf>,
}

/// Trains what `config` asks for in the folder `run`, until it is done or `max_secs` have passed.
///
/// # Errors
/// [`Error::Cancelled`] within one step, after a checkpoint; [`Error::Invalid`] if the folder holds
/// a run of another configuration.
pub fn run(
    config: &TrainConfig,
    run: &Path,
    max_secs: Option<f64>,
    ctx: &JobCtx,
) -> Result<Report> {
    config.check()?;
    let deadline = max_secs.map(|secs| Instant::now() + Duration::from_secs_f64(secs.max(0.0)));
    std::fs::create_dir_all(run).map_err(|e| Error::io(run, e))?;
    let start = config.start_from.as_deref().map(Start::read).transpose()?;
    let codec_path = run.join("codec.safetensors");
    if let Some(start) = &start {
        start.give_codec(&codec_path)?;
    }
    let codec = codec_stage::codec(config, &codec_path, ctx)?;
    let codec_bytes = std::fs::read(&codec_path).map_err(|e| Error::io(&codec_path, e))?;
    let codec_name = fingerprint::of_bytes(&codec_bytes);
    let spec = CacheSpec {
        codec: codec_name.clone(),
        ..codec_stage::seeds(config)
    };
    let cache = LatentCache::open_or_make(&run.join("cache"), spec, &codec, ctx)?;
    let device = config.device.open()?;
    let weights = channel_weights(
        codec.first_scale(),
        codec.group_scale(),
        config.dlc.channel_power,
        config.latent_sides()[0],
    )?
    .to_device(&device)?;
    let folder = run.join("validation");
    let validation = Validation::new(config, &folder, &codec, &codec_name, weights, ctx)?;
    let materials = Materials {
        config,
        run,
        cache: &cache,
        validation: &validation,
        codec: &codec,
        fingerprint: &fingerprint_of(config, &codec_name)?,
        deadline,
    };
    let [codec_depth, constant_depth, mean_depth] = validation.references(&cache, ctx)?;
    let mut report = Report {
        codec: codec_stage::check(config, &codec, ctx)?,
        codec_depth,
        constant_depth,
        mean_depth,
        stages: Vec::new(),
        bundle: None,
    };
    stages(&materials, start, &device, &mut report, ctx)?;
    let path = run.join("report.json");
    let text =
        serde_json::to_vec_pretty(&report).map_err(|e| Error::format(&path, e.to_string()))?;
    atomic_file::write(&path, &text)?;
    Ok(report)
}

fn stages(
    materials: &Materials<'_>,
    start: Option<Start>,
    device: &Device,
    report: &mut Report,
    ctx: &JobCtx,
) -> Result<()> {
    let config = materials.config;
    if let Some(start) = start {
        // Refuses a bundle of another shape, where fresh values would fill the gaps.
        Trainee::with_values(config, &start.values, true, device)?;
        let trainee = Trainee::dlc(config, &start.values, device)?;
        return dlc_stage(materials, trainee, start.trained_steps, report, ctx);
    }
    let mut base = Fit::new(materials, StageKind::Base, Trainee::base(config, device)?)?;
    report.stages.push(base.run(ctx)?);
    if report.stages.iter().any(|stage| stage.steps < stage.total) {
        return Ok(());
    }
    let trained = base.values()?;
    drop(base);
    let trainee = Trainee::dlc(config, &trained, device)?;
    dlc_stage(materials, trainee, 0, report, ctx)
}

/// The second stage, and the bundle as it stands after it; `before` steps were taken in earlier runs.
fn dlc_stage(
    materials: &Materials<'_>,
    trainee: Trainee,
    before: u64,
    report: &mut Report,
    ctx: &JobCtx,
) -> Result<()> {
    let mut dlc = Fit::new(materials, StageKind::Dlc, trainee)?;
    let outcome = dlc.run(ctx);
    let values = dlc.values()?;
    let stage = outcome?;
    let folder = materials.run.join("bundle");
    report.bundle = Some(bundle::write(
        materials.config,
        &folder,
        materials.codec,
        &values,
        before + stage.steps,
    )?);
    report.stages.push(stage);
    Ok(())
}

/// Writes the bundle of a run's second stage as it stands, without training.
///
/// # Errors
/// [`Error::Io`] if the run has no checkpoint of its second stage.
pub fn write_bundle(config: &TrainConfig, run: &Path, folder: &Path) -> Result<PathBuf> {
    let codec = LinearCodec::load(&run.join("codec.safetensors"), &Device::Cpu)?;
    let (mut values, before) = match &config.start_from {
        Some(bundle) => {
            let start = Start::read(bundle)?;
            (start.values, start.trained_steps)
        }
        None => (averages(&checkpoint_path(run, StageKind::Base))?.1, 0),
    };
    let (meta, learnt) = averages(&checkpoint_path(run, StageKind::Dlc))?;
    values.extend(learnt);
    bundle::write(config, folder, &codec, &values, before + meta.step)
}

/// What checkpoints must agree in: latents, networks and seed; data, steps and rates may change.
fn fingerprint_of(config: &TrainConfig, codec: &str) -> Result<String> {
    let shape = serde_json::json!({
        "size": [config.frames, config.height, config.width],
        "codec": codec,
        "model": config.model,
        "seed": config.seed,
        "train_base": config.dlc.train_base,
    });
    let text = serde_json::to_vec(&shape)
        .map_err(|e| Error::invalid("training configuration", e.to_string()))?;
    Ok(fingerprint::of_bytes(&text))
}

//! First of all, the codec: fitted to clips of the training data, checked on others.

use std::path::Path;

use candle_core::{Device, Tensor};
use rayon::prelude::*;
use serde::Serialize;

use super::cache::{CacheSpec, rgb_video, xyz_video};
use super::config::TrainConfig;
use super::source::ClipSource;
use crate::Result;
use crate::datasets::TrainingClip;
use crate::job::{JobCtx, Stage};
use crate::models::VideoVae as _;
use crate::models::linear_codec::{LinearCodec, LinearCodecFit};

/// Offset of the seeds that check the codec.
const CHECK_SEED: u64 = 1 << 41;
const CHECK_CLIPS: u64 = 16;
/// Clips held in memory at a time.
const CHUNK: usize = 16;

/// How well the codec keeps unseen clips.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CodecReport {
    /// PSNR of frames, dB, over the range -1..1.
    pub rgb_psnr: f64,
    /// PSNR of normalised points, dB.
    pub xyz_psnr: f64,
}

/// Loads the run's codec, or fits it to the configured clips and saves it.
///
/// # Errors
/// [`crate::Error::Cancelled`] between clips; what rendering, fitting and saving return.
pub(super) fn codec(config: &TrainConfig, path: &Path, ctx: &JobCtx) -> Result<LinearCodec> {
    if path.exists() {
        return LinearCodec::load(path, &Device::Cpu);
    }
    let spec = seeds(config);
    let total = config.codec.clips;
    let stride = (spec.clips() / total).max(1);
    let source = ClipSource::open(&spec)?;
    let mut fit = LinearCodecFit::default();
    for first in (0..total).step_by(CHUNK) {
        ctx.step(Stage::Render, first, total)?;
        let clips: Vec<TrainingClip> = (first..(first + CHUNK).min(total))
            .into_par_iter()
            .map(|k| source.clip(k * stride % spec.clips(), ctx))
            .collect::<Result<_>>()?;
        for clip in &clips {
            fit.add(&rgb_video(clip)?)?;
            fit.add(&xyz_video(clip)?.0)?;
        }
    }
    let codec = fit.finish(config.codec.channels, config.codec.floor)?;
    codec.save(path)?;
    Ok(codec)
}

/// Measures the codec on clips that nothing was fitted to.
///
/// # Errors
/// What rendering and the codec return.
pub(super) fn check(
    config: &TrainConfig,
    codec: &LinearCodec,
    ctx: &JobCtx,
) -> Result<CodecReport> {
    let spec = CacheSpec {
        first_seed: CHECK_SEED,
        ..seeds(config)
    };
    let source = ClipSource::open(&spec)?;
    let mut squares = [0.0; 2];
    let stride = (spec.clips() / CHECK_CLIPS as usize).max(1);
    for k in 0..CHECK_CLIPS as usize {
        ctx.check()?;
        let clip = source.clip(k * stride % spec.clips(), ctx)?;
        let videos = [rgb_video(&clip)?, xyz_video(&clip)?.0];
        for (video, sum) in videos.iter().zip(&mut squares) {
            let back = codec.decode(&codec.encode(video, ctx)?, ctx)?;
            *sum += mean_square(&(back - video)?)? / CHECK_CLIPS as f64;
        }
    }
    let psnr = |mse: f64| 10.0 * (4.0 / mse.max(1e-12)).log10();
    Ok(CodecReport {
        rgb_psnr: psnr(squares[0]),
        xyz_psnr: psnr(squares[1]),
    })
}

fn mean_square(x: &Tensor) -> Result<f64> {
    Ok(f64::from(x.sqr()?.mean_all()?.to_scalar::<f32>()?))
}

/// Seeds and sizes of the training clips.
pub(super) fn seeds(config: &TrainConfig) -> CacheSpec {
    CacheSpec::new(
        config.data.parts.clone(),
        config.data.first_seed,
        [config.frames, config.height, config.width],
        config.codec.channels,
        String::new(),
    )
}

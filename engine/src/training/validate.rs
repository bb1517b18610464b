//! Held-out clips: the loss at fixed noise levels, and the depth that one look at pure noise gives.
//!
//! At pure noise the best output is the mean of what the observed frames allow, so its depth says
//! how far the geometry is learnt long before sampled clips look like anything. Beside it stand two
//! baselines that know nothing of the clip: constant depth, and the mean pointmap of the data.

use std::path::Path;

use candle_core::{Device, Tensor};
use rayon::prelude::*;
use serde::Serialize;

use super::batch::{Batch, assemble, fixed};
use super::cache::{CacheSpec, LatentCache, xyz_video};
use super::config::{DataPart, TrainConfig};
use super::loss::{clean_of, target, weighted_square_error};
use super::source::{ClipSource, HELD_OUT_SEED};
use super::trainee::Trainee;
use crate::conditioning::Task;
use crate::datasets::TrainingClip;
use crate::job::JobCtx;
use crate::models::VideoVae as _;
use crate::models::linear_codec::LinearCodec;
use crate::models::one4d::PointmapNorm;
use crate::{Error, Result};

/// Noise levels of the validation loss.
pub(super) const LEVELS: [f64; 5] = [0.2, 0.4, 0.6, 0.8, 1.0];
const ROWS: usize = 8;

/// Depth against ground truth after one scale per clip (ratio of medians).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct DepthError {
    /// Mean of `|d - d*| / d*`.
    pub abs_rel: f64,
    /// Share of pixels with `max(d / d*, d* / d) < 1.25`.
    pub delta: f64,
}

/// Losses of one validation.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Losses {
    /// RGB loss at each of the fixed levels.
    pub rgb: Vec<f64>,
    /// XYZ loss at each level; zeros in the base stage.
    pub xyz: Vec<f64>,
}

struct Truth {
    clip: TrainingClip,
    norm: PointmapNorm,
}

/// The held-out clips.
pub(super) struct Validation {
    cache: LatentCache,
    truths: Vec<Truth>,
    codec: LinearCodec,
    weights: Tensor,
}

impl Validation {
    /// Renders the held-out clips and opens their latents.
    ///
    /// # Errors
    /// What rendering and the cache return.
    pub(super) fn new(
        config: &TrainConfig,
        folder: &Path,
        codec: &LinearCodec,
        fingerprint: &str,
        weights: Tensor,
        ctx: &JobCtx,
    ) -> Result<Self> {
        let spec = CacheSpec::new(
            held_out(config),
            HELD_OUT_SEED,
            [config.frames, config.height, config.width],
            config.codec.channels,
            fingerprint.to_owned(),
        );
        let cache = LatentCache::open_or_make(folder, spec, codec, ctx)?;
        let source = ClipSource::open(cache.spec())?;
        let truths = (0..cache.len())
            .into_par_iter()
            .map(|index| {
                let clip = source.clip(index, ctx)?;
                let norm = xyz_video(&clip)?.1;
                Ok(Truth { clip, norm })
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            cache,
            truths,
            codec: codec.clone(),
            weights,
        })
    }

    fn batches(
        &self,
        task: Task,
        sigma: f64,
        device: &Device,
    ) -> impl Iterator<Item = (usize, Result<Batch>)> {
        let device = device.clone();
        (0..self.cache.len()).step_by(ROWS).map(move |first| {
            let indices: Vec<usize> = (first..(first + ROWS).min(self.cache.len())).collect();
            let choices = fixed(&self.cache, &indices, task, sigma);
            (first, assemble(&self.cache, &choices, &device))
        })
    }

    /// Mean losses at the fixed levels, all frames observed.
    ///
    /// # Errors
    /// [`Error::Cancelled`]; what the networks return.
    pub(super) fn losses(
        &self,
        trainee: &Trainee,
        config: &TrainConfig,
        ctx: &JobCtx,
    ) -> Result<Losses> {
        let prediction = config.model.prediction;
        let mut losses = Losses::default();
        for sigma in LEVELS {
            let (mut sums, mut rows) = ([0.0; 2], 0.0);
            for (_, batch) in self.batches(Task::Video, sigma, trainee.device()) {
                ctx.check()?;
                let batch = batch?;
                let outputs = trainee.outputs(&batch)?;
                let count = batch.sigmas.len() as f64;
                let pairs = [
                    (Some(&outputs.rgb), &batch.clean.rgb, &batch.noise.rgb),
                    (outputs.xyz.as_ref(), &batch.clean.xyz, &batch.noise.xyz),
                ];
                for (sum, (output, clean, noise)) in sums.iter_mut().zip(pairs) {
                    if let Some(output) = output {
                        let target = target(clean, noise, prediction)?;
                        let loss = weighted_square_error(output, &target, &self.weights)?;
                        *sum += count * f64::from(loss.to_scalar::<f32>()?);
                    }
                }
                rows += count;
            }
            losses.rgb.push(sums[0] / rows);
            losses.xyz.push(sums[1] / rows);
        }
        Ok(losses)
    }

    /// Depth of the clean latents that one evaluation at pure noise gives.
    ///
    /// # Errors
    /// [`Error::Invalid`] in the base stage, which has no XYZ branch; [`Error::Cancelled`].
    pub(super) fn depth(
        &self,
        trainee: &Trainee,
        config: &TrainConfig,
        task: Task,
        ctx: &JobCtx,
    ) -> Result<DepthError> {
        let mut errors = Vec::new();
        for (first, batch) in self.batches(task, 1.0, trainee.device()) {
            ctx.check()?;
            let outputs = trainee.outputs(&batch?)?;
            let xyz = outputs
                .xyz
                .ok_or_else(|| Error::invalid("validation", "the base stage has no XYZ branch"))?;
            let clean = clean_of(&outputs.noisy.xyz, &xyz, 1.0, config.model.prediction)?;
            let decoded = self.codec.decode(&clean.to_device(&Device::Cpu)?, ctx)?;
            for (row, truth) in self.truths[first..]
                .iter()
                .take(decoded.dim(0)?)
                .enumerate()
            {
                let values = decoded.get(row)?.flatten_all()?.to_vec1::<f32>()?;
                errors.push(truth.error(&truth.depth_of(&values)));
            }
        }
        Ok(mean(&errors))
    }

    /// Depth that the codec itself leaves, and the baselines: constant depth, mean pointmap of `data`.
    ///
    /// # Errors
    /// What the codec and the cache return.
    pub(super) fn references(&self, data: &LatentCache, ctx: &JobCtx) -> Result<[DepthError; 3]> {
        let all: Vec<usize> = (0..self.cache.len()).collect();
        let exact = assemble(
            &self.cache,
            &fixed(&self.cache, &all, Task::Video, 0.0),
            &Device::Cpu,
        )?;
        let decoded = self.codec.decode(&exact.clean.xyz, ctx)?;
        let mut kept = Vec::new();
        for (row, truth) in self.truths.iter().enumerate() {
            let values = decoded.get(row)?.flatten_all()?.to_vec1::<f32>()?;
            kept.push(truth.error(&truth.depth_of(&values)));
        }
        let stride = (data.len() / 256).max(1);
        let some: Vec<usize> = (0..data.len()).step_by(stride).collect();
        let sample = assemble(data, &fixed(data, &some, Task::Text, 0.0), &Device::Cpu)?;
        let average = self.codec.decode(&sample.clean.xyz.mean_keepdim(0)?, ctx)?;
        let values = average.flatten_all()?.to_vec1::<f32>()?;
        let of = |depth: fn(&Truth, &[f32]) -> Vec<f64>| {
            let errors: Vec<DepthError> = self
                .truths
                .iter()
                .map(|truth| truth.error(&depth(truth, &values)))
                .collect();
            mean(&errors)
        };
        let constant = of(|truth, _| vec![1.0; truth.clip.depth.len()]);
        Ok([mean(&kept), constant, of(Truth::depth_of)])
    }
}

/// Validation clips, shared out over the sources of the training data.
fn held_out(config: &TrainConfig) -> Vec<DataPart> {
    let parts: Vec<&DataPart> = config
        .data
        .parts
        .iter()
        .filter(|part| part.clips() > 0)
        .collect();
    let count = parts.len().max(1);
    parts
        .iter()
        .enumerate()
        .map(|(k, part)| part.with_clips((config.data.validation_clips + k) / count))
        .collect()
}

impl Truth {
    /// z-depth of decoded points in the true cameras.
    ///
    /// # Shapes
    /// - `values`: `[3, T, H, W]` in `[-1, 1]`; returns `[T, H, W]`
    fn depth_of(&self, values: &[f32]) -> Vec<f64> {
        let pixels = values.len() / 3;
        let per_frame = pixels / self.clip.cameras.len().max(1);
        (0..pixels)
            .map(|at| {
                let x = [values[at], values[pixels + at], values[2 * pixels + at]];
                let world = glam::DVec3::from_array(self.norm.invert(x).map(f64::from));
                let pose = self.clip.cameras[at / per_frame].world_from_camera;
                (world - pose.translation).dot(pose.rotation.z_axis)
            })
            .collect()
    }

    fn error(&self, depth: &[f64]) -> DepthError {
        let mut pairs: Vec<(f64, f64)> = depth
            .iter()
            .zip(&self.clip.depth)
            .filter(|(_, truth)| truth.is_finite())
            .map(|(&d, &truth)| (d, f64::from(truth)))
            .collect();
        if pairs.is_empty() {
            return DepthError::default();
        }
        let middle = pairs.len() / 2;
        let mut median = |pick: fn(&(f64, f64)) -> f64| {
            let by = |a: &(f64, f64), b: &(f64, f64)| pick(a).total_cmp(&pick(b));
            pick(pairs.select_nth_unstable_by(middle, by).1)
        };
        let scale = median(|p| p.1) / median(|p| p.0).max(1e-6);
        let (mut relative, mut near) = (0.0, 0.0);
        for (d, truth) in &pairs {
            let d = (d * scale).max(1e-3);
            relative += (d - truth).abs() / truth;
            near += f64::from(u8::from((d / truth).max(truth / d) < 1.25));
        }
        let count = pairs.len() as f64;
        DepthError {
            abs_rel: relative / count,
            delta: near / count,
        }
    }
}

fn mean(errors: &[DepthError]) -> DepthError {
    let count = errors.len().max(1) as f64;
    DepthError {
        abs_rel: errors.iter().map(|e| e.abs_rel).sum::<f64>() / count,
        delta: errors.iter().map(|e| e.delta).sum::<f64>() / count,
    }
}

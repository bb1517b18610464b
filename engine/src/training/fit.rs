//! The loop of one stage: batches, steps, running averages, curves, validation, checkpoints.

use std::path::{Path, PathBuf};
use std::time::Instant;

use candle_core::Tensor;
use serde::Serialize;

use super::batch::{assemble, draw};
use super::cache::LatentCache;
use super::checkpoint::{self, CheckpointMeta};
use super::config::{StageConfig, TrainConfig};
use super::curves::Curve;
use super::loss::{channel_weights, target, weighted_square_error};
use super::optim::{AdamW, AdamWConfig, Ema, Gradients, accumulate, gradients_of};
use super::schedule::learning_rate;
use super::trainee::{Named, Trainee};
use super::validate::{DepthError, LEVELS, Validation};
use crate::conditioning::Task;
use crate::job::{JobCtx, Stage};
use crate::models::linear_codec::LinearCodec;
use crate::{Error, Result};

const LOSS_COLUMNS: [&str; 7] = ["step", "seconds", "lr", "loss", "rgb", "xyz", "grad_norm"];
const VALIDATION_COLUMNS: [&str; 15] = [
    "step",
    "rgb_0.2",
    "rgb_0.4",
    "rgb_0.6",
    "rgb_0.8",
    "rgb_1.0",
    "xyz_0.2",
    "xyz_0.4",
    "xyz_0.6",
    "xyz_0.8",
    "xyz_1.0",
    "video_abs_rel",
    "video_delta",
    "image_abs_rel",
    "image_delta",
];
/// Steps with a gradient that is not finite are skipped, but no more than this many in a row.
const MOST_SKIPPED: u32 = 10;

/// Which of the two trained stages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StageKind {
    /// The base learns RGB.
    Base,
    /// The adapters learn both.
    Dlc,
}

impl StageKind {
    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Dlc => "dlc",
        }
    }
}

/// What a stage did.
#[derive(Clone, Debug, Serialize)]
pub struct StageReport {
    /// The stage.
    pub stage: StageKind,
    /// Steps taken in all.
    pub steps: u64,
    /// Steps asked for.
    pub total: u64,
    /// Seconds of training, over all sessions.
    pub seconds: f64,
    /// Loss of the last step.
    pub loss: f64,
    /// Depth from all frames at pure noise, from the last validation.
    pub video_depth: Option<DepthError>,
    /// Depth from the first frame at pure noise, from the last validation.
    pub image_depth: Option<DepthError>,
}

/// What a stage works with.
pub(super) struct Materials<'a> {
    pub(super) config: &'a TrainConfig,
    pub(super) run: &'a Path,
    pub(super) cache: &'a LatentCache,
    pub(super) validation: &'a Validation,
    pub(super) codec: &'a LinearCodec,
    pub(super) fingerprint: &'a str,
    /// When to stop, keeping a checkpoint.
    pub(super) deadline: Option<Instant>,
}

/// One stage under way.
pub(super) struct Fit<'a> {
    materials: &'a Materials<'a>,
    kind: StageKind,
    trainee: Trainee,
    optimiser: AdamW,
    ema: Ema,
    weights: Tensor,
    losses: Curve,
    validations: Curve,
    /// Seconds of earlier sessions.
    before_secs: f64,
    started: Instant,
}

struct StepLoss {
    rgb: f64,
    xyz: f64,
    total: f64,
}

/// Path of a stage's checkpoint.
pub(super) fn checkpoint_path(run: &Path, kind: StageKind) -> PathBuf {
    run.join(format!("{}.checkpoint.safetensors", kind.name()))
}

impl<'a> Fit<'a> {
    /// Takes up the stage where its checkpoint left it, or at its beginning.
    pub(super) fn new(
        materials: &'a Materials<'a>,
        kind: StageKind,
        trainee: Trainee,
    ) -> Result<Self> {
        let stage = stage_config(materials.config, kind);
        let optimiser_config = AdamWConfig {
            weight_decay: stage.weight_decay,
            max_grad_norm: Some(stage.clip_norm),
            ..AdamWConfig::default()
        };
        let mut optimiser = AdamW::new(trainee.vars(), optimiser_config)?;
        let mut ema = Ema::new(trainee.vars(), stage.ema)?;
        let path = checkpoint_path(materials.run, kind);
        let fingerprint = materials.fingerprint;
        let meta = checkpoint::load(&path, trainee.vars(), &mut ema, &mut optimiser, fingerprint)?
            .unwrap_or_default();
        let table = |suffix: &str, columns: &[&str]| {
            let path = materials.run.join(format!("{}.{suffix}.csv", kind.name()));
            Curve::open(path, columns, meta.step)
        };
        let weights = channel_weights(
            materials.codec.first_scale(),
            materials.codec.group_scale(),
            stage.channel_power,
            materials.config.latent_sides()[0],
        )?
        .to_device(trainee.device())?;
        Ok(Self {
            materials,
            kind,
            optimiser,
            ema,
            weights,
            losses: table("loss", &LOSS_COLUMNS)?,
            validations: table("validation", &VALIDATION_COLUMNS)?,
            before_secs: meta.seconds,
            started: Instant::now(),
            trainee,
        })
    }

    fn stage(&self) -> &'a StageConfig {
        stage_config(self.materials.config, self.kind)
    }

    fn seconds(&self) -> f64 {
        self.before_secs + self.started.elapsed().as_secs_f64()
    }

    /// Steps until the stage is done, time is up, or the job is cancelled; always keeps a checkpoint.
    pub(super) fn run(&mut self, ctx: &JobCtx) -> Result<StageReport> {
        let total = self.stage().steps;
        let mut skipped = 0;
        let outcome = loop {
            let step = self.optimiser.steps();
            let late = self
                .materials
                .deadline
                .is_some_and(|end| Instant::now() >= end);
            if step >= total || late {
                break Ok(());
            }
            if let Err(error) = ctx.step(Stage::Train, step as usize, total as usize) {
                break Err(error);
            }
            match self.step(step) {
                Ok(()) => skipped = 0,
                Err(Error::NonFinite { count, .. }) if skipped < MOST_SKIPPED => {
                    skipped += 1;
                    ctx.warn(
                        Stage::Train,
                        format!("step {step}: {count} gradients are not finite"),
                    );
                    // The optimiser refused the step before counting it; the draw must move on.
                    self.optimiser.skip();
                }
                Err(error) => break Err(error),
            }
            let done = self.optimiser.steps();
            let due = done.is_multiple_of(self.stage().validate_every) || done == total;
            if due && let Err(error) = self.validate(ctx) {
                break Err(error);
            }
            if done.is_multiple_of(self.stage().checkpoint_every) {
                self.save()?;
            }
        };
        self.save()?;
        outcome.map(|()| self.report())
    }

    fn step(&mut self, step: u64) -> Result<()> {
        let stage = self.stage();
        let lr = learning_rate(stage, step);
        let mut gradients = Gradients::new();
        let mut sums = StepLoss {
            rgb: 0.0,
            xyz: 0.0,
            total: 0.0,
        };
        for micro in 0..stage.accumulate {
            let (loss, parts) = self.loss(step, micro)?;
            let share = 1.0 / stage.accumulate as f64;
            let store = (loss * share)?.backward()?;
            accumulate(&mut gradients, gradients_of(self.trainee.vars(), &store))?;
            sums.rgb += share * parts.rgb;
            sums.xyz += share * parts.xyz;
            sums.total += share * parts.total;
        }
        let report = self.optimiser.step(&gradients, lr)?;
        self.ema.update(self.trainee.vars())?;
        let seconds = self.seconds();
        self.losses.push(vec![
            step as f64,
            seconds,
            lr,
            sums.total,
            sums.rgb,
            sums.xyz,
            report.grad_norm,
        ])
    }

    fn loss(&self, step: u64, micro: usize) -> Result<(Tensor, StepLoss)> {
        let (config, stage) = (self.materials.config, self.stage());
        // Both stages draw from streams of their own.
        let seed = config.seed ^ (self.kind as u64 + 1) << 56;
        let choices = draw(self.materials.cache, stage, seed, step, micro);
        let batch = assemble(self.materials.cache, &choices, self.trainee.device())?;
        let outputs = self.trainee.outputs(&batch)?;
        let prediction = config.model.prediction;
        let error = |output: &Tensor, clean: &Tensor, noise: &Tensor| {
            weighted_square_error(output, &target(clean, noise, prediction)?, &self.weights)
        };
        let scalar = |x: &Tensor| -> Result<f64> { Ok(f64::from(x.to_scalar::<f32>()?)) };
        let rgb = error(&outputs.rgb, &batch.clean.rgb, &batch.noise.rgb)?;
        let (total, xyz) = match &outputs.xyz {
            None => (rgb.clone(), 0.0),
            Some(output) => {
                let xyz = error(output, &batch.clean.xyz, &batch.noise.xyz)?;
                let total = (&rgb + (&xyz * stage.xyz_weight)?)?;
                (total, scalar(&xyz)?)
            }
        };
        let parts = StepLoss {
            rgb: scalar(&rgb)?,
            xyz,
            total: scalar(&total)?,
        };
        Ok((total, parts))
    }

    /// Running averages and frozen values together: what the stage has to give.
    pub(super) fn values(&self) -> Result<Named> {
        let mut values = self.trainee.frozen().clone();
        values.extend(self.ema.tensors()?);
        Ok(values)
    }

    fn validate(&mut self, ctx: &JobCtx) -> Result<()> {
        let config = self.materials.config;
        let both = self.kind == StageKind::Dlc;
        let device = self.trainee.device();
        let averaged = Trainee::with_values(config, &self.values()?, both, device)?;
        let losses = self.materials.validation.losses(&averaged, config, ctx)?;
        let mut row = vec![self.optimiser.steps() as f64];
        row.extend(losses.rgb.iter().chain(&losses.xyz));
        for task in [Task::Video, Task::Image] {
            if both {
                let depth = self
                    .materials
                    .validation
                    .depth(&averaged, config, task, ctx)?;
                row.extend([depth.abs_rel, depth.delta]);
            } else {
                row.extend([0.0; 2]);
            }
        }
        self.validations.push(row)
    }

    fn save(&self) -> Result<()> {
        let meta = CheckpointMeta {
            step: self.optimiser.steps(),
            ema_updates: self.ema.updates(),
            seconds: self.seconds(),
            fingerprint: self.materials.fingerprint.to_owned(),
        };
        let path = checkpoint_path(self.materials.run, self.kind);
        checkpoint::save(
            &path,
            self.trainee.vars(),
            &self.ema,
            &self.optimiser,
            &meta,
        )?;
        self.losses.save(&["rgb", "xyz"])?;
        self.validations.save(&[
            "rgb_1.0",
            "xyz_0.6",
            "xyz_1.0",
            "video_abs_rel",
            "image_abs_rel",
        ])
    }

    fn report(&self) -> StageReport {
        let last = self.validations.last();
        let first = 1 + 2 * LEVELS.len();
        let depth = |at: usize| {
            let row = last.filter(|_| self.kind == StageKind::Dlc)?;
            Some(DepthError {
                abs_rel: row[at],
                delta: row[at + 1],
            })
        };
        StageReport {
            stage: self.kind,
            steps: self.optimiser.steps(),
            total: self.stage().steps,
            seconds: self.seconds(),
            loss: self.losses.last().map_or(f64::NAN, |row| row[3]),
            video_depth: depth(first),
            image_depth: depth(first + 2),
        }
    }
}

fn stage_config(config: &TrainConfig, kind: StageKind) -> &StageConfig {
    match kind {
        StageKind::Base => &config.base,
        StageKind::Dlc => &config.dlc,
    }
}

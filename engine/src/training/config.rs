//! The configuration file of a training run: JSON, every field optional.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize};

use crate::conditioning::TaskMix;
use crate::datasets::synthetic::WorldWidth;
use crate::datasets::training_sets::{ClipSampling, TrainingSet};
use crate::device::DeviceChoice;
use crate::models::byte_text::TextSpec;
use crate::models::one4d::{AdapterConfig, Coupling, Prediction, XyzInput, default_links};
use crate::models::wan::{AdapterTargets, WanConfig};
use crate::{Error, Result};

/// Everything that determines a run; the defaults are those of One4D-mini.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Name of the model.
    pub name: String,
    /// Seed of weights, noise, tasks and order.
    pub seed: u64,
    /// Bundle folder whose codec and networks training goes on from; the base stage is left out.
    pub start_from: Option<PathBuf>,
    /// Device of the networks.
    pub device: DeviceChoice,
    /// Frames of a clip, `4k + 1`.
    pub frames: usize,
    /// Height in pixels, a multiple of 16.
    pub height: usize,
    /// Width in pixels, a multiple of 16.
    pub width: usize,
    /// The clips.
    pub data: DataConfig,
    /// The codec.
    pub codec: CodecConfig,
    /// Shape of the networks.
    pub model: ModelConfig,
    /// First stage: the base learns to denoise RGB under conditioning and text.
    pub base: StageConfig,
    /// Second stage: adapters, links and the XYZ entrance learn on the base.
    pub dlc: StageConfig,
}

/// Which clips are rendered or read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// Training clips by source.
    pub parts: Vec<DataPart>,
    /// Held-out clips, from every part in turn.
    pub validation_clips: usize,
    /// First seed of the training clips; validation seeds start at 2^40.
    pub first_seed: u64,
}

/// Clips from one source: `{"world": "wide", "clips": 8000}` or
/// `{"dataset": "tartanair", "root": "/data/tartanair", "clips": 4000}`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum DataPart {
    /// Rendered.
    World(WorldPart),
    /// Cut out of a data set on disk.
    Files(FilesPart),
}

/// Clips of one kind of world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorldPart {
    /// How varied the worlds are.
    pub world: WorldWidth,
    /// Number of clips.
    pub clips: usize,
}

/// Clips of a data set on disk; every twentieth sequence is held out for validation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilesPart {
    /// The data set.
    pub dataset: TrainingSet,
    /// Where it lies.
    pub root: PathBuf,
    /// Number of clips.
    pub clips: usize,
    /// How clips are cut.
    #[serde(default)]
    pub sampling: ClipSampling,
}

impl DataPart {
    /// Rendered clips.
    pub fn world(world: WorldWidth, clips: usize) -> Self {
        Self::World(WorldPart { world, clips })
    }

    /// Number of clips.
    pub fn clips(&self) -> usize {
        match self {
            Self::World(part) => part.clips,
            Self::Files(part) => part.clips,
        }
    }

    /// The same source with another number of clips.
    pub(super) fn with_clips(&self, clips: usize) -> Self {
        match self.clone() {
            Self::World(part) => Self::World(WorldPart { clips, ..part }),
            Self::Files(part) => Self::Files(FilesPart { clips, ..part }),
        }
    }
}

impl<'de> Deserialize<'de> for DataPart {
    /// The field `dataset` decides, so that a mistake in either kind is named.
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(from)?;
        let part = if value.get("dataset").is_some() {
            serde_json::from_value(value).map(Self::Files)
        } else {
            serde_json::from_value(value).map(Self::World)
        };
        part.map_err(serde::de::Error::custom)
    }
}

/// The linear codec.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CodecConfig {
    /// Latent channels.
    pub channels: usize,
    /// Least scale of a channel, as a share of the largest.
    pub floor: f64,
    /// Clips that it is fitted to.
    pub clips: usize,
}

/// Shape of text encoder, base and adapters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// Width of the denoiser.
    pub dim: usize,
    /// Its feed-forward width.
    pub ffn_dim: usize,
    /// Its heads.
    pub num_heads: usize,
    /// Its blocks.
    pub num_layers: usize,
    /// Width of the time vector.
    pub freq_dim: usize,
    /// Width of the text encoder.
    pub text_dim: usize,
    /// Its feed-forward width.
    pub text_ffn_dim: usize,
    /// Its heads.
    pub text_heads: usize,
    /// Its layers.
    pub text_layers: usize,
    /// Bytes of text read.
    pub text_len: usize,
    /// Rank of the adapters.
    pub rank: usize,
    /// How the branches are coupled.
    pub coupling: Coupling,
    /// Entrance of the XYZ branch.
    pub xyz_input: XyzInput,
    /// What the network's output means.
    pub prediction: Prediction,
}

/// Settings of one stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StageConfig {
    /// Optimiser steps.
    pub steps: u64,
    /// Clips of a micro-batch.
    pub batch: usize,
    /// Micro-batches of a step.
    pub accumulate: usize,
    /// Peak learning rate.
    pub lr: f64,
    /// Share of the peak that the cosine ends at.
    pub final_lr: f64,
    /// Steps of linear warm-up.
    pub warmup: u64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Largest norm of the gradient.
    pub clip_norm: f64,
    /// Decay of the running average of weights.
    pub ema: f64,
    /// Time shift of the noise levels: larger means noisier.
    pub shift: f64,
    /// Share of clips at pure noise, where the branch is a regression.
    pub pure_noise: f64,
    /// Share of clips without text, for guidance.
    pub text_drop: f64,
    /// Shares of the tasks.
    pub tasks: TaskMix,
    /// Power of a channel's pixel weight in the loss: 0 = latents count alike, 2 = pixels do.
    pub channel_power: f64,
    /// Weight of the XYZ branch against the RGB branch.
    pub xyz_weight: f64,
    /// Whether base and text encoder go on learning under the adapters; the paper freezes them.
    pub train_base: bool,
    /// From which step on which worlds are drawn with which shares; empty = all clips alike.
    pub curriculum: Vec<CurriculumStep>,
    /// Steps between validations.
    pub validate_every: u64,
    /// Steps between checkpoints.
    pub checkpoint_every: u64,
}

/// Shares of the worlds from a step on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CurriculumStep {
    /// First step.
    pub from: u64,
    /// Share of narrow worlds.
    pub narrow: f64,
    /// Share of medium worlds.
    pub medium: f64,
    /// Share of wide worlds.
    pub wide: f64,
    /// Share of each data set on disk.
    pub files: f64,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            name: "One4D-mini".to_owned(),
            seed: 1,
            start_from: None,
            device: DeviceChoice::Auto,
            frames: 17,
            height: 64,
            width: 96,
            data: DataConfig::default(),
            codec: CodecConfig::default(),
            model: ModelConfig::default(),
            base: StageConfig::default(),
            dlc: StageConfig {
                steps: 40_000,
                ..StageConfig::default()
            },
        }
    }
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            parts: vec![
                DataPart::world(WorldWidth::Narrow, 6_000),
                DataPart::world(WorldWidth::Medium, 6_000),
                DataPart::world(WorldWidth::Wide, 8_000),
            ],
            validation_clips: 48,
            first_seed: 1,
        }
    }
}

impl Default for CodecConfig {
    fn default() -> Self {
        Self {
            channels: 48,
            floor: 0.05,
            clips: 192,
        }
    }
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            dim: 384,
            ffn_dim: 1024,
            num_heads: 6,
            num_layers: 8,
            freq_dim: 256,
            text_dim: 128,
            text_ffn_dim: 256,
            text_heads: 4,
            text_layers: 2,
            text_len: 128,
            rank: 32,
            coupling: Coupling::Decoupled,
            xyz_input: XyzInput::OwnHead,
            prediction: Prediction::Clean,
        }
    }
}

impl Default for StageConfig {
    fn default() -> Self {
        Self {
            steps: 20_000,
            batch: 4,
            accumulate: 1,
            lr: 6e-4,
            final_lr: 0.05,
            warmup: 200,
            weight_decay: 0.01,
            clip_norm: 1.0,
            ema: 0.999,
            shift: 4.0,
            pure_noise: 0.15,
            text_drop: 0.1,
            tasks: TaskMix::default(),
            channel_power: 1.0,
            xyz_weight: 2.0,
            train_base: false,
            curriculum: Vec::new(),
            validate_every: 500,
            checkpoint_every: 500,
        }
    }
}

impl TrainConfig {
    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Format`] if it is no such configuration; [`Error::Invalid`] if a value
    /// cannot be used.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
        let config: Self = serde_json::from_str(&text)
            .map_err(|e| Error::format(path, format!("not a training configuration: {e}")))?;
        config.check()?;
        Ok(config)
    }

    /// Checks that the values can be used together.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the field.
    pub fn check(&self) -> Result<()> {
        let rule = |field: &str, holds: bool, reason: &str| {
            holds
                .then_some(())
                .ok_or_else(|| Error::invalid(field, reason))
        };
        rule("frames", self.frames % 4 == 1, "must be 4k + 1")?;
        let size = self.height * self.width;
        let even = self.height.is_multiple_of(16) && self.width.is_multiple_of(16) && size > 0;
        rule("height, width", even, "must be positive multiples of 16")?;
        let clips: usize = self.data.parts.iter().map(DataPart::clips).sum();
        rule("data.parts", clips > 0, "need at least one clip")?;
        for part in &self.data.parts {
            if let DataPart::Files(part) = part {
                part.sampling.check()?;
            }
        }
        rule(
            "data.validation_clips",
            self.data.validation_clips > 0,
            "must be positive",
        )?;
        let channels = self.codec.channels;
        rule(
            "codec.channels",
            (1..=192).contains(&channels),
            "must be in 1..=192",
        )?;
        let floor = self.codec.floor;
        rule(
            "codec.floor",
            floor > 0.0 && floor <= 1.0,
            "must be in (0, 1]",
        )?;
        rule("codec.clips", self.codec.clips > 0, "must be positive")?;
        for (name, stage) in [("base", &self.base), ("dlc", &self.dlc)] {
            stage.check(name)?;
        }
        self.wan().validate()?;
        self.adapters().validate(&self.wan())
    }

    /// Shape of the base network.
    pub fn wan(&self) -> WanConfig {
        let model = &self.model;
        WanConfig {
            dim: model.dim,
            ffn_dim: model.ffn_dim,
            num_heads: model.num_heads,
            num_layers: model.num_layers,
            in_dim: 2 * self.codec.channels + 4,
            out_dim: self.codec.channels,
            freq_dim: model.freq_dim,
            text_dim: model.text_dim,
            text_len: model.text_len,
            image_dim: None,
            ..WanConfig::default()
        }
    }

    /// Shape of the adapters.
    pub fn adapters(&self) -> AdapterConfig {
        let model = &self.model;
        AdapterConfig {
            coupling: model.coupling,
            rank: model.rank,
            alpha: model.rank as f64,
            linked_blocks: match model.coupling {
                Coupling::Decoupled => default_links(model.num_layers),
                Coupling::Channel | Coupling::Spatial => Vec::new(),
            },
            xyz_input: model.xyz_input,
            targets: AdapterTargets::All,
        }
    }

    /// Shape of the text encoder, as a bundle lists it.
    pub fn text(&self) -> TextSpec {
        let model = &self.model;
        TextSpec::Umt5Bytes {
            file: super::bundle::TEXT_FILE.to_owned(),
            dim: model.text_dim,
            ffn_dim: model.text_ffn_dim,
            layers: model.text_layers,
            heads: model.text_heads,
            max_len: model.text_len,
        }
    }

    /// Sides of the latents: `[T', H', W']`.
    pub fn latent_sides(&self) -> [usize; 3] {
        [(self.frames - 1) / 4 + 1, self.height / 8, self.width / 8]
    }
}

impl StageConfig {
    fn check(&self, stage: &str) -> Result<()> {
        let positive = |name: &str, value: f64| {
            if value.is_finite() && value > 0.0 {
                Ok(())
            } else {
                let field = format!("{stage}.{name}");
                Err(Error::invalid(
                    field,
                    format!("must be positive, is {value}"),
                ))
            }
        };
        positive("batch", self.batch as f64)?;
        positive("accumulate", self.accumulate as f64)?;
        positive("lr", self.lr)?;
        positive("shift", self.shift)?;
        positive("clip_norm", self.clip_norm)?;
        positive("validate_every", self.validate_every as f64)?;
        positive("checkpoint_every", self.checkpoint_every as f64)?;
        let shares = [
            ("pure_noise", self.pure_noise),
            ("text_drop", self.text_drop),
            ("ema", self.ema),
            ("final_lr", self.final_lr),
        ];
        for (name, value) in shares {
            if !(0.0..=1.0).contains(&value) {
                let field = format!("{stage}.{name}");
                return Err(Error::invalid(
                    field,
                    format!("must be in 0..=1, is {value}"),
                ));
            }
        }
        Ok(())
    }
}

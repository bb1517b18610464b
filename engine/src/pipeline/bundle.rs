//! The manifest of a model bundle: one folder with `model.json` and its safetensors files.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::models::byte_text::TextSpec;
use crate::models::clip_vision::ClipVisionConfig;
use crate::models::one4d::DenoiserSpec;
use crate::sampler::SolverKind;
use crate::{Error, Result};

/// Version of the manifest that this program writes and reads.
pub const BUNDLE_FORMAT: u32 = 1;

/// `model.json` of a bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BundleManifest {
    /// [`BUNDLE_FORMAT`].
    pub format: u32,
    /// Name for people: "One4D-mini".
    pub name: String,
    /// One sentence on what it can and cannot do.
    pub description: String,
    /// Licence of the weights.
    pub licence: String,
    /// Frames of a clip, `4k + 1`.
    pub frames: usize,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// Frames per second.
    pub fps: f64,
    /// The codec.
    pub codec: CodecSpec,
    /// The text encoder.
    pub text: TextSpec,
    /// The image encoder, for bases with an image path; without it they are given zeros.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageSpec>,
    /// The denoiser.
    pub denoiser: DenoiserSpec,
    /// LoRA files that belong to the model and are always in force.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loras: Vec<LoraSpec>,
    /// Defaults of sampling.
    pub sampling: SamplingDefaults,
    /// Sampling in few steps, for models that bring a LoRA distilled for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fast: Option<FastSpec>,
    /// Training steps behind the weights; 0 for random weights and where they are not known.
    pub trained_steps: u64,
}

/// Which codec, and its file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CodecSpec {
    /// Linear patch codec: principal components of 4 x 8 x 8 blocks.
    LinearPatch {
        /// File name inside the bundle.
        file: String,
        /// Latent channels.
        channels: usize,
    },
    /// The Wan causal VAE.
    WanVae {
        /// File name inside the bundle.
        file: String,
    },
}

/// Which image encoder, and its weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ImageSpec {
    /// The visual tower of CLIP, read for an image and dropped again.
    ClipVision {
        /// Weights inside the bundle: a file, an index of shards, or a folder.
        weights: String,
        /// Shape of the tower.
        #[serde(default)]
        config: ClipVisionConfig,
    },
}

/// A LoRA file of the bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoraSpec {
    /// File inside the bundle.
    pub file: String,
    /// Factor before what it adds.
    #[serde(default = "full_strength")]
    pub strength: f64,
}

fn full_strength() -> f64 {
    1.0
}

/// What the preset "fast" stands for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FastSpec {
    /// The distilled LoRA.
    pub lora: LoraSpec,
    /// How to sample with it.
    #[serde(default = "SamplingDefaults::distilled")]
    pub sampling: SamplingDefaults,
}

/// Defaults of sampling.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SamplingDefaults {
    /// Integrator and schedule.
    #[serde(default)]
    pub solver: SolverKind,
    /// Denoising steps.
    pub steps: usize,
    /// Time shift of the schedule.
    pub shift: f64,
    /// Guidance scale.
    pub guidance: f64,
}

impl SamplingDefaults {
    /// The way of the LoRAs distilled to few steps by LightX2V: four steps of Euler, shift 5, no
    /// guidance (which would blur).
    pub fn distilled() -> Self {
        Self {
            solver: SolverKind::Euler,
            steps: 4,
            shift: 5.0,
            guidance: 1.0,
        }
    }
}

impl BundleManifest {
    /// Reads `model.json` of a bundle folder.
    ///
    /// # Errors
    /// [`Error::Io`] if it is not there, [`Error::Format`] if it cannot be read or has another version.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("model.json");
        let text = std::fs::read_to_string(&path).map_err(|e| Error::io(&path, e))?;
        let manifest: Self = serde_json::from_str(&text)
            .map_err(|e| Error::format(&path, format!("not a model manifest: {e}")))?;
        if manifest.format != BUNDLE_FORMAT {
            return Err(Error::format(
                &path,
                format!(
                    "manifest version {} is not known to this program (it reads {BUNDLE_FORMAT})",
                    manifest.format
                ),
            ));
        }
        Ok(manifest)
    }
}

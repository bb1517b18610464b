//! The pipeline: the only place where the stages meet.
//!
//! Text, one image, sparse frames and a whole video differ in [`Request::observed`] alone.

mod anchor;
mod bundle;
mod centring;
mod eval;
mod few_steps;
mod load;
mod lora_check;
mod motion;
mod observe;
mod planning;
mod render;
mod run;
mod runner;
mod save;
mod settled;
mod stopwatch;
mod train;
mod windows;

pub use anchor::reanchor;
pub use bundle::{
    BUNDLE_FORMAT, BundleManifest, CodecSpec, FastSpec, ImageSpec, LoraSpec, SamplingDefaults,
};

pub use crate::models::byte_text::TextSpec;
pub use crate::models::one4d::{Coupling, DenoiserSpec};

pub use few_steps::{FewSteps, few_steps_by_name};
pub(crate) use load::bundle_file;
pub use load::{LoraWish, Model, asset, bundled_model};
pub use lora_check::{LoraFit, check_lora, is_lora_file};
pub use observe::{ClipSize, Fitting, ObservedClip, observe};
pub use planning::{bundle_parts, lora_values, plan_request, run_shape};
pub use render::render_clips;
pub use run::{Generated, generate, generate_from};
pub use runner::PipelineRunner;
pub use settled::Settled;
pub use stopwatch::{StageTime, Stopwatch};
pub use train::train;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::device::DeviceChoice;
use crate::nn::WeightForm;

/// What a user gives the model to hold on to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Observed {
    /// Nothing: the prompt alone.
    Nothing,
    /// Images at frame indices; one image at 0 is the image-to-scene case.
    Frames(Vec<ObservedFrame>),
    /// A video file or a folder of frames, observed whole.
    Video(PathBuf),
}

/// One image and the frame it stands at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObservedFrame {
    /// The image file.
    pub path: PathBuf,
    /// Index of the frame, `0..frames`.
    pub at: usize,
}

/// A LoRA file that somebody chose.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoraChoice {
    /// The file.
    pub path: PathBuf,
    /// Factor before what it adds; 0 is as good as not chosen.
    pub strength: f64,
}

/// A set of defaults to sample with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// The model's own.
    #[default]
    Standard,
    /// Few steps by a distilled LoRA, the model's or one of the request's.
    Fast,
}

/// Everything that determines a generated scene.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// What is observed.
    pub observed: Observed,
    /// What the scene shows; may be empty.
    pub prompt: String,
    /// What it should not show; empty for the model's own default.
    pub negative_prompt: String,
    /// Folder of the model bundle; `None` for the bundled model.
    pub model: Option<PathBuf>,
    /// Frames, `4k + 1`; `None` for the model's own length. More than that only of a video, which then
    /// runs in overlapping windows that are joined.
    pub frames: Option<usize>,
    /// Denoising steps; `None` for the model's default.
    pub steps: Option<usize>,
    /// Guidance scale; 1 switches guidance off; `None` for the model's default.
    pub guidance: Option<f64>,
    /// Relative change of the first block's residual below which a step reuses the one before; 0
    /// computes every step. See [`crate::models::StepCache`].
    #[serde(default)]
    pub step_cache: f64,
    /// Time shift of the schedule; `None` for the model's default.
    #[serde(default)]
    pub shift: Option<f64>,
    /// Where the defaults come from.
    #[serde(default)]
    pub preset: Preset,
    /// LoRA files beside the model's own.
    #[serde(default)]
    pub loras: Vec<LoraChoice>,
    /// Seed of the noise.
    pub seed: u64,
    /// Device.
    pub device: DeviceChoice,
    /// Memory of the device that may be used, in bytes; `None` for what is free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Form of the denoiser's weights; `None` for the best that fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<WeightForm>,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            observed: Observed::Nothing,
            prompt: String::new(),
            negative_prompt: String::new(),
            model: None,
            frames: None,
            steps: None,
            guidance: None,
            step_cache: 0.0,
            shift: None,
            preset: Preset::Standard,
            loras: Vec::new(),
            seed: 0,
            device: DeviceChoice::Auto,
            memory_bytes: None,
            weights: None,
        }
    }
}

//! The pipeline: the only place where the stages meet.
//!
//! Text, one image, sparse frames and a whole video differ in [`Request::observed`] alone.

mod bundle;
mod eval;
mod load;
mod observe;
mod render;
mod run;
mod runner;
mod save;
mod train;

pub use bundle::{BUNDLE_FORMAT, BundleManifest, CodecSpec, ImageSpec, SamplingDefaults};

pub use crate::models::byte_text::TextSpec;
pub use crate::models::one4d::{Coupling, DenoiserSpec};

pub(crate) use load::bundle_file;
pub use load::{Model, asset, bundled_model};
pub use observe::{ClipSize, ObservedClip, observe};
pub use render::render_clips;
pub use run::{Generated, Settled, StageTime, Stopwatch, generate, generate_from};
pub use runner::PipelineRunner;
pub use train::train;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::device::DeviceChoice;

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
    /// Frames, `4k + 1`; `None` for the model's own length.
    pub frames: Option<usize>,
    /// Denoising steps; `None` for the model's default.
    pub steps: Option<usize>,
    /// Guidance scale; 1 switches guidance off; `None` for the model's default.
    pub guidance: Option<f64>,
    /// Seed of the noise.
    pub seed: u64,
    /// Device.
    pub device: DeviceChoice,
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
            seed: 0,
            device: DeviceChoice::Auto,
        }
    }
}

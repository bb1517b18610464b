//! What the studio knows about the chosen model.

use std::path::PathBuf;

use one4d_engine::pipeline::BundleManifest;

/// The figures of a model that the window needs.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelFacts {
    /// Name for people.
    pub name: String,
    /// What it can and cannot do.
    pub description: String,
    /// Licence of the weights.
    pub licence: String,
    /// Width of its frames, pixels.
    pub width: usize,
    /// Height of its frames, pixels.
    pub height: usize,
    /// Frames of a clip.
    pub num_frames: usize,
    /// Default denoising steps.
    pub steps: usize,
    /// Default guidance scale.
    pub guidance: f64,
    /// Steps of training behind the weights.
    pub trained_steps: u64,
}

impl Default for ModelFacts {
    /// The bundled model's size, until its manifest has been read.
    fn default() -> Self {
        Self {
            name: "One4D-mini".to_owned(),
            description: String::new(),
            licence: String::new(),
            width: 160,
            height: 96,
            num_frames: 17,
            steps: 20,
            guidance: 3.5,
            trained_steps: 0,
        }
    }
}

impl From<&BundleManifest> for ModelFacts {
    fn from(manifest: &BundleManifest) -> Self {
        Self {
            name: manifest.name.clone(),
            description: manifest.description.clone(),
            licence: manifest.licence.clone(),
            width: manifest.width.max(1),
            height: manifest.height.max(1),
            num_frames: manifest.frames.max(1),
            steps: manifest.sampling.steps.max(1),
            guidance: manifest.sampling.guidance,
            trained_steps: manifest.trained_steps,
        }
    }
}

/// The chosen model and what became of reading its manifest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelState {
    /// Figures in force.
    pub facts: ModelFacts,
    /// Folder of the bundle, once found.
    pub folder: Option<PathBuf>,
    /// Why the model cannot be used, if so.
    pub problem: Option<String>,
}

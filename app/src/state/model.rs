//! What the studio knows about the chosen model.

use std::path::PathBuf;
use std::sync::Arc;

use one4d_engine::pipeline::{BundleManifest, SamplingDefaults};
use one4d_engine::plan::{self, Machine, ModelParts, Plan, RunShape};

use super::create::{CreateForm, InputMode};

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
    /// Sampling of the preset "fast", for models that bring one.
    pub fast: Option<SamplingDefaults>,
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
            fast: None,
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
            fast: manifest.fast.as_ref().map(|fast| fast.sampling),
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
    /// What plans a run of it, once its files were looked at.
    pub planner: Option<Arc<Planner>>,
}

/// Sizes of a model and of this machine, as they were when the model was chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Planner {
    /// The model's parts.
    pub parts: ModelParts,
    /// This machine.
    pub machine: Machine,
}

impl Planner {
    /// The plan of what the form asks for: memory and time before the run.
    pub fn plan(&self, facts: &ModelFacts, form: &CreateForm) -> Plan {
        let run = RunShape {
            frames: form.num_frames,
            height: facts.height,
            width: facts.width,
            steps: form.steps,
            guided: form.guidance != 1.0,
            step_cache: form.step_cache,
            has_image: form.mode != InputMode::Text,
        };
        plan::choose(&self.parts, &run, &self.machine, None)
    }
}

impl ModelState {
    /// The plan of what the form asks for, where the model's files could be looked at.
    pub fn plan(&self, form: &CreateForm) -> Option<Plan> {
        let planner = self.planner.as_ref();
        planner.map(|planner| planner.plan(&self.facts, form))
    }
}

//! What the studio knows about the chosen model.

use std::path::PathBuf;
use std::sync::Arc;

use one4d_engine::pipeline::{BundleManifest, Preset, SamplingDefaults};
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
    /// The model's parts, its LoRA files included that are always in force.
    pub parts: ModelParts,
    /// Its parts with the preset "fast", where that takes a LoRA file of the model's own.
    pub fast: Option<ModelParts>,
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
        let fast = self.fast.as_ref().filter(|_| form.preset == Preset::Fast);
        let mut parts = fast.unwrap_or(&self.parts).clone();
        let (values, files) = form.loras.values(form.preset);
        parts.lora_values += values;
        parts.lora_files += files;
        plan::choose(&parts, &run, &self.machine, None)
    }
}

impl ModelState {
    /// The plan of what the form asks for, where the model's files could be looked at.
    pub fn plan(&self, form: &CreateForm) -> Option<Plan> {
        let planner = self.planner.as_ref();
        planner.map(|planner| planner.plan(&self.facts, form))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use one4d_engine::pipeline::{LoraFit, LoraWish, bundle_parts};

    use super::*;
    use crate::state::loras::{LoraEdit, LoraState};

    #[test]
    fn the_plan_counts_the_lora_files_in_use() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/mini");
        let facts = ModelFacts::from(&BundleManifest::read(&folder).unwrap());
        let planner = Planner {
            parts: bundle_parts(&folder, &LoraWish::default()).unwrap(),
            fast: None,
            machine: Machine::cpu(64 << 30, 2),
        };
        let values = 1_u64 << 30;
        let mut form = CreateForm::new(&facts);
        let plain = planner.plan(&facts, &form).peak_bytes;
        form.loras.add("large".into());
        assert_eq!(
            planner.plan(&facts, &form).peak_bytes,
            plain,
            "not looked at"
        );
        let fit = LoraFit {
            values,
            ..LoraFit::default()
        };
        form.loras.tell(Path::new("large"), LoraState::Fits(fit));
        let with_file = planner.plan(&facts, &form).peak_bytes;
        assert!(with_file > plain + 3 * values, "{plain}, {with_file}");
        let off = LoraEdit::Strength(0.0);
        form.loras.edit(Path::new("large"), &off);
        assert_eq!(
            planner.plan(&facts, &form).peak_bytes,
            plain,
            "switched off"
        );
    }
}

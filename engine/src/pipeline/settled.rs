//! The numbers of a run: what the request says, else what the model does best.

use serde::Serialize;

use super::{BundleManifest, Model, Preset, Request, SamplingDefaults, few_steps_by_name, windows};
use crate::sampler::SolverKind;
use crate::{Error, Result};

/// Numbers of a run, settled from the request and the model's defaults.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Settled {
    /// Frames, `4k + 1` up to the model's length; any number of a longer video.
    pub frames: usize,
    /// Denoising steps.
    pub steps: usize,
    /// Guidance scale.
    pub guidance: f64,
    /// Threshold of the step cache; 0 for none.
    pub step_cache: f64,
    /// Time shift of the schedule.
    pub shift: f64,
    /// Integrator and schedule.
    pub solver: SolverKind,
    /// Seed of the noise.
    pub seed: u64,
}

impl Settled {
    /// Fills in the model's defaults and checks the limits.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the number and what would be accepted.
    pub fn of(request: &Request, model: &Model) -> Result<Self> {
        let defaults = sampling_defaults(request, &model.manifest);
        let has_fast = model.manifest.fast.is_some() || !request.loras.is_empty();
        if request.preset == Preset::Fast && !has_fast {
            let reason = "this model brings no LoRA distilled to few steps; give one";
            return Err(Error::invalid("preset fast", reason));
        }
        let settled = Self {
            frames: request.frames.unwrap_or(model.manifest.frames),
            steps: request.steps.unwrap_or(defaults.steps),
            guidance: request.guidance.unwrap_or(defaults.guidance),
            step_cache: request.step_cache,
            shift: request.shift.unwrap_or(defaults.shift),
            solver: defaults.solver,
            seed: request.seed,
        };
        let longest = model.manifest.frames;
        let is_video = matches!(request.observed, super::Observed::Video(_));
        let is_long = is_video && settled.frames > longest;
        if is_long && windows::overlap(longest).is_none() {
            return Err(Error::invalid(
                format!("{} frames", settled.frames),
                format!("windows of {longest} frames are too short to be joined"),
            ));
        }
        if !is_long && (settled.frames % 4 != 1 || settled.frames > longest) {
            return Err(Error::invalid(
                format!("{} frames", settled.frames),
                format!(
                    "this model takes 1, 5, 9, .. up to {longest} frames; more only of a video, in \
                     windows"
                ),
            ));
        }
        if !(1..=1000).contains(&settled.steps) {
            return Err(Error::invalid(
                format!("{} steps", settled.steps),
                "between 1 and 1000 are possible",
            ));
        }
        if !(settled.shift.is_finite() && settled.shift > 0.0 && settled.shift <= 100.0) {
            return Err(Error::invalid(
                format!("time shift {}", settled.shift),
                "above 0 and at most 100 is possible; 1 shifts nothing",
            ));
        }
        if !(settled.guidance.is_finite() && (0.0..=50.0).contains(&settled.guidance)) {
            return Err(Error::invalid(
                format!("guidance {}", settled.guidance),
                "between 0 and 50 is possible; 1 switches guidance off",
            ));
        }
        if !(0.0..=1.0).contains(&settled.step_cache) {
            return Err(Error::invalid(
                format!("step cache {}", settled.step_cache),
                "between 0 and 1 is possible; 0 computes every step",
            ));
        }
        Ok(settled)
    }
}

/// The numbers that a request's preset stands for.
pub(super) fn sampling_defaults(request: &Request, manifest: &BundleManifest) -> SamplingDefaults {
    let fast = manifest.fast.as_ref();
    match request.preset {
        Preset::Standard => manifest.sampling,
        Preset::Fast => fast.map_or_else(|| request.few_steps(), |fast| fast.sampling),
    }
}

impl Request {
    /// How its LoRA files are sampled in few steps: as the name of the first one says that says so,
    /// else as most are.
    pub fn few_steps(&self) -> SamplingDefaults {
        let at_work = self.loras.iter().filter(|lora| lora.strength != 0.0);
        let told = at_work.filter_map(|lora| few_steps_by_name(&lora.path));
        let told = told.map(|found| found.sampling).next();
        told.unwrap_or_else(SamplingDefaults::distilled)
    }
}

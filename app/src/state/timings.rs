//! What generating took on this machine: for the time left, and for the time before a run.

use std::collections::HashMap;

use one4d_engine::job::Stage;

/// What the stages of a job took the last time, seconds; kept between sessions.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Timings {
    stages: HashMap<Stage, f64>,
    /// Steps of the denoising behind `stages`.
    sample_steps: usize,
}

impl Timings {
    /// Seconds that a stage took last time.
    pub fn stage_secs(&self, stage: Stage) -> Option<f64> {
        self.stages.get(&stage).copied()
    }

    /// Seconds that a generation with `steps` steps will take; `None` before the first one.
    pub fn estimate_secs(&self, steps: usize) -> Option<f64> {
        let sample = self.stage_secs(Stage::Sample)?;
        let rest: f64 = self.stages.values().sum::<f64>() - sample;
        Some(rest + sample * steps as f64 / self.sample_steps.max(1) as f64)
    }

    /// Weight of a stage in a bar: what it took last time, or what is usual.
    pub(super) fn weight(&self, stage: Stage) -> f64 {
        let usual = match stage {
            Stage::Sample | Stage::Train => 20.0,
            Stage::Decode | Stage::Optimise | Stage::Load => 2.0,
            _ => 0.5,
        };
        self.stage_secs(stage).map_or(usual, |secs| secs.max(0.05))
    }

    /// Takes over what the stages of a generation with so many steps took.
    pub(super) fn learn(&mut self, stages: &HashMap<Stage, f64>, steps: usize) {
        self.stages.clone_from(stages);
        self.sample_steps = steps;
    }
}

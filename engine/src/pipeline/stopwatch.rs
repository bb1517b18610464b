//! What a run took and reused, stage by stage.

use std::time::Instant;

use serde::Serialize;

use crate::job::Stage;
use crate::models::StepCacheReport;

/// Seconds that a stage took.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StageTime {
    /// The stage.
    pub stage: Stage,
    /// Wall-clock seconds.
    pub secs: f64,
}

/// Measures the stages of one run, and what its steps reused.
pub struct Stopwatch {
    started: Instant,
    stages: Vec<StageTime>,
    reuse: Option<StepCacheReport>,
}

impl Default for Stopwatch {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            stages: Vec::new(),
            reuse: None,
        }
    }
}

impl Stopwatch {
    /// Ends the running stage and starts the next. A stage that comes again, as in every window of a
    /// long clip, adds to its time.
    pub fn lap(&mut self, stage: Stage) {
        let secs = self.started.elapsed().as_secs_f64();
        match self.stages.iter_mut().find(|known| known.stage == stage) {
            Some(known) => known.secs += secs,
            None => self.stages.push(StageTime { stage, secs }),
        }
        self.started = Instant::now();
    }

    /// Adds what a window's steps reused, where there was a cache.
    pub fn note_reuse(&mut self, report: Option<StepCacheReport>) {
        self.reuse = match (self.reuse, report) {
            (Some(before), Some(now)) => Some(before.with(now)),
            (before, now) => before.or(now),
        };
    }

    /// What the steps of all windows reused; `None` without a cache.
    pub fn reuse(&self) -> Option<StepCacheReport> {
        self.reuse
    }

    /// Stages that are over, each once, in the order of their first end.
    pub fn stages(&self) -> &[StageTime] {
        &self.stages
    }
}

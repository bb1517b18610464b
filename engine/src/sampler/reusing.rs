//! A denoiser that reuses what hardly changes from step to step.

use std::sync::{Mutex, PoisonError};

use candle_core::Tensor;

use crate::Result;
use crate::models::{Denoiser, DenoiserInputs, StepCache, StepCacheReport, Velocities};

/// [`StepCache`] around a denoiser for one run of a solver; the first and the last step are always
/// computed.
pub struct Reusing<'a> {
    denoiser: &'a dyn Denoiser,
    steps: usize,
    state: Mutex<State>,
}

struct State {
    cache: StepCache,
    /// Steps that have begun.
    begun: usize,
}

impl<'a> Reusing<'a> {
    /// For a run of `steps` steps, which asks once a step.
    pub fn new(denoiser: &'a dyn Denoiser, threshold: f64, steps: usize) -> Self {
        let cache = StepCache::new(threshold);
        Self {
            denoiser,
            steps,
            state: Mutex::new(State { cache, begun: 0 }),
        }
    }

    /// What was reused so far.
    pub fn report(&self) -> StepCacheReport {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.cache.report()
    }
}

impl Denoiser for Reusing<'_> {
    fn velocities(
        &self,
        rgb: &Tensor,
        xyz: &Tensor,
        sigma: f64,
        inputs: &DenoiserInputs,
    ) -> Result<Velocities> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { cache, begun } = &mut *state;
        cache.begin(*begun > 0 && *begun + 1 < self.steps);
        *begun += 1;
        self.denoiser
            .velocities_reusing(rgb, xyz, sigma, inputs, cache)
    }
}

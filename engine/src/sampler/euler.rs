//! Euler's method on the flow.

use candle_core::Tensor;

use super::{Schedule, Solver};
use crate::Result;

/// `x <- x + (sigma_next - sigma) v`.
#[derive(Clone, Debug)]
pub struct Euler {
    schedule: Schedule,
    step: usize,
}

impl Euler {
    /// Starts at the first node of `schedule`.
    pub fn new(schedule: Schedule) -> Self {
        Self { schedule, step: 0 }
    }
}

impl Solver for Euler {
    fn step(&mut self, sample: &Tensor, velocity: &Tensor) -> Result<Tensor> {
        let (from, to) = self.schedule.interval(self.step)?;
        self.step += 1;
        Ok((sample + (velocity * (to - from))?)?)
    }
}

//! Flow-matching samplers: schedules, solvers, guidance and the loop.
//!
//! Wan's convention throughout: `x_sigma = (1 - sigma) x0 + sigma noise`, the model returns the
//! velocity `v = noise - x0`, hence `x0 = x - sigma v`. `sigma` falls from 1 (noise) to 0 (data); the
//! model's clock is `t = 1000 sigma`. Scalars are f64, latents f32.

mod diffusers;
mod euler;
mod guidance;
mod noise;
mod reusing;
mod run;
mod schedule;
mod unipc;

pub use diffusers::{FlowMatchEulerConfig, UniPcConfig};
pub use euler::Euler;
pub use guidance::guided;
pub use noise::draw_noise;
pub use reusing::Reusing;
pub use run::{Latents, SamplerSettings, SolverKind, integrate, sample};
pub use schedule::{NUM_TRAIN_TIMESTEPS, Schedule, shifted};
pub use unipc::{BFunction, UniPc, UniPcSettings};

use candle_core::Tensor;

use crate::Result;

/// An integrator of the flow along one schedule.
pub trait Solver: Send {
    /// Moves a sample from its node of the schedule to the next one.
    ///
    /// Called once a node, in order.
    ///
    /// # Shapes
    /// - `sample`, `velocity`: any shape, the same at every step, f32; returns that shape
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] when the schedule has no further node.
    fn step(&mut self, sample: &Tensor, velocity: &Tensor) -> Result<Tensor>;
}

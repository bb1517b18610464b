//! What a network's output means, and the velocity that a sampler wants.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::Result;

/// Meaning of the output of a denoiser.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prediction {
    /// Velocity, noise - data: Wan's convention.
    #[default]
    Velocity,
    /// The clean latents. A small network learns them more easily: it need not carry the noise
    /// through (Li and He, arXiv 2511.13720).
    Clean,
}

impl Prediction {
    /// Velocity at noise level `sigma`: for clean predictions `(x - output) / sigma`.
    ///
    /// # Shapes
    /// - `noisy`: `[1, C, T', H', W']`; `output`: `[R, C, T', H', W']`; returns the shape of `output`
    pub fn velocity(self, noisy: &Tensor, output: Tensor, sigma: f64) -> Result<Tensor> {
        match self {
            Self::Velocity => Ok(output),
            Self::Clean => Ok((noisy.broadcast_sub(&output)? / sigma.max(1e-3))?),
        }
    }
}

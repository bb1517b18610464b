//! What the pipeline asks of a model: a codec, a text encoder and a denoiser.
//!
//! One folder a family, one network a file; concrete models meet only in `pipeline`.

pub mod byte_text;
pub mod clip_image;
pub mod clip_vision;
mod limits;
pub mod linear_codec;
pub mod names;
pub mod one4d;
pub mod pillow;
mod reference_config;
mod step_cache;
pub mod umt5;
pub mod umt5_text;
pub mod wan;

pub use step_cache::{StepCache, StepCacheReport};

use candle_core::Tensor;

use crate::Result;
use crate::job::JobCtx;

/// A video codec: pixels to latents and back, causal in time.
///
/// `T' = (T - 1) / 4 + 1`, `H' = H / 8`, `W' = W / 8`.
pub trait VideoVae: Send + Sync {
    /// Channels `C` of the latents.
    fn latent_channels(&self) -> usize;

    /// Encodes a clip to normalised latents (mean of the posterior).
    ///
    /// # Shapes
    /// - `video`: `[B, 3, T, H, W]` in `[-1, 1]`, `T % 4 == 1`
    /// - returns `[B, C, T', H', W']`
    fn encode(&self, video: &Tensor, ctx: &JobCtx) -> Result<Tensor>;

    /// Decodes normalised latents.
    ///
    /// # Shapes
    /// - `latents`: `[B, C, T', H', W']`
    /// - returns `[B, 3, T, H, W]`, clamped to `[-1, 1]`
    fn decode(&self, latents: &Tensor, ctx: &JobCtx) -> Result<Tensor>;

    /// Decodes one frame to glance at while a run goes on; a codec that decodes the first latent
    /// frame alone cheaply need not say more.
    ///
    /// # Shapes
    /// - `latents`: `[1, C, T', H', W']`; returns `[1, 3, 1, H, W]`
    fn preview(&self, latents: &Tensor, ctx: &JobCtx) -> Result<Tensor> {
        self.decode(&latents.narrow(2, 0, 1)?, ctx)
    }
}

/// A text encoder.
pub trait TextEncoder: Send + Sync {
    /// Encodes a prompt; rows past its true length are exactly zero.
    ///
    /// # Shapes
    /// - returns `[1, S, E]`
    fn encode(&self, prompt: &str) -> Result<Tensor>;
}

/// Everything the denoiser is given beside the noisy latents.
#[derive(Clone, Debug)]
pub struct DenoiserInputs {
    /// `[R, S, E]`: one row of text a guidance half (conditional first, then unconditional).
    pub text: Tensor,
    /// `[1, 4, T', H', W']`: folded mask, 1 = observed.
    pub mask: Tensor,
    /// `[1, C, T', H', W']`: latents of the observed frames, exact zeros where nothing is observed.
    pub condition: Tensor,
    /// `[R, 257, 1280]`: image tokens, for models that have an image path.
    pub image: Option<Tensor>,
    /// What the XYZ half is given of its own, for models whose halves lie side by side; `None` is zeros.
    pub xyz: Option<XyzCondition>,
}

/// Mask and condition latents of the XYZ half.
#[derive(Clone, Debug)]
pub struct XyzCondition {
    /// `[1, 4, T', H', W']`.
    pub mask: Tensor,
    /// `[1, C, T', H', W']`.
    pub condition: Tensor,
}

/// Velocities of both branches.
#[derive(Clone, Debug)]
pub struct Velocities {
    /// `[R, C, T', H', W']`: velocity (noise - data) of the RGB latents.
    pub rgb: Tensor,
    /// `[R, C, T', H', W']`: velocity of the XYZ latents.
    pub xyz: Tensor,
}

/// A denoiser of two branches, RGB and XYZ, in lockstep.
pub trait Denoiser: Send + Sync {
    /// Velocities of both branches for every guidance half in one pass over the weights.
    ///
    /// # Shapes
    /// - `rgb`, `xyz`: `[1, C, T', H', W']` noisy latents at noise level `sigma` in `(0, 1]`
    /// - returns velocities `[R, C, T', H', W']`, `R` rows as in [`DenoiserInputs::text`]
    fn velocities(
        &self,
        rgb: &Tensor,
        xyz: &Tensor,
        sigma: f64,
        inputs: &DenoiserInputs,
    ) -> Result<Velocities>;

    /// As [`Self::velocities`], where `cache` may stand in for most of the network. What keeps
    /// nothing between steps computes.
    fn velocities_reusing(
        &self,
        rgb: &Tensor,
        xyz: &Tensor,
        sigma: f64,
        inputs: &DenoiserInputs,
        cache: &mut StepCache,
    ) -> Result<Velocities> {
        cache.note_whole();
        self.velocities(rgb, xyz, sigma, inputs)
    }
}

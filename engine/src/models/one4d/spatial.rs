//! Coupling in width: RGB and XYZ latents stand side by side in one sequence.
//!
//! 4DNeX (arXiv 2508.13154): both halves share one table of positions, and an embedding of its own
//! tells each half which it is. Attention does not see the order of tokens, only their positions,
//! so the halves are joined along the sequence.

use candle_core::Tensor;

use crate::Result;
use crate::models::wan::WanDit;
use crate::nn::{Init, RopeTable, Weights};

/// What the joint sequence has beside the adapters.
pub(super) struct Spatial {
    /// `[2, E]`.
    domains: Tensor,
}

impl Spatial {
    /// Reads or starts `domain_embeddings` `[2, E]`, at zero.
    pub(super) fn new(base: &WanDit, weights: &Weights) -> Result<Self> {
        let shape = [2, base.config().dim];
        let domains = weights.get(&shape, "domain_embeddings", Init::Const(0.0))?;
        Ok(Self { domains })
    }

    /// # Shapes
    /// - `conditioned`: `[B, in_dim, T', H', W']`; `xyz`: the same, or `[B, C, T', H', W']` without a
    ///   condition of its own
    /// - returns `[B, 2 N, E]`, RGB tokens first
    pub(super) fn embed(
        &self,
        base: &WanDit,
        conditioned: &Tensor,
        xyz: &Tensor,
    ) -> Result<Tensor> {
        let missing = conditioned.dim(1)?.saturating_sub(xyz.dim(1)?);
        let domain = |index: usize| -> Result<Tensor> {
            Ok(self
                .domains
                .narrow(0, index, 1)?
                .unsqueeze(0)?
                .to_dtype(base.dtype())?) // [1, 1, E]
        };
        let patch = base.patch_embedding();
        let rgb = patch.forward(conditioned)?.broadcast_add(&domain(0)?)?;
        let xyz = patch.forward(&xyz.pad_with_zeros(1, 0, missing)?)?;
        Ok(Tensor::cat(&[rgb, xyz.broadcast_add(&domain(1)?)?], 1)?) // [B, 2 N, E]
    }
}

/// The same positions for both halves.
pub(super) fn shared_rope(rope: &RopeTable) -> Result<RopeTable> {
    Ok(RopeTable {
        cos: Tensor::cat(&[&rope.cos, &rope.cos], 0)?, // [2 N, D/2]
        sin: Tensor::cat(&[&rope.sin, &rope.sin], 0)?, // [2 N, D/2]
    })
}

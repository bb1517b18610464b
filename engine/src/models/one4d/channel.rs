//! Coupling on channels: RGB and XYZ latents are one latent of twice the channels.
//!
//! World-consistent Video Diffusion (arXiv 2412.01821), the comparison of One4D's figure 3.

use candle_core::Tensor;

use crate::Result;
use crate::models::wan::{PatchEmbedding, WanDit};
use crate::nn::{Linear, Weights};

/// Entrance and exit of the joint latent.
pub(super) struct Channel {
    patch: PatchEmbedding,
    head: Linear,
}

impl Channel {
    /// Reads or starts `joint.patch_embedding` `[E, in_dim + C, ..]` and `joint.head`
    /// `[pt ph pw 2 C, E]`. A fresh entrance ignores the XYZ channels; a fresh exit gives both the
    /// base's output.
    pub(super) fn new(base: &WanDit, weights: &Weights) -> Result<Self> {
        let channels = base.config().out_dim;
        let original = base.patch_embedding();
        let latent = original.weight.narrow(1, 0, channels)?;
        let rest = original
            .weight
            .narrow(1, channels, base.config().in_dim - channels)?;
        let weight = Tensor::cat(&[&latent, &latent.zeros_like()?, &rest], 1)?; // [E, in_dim + C, ..]
        let place = weights.pp("joint.patch_embedding");
        let patch = PatchEmbedding {
            weight: place.get_or_copy(&weight, "weight")?,
            bias: place.get_or_copy(&original.bias, "bias")?,
        };
        let place = weights.pp("joint.head");
        let original = base.head().projection();
        let bias = match &original.bias {
            Some(bias) => Some(place.get_or_copy(&twice(bias, channels)?, "bias")?),
            None => None,
        };
        let weight = place.get_or_copy(&twice(&original.weight, channels)?, "weight")?;
        let head = Linear { weight, bias };
        Ok(Self { patch, head })
    }

    /// # Shapes
    /// - `conditioned`: `[B, in_dim, T', H', W']`, its first `C` channels the RGB latents
    /// - `xyz`: `[B, C, T', H', W']`; returns `[B, N, E]`
    pub(super) fn embed(
        &self,
        base: &WanDit,
        conditioned: &Tensor,
        xyz: &Tensor,
    ) -> Result<Tensor> {
        let channels = xyz.dim(1)?;
        let rest = conditioned.dim(1)? - channels;
        let rgb = conditioned.narrow(1, 0, channels)?;
        let joint = Tensor::cat(&[&rgb, xyz, &conditioned.narrow(1, channels, rest)?], 1)?;
        Ok(self.patch.forward(&joint)?.to_dtype(base.dtype())?) // [B, N, E]
    }

    /// # Shapes
    /// - `normed`: `[R, N, E]`; returns `[R, N, pt ph pw 2 C]`
    pub(super) fn project(&self, normed: &Tensor) -> Result<Tensor> {
        self.head
            .forward(&normed.to_dtype(self.head.weight.dtype())?)
    }
}

/// Rows of a head, the channel fastest, for twice the channels: `[P C, ..]` to `[P 2 C, ..]`.
fn twice(rows: &Tensor, channels: usize) -> Result<Tensor> {
    let mut shape = rows.dims().to_vec();
    shape[0] *= 2;
    let width: usize = rows.dims().iter().skip(1).product();
    let patches = rows.reshape(((), channels, width))?; // [P, C, width]
    Ok(Tensor::cat(&[&patches, &patches], 1)?.reshape(shape)?) // [P 2 C, ..]
}

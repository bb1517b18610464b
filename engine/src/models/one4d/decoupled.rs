//! Entrance, links and exit of the two branches of Decoupled LoRA Control.

use candle_core::Tensor;

use super::config::{AdapterConfig, XyzInput};
use super::control_link::ControlLink;
use crate::models::wan::{PatchEmbedding, WanConfig, WanDit};
use crate::nn::{Linear, Weights};
use crate::{Error, Result};

/// What the decoupled branches have beside the adapters.
pub(super) struct Decoupled {
    patch: Option<PatchEmbedding>,
    head: Option<Linear>,
    links: Vec<(usize, ControlLink)>,
}

impl XyzInput {
    /// Which reading a file holds, by the shape of its patch embedding.
    ///
    /// # Errors
    /// [`Error::Shape`] if it fits neither.
    pub fn of_file(base: &WanConfig, weights: &Weights) -> Result<Self> {
        let Some(shape) = weights.shape("xyz.patch_embedding.weight") else {
            return Ok(Self::Shared);
        };
        match shape.get(1).copied() {
            Some(channels) if channels == base.in_dim => Ok(Self::ZeroPadded),
            Some(channels) if channels == base.out_dim => Ok(Self::OwnHead),
            _ => {
                let required = format!("{} or {} channels", base.in_dim, base.out_dim);
                Err(Error::shape("xyz.patch_embedding.weight", required, shape))
            }
        }
    }
}

impl Decoupled {
    /// Reads or starts the XYZ entrance (a copy of the base's), its head where it has one, and links.
    pub(super) fn new(base: &WanDit, config: &AdapterConfig, weights: &Weights) -> Result<Self> {
        let cfg = base.config();
        let place = weights.pp("xyz.patch_embedding");
        let patch = |channels: usize| -> Result<PatchEmbedding> {
            let original = base.patch_embedding();
            let weight = original.weight.narrow(1, 0, channels)?; // [E, channels, pt, ph, pw]
            Ok(PatchEmbedding {
                weight: place.get_or_copy(&weight, "weight")?,
                bias: place.get_or_copy(&original.bias, "bias")?,
            })
        };
        let (patch, head) = match config.xyz_input {
            XyzInput::ZeroPadded => (Some(patch(cfg.in_dim)?), None),
            XyzInput::OwnHead => {
                let head = copied_linear(base.head().projection(), &weights.pp("xyz.head"))?;
                (Some(patch(cfg.out_dim)?), Some(head))
            }
            XyzInput::Shared => (None, None),
        };
        let links = weights.pp("links");
        let links = config
            .linked_blocks
            .iter()
            .map(|&index| Ok((index, ControlLink::new(cfg.dim, &links.pp(index))?)))
            .collect::<Result<_>>()?;
        Ok(Self { patch, head, links })
    }

    /// Both branches as rows of one batch, RGB first.
    ///
    /// # Shapes
    /// - `conditioned`: `[B, in_dim, T', H', W']`; `xyz`: `[B, C, T', H', W']`; returns `[2, B, N, E]`
    ///   as two tensors
    pub(super) fn embed(
        &self,
        base: &WanDit,
        conditioned: &Tensor,
        xyz: &Tensor,
    ) -> Result<(Tensor, Tensor)> {
        let rgb = base.patch_embedding().forward(conditioned)?; // [B, N, E]
        let patch = self.patch.as_ref().unwrap_or(base.patch_embedding());
        let (_width, channels, _t, _h, _w) = patch.weight.dims5()?;
        // The XYZ branch gets neither mask nor condition.
        let missing = channels.saturating_sub(xyz.dim(1)?);
        let xyz = patch.forward(&xyz.pad_with_zeros(1, 0, missing)?)?; // [B, N, E]
        let xyz = xyz.to_dtype(rgb.dtype())?;
        Ok((rgb, xyz))
    }

    /// Exchanges features where a link follows block `index`.
    pub(super) fn link(&self, index: usize, tokens: Tensor) -> Result<Tensor> {
        match self.links.iter().find(|(at, _)| *at == index) {
            Some((_, link)) => link.forward(&tokens),
            None => Ok(tokens),
        }
    }

    /// The head's patches of both branches.
    ///
    /// # Shapes
    /// - `normed`: `[2 R, N, E]`; returns `[2 R, N, pt ph pw C]`
    pub(super) fn project(&self, base: &WanDit, normed: &Tensor) -> Result<Tensor> {
        let shared = base.head().projection();
        let Some(own) = &self.head else {
            return shared.forward(normed);
        };
        let rows = normed.dim(0)? / 2;
        let rgb = shared.forward(&normed.narrow(0, 0, rows)?)?;
        let xyz = normed.narrow(0, rows, rows)?.to_dtype(own.weight.dtype())?;
        let xyz = own.forward(&xyz)?.to_dtype(rgb.dtype())?;
        Ok(Tensor::cat(&[rgb, xyz], 0)?) // [2 R, N, pt ph pw C]
    }
}

/// A linear layer that starts as a copy of another.
fn copied_linear(original: &Linear, weights: &Weights) -> Result<Linear> {
    let bias = match &original.bias {
        Some(bias) => Some(weights.get_or_copy(bias, "bias")?),
        None => None,
    };
    Ok(Linear {
        weight: weights.get_or_copy(&original.weight, "weight")?,
        bias,
    })
}

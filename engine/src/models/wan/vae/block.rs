//! Residual and attention blocks of the codec.

use candle_core::Tensor;

use crate::Result;
use crate::nn::{CausalConv3d, FrameCache, Init, Linear, Weights, attention, channel_norm};

/// The codec's norm, see [`channel_norm`].
#[derive(Clone, Debug)]
pub(super) struct ChannelNorm {
    /// `[C, 1, ..]`.
    gamma: Tensor,
}

impl ChannelNorm {
    /// Reads `gamma`, whose shape in the checkpoints is `[C, 1, 1, 1]` or, in attention, `[C, 1, 1]`.
    pub(super) fn new(channels: usize, rank: usize, weights: &Weights) -> Result<Self> {
        let mut shape = vec![1; rank];
        shape[0] = channels;
        let gamma = weights.get(&shape, "gamma", Init::Const(1.0))?;
        Ok(Self { gamma })
    }

    /// # Shapes
    /// - `x`: `[B, C, T, H, W]`; returns that shape
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        channel_norm(x, &self.gamma, false)
    }

    /// SiLU of the norm, which is what convolutions see.
    ///
    /// # Shapes
    /// - `x`: `[B, C, T, H, W]`; returns that shape
    pub(super) fn activated(&self, x: &Tensor) -> Result<Tensor> {
        channel_norm(x, &self.gamma, true)
    }
}

/// Norm, SiLU, convolution, twice, and the way around.
pub(super) struct ResidualBlock {
    norm1: ChannelNorm,
    conv1: CausalConv3d,
    norm2: ChannelNorm,
    conv2: CausalConv3d,
    shortcut: Option<CausalConv3d>,
}

impl ResidualBlock {
    pub(super) fn new(input: usize, output: usize, weights: &Weights) -> Result<Self> {
        let residual = weights.pp("residual");
        let cube = [3, 3, 3];
        let shortcut = if input == output {
            None
        } else {
            let weights = weights.pp("shortcut");
            Some(CausalConv3d::new(input, output, [1, 1, 1], &weights)?)
        };
        Ok(Self {
            norm1: ChannelNorm::new(input, 4, &residual.pp("0"))?,
            conv1: CausalConv3d::new(input, output, cube, &residual.pp("2"))?,
            norm2: ChannelNorm::new(output, 4, &residual.pp("3"))?,
            conv2: CausalConv3d::new(output, output, cube, &residual.pp("6"))?,
            shortcut,
        })
    }

    /// # Shapes
    /// - `x`: `[B, C, T, H, W]`; returns `[B, O, T, H, W]`
    pub(super) fn forward(&self, x: &Tensor, cache: &mut FrameCache) -> Result<Tensor> {
        let (_b, _c, _t, _h, _w) = x.dims5()?;
        let y = self.conv1.forward(&self.norm1.activated(x)?, cache)?;
        // The first convolution's result goes before the second's exists.
        let hidden = {
            let y = y;
            self.norm2.activated(&y)?
        };
        let y = self.conv2.forward(&hidden, cache)?;
        drop(hidden);
        let around = match &self.shortcut {
            Some(conv) => conv.forward(x, cache)?,
            None => x.clone(),
        };
        Ok((around + y)?)
    }
}

/// Self attention among the positions of each frame, one head.
pub(super) struct AttentionBlock {
    norm: ChannelNorm,
    /// `[3 C, C, 1, 1]` and `[3 C]`.
    to_qkv: Linear,
    /// `[C, C, 1, 1]` and `[C]`.
    proj: Linear,
}

impl AttentionBlock {
    pub(super) fn new(channels: usize, weights: &Weights) -> Result<Self> {
        let pointwise = |outputs: usize, name: &str| -> Result<Linear> {
            let weights = weights.pp(name);
            Ok(Linear {
                weight: weights.get(&[outputs, channels, 1, 1], "weight", Init::Kaiming)?,
                bias: Some(weights.get(&[outputs], "bias", Init::Const(0.0))?),
            })
        };
        Ok(Self {
            norm: ChannelNorm::new(channels, 3, &weights.pp("norm"))?,
            to_qkv: pointwise(3 * channels, "to_qkv")?,
            proj: pointwise(channels, "proj")?,
        })
    }

    /// # Shapes
    /// - `x`: `[B, C, T, H, W]`; returns that shape
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (b, c, t, h, w) = x.dims5()?;
        let rows = self.norm.forward(x)?.permute((0, 2, 3, 4, 1))?; // [B, T, H, W, C]
        let rows = rows.contiguous()?.reshape((b * t, h * w, c))?; // [B T, H W, C]
        let qkv = pointwise(&rows, &self.to_qkv)?.reshape((b * t, h * w, 3, c))?;
        let part = |i: usize| qkv.narrow(2, i, 1)?.contiguous(); // [B T, H W, 1, C]
        let scale = 1.0 / (c as f64).sqrt();
        let attended = attention(&part(0)?, &part(1)?, &part(2)?, scale, None)?;
        let y = pointwise(&attended.reshape((b * t, h * w, c))?, &self.proj)?;
        let y = y.reshape((b, t, h, w, c))?.permute((0, 4, 1, 2, 3))?; // [B, C, T, H, W]
        Ok((x + y)?)
    }
}

/// A convolution of one pixel as the linear layer that it is.
fn pointwise(x: &Tensor, layer: &Linear) -> Result<Tensor> {
    let flat = Linear {
        weight: layer.weight.flatten_from(1)?, // [O, C]
        bias: layer.bias.clone(),
    };
    flat.forward(x)
}

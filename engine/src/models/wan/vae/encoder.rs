//! Pixels to the parameters of the posterior.

use candle_core::Tensor;

use super::WanVaeConfig;
use super::block::{AttentionBlock, ChannelNorm, ResidualBlock};
use super::resample::Downsample;
use crate::Result;
use crate::nn::{CausalConv3d, FrameCache, Weights};

enum Layer {
    Residual(ResidualBlock),
    Down(Downsample),
}

/// The two residual blocks and the attention between encoder and decoder levels.
pub(super) struct Middle {
    before: ResidualBlock,
    attention: AttentionBlock,
    after: ResidualBlock,
}

impl Middle {
    pub(super) fn new(channels: usize, weights: &Weights) -> Result<Self> {
        Ok(Self {
            before: ResidualBlock::new(channels, channels, &weights.pp("0"))?,
            attention: AttentionBlock::new(channels, &weights.pp("1"))?,
            after: ResidualBlock::new(channels, channels, &weights.pp("2"))?,
        })
    }

    /// # Shapes
    /// - `x`: `[B, C, T, H, W]`; returns that shape
    pub(super) fn forward(&self, x: &Tensor, cache: &mut FrameCache) -> Result<Tensor> {
        let x = self.before.forward(x, cache)?;
        let x = self.attention.forward(&x)?;
        self.after.forward(&x, cache)
    }
}

/// Norm, SiLU and the last convolution.
pub(super) struct Head {
    norm: ChannelNorm,
    conv: CausalConv3d,
}

impl Head {
    pub(super) fn new(input: usize, output: usize, weights: &Weights) -> Result<Self> {
        Ok(Self {
            norm: ChannelNorm::new(input, 4, &weights.pp("0"))?,
            conv: CausalConv3d::new(input, output, [3, 3, 3], &weights.pp("2"))?,
        })
    }

    /// # Shapes
    /// - `x`: `[B, C, T, H, W]`; returns `[B, O, T, H, W]`
    pub(super) fn forward(&self, x: &Tensor, cache: &mut FrameCache) -> Result<Tensor> {
        self.conv.forward(&self.norm.activated(x)?, cache)
    }
}

/// The encoder.
pub(super) struct Encoder {
    conv_in: CausalConv3d,
    layers: Vec<Layer>,
    middle: Middle,
    head: Head,
}

impl Encoder {
    pub(super) fn new(config: &WanVaeConfig, weights: &Weights) -> Result<Self> {
        let base = config.base_dim;
        let conv_in = CausalConv3d::new(config.in_channels, base, [3, 3, 3], &weights.pp("conv1"))?;
        let mut halvings = config.halvings();
        let (mut layers, mut channels) = (Vec::new(), base);
        for (level, mult) in config.dim_mult.iter().enumerate() {
            for _ in 0..config.num_res_blocks {
                let place = weights.pp("downsamples").pp(layers.len());
                let block = ResidualBlock::new(channels, base * mult, &place)?;
                layers.push(Layer::Residual(block));
                channels = base * mult;
            }
            if level + 1 < config.dim_mult.len() {
                let place = weights.pp("downsamples").pp(layers.len());
                let halves_time = halvings.next().unwrap_or(false);
                layers.push(Layer::Down(Downsample::new(channels, halves_time, &place)?));
            }
        }
        Ok(Self {
            conv_in,
            layers,
            middle: Middle::new(channels, &weights.pp("middle"))?,
            head: Head::new(channels, 2 * config.z_dim, &weights.pp("head"))?,
        })
    }

    /// Encodes one piece of a clip.
    ///
    /// # Shapes
    /// - `x`: `[B, 3, T, H, W]`; returns `[B, 2 C, T', H', W']`
    pub(super) fn forward(&self, x: &Tensor, cache: &mut FrameCache) -> Result<Tensor> {
        let (_b, _c, _t, _h, _w) = x.dims5()?;
        let mut x = self.conv_in.forward(x, cache)?;
        for layer in &self.layers {
            x = match layer {
                Layer::Residual(block) => block.forward(&x, cache)?,
                Layer::Down(down) => down.forward(&x, cache)?,
            };
        }
        self.head.forward(&self.middle.forward(&x, cache)?, cache)
    }
}

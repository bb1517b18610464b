//! Latents to pixels.

use candle_core::Tensor;

use super::WanVaeConfig;
use super::block::ResidualBlock;
use super::encoder::{Head, Middle};
use super::resample::Upsample;
use crate::Result;
use crate::nn::{CausalConv3d, FrameCache, Weights};

enum Layer {
    Residual(ResidualBlock),
    Up(Upsample),
}

/// The decoder.
pub(super) struct Decoder {
    conv_in: CausalConv3d,
    middle: Middle,
    layers: Vec<Layer>,
    head: Head,
}

impl Decoder {
    pub(super) fn new(config: &WanVaeConfig, weights: &Weights) -> Result<Self> {
        let base = config.decoder_base_dim.unwrap_or(config.base_dim);
        let mut channels = base * config.dim_mult.last().copied().unwrap_or(1);
        let conv_in = CausalConv3d::new(config.z_dim, channels, [3, 3, 3], &weights.pp("conv1"))?;
        let middle = Middle::new(channels, &weights.pp("middle"))?;
        let mut doublings = config.halvings().rev();
        let mut layers = Vec::new();
        for (level, mult) in config.dim_mult.iter().rev().enumerate() {
            for _ in 0..=config.num_res_blocks {
                let place = weights.pp("upsamples").pp(layers.len());
                let block = ResidualBlock::new(channels, base * mult, &place)?;
                layers.push(Layer::Residual(block));
                channels = base * mult;
            }
            if level + 1 < config.dim_mult.len() {
                let place = weights.pp("upsamples").pp(layers.len());
                let doubles_time = doublings.next().unwrap_or(false);
                layers.push(Layer::Up(Upsample::new(channels, doubles_time, &place)?));
                channels /= 2;
            }
        }
        Ok(Self {
            conv_in,
            middle,
            layers,
            head: Head::new(channels, config.out_channels, &weights.pp("head"))?,
        })
    }

    /// Decodes one piece of the latents.
    ///
    /// # Shapes
    /// - `x`: `[B, C, T', H', W']`; returns `[B, 3, T, H, W]`
    pub(super) fn forward(&self, x: &Tensor, cache: &mut FrameCache) -> Result<Tensor> {
        let (_b, _c, _t, _h, _w) = x.dims5()?;
        let x = self.conv_in.forward(x, cache)?;
        let mut x = self.middle.forward(&x, cache)?;
        for layer in &self.layers {
            x = match layer {
                Layer::Residual(block) => block.forward(&x, cache)?,
                Layer::Up(up) => up.forward(&x, cache)?,
            };
        }
        self.head.forward(&x, cache)
    }
}

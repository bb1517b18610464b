//! Mean and deviation of the latents, by which models see them normalised.

use candle_core::{DType, Device, Tensor};

use crate::Result;

/// Mean of each latent channel of the Wan 2.1 codec: Wan-Video/Wan2.1 `wan/modules/vae.py` `WanVAE`.
pub const WAN_LATENT_MEAN: [f64; 16] = [
    -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508, 0.4134, -0.0715, 0.5517,
    -0.3632, -0.1922, -0.9497, 0.2503, -0.2921,
];

/// Deviation of each latent channel of the Wan 2.1 codec.
pub const WAN_LATENT_STD: [f64; 16] = [
    2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743, 3.2687, 2.1526, 2.8652, 1.5579,
    1.6382, 1.1253, 2.8251, 1.9160,
];

/// `z -> (z - mean) / std`, channel by channel, in f32.
#[derive(Clone, Debug)]
pub struct LatentStats {
    /// `[1, C, 1, 1, 1]`.
    mean: Tensor,
    /// `[1, C, 1, 1, 1]`.
    std: Tensor,
}

impl LatentStats {
    /// From one mean and one deviation a channel.
    pub fn new(mean: &[f64], std: &[f64], device: &Device) -> Result<Self> {
        let channels = |values: &[f64]| -> Result<Tensor> {
            let values: Vec<f32> = values.iter().map(|&v| v as f32).collect();
            let count = values.len();
            Ok(Tensor::from_vec(values, (1, count, 1, 1, 1), device)?)
        };
        Ok(Self {
            mean: channels(mean)?,
            std: channels(std)?,
        })
    }

    /// What models see.
    ///
    /// # Shapes
    /// - `raw`: `[B, C, T', H', W']`; returns that shape in f32
    pub fn normalise(&self, raw: &Tensor) -> Result<Tensor> {
        let raw = raw.to_dtype(DType::F32)?;
        Ok(raw.broadcast_sub(&self.mean)?.broadcast_div(&self.std)?)
    }

    /// What the decoder takes.
    ///
    /// # Shapes
    /// - `latents`: `[B, C, T', H', W']`; returns that shape in f32
    pub fn denormalise(&self, latents: &Tensor) -> Result<Tensor> {
        let latents = latents.to_dtype(DType::F32)?;
        Ok(latents
            .broadcast_mul(&self.std)?
            .broadcast_add(&self.mean)?)
    }
}

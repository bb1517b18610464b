//! The noise that a run starts from.

use candle_core::{Device, Tensor};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};

use super::Latents;
use crate::Result;

/// Draws unit normal noise of both branches, RGB first, then XYZ.
///
/// Always drawn on the CPU, so that a seed names the same clip on every device.
///
/// # Shapes
/// - `shape`: `[1, C, T', H', W']`; returns two tensors of that shape, f32
pub fn draw_noise(seed: u64, shape: [usize; 5], device: &Device) -> Result<Latents> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut draw = || -> Result<Tensor> {
        let count = shape.iter().product();
        let values: Vec<f32> = StandardNormal.sample_iter(&mut rng).take(count).collect();
        Ok(Tensor::from_vec(values, shape.to_vec(), device)?)
    };
    Ok(Latents {
        rgb: draw()?,
        xyz: draw()?,
    })
}

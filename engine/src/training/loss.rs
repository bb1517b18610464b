//! The flow-matching loss: noisy latents, targets and the weighted square error.

use candle_core::Tensor;

use crate::models::one4d::Prediction;
use crate::{Error, Result};

/// `(1 - sigma) clean + sigma noise`, a level for each row.
///
/// # Shapes
/// - `clean`, `noise`: `[B, C, T', H', W']`; `sigmas`: `B`
pub fn noisy(clean: &Tensor, noise: &Tensor, sigmas: &[f64]) -> Result<Tensor> {
    let (rows, ..) = clean.dims5()?;
    if sigmas.len() != rows {
        return Err(Error::shape(
            "noise levels",
            format!("{rows}"),
            sigmas.len(),
        ));
    }
    let levels: Vec<f32> = sigmas.iter().map(|&s| s as f32).collect();
    let level = Tensor::from_vec(levels, (rows, 1, 1, 1, 1), clean.device())?;
    let share = (1.0 - &level)?;
    Ok((clean.broadcast_mul(&share)? + noise.broadcast_mul(&level)?)?)
}

/// What the network should output.
///
/// # Shapes
/// - all `[B, C, T', H', W']`
pub fn target(clean: &Tensor, noise: &Tensor, prediction: Prediction) -> Result<Tensor> {
    match prediction {
        Prediction::Velocity => Ok((noise - clean)?),
        Prediction::Clean => Ok(clean.clone()),
    }
}

/// Weights of first and later latent frames by channel, with mean 1.
///
/// # Shapes
/// - `first`, `group`: `[C]` deviations of the codec; returns `[1, C, T', 1, 1]`
pub fn channel_weights(
    first: &Tensor,
    group: &Tensor,
    power: f64,
    latent_frames: usize,
) -> Result<Tensor> {
    let weights = |scale: &Tensor| -> Result<Tensor> {
        let raised = scale.powf(power)?;
        let mean = raised.mean_all()?;
        Ok(raised.broadcast_div(&mean)?.reshape((1, (), 1, 1, 1))?)
    };
    let mut frames = vec![weights(first)?];
    frames.resize(latent_frames, weights(group)?);
    Ok(Tensor::cat(&frames, 2)?)
}

/// Mean weighted square error, a scalar.
///
/// # Shapes
/// - `output`, `target`: `[B, C, T', H', W']`; `weights`: broadcast to them
pub fn weighted_square_error(output: &Tensor, target: &Tensor, weights: &Tensor) -> Result<Tensor> {
    let difference = (output - target)?;
    Ok(difference.sqr()?.broadcast_mul(weights)?.mean_all()?)
}

/// Clean latents that an output stands for.
///
/// # Shapes
/// - `noisy`, `output`: `[B, C, T', H', W']`; `sigma`: that of all rows
pub fn clean_of(
    noisy: &Tensor,
    output: &Tensor,
    sigma: f64,
    prediction: Prediction,
) -> Result<Tensor> {
    match prediction {
        Prediction::Velocity => Ok((noisy - (output * sigma)?)?),
        Prediction::Clean => Ok(output.clone()),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{D, Device};

    use super::*;
    use crate::sampler::draw_noise;

    fn largest(x: &Tensor) -> Result<f32> {
        Ok(x.abs()?.flatten_all()?.max(D::Minus1)?.to_scalar::<f32>()?)
    }

    #[test]
    fn the_exact_output_gives_the_clean_latents_back() -> Result<()> {
        let drawn = draw_noise(1, [2, 3, 2, 2, 2], &Device::Cpu)?;
        let (clean, noise) = (drawn.rgb, drawn.xyz);
        let x = noisy(&clean, &noise, &[0.7, 0.7])?;
        for prediction in [Prediction::Velocity, Prediction::Clean] {
            let output = target(&clean, &noise, prediction)?;
            let back = clean_of(&x, &output, 0.7, prediction)?;
            assert!(largest(&(back - &clean)?)? < 1e-5);
        }
        Ok(())
    }

    #[test]
    fn weights_have_mean_one() -> Result<()> {
        let scale = Tensor::new(&[8.0_f32, 2.0, 1.0, 1.0], &Device::Cpu)?;
        let weights = channel_weights(&scale, &scale, 1.0, 3)?;
        assert_eq!(weights.dims(), [1, 4, 3, 1, 1]);
        assert!((weights.mean_all()?.to_scalar::<f32>()? - 1.0).abs() < 1e-6);
        let flat = channel_weights(&scale, &scale, 0.0, 1)?;
        assert!(largest(&(flat - 1.0)?)? < 1e-6);
        Ok(())
    }
}

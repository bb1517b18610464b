//! What 4DNeX (arXiv 2508.13154) does to latents, prompts and frames around its denoiser.
//!
//! Facts of 3DTopia/4DNeX `core/inference/wan.py` and `core/finetune/models/wan_i2v`.

use candle_core::{DType, Device, Tensor};

use crate::Result;

/// What every prompt ends in.
pub const PROMPT_SUFFIX: &str = " POINTMAP_STYLE.";

/// Value of the mask over the slope map, which is observed only half.
pub const SLOPE_MASK: f64 = 0.5;

/// Mean and deviation of the XYZ half's latents after the codec's own normalisation.
const XYZ_MEAN: f64 = -0.13;
const XYZ_STD: f64 = 1.70;

/// Latents of the codec to those that the denoiser's XYZ half was trained on.
pub fn normalise_xyz(latents: &Tensor) -> Result<Tensor> {
    Ok(latents.affine(1.0 / XYZ_STD, -XYZ_MEAN / XYZ_STD)?)
}

/// Undoes [`normalise_xyz`].
pub fn restore_xyz(latents: &Tensor) -> Result<Tensor> {
    Ok(latents.affine(XYZ_STD, XYZ_MEAN)?)
}

/// The frame that stands for geometry in the XYZ half: x grows to the right, y downwards, and z falls
/// downwards, each from end to end of -1..1.
///
/// # Shapes
/// - returns `[1, 3, 1, H, W]`
pub fn slope_map(height: usize, width: usize, device: &Device) -> Result<Tensor> {
    let ramp = |count: usize| -> Vec<f32> {
        let last = count.saturating_sub(1).max(1) as f64;
        (0..count)
            .map(|i| (2.0 * i as f64 / last - 1.0) as f32)
            .collect()
    };
    let shape = (1, 1, 1, height, width);
    let x = Tensor::from_vec(ramp(width), (1, 1, 1, 1, width), device)?.broadcast_as(shape)?;
    let y = Tensor::from_vec(ramp(height), (1, 1, 1, height, 1), device)?.broadcast_as(shape)?;
    Ok(Tensor::cat(&[&x, &y, &y.neg()?], 1)?.to_dtype(DType::F32)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_reach_both_ends_of_every_axis() {
        let map = slope_map(3, 5, &Device::Cpu).unwrap();
        let values = map
            .squeeze(0)
            .unwrap()
            .squeeze(1)
            .unwrap()
            .to_vec3::<f32>()
            .unwrap();
        assert_eq!(values[0], vec![vec![-1.0, -0.5, 0.0, 0.5, 1.0]; 3]);
        assert_eq!(values[1], [vec![-1.0; 5], vec![0.0; 5], vec![1.0; 5]]);
        assert_eq!(values[2], [vec![1.0; 5], vec![0.0; 5], vec![-1.0; 5]]);
    }

    #[test]
    fn normalisation_is_undone() {
        let z = Tensor::new(&[-0.13_f32, 1.57, 0.0], &Device::Cpu).unwrap();
        let normal = normalise_xyz(&z).unwrap().to_vec1::<f32>().unwrap();
        assert!(normal[0].abs() < 1e-6 && (normal[1] - 1.0).abs() < 1e-6);
        let back = restore_xyz(&normalise_xyz(&z).unwrap()).unwrap();
        let worst = (back - z).unwrap().abs().unwrap().max_all().unwrap();
        assert!(worst.to_scalar::<f32>().unwrap() < 1e-6);
    }
}

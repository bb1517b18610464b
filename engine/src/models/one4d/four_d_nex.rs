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

/// Height and width of the clip that an image becomes: its aspect ratio at about `area_px` pixels, cut
/// down to multiples of `multiple`. The image is then stretched to that size; nothing is cropped.
pub fn size_of_image(area_px: usize, width: usize, height: usize, multiple: usize) -> [usize; 2] {
    let aspect = height.max(1) as f64 / width.max(1) as f64;
    let multiple = multiple.max(1);
    let side = |square: f64| {
        let rounded = square.sqrt().round_ties_even() as usize;
        (rounded / multiple).max(1) * multiple
    };
    [side(area_px as f64 * aspect), side(area_px as f64 / aspect)]
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

    /// `round(sqrt(345600 a)) // 16 * 16` and its counterpart, for pictures that people have.
    #[test]
    fn a_clip_has_the_images_aspect_at_a_fixed_area() {
        let size = |width, height| size_of_image(480 * 720, width, height, 16);
        assert_eq!(size(720, 480), [480, 720]);
        assert_eq!(size(1920, 1080), [432, 784]);
        assert_eq!(size(1000, 1000), [576, 576]);
        assert_eq!(size(1080, 1920), [784, 432]);
        assert_eq!(size(1, 100_000), [185_888, 16]);
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

//! An image as CLIP's tower sees it, and the tower read for one image and dropped again.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use image::RgbImage;
use image::imageops::{FilterType, crop_imm, resize};

use super::clip_vision::{ClipVision, ClipVisionConfig, MEAN, STD};
use crate::nn::Weights;
use crate::weight_files::weight_paths;
use crate::{Error, Result};

/// Pixels for the tower: the shorter side resized to `side` by a bicubic filter, the middle cut out,
/// normalised; transformers' `CLIPImageProcessor`.
///
/// # Shapes
/// - returns `[1, 3, side, side]`
pub fn clip_pixels(picture: &RgbImage, side: usize, device: &Device) -> Result<Tensor> {
    let side_px = u32::try_from(side).unwrap_or(u32::MAX);
    let (width, height) = picture.dimensions();
    let shorter = width.min(height).max(1);
    let scaled = |n: u32| (u64::from(n) * u64::from(side_px) / u64::from(shorter)).max(1) as u32;
    let fitted = resize(
        picture,
        scaled(width),
        scaled(height),
        FilterType::CatmullRom,
    );
    let (left, top) = (
        (fitted.width() - side_px) / 2,
        (fitted.height() - side_px) / 2,
    );
    let cut = crop_imm(&fitted, left, top, side_px, side_px).to_image();
    let mut values = vec![0.0_f32; 3 * side * side];
    for (at, pixel) in cut.pixels().enumerate() {
        for channel in 0..3 {
            let value = f64::from(pixel.0[channel]) / 255.0;
            values[channel * side * side + at] = ((value - MEAN[channel]) / STD[channel]) as f32;
        }
    }
    Ok(Tensor::from_vec(values, (1, 3, side, side), device)?)
}

/// A tower on disk.
pub struct OnDemandClip {
    config: ClipVisionConfig,
    weights: PathBuf,
    device: Device,
}

impl OnDemandClip {
    /// Notes where the weights are.
    ///
    /// # Errors
    /// Those of [`weight_paths`]; [`Error::Io`] for a file that is not there.
    pub fn new(config: ClipVisionConfig, weights: &Path, device: &Device) -> Result<Self> {
        for path in weight_paths(weights)? {
            std::fs::metadata(&path).map_err(|e| Error::io(&path, e))?;
        }
        Ok(Self {
            config,
            weights: weights.to_owned(),
            device: device.clone(),
        })
    }

    /// Tokens of an image.
    ///
    /// # Shapes
    /// - returns `[1, N, E]`
    ///
    /// # Errors
    /// [`Error::Weights`] naming what is missing or unexpected.
    pub fn encode(&self, picture: &RgbImage) -> Result<Tensor> {
        let weights = Weights::open(&self.weights, DType::F32, &self.device)?;
        let tower = ClipVision::from_weights(&self.config, &weights)?;
        weights.finish()?;
        tower.forward(&clip_pixels(picture, self.config.image_size, &self.device)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_a_wide_picture_is_seen() {
        // Red on the left third, green in the middle, blue on the right.
        let picture = RgbImage::from_fn(30, 10, |x, _| {
            let mut pixel = [0; 3];
            pixel[(x / 10) as usize] = 255;
            image::Rgb(pixel)
        });
        let pixels = clip_pixels(&picture, 20, &Device::Cpu).unwrap();
        assert_eq!(pixels.dims(), [1, 3, 20, 20]);
        let middle: Vec<f32> = pixels
            .narrow(2, 10, 1)
            .and_then(|row| row.narrow(3, 10, 1)?.flatten_all()?.to_vec1())
            .unwrap();
        for channel in 0..3 {
            let value = if channel == 1 { 1.0 } else { 0.0 };
            let expected = (value - MEAN[channel]) / STD[channel];
            assert!((f64::from(middle[channel]) - expected).abs() < 1e-5);
        }
    }
}

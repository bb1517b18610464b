//! An image as CLIP's tower sees it, and the tower read for one image and dropped again.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use image::RgbImage;
use image::imageops::crop_imm;

use super::clip_vision::{ClipVision, ClipVisionConfig, MEAN, STD};
use super::pillow;
use crate::Result;
use crate::nn::Weights;

/// Sharpness of torch's bicubic interpolation.
const TORCH_CUBIC: f64 = -0.75;

/// How a picture is made square.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClipView {
    /// The shorter side is brought to the tower's and the middle cut out: diffusers' pipelines, so
    /// 4DNeX.
    Middle,
    /// Both sides are brought to the tower's, without a filter against aliasing: the official code
    /// of Wan and that of the Fun models.
    Squashed,
}

/// Pixels for the tower, normalised.
///
/// # Shapes
/// - returns `[1, 3, side, side]`
pub fn clip_pixels(
    picture: &RgbImage,
    side: usize,
    view: ClipView,
    device: &Device,
) -> Result<Tensor> {
    let values = match view {
        ClipView::Middle => middle(picture, side),
        ClipView::Squashed => squashed(picture, side),
    };
    let mut planar = vec![0.0_f32; 3 * side * side];
    for (at, pixel) in values.iter().enumerate() {
        for channel in 0..3 {
            let value = (pixel[channel] - MEAN[channel]) / STD[channel];
            planar[channel * side * side + at] = value as f32;
        }
    }
    Ok(Tensor::from_vec(planar, (1, 3, side, side), device)?)
}

/// transformers' `CLIPImageProcessor`: Pillow's bicubic filter, 8 bits in between. `[side, side]` of
/// RGB in 0..1.
fn middle(picture: &RgbImage, side: usize) -> Vec<[f64; 3]> {
    let side_px = u32::try_from(side).unwrap_or(u32::MAX);
    let (width, height) = picture.dimensions();
    let shorter = width.min(height).max(1);
    let scaled = |n: u32| (u64::from(n) * u64::from(side_px) / u64::from(shorter)).max(1) as u32;
    let fitted = pillow::bicubic(picture, scaled(width), scaled(height));
    let (left, top) = (
        (fitted.width() - side_px) / 2,
        (fitted.height() - side_px) / 2,
    );
    let cut = crop_imm(&fitted, left, top, side_px, side_px).to_image();
    let values = cut
        .pixels()
        .map(|pixel| pixel.0.map(|v| f64::from(v) / 255.0));
    values.collect()
}

/// Four source pixels and their weights, of every pixel along one axis.
fn torch_taps(source: u32, side: usize) -> Vec<[(u32, f64); 4]> {
    let near = |x: f64| ((TORCH_CUBIC + 2.0) * x - (TORCH_CUBIC + 3.0)) * x * x + 1.0;
    let far = |x: f64| {
        ((TORCH_CUBIC * x - 5.0 * TORCH_CUBIC) * x + 8.0 * TORCH_CUBIC) * x - 4.0 * TORCH_CUBIC
    };
    let scale = f64::from(source) / side as f64;
    let last = i64::from(source) - 1;
    (0..side)
        .map(|at| {
            let centre = (at as f64 + 0.5) * scale - 0.5;
            let t = centre - centre.floor();
            let weights = [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)];
            [0, 1, 2, 3].map(|k| {
                let index = (centre.floor() as i64 + k as i64 - 1).clamp(0, last.max(0));
                (index as u32, weights[k])
            })
        })
        .collect()
}

/// torch's `interpolate(mode="bicubic")` on values that are not rounded. `[side, side]` of RGB, about
/// 0..1.
fn squashed(picture: &RgbImage, side: usize) -> Vec<[f64; 3]> {
    let columns = torch_taps(picture.width(), side);
    let rows = torch_taps(picture.height(), side);
    let mut values = Vec::with_capacity(side * side);
    for row in &rows {
        for column in &columns {
            let mut sum = [0.0; 3];
            for (y, wy) in row {
                for (x, wx) in column {
                    let pixel = picture.get_pixel(*x, *y).0;
                    for (sum, value) in sum.iter_mut().zip(pixel) {
                        *sum += wx * wy * f64::from(value) / 255.0;
                    }
                }
            }
            values.push(sum);
        }
    }
    values
}

/// A tower on disk.
pub struct OnDemandClip {
    config: ClipVisionConfig,
    weights: PathBuf,
    device: Device,
}

impl OnDemandClip {
    /// Notes where the weights are, and checks their names and shapes.
    ///
    /// # Errors
    /// Those of opening; [`Error::Weights`](crate::Error::Weights) naming what is missing or
    /// unexpected, so that a wrong file is told before anything is computed.
    pub fn new(config: ClipVisionConfig, weights: &Path, device: &Device) -> Result<Self> {
        let unread = Weights::open(weights, DType::F32, device)?.unread();
        ClipVision::from_weights(&config, &unread)?;
        unread.finish()?;
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
    /// Those of reading.
    pub fn encode(&self, picture: &RgbImage, view: ClipView) -> Result<Tensor> {
        let weights = Weights::open(&self.weights, DType::F32, &self.device)?;
        let tower = ClipVision::from_weights(&self.config, &weights)?;
        weights.finish()?;
        let side = self.config.image_size;
        tower.forward(&clip_pixels(picture, side, view, &self.device)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Red on the left third, green in the middle, blue on the right.
    fn thirds() -> RgbImage {
        RgbImage::from_fn(30, 10, |x, _| {
            let mut pixel = [0; 3];
            pixel[(x / 10) as usize] = 255;
            image::Rgb(pixel)
        })
    }

    fn middle_row(view: ClipView) -> Vec<Vec<f32>> {
        let pixels = clip_pixels(&thirds(), 20, view, &Device::Cpu).unwrap();
        assert_eq!(pixels.dims(), [1, 3, 20, 20]);
        let row = pixels
            .squeeze(0)
            .and_then(|p| p.narrow(1, 10, 1)?.squeeze(1)?.to_vec2());
        row.unwrap()
    }

    fn normal(channel: usize, value: f64) -> f32 {
        ((value - MEAN[channel]) / STD[channel]) as f32
    }

    #[test]
    fn the_middle_of_a_wide_picture_is_seen() {
        let row = middle_row(ClipView::Middle);
        for (channel, line) in row.iter().enumerate() {
            let value = if channel == 1 { 1.0 } else { 0.0 };
            assert!((line[10] - normal(channel, value)).abs() < 1e-5);
        }
    }

    #[test]
    fn a_squashed_picture_is_seen_whole() {
        let row = middle_row(ClipView::Squashed);
        for (at, seen) in [(2, 0), (10, 1), (17, 2)] {
            for (channel, line) in row.iter().enumerate() {
                let value = if channel == seen { 1.0 } else { 0.0 };
                assert!((line[at] - normal(channel, value)).abs() < 1e-5, "{at}");
            }
        }
    }

    /// `torch.nn.functional.interpolate(x, size=3, mode="bicubic")` of one row.
    #[test]
    fn squashing_is_torchs_interpolation() {
        let row = RgbImage::from_fn(5, 1, |x, _| {
            image::Rgb([[0, 255, 0, 51, 102][x as usize]; 3])
        });
        let values: Vec<f64> = squashed(&row, 3).iter().take(3).map(|v| v[0]).collect();
        for (value, expected) in values.iter().zip([0.37037037, 0.0, 0.348148153]) {
            assert!((value - expected).abs() < 1e-6, "{values:?}");
        }
    }
}

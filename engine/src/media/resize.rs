//! Centre crop to an aspect ratio and antialiased resize.

use image::RgbImage;
use image::imageops::{self, FilterType};
use serde::{Deserialize, Serialize};

use super::Frame;
use crate::{Error, Result};

/// A part of a picture, in its pixels from the top left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CropRect {
    /// Left edge.
    pub x: usize,
    /// Top edge.
    pub y: usize,
    /// Width.
    pub width: usize,
    /// Height.
    pub height: usize,
}

impl CropRect {
    /// The largest centred rectangle with the aspect ratio of `width` to `height`.
    pub fn centred(frame: &Frame, height: usize, width: usize) -> Self {
        let (source_w, source_h) = (frame.width as u128, frame.height as u128);
        let (target_w, target_h) = (width.max(1) as u128, height.max(1) as u128);
        let round = |numerator: u128, denominator: u128| {
            ((2 * numerator + denominator) / (2 * denominator)).max(1) as usize
        };
        let (crop_w, crop_h) = if source_w * target_h > source_h * target_w {
            (round(source_h * target_w, target_h), frame.height)
        } else {
            (frame.width, round(source_w * target_h, target_w))
        };
        let (crop_w, crop_h) = (crop_w.min(frame.width), crop_h.min(frame.height));
        Self {
            x: (frame.width - crop_w) / 2,
            y: (frame.height - crop_h) / 2,
            width: crop_w,
            height: crop_h,
        }
    }
}

/// Crops the centre to the aspect ratio of `height` by `width` and resizes it to that size; tells
/// which part of the frame is seen.
///
/// # Errors
/// [`Error::Shape`] if a side is 0 or the frame's bytes do not fit its size.
pub fn fit(frame: &Frame, height: usize, width: usize) -> Result<(Frame, CropRect)> {
    let crop = CropRect::centred(frame, height, width);
    Ok((resize(frame, crop, height, width)?, crop))
}

/// Resizes the part `crop` of a frame: Lanczos with three lobes, widened when it shrinks so that
/// nothing aliases.
pub(crate) fn resize(frame: &Frame, crop: CropRect, height: usize, width: usize) -> Result<Frame> {
    let bad = || {
        Error::shape(
            "frame",
            "sides of at least 1 and 3 bytes a pixel",
            (frame.width, frame.height, frame.rgb.len(), width, height),
        )
    };
    let sides = [frame.width, frame.height, width, height];
    if sides.contains(&0) || frame.rgb.len() != 3 * frame.width * frame.height {
        return Err(bad());
    }
    let part = cut(frame, crop);
    if (part.width, part.height) == (width, height) {
        return Ok(part);
    }
    let part =
        RgbImage::from_raw(part.width as u32, part.height as u32, part.rgb).ok_or_else(bad)?;
    let resized = imageops::resize(&part, width as u32, height as u32, FilterType::Lanczos3);
    Ok(Frame {
        width,
        height,
        rgb: resized.into_raw(),
    })
}

/// The part of a frame within `crop`, which lies inside it.
fn cut(frame: &Frame, crop: CropRect) -> Frame {
    let rows = frame.rgb.chunks_exact(3 * frame.width);
    let rgb = rows
        .skip(crop.y)
        .take(crop.height)
        .flat_map(|row| &row[3 * crop.x..3 * (crop.x + crop.width)])
        .copied()
        .collect();
    Frame {
        width: crop.width,
        height: crop.height,
        rgb,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(width: usize, height: usize, pixel: impl Fn(usize, usize) -> [u8; 3]) -> Frame {
        let rgb = (0..height)
            .flat_map(|y| (0..width).map(move |x| (x, y)))
            .flat_map(|(x, y)| pixel(x, y))
            .collect();
        Frame { width, height, rgb }
    }

    #[test]
    fn the_crop_is_centred_and_has_the_aspect() -> Result<()> {
        let wide = frame(400, 100, |x, _| [(x / 2) as u8, 0, 0]);
        let (fitted, crop) = fit(&wide, 50, 100)?;
        assert_eq!(
            crop,
            CropRect {
                x: 100,
                y: 0,
                width: 200,
                height: 100
            }
        );
        assert_eq!(
            (fitted.width, fitted.height, fitted.rgb.len()),
            (100, 50, 15_000)
        );
        // The middle of the crop is the middle of the frame.
        assert!(fitted.rgb[3 * (25 * 100 + 50)].abs_diff(100) <= 1);
        Ok(())
    }

    #[test]
    fn a_fitting_frame_stays_as_it_is() -> Result<()> {
        let square = frame(32, 32, |x, y| [x as u8, y as u8, 7]);
        assert_eq!(fit(&square, 32, 32)?.0, square);
        Ok(())
    }

    #[test]
    fn fine_stripes_shrink_to_grey() -> Result<()> {
        let stripes = frame(512, 512, |x, _| [if x % 2 == 0 { 0 } else { 255 }; 3]);
        let (small, _) = fit(&stripes, 50, 50)?;
        // The kernel is cut at the border and leans a little there.
        assert!(small.rgb.iter().all(|v| v.abs_diff(127) <= 6));
        Ok(())
    }

    #[test]
    fn frames_without_pixels_are_refused() {
        let nothing = frame(0, 4, |_, _| [0; 3]);
        assert!(fit(&nothing, 8, 8).is_err());
        assert!(fit(&frame(4, 4, |_, _| [0; 3]), 0, 8).is_err());
    }
}

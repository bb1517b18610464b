//! MegaSaM's `reconstructions/NAME/`: arrays of a whole clip.
//!
//! Traps: pictures are **BGR** `[T, 3, H, W]`; `disps` are disparities; `poses` are **world to
//! camera** with `w` last; `motion_prob` is **low where things move**, at an eighth of the size.

use super::budget::Reason;
use super::clip::{Cameras, Clip, Geometry};
use super::files::Files;
use super::layout::Reading;
use super::npy::NpyArray;
use super::numbers;
use crate::metrics::{DepthMap, ResizeFilter};
use crate::{Error, Result};

/// What MegaSaM adds to a depth before it inverts it.
const DISPARITY_EPSILON: f32 = 1e-6;

pub(super) fn read(files: &Files, prefix: &str, with: &Reading<'_>) -> Result<Clip> {
    let budget = with.budget;
    let array = |name: &str| -> Result<(Vec<usize>, Vec<f32>)> {
        files.parse(&format!("{prefix}{name}.npy"), budget, |bytes| {
            let array = NpyArray::parse(bytes)?;
            Ok((array.shape.clone(), array.to_f32(budget)?))
        })
    };
    let numbers_of = |name: &str| -> Result<(Vec<usize>, Vec<f64>)> {
        files.parse(&format!("{prefix}{name}.npy"), budget, |bytes| {
            let array = NpyArray::parse(bytes)?;
            Ok((array.shape.clone(), array.to_f64(budget)?))
        })
    };
    let (shape, disparity) = array("disps")?;
    let [t, h, w] = shape[..] else {
        return Err(files.error(
            &format!("{prefix}disps.npy"),
            format!("[T, H, W] required, got {shape:?}"),
        ));
    };
    let depth = disparity
        .iter()
        .map(|d| 1.0 / d - DISPARITY_EPSILON)
        .collect();
    let mut clip = Clip::new((t, h, w), Geometry::Depth(depth));
    clip.rgb = Some(
        files.parse(&format!("{prefix}images.npy"), budget, |bytes| {
            let array = NpyArray::parse(bytes)?;
            if array.shape != [t, 3, h, w] {
                return Err(format!(
                    "[{t}, 3, {h}, {w}] required, got {:?}",
                    array.shape
                ));
            }
            Ok(bgr_to_rgb(&array.to_f32(budget)?, h * w))
        })?,
    );
    let as_error = |name: &str, reason| files.error(&format!("{prefix}{name}.npy"), reason);
    let (shape, values) = numbers_of("intrinsics")?;
    let lenses = numbers::lenses_by_four(&shape, &values, t, 0.5 - with.pixel_centre(0.0))
        .map_err(|reason| as_error("intrinsics", reason))?;
    let (shape, values) = numbers_of("poses")?;
    let poses = numbers::poses_w2c_quaternion(&shape, &values)
        .map_err(|reason| as_error("poses", reason))?;
    let cameras =
        numbers::cameras(&lenses, &poses).map_err(|reason| Error::format(files.root(), reason))?;
    clip.cameras = Cameras::Known(cameras);
    if files.has(&format!("{prefix}motion_prob.npy")) {
        let (shape, stillness) = array("motion_prob")?;
        clip.dynamic = Some(
            dynamic(&shape, &stillness, (t, h, w))
                .map_err(|reason| as_error("motion_prob", reason))?,
        );
    }
    Ok(clip)
}

fn bgr_to_rgb(values: &[f32], n: usize) -> Vec<u8> {
    values
        .chunks_exact(n * 3)
        .flat_map(|frame| {
            (0..n).flat_map(move |i| [2, 1, 0].map(|c| frame[c * n + i].clamp(0.0, 255.0) as u8))
        })
        .collect()
}

/// 255 where SpatialVID's rule calls it moving: below `min + 0.4 (max - min)` of its frame, and
/// nowhere if that lies within 0.1 of the maximum.
fn dynamic(
    shape: &[usize],
    stillness: &[f32],
    (t, h, w): (usize, usize, usize),
) -> Reason<Vec<u8>> {
    let [frames, height, width] = *shape else {
        return Err(format!("[T, H/8, W/8] required, got {shape:?}"));
    };
    if frames != t || height * width == 0 {
        return Err(format!("{t} frames required, got {shape:?}"));
    }
    Ok(stillness
        .chunks_exact(height * width)
        .flat_map(|frame| {
            let (low, high) = frame
                .iter()
                .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &x| {
                    (low.min(x), high.max(x))
                });
            let threshold = low + 0.4 * (high - low);
            let moves = high - threshold >= 0.1;
            let map = DepthMap {
                height,
                width,
                values: frame.to_vec(),
            };
            map.resized(h, w, ResizeFilter::Bilinear)
                .values
                .into_iter()
                .map(move |x| if moves && x < threshold { 255 } else { 0 })
        })
        .collect())
}

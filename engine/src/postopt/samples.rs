//! The pixels that the solver looks at: a grid over each frame, centred on its median.

use glam::{DMat3, DVec3};
use rayon::prelude::*;

use super::{PointmapClip, SolveOptions};
use crate::geometry::robust::{median, quantile};
use crate::geometry::symmetric_eigen;
use crate::scene::validity;

/// Pixels a frame that the default stride aims at.
const TARGET_PIXELS: usize = 12_000;
/// A frame with fewer usable pixels has no pose of its own.
pub(super) const MIN_PIXELS: usize = 200;
/// Validity that a pixel must have before solving.
pub(super) const REQUIRED: u8 = validity::GOOD & !validity::CONSISTENT;

/// One pixel with its point.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// Point relative to the frame's [`FrameSamples::centre`].
    pub(super) point: DVec3,
    /// Image position in the clip's own grid, pixels.
    pub(super) u_px: f64,
    /// Image position in the clip's own grid, pixels.
    pub(super) v_px: f64,
    /// Prior weight, > 0; 1 on average over the frame.
    pub(super) weight: f64,
}

/// The usable pixels of a frame.
#[derive(Clone, Debug, Default)]
pub(super) struct FrameSamples {
    /// In row order.
    pub(super) pixels: Vec<Sample>,
    /// Median of the points, per axis, in the clip's coordinates.
    pub(super) centre: DVec3,
    /// Middle and half extent of the box between the 2nd and 98th percentiles, per axis.
    pub(super) bounds: (DVec3, DVec3),
    /// Root of the largest eigenvalue of the trimmed covariance: the extent of the cloud.
    pub(super) spread: f64,
    /// The trimmed cloud is a line or a point.
    pub(super) collapsed: bool,
    /// What confidence was multiplied by to make the weights.
    pub(super) weight_scale: f64,
}

impl FrameSamples {
    /// True if a pose can be asked for.
    pub(super) fn solvable(&self) -> bool {
        self.pixels.len() >= MIN_PIXELS && !self.collapsed
    }

    /// Every n-th pixel, so that about `target` remain.
    pub(super) fn thinned(&self, target: usize) -> Self {
        let step = self.pixels.len().div_ceil(target.max(1)).max(1);
        Self {
            pixels: self.pixels.iter().step_by(step).copied().collect(),
            ..*self
        }
    }
}

/// Gathers the samples of all frames.
pub(super) fn collect(clip: &PointmapClip<'_>, options: &SolveOptions) -> Vec<FrameSamples> {
    let stride = options
        .stride
        .unwrap_or_else(|| clip.pixels_per_frame().div_ceil(TARGET_PIXELS).isqrt())
        .max(1);
    let mut frames: Vec<FrameSamples> = (0..clip.frames)
        .into_par_iter()
        .map(|frame_idx| sample_frame(clip, options, frame_idx, stride))
        .collect();
    // A cloud that is a point beside the others of its clip has collapsed, whatever its own shape.
    let largest = frames.iter().map(|f| f.spread).fold(0.0, f64::max);
    for frame in &mut frames {
        frame.collapsed |= frame.spread < 1e-4 * largest;
    }
    frames
}

/// Samples a frame, with a finer grid where few pixels are usable.
fn sample_frame(
    clip: &PointmapClip<'_>,
    options: &SolveOptions,
    frame_idx: usize,
    stride: usize,
) -> FrameSamples {
    let mut stride = stride;
    loop {
        let pixels = grid(clip, options, frame_idx, stride);
        if stride == 1 || pixels.len() >= 3 * MIN_PIXELS {
            return describe(pixels);
        }
        stride = stride.div_ceil(2);
    }
}

fn grid(
    clip: &PointmapClip<'_>,
    options: &SolveOptions,
    frame_idx: usize,
    stride: usize,
) -> Vec<Sample> {
    let base = frame_idx * clip.pixels_per_frame();
    let mut pixels = Vec::with_capacity(clip.pixels_per_frame() / (stride * stride) + 1);
    // The grid is centred in the image, so that no side weighs more.
    let offset = (stride - 1) / 2;
    for row in (offset..clip.height).step_by(stride) {
        for column in (offset..clip.width).step_by(stride) {
            let pixel = base + row * clip.width + column;
            let [x, y, z] = [0, 1, 2].map(|axis| f64::from(clip.points[pixel * 3 + axis]));
            let weight = clip.confidence.map_or(1.0, |c| f64::from(c[pixel]));
            let usable = clip.valid.is_none_or(|v| v[pixel] & REQUIRED == REQUIRED);
            if usable && weight > 0.0 && (x + y + z + weight).is_finite() {
                pixels.push(Sample {
                    point: DVec3::new(x, y, z),
                    u_px: column as f64 + options.pixel_centre,
                    v_px: row as f64 + options.pixel_centre,
                    weight,
                });
            }
        }
    }
    pixels
}

/// Centres the pixels and measures the cloud.
fn describe(mut pixels: Vec<Sample>) -> FrameSamples {
    let total: f64 = pixels.iter().map(|s| s.weight).sum();
    let weight_scale = if total > 0.0 {
        pixels.len() as f64 / total
    } else {
        1.0
    };
    let mut scratch = Vec::with_capacity(pixels.len());
    let mut per_axis = |axis: usize, q: f64| {
        scratch.clear();
        scratch.extend(pixels.iter().map(|s| s.point[axis]));
        quantile(&mut scratch, q).unwrap_or(0.0)
    };
    let mut at = |q: f64| DVec3::new(per_axis(0, q), per_axis(1, q), per_axis(2, q));
    let (low, centre, high) = (at(0.02), at(0.5), at(0.98));
    let mut distances = Vec::with_capacity(pixels.len());
    for sample in &mut pixels {
        sample.point -= centre;
        sample.weight *= weight_scale;
        distances.push(sample.point.length());
    }
    let reach = 5.0 * median(&mut distances).unwrap_or(0.0);
    let kept = pixels.iter().filter(|s| s.point.length() <= reach);
    let [_, second, first] = principal_axes(kept.map(|s| (s.point, 1.0)))
        .1
        .map(|axis| axis.0);
    let spread = first.max(0.0).sqrt();
    FrameSamples {
        collapsed: second < 1e-4 * first || spread <= 1e-6 * centre.length(),
        pixels,
        centre,
        bounds: ((low + high) / 2.0, (high - low) / 2.0),
        spread,
        weight_scale,
    }
}

/// Weighted mean of points and the eigenpairs of their covariance, ascending; zero for no weight.
pub(super) fn principal_axes(
    points: impl Iterator<Item = (DVec3, f64)>,
) -> (DVec3, [(f64, DVec3); 3]) {
    let (mut weight, mut sum, mut outer) = (0.0, DVec3::ZERO, DMat3::ZERO);
    for (p, w) in points {
        weight += w;
        sum += p * w;
        outer += DMat3::from_cols(p * (p.x * w), p * (p.y * w), p * (p.z * w));
    }
    if weight <= 0.0 {
        return (DVec3::ZERO, DVec3::AXES.map(|axis| (0.0, axis)));
    }
    let mean = sum / weight;
    let covariance =
        outer * (1.0 / weight) - DMat3::from_cols(mean * mean.x, mean * mean.y, mean * mean.z);
    let pairs = symmetric_eigen(covariance.to_cols_array_2d());
    (
        mean,
        pairs.map(|(value, axis)| (value, DVec3::from_array(axis))),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clip(points: &[f32], side: usize) -> PointmapClip<'_> {
        PointmapClip {
            points,
            valid: None,
            confidence: None,
            frames: points.len() / (side * side * 3),
            height: side,
            width: side,
        }
    }

    fn frame(side: usize, point: impl Fn(f32, f32) -> [f32; 3]) -> Vec<f32> {
        (0..side * side)
            .flat_map(|i| point((i % side) as f32, (i / side) as f32))
            .collect()
    }

    #[test]
    fn lines_and_points_are_collapsed_and_planes_are_not() {
        let side = 32;
        let shapes = [
            (frame(side, |u, _| [u, 2.0 * u, 1.0]), true),
            (frame(side, |_, _| [0.0, 0.0, 0.0]), true),
            (frame(side, |_, _| [0.1, 0.2, 3.0]), true),
            (frame(side, |u, v| [u, v, 3.0]), false),
        ];
        for (points, collapsed) in shapes {
            let samples = collect(&clip(&points, side), &SolveOptions::default());
            assert_eq!(samples[0].collapsed, collapsed);
        }
    }

    #[test]
    fn a_mostly_empty_frame_is_sampled_finely() {
        let side = 128;
        let points = frame(side, |u, v| {
            if u < 16.0 && v < 16.0 {
                [u, v, u * v]
            } else {
                [f32::NAN; 3]
            }
        });
        let options = SolveOptions {
            stride: Some(8),
            ..SolveOptions::default()
        };
        let samples = collect(&clip(&points, side), &options);
        assert_eq!(samples[0].pixels.len(), 256);
        assert!(samples[0].solvable());
    }
}

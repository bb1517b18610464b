//! Pointmaps to the range that a codec takes, and back.
//!
//! ```text
//! lo, hi  = 0.5 % and 99.5 % quantiles of each axis over all valid points of all frames
//! centre  = (lo + hi) / 2         scale = max((hi - lo) / 2)
//! x       = clamp((X - centre) / scale, -1, 1)
//! ```
//!
//! Sky is pushed along its ray to the wall of that box, so that the direction stays right; other
//! holes take the value of the nearest valid pixel of their frame.

use std::collections::VecDeque;

use glam::DVec3;
use serde::{Deserialize, Serialize};

use crate::geometry::Camera;
use crate::scene::validity;
use crate::{Error, Result};

/// Normalised coordinates from this magnitude on lie on the wall of the box.
pub const CLIPPED: f32 = 0.98;
const QUANTILE: f64 = 0.005;

/// Map of one clip's points to `[-1, 1]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PointmapNorm {
    /// Centre of the box, scene units.
    pub centre: [f32; 3],
    /// Half of its longest side, scene units.
    pub scale: f32,
}

/// A clip's points as the codec takes them.
#[derive(Clone, Debug)]
pub struct NormalisedPointmap {
    /// `[3, T, H, W]` in `[-1, 1]`.
    pub values: Vec<f32>,
    /// How to undo it.
    pub norm: PointmapNorm,
}

/// Points of a clip with what is known about each.
#[derive(Clone, Copy, Debug)]
pub struct PointmapView<'a> {
    /// `[T, H, W, 3]` world points; NaN where there is none.
    pub points: &'a [f32],
    /// `[T, H, W]` bits of [`validity`].
    pub valid: &'a [u8],
    /// `[T]`
    pub cameras: &'a [Camera],
    /// `H`, `W`.
    pub size: [usize; 2],
}

impl PointmapNorm {
    /// Centre and scale of a clip.
    ///
    /// # Errors
    /// [`Error::Invalid`] if no point is valid or all of them coincide.
    pub fn of_clip(view: &PointmapView<'_>) -> Result<Self> {
        let known = known_pixels(view.valid);
        let mut centre = [0.0; 3];
        let mut scale = 0.0_f32;
        for (axis, middle) in centre.iter_mut().enumerate() {
            let mut values: Vec<f32> = known.iter().map(|&at| view.points[at * 3 + axis]).collect();
            let (low, high) = (
                quantile(&mut values, QUANTILE),
                quantile(&mut values, 1.0 - QUANTILE),
            );
            let (Some(low), Some(high)) = (low, high) else {
                return Err(Error::invalid("pointmap", "no point of the clip is valid"));
            };
            *middle = 0.5 * (low + high);
            scale = scale.max(0.5 * (high - low));
        }
        if !(scale.is_finite() && scale > 0.0) {
            return Err(Error::invalid(
                "pointmap",
                "all points of the clip coincide",
            ));
        }
        Ok(Self { centre, scale })
    }

    /// A point in the box's coordinates, not clamped.
    pub fn apply(&self, point: [f32; 3]) -> [f32; 3] {
        std::array::from_fn(|k| (point[k] - self.centre[k]) / self.scale)
    }

    /// The inverse of [`Self::apply`].
    pub fn invert(&self, normalised: [f32; 3]) -> [f32; 3] {
        std::array::from_fn(|k| normalised[k] * self.scale + self.centre[k])
    }

    /// Points of a decoded clip.
    ///
    /// # Shapes
    /// - `values`: `[3, T, H, W]`; returns `[T, H, W, 3]` and bits of [`validity`] `[T, H, W]`, where
    ///   `NOT_CLIPPED` is set off the box's wall and only finite points have `FINITE`
    pub fn decode(&self, values: &[f32]) -> (Vec<f32>, Vec<u8>) {
        let pixels = values.len() / 3;
        let mut points = Vec::with_capacity(pixels * 3);
        let mut valid = Vec::with_capacity(pixels);
        for at in 0..pixels {
            let x = [values[at], values[pixels + at], values[2 * pixels + at]];
            points.extend(self.invert(x));
            let finite = x.iter().all(|v| v.is_finite());
            let inside = x.iter().all(|v| v.abs() < CLIPPED);
            let rest = validity::NOT_EDGE | validity::NOT_SKY | validity::CONSISTENT;
            let mut bits = rest;
            bits |= if finite { validity::FINITE } else { 0 };
            bits |= if inside { validity::NOT_CLIPPED } else { 0 };
            valid.push(bits);
        }
        (points, valid)
    }
}

/// Normalises a clip's points and fills sky and holes.
///
/// # Errors
/// [`Error::Shape`] if the planes do not fit each other; those of [`PointmapNorm::of_clip`].
pub fn normalise_pointmap(view: &PointmapView<'_>) -> Result<NormalisedPointmap> {
    let per_frame = view.size[0] * view.size[1];
    let pixels = per_frame * view.cameras.len();
    if pixels == 0 || view.valid.len() != pixels || view.points.len() != pixels * 3 {
        let required = format!("{} frames of {:?}", view.cameras.len(), view.size);
        let actual = (view.points.len(), view.valid.len());
        return Err(Error::shape("pointmap", required, actual));
    }
    let norm = PointmapNorm::of_clip(view)?;
    let mut values = vec![0.0; pixels * 3];
    for (frame, camera) in view.cameras.iter().enumerate() {
        let mut sources = vec![None; per_frame];
        for (at, source) in sources.iter_mut().enumerate() {
            let pixel = frame * per_frame + at;
            let bits = view.valid[pixel];
            let x = if bits & validity::NOT_SKY == 0 {
                wall_point(&norm, camera, at % view.size[1], at / view.size[1])
            } else if is_known(bits) {
                let p = &view.points[pixel * 3..pixel * 3 + 3];
                norm.apply([p[0], p[1], p[2]])
            } else {
                continue;
            };
            *source = Some(x.map(|v| v.clamp(-1.0, 1.0)));
        }
        fill_holes(&mut sources, view.size[1]);
        for (at, source) in sources.iter().enumerate() {
            let x = source.unwrap_or_default();
            (0..3).for_each(|k| values[k * pixels + frame * per_frame + at] = x[k]);
        }
    }
    Ok(NormalisedPointmap { values, norm })
}

fn is_known(bits: u8) -> bool {
    let needed = validity::FINITE | validity::NOT_SKY;
    bits & needed == needed
}

fn known_pixels(valid: &[u8]) -> Vec<usize> {
    let known = valid
        .iter()
        .enumerate()
        .filter(|(_, bits)| is_known(**bits));
    known.map(|(at, _)| at).collect()
}

fn quantile(values: &mut [f32], q: f64) -> Option<f32> {
    let at = (q * values.len().checked_sub(1)? as f64).round() as usize;
    Some(*values.select_nth_unstable_by(at, f32::total_cmp).1)
}

/// Where the ray of a pixel leaves the box, in the box's coordinates.
fn wall_point(norm: &PointmapNorm, camera: &Camera, column: usize, row: usize) -> [f32; 3] {
    let pose = camera.world_from_camera;
    let direction = pose.rotation * camera.intrinsics.ray(column, row);
    let centre = DVec3::from_array(norm.centre.map(f64::from));
    let origin = (pose.translation - centre) / f64::from(norm.scale);
    let leave = (0..3)
        .map(|k| (direction[k].signum() - origin[k]) / direction[k])
        .filter(|t| t.is_finite())
        .fold(f64::INFINITY, f64::min);
    // A ray that passes the box by has its wall behind it; the farthest point of its direction will do.
    let t = if leave > 0.0 { leave } else { 4.0 };
    (origin + direction * t)
        .to_array()
        .map(|v| v.clamp(-1.0, 1.0) as f32)
}

/// Breadth-first from every known pixel of a frame.
fn fill_holes(pixels: &mut [Option<[f32; 3]>], width: usize) {
    let mut queue: VecDeque<usize> = (0..pixels.len())
        .filter(|&at| pixels[at].is_some())
        .collect();
    if queue.len() == pixels.len() {
        return;
    }
    while let Some(at) = queue.pop_front() {
        let value = pixels[at];
        let column = at % width;
        let neighbours = [
            (column > 0).then(|| at - 1),
            (column + 1 < width).then_some(at + 1),
            at.checked_sub(width),
            (at + width < pixels.len()).then_some(at + width),
        ];
        for next in neighbours.into_iter().flatten() {
            if pixels[next].is_none() {
                pixels[next] = value;
                queue.push_back(next);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{Intrinsics, WorldFromCamera};

    fn camera() -> Camera {
        Camera {
            intrinsics: Intrinsics::centred(4.0, 4, 4),
            world_from_camera: WorldFromCamera::IDENTITY,
        }
    }

    #[test]
    fn the_inverse_undoes_the_map_inside_the_box() -> Result<()> {
        let camera = camera();
        let depth = |at: usize| 2.0 + (at % 5) as f64;
        let points: Vec<f32> = (0..16)
            .flat_map(|at| (camera.intrinsics.ray(at % 4, at / 4) * depth(at)).to_array())
            .map(|v| v as f32)
            .collect();
        let view = PointmapView {
            points: &points,
            valid: &[validity::GOOD; 16],
            cameras: &[camera],
            size: [4, 4],
        };
        let normalised = normalise_pointmap(&view)?;
        assert!(normalised.values.iter().all(|v| v.abs() <= 1.0));
        let (back, valid) = normalised.norm.decode(&normalised.values);
        for (at, bits) in valid.iter().enumerate() {
            if bits & validity::NOT_CLIPPED != 0 {
                for k in 0..3 {
                    assert!((back[at * 3 + k] - points[at * 3 + k]).abs() < 1e-5);
                }
            }
        }
        Ok(())
    }

    #[test]
    fn sky_lies_on_its_ray_at_the_wall_and_holes_copy_a_neighbour() -> Result<()> {
        let camera = camera();
        let mut points = Vec::new();
        let mut valid = vec![validity::GOOD; 16];
        for at in 0..16 {
            let p = camera.intrinsics.ray(at % 4, at / 4) * (3.0 + at as f64 * 0.1);
            points.extend(p.to_array().map(|v| v as f32));
        }
        valid[1] = validity::GOOD & !(validity::FINITE | validity::NOT_SKY);
        points[3..6].fill(f32::NAN);
        valid[10] = validity::NOT_SKY;
        points[30..33].fill(f32::NAN);
        let view = PointmapView {
            points: &points,
            valid: &valid,
            cameras: &[camera],
            size: [4, 4],
        };
        let made = normalise_pointmap(&view)?;
        let at = |pixel: usize| std::array::from_fn(|k| made.values[k * 16 + pixel]);
        let sky: [f32; 3] = at(1);
        assert!(sky.iter().any(|v| v.abs() > 0.999), "{sky:?}");
        let world = made.norm.invert(sky);
        let image = camera
            .intrinsics
            .project(DVec3::from_array(world.map(f64::from)));
        assert!(image.is_some_and(|p| (p.x - 1.5).abs() < 1e-4 && (p.y - 0.5).abs() < 1e-4));
        let hole: [f32; 3] = at(10);
        assert!([6, 9, 11, 14].iter().any(|&n| at(n) == hole));
        Ok(())
    }
}

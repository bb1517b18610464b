//! Every pixel at the final cameras: point in the world, depth, residual, validity.

use glam::DVec3;
use rayon::prelude::*;

use super::elimination::best_depth;
use super::refinement::PointNorm;
use super::trajectory::Trajectory;
use super::{DepthSource, PointmapClip, SolveOptions};
use crate::Result;
use crate::geometry::{CameraFromWorld, Intrinsics};
use crate::job::{JobCtx, Stage};
use crate::scene::validity;

/// Frames between two reports of progress.
const BATCH: usize = 16;
/// A point is near its ray within this many robust standard deviations of its frame ...
const NEAR_SIGMAS: f64 = 3.0;
/// ... but within one pixel always, and never beyond this share of its depth.
const FAR_SHARE: f64 = 0.1;
/// The focal length that [`SolveOptions::edge_step`] refers to, pixels.
const EDGE_FOCAL_PX: f64 = 520.0;
/// Bounds of the edge step after scaling.
const EDGE_RANGE: (f64, f64) = (0.02, 0.25);

/// Planes of a solution; see [`super::Solution`].
pub(super) struct Planes {
    pub(super) points: Vec<f32>,
    pub(super) depth: Vec<f32>,
    pub(super) residual: Vec<f32>,
    pub(super) valid: Vec<u8>,
}

/// What one frame reads.
struct FrameInput<'a> {
    points: &'a [f32],
    valid: Option<&'a [u8]>,
    camera_from_clip: CameraFromWorld,
    world_from_clip: CameraFromWorld,
    scale: f64,
    depth: DepthSource,
}

/// What one frame writes.
struct FrameOutput<'a> {
    points: &'a mut [f32],
    depth: &'a mut [f32],
    residual: &'a mut [f32],
    valid: &'a mut [u8],
}

/// The lens as tables over columns and rows.
struct RayTable {
    dx: Vec<f64>,
    dy: Vec<f64>,
    pixel: f64,
    edge_step: f32,
}

impl RayTable {
    fn new(clip: &PointmapClip<'_>, options: &SolveOptions, lens: &Intrinsics) -> Self {
        let along = |count: usize, centre: f64, focal: f64| {
            let offset = options.pixel_centre - centre;
            (0..count).map(|i| (i as f64 + offset) / focal).collect()
        };
        let step = options.edge_step * EDGE_FOCAL_PX / lens.fx_px;
        Self {
            dx: along(clip.width, lens.cx_px, lens.fx_px),
            dy: along(clip.height, lens.cy_px, lens.fy_px),
            pixel: 1.0 / lens.fx_px,
            edge_step: step.clamp(EDGE_RANGE.0, EDGE_RANGE.1) as f32,
        }
    }
}

/// Evaluates all frames in parallel.
pub(super) fn evaluate(
    clip: &PointmapClip<'_>,
    options: &SolveOptions,
    lenses: &[Intrinsics],
    path: &Trajectory,
    ctx: &JobCtx,
) -> Result<Planes> {
    let per_frame = clip.pixels_per_frame();
    let pixels = per_frame * clip.frames;
    let mut planes = Planes {
        points: vec![0.0; pixels * 3],
        depth: vec![0.0; pixels],
        residual: vec![0.0; pixels],
        valid: vec![0; pixels],
    };
    let mut outputs: Vec<FrameOutput<'_>> = planes
        .points
        .chunks_exact_mut(per_frame * 3)
        .zip(planes.depth.chunks_exact_mut(per_frame))
        .zip(planes.residual.chunks_exact_mut(per_frame))
        .zip(planes.valid.chunks_exact_mut(per_frame))
        .map(|(((points, depth), residual), valid)| FrameOutput {
            points,
            depth,
            residual,
            valid,
        })
        .collect();
    for (batch_idx, batch) in outputs.chunks_mut(BATCH).enumerate() {
        let first = batch_idx * BATCH;
        batch
            .par_iter_mut()
            .enumerate()
            .for_each(|(offset, output)| {
                let frame_idx = first + offset;
                let range = frame_idx * per_frame..(frame_idx + 1) * per_frame;
                let table = RayTable::new(clip, options, &lenses[frame_idx]);
                let input = FrameInput {
                    points: &clip.points[range.start * 3..range.end * 3],
                    valid: clip.valid.map(|v| &v[range]),
                    camera_from_clip: path.poses[frame_idx],
                    world_from_clip: path.poses[0],
                    scale: path.scale(frame_idx),
                    depth: options.depth,
                };
                evaluate_frame(&input, &table, output);
            });
        let done = 3 + (first + batch.len());
        ctx.step(Stage::Optimise, done, clip.frames + 3)?;
    }
    Ok(planes)
}

fn evaluate_frame(input: &FrameInput<'_>, table: &RayTable, output: &mut FrameOutput<'_>) {
    let width = table.dx.len();
    for (row, &dy) in table.dy.iter().enumerate() {
        for (column, &dx) in table.dx.iter().enumerate() {
            let pixel = row * width + column;
            let known = input.valid.map_or(
                validity::NOT_EDGE | validity::NOT_CLIPPED | validity::NOT_SKY,
                |v| v[pixel] & !(validity::FINITE | validity::CONSISTENT),
            );
            let point =
                DVec3::from_array([0, 1, 2].map(|axis| f64::from(input.points[pixel * 3 + axis])));
            let found = evaluate_point(input, table.pixel, point, DVec3::new(dx, dy, 1.0));
            output.points[pixel * 3..pixel * 3 + 3].copy_from_slice(&found.point);
            output.depth[pixel] = found.depth;
            output.residual[pixel] = found.residual;
            output.valid[pixel] = known | found.bits;
        }
    }
    mark_edges(output.depth, width, table.edge_step, output.valid);
}

struct Evaluated {
    point: [f32; 3],
    depth: f32,
    residual: f32,
    bits: u8,
}

/// Depth by the wanted rule, `D* = <Y, d> / <d, d>` in general, and the distance of `Y` from its ray.
#[inline]
fn evaluate_point(input: &FrameInput<'_>, pixel: f64, point: DVec3, ray: DVec3) -> Evaluated {
    let y = input.camera_from_clip.transform(point);
    let depth = y.dot(ray) / ray.dot(ray);
    let residual = (y - ray * depth).length();
    let depth = match input.depth {
        DepthSource::Ray => depth,
        // The components are those of the world, where the paper takes them.
        DepthSource::RayL1 => {
            let back = input.world_from_clip.rotation * input.camera_from_clip.rotation.transpose();
            best_depth(back * y, back * ray, PointNorm::ComponentL1)
        }
        DepthSource::RawZ => y.z,
    };
    if !residual.is_finite() {
        return Evaluated {
            point: [f32::NAN; 3],
            depth: f32::NAN,
            residual: f32::NAN,
            bits: 0,
        };
    }
    let in_front = y.z > 0.0 && depth > 0.0;
    let near = (NEAR_SIGMAS * input.scale)
        .max(pixel * depth)
        .min(FAR_SHARE * depth);
    let consistent = in_front && residual <= near;
    Evaluated {
        point: input.world_from_clip.transform(point).as_vec3().to_array(),
        depth: if in_front { depth as f32 } else { f32::NAN },
        residual: residual as f32,
        bits: validity::FINITE | if consistent { validity::CONSISTENT } else { 0 },
    }
}

/// Clears `NOT_EDGE` on both sides of a relative depth step above `step`.
///
/// Decoders blur depth edges, which leaves points between the surfaces.
pub(crate) fn mark_edges(depth: &[f32], width: usize, step: f32, valid: &mut [u8]) {
    let is_edge = |a: f32, b: f32| (a - b).abs() > step * a.min(b);
    for start in (0..depth.len()).step_by(width) {
        for i in start..start + width - 1 {
            if is_edge(depth[i], depth[i + 1]) {
                valid[i] &= !validity::NOT_EDGE;
                valid[i + 1] &= !validity::NOT_EDGE;
            }
        }
    }
    for i in 0..depth.len() - width {
        if is_edge(depth[i], depth[i + width]) {
            valid[i] &= !validity::NOT_EDGE;
            valid[i + width] &= !validity::NOT_EDGE;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ray_projection_is_the_best_depth() {
        let input = FrameInput {
            points: &[],
            valid: None,
            camera_from_clip: CameraFromWorld::IDENTITY,
            world_from_clip: CameraFromWorld::IDENTITY,
            scale: 1.0,
            depth: DepthSource::Ray,
        };
        let (point, ray) = (DVec3::new(0.5, -0.3, 2.0), DVec3::new(0.3, -0.2, 1.0));
        let found = evaluate_point(&input, 1e-3, point, ray);
        let distance = |d: f64| (point - ray * d).length();
        let at = f64::from(found.depth);
        assert!((distance(at) - f64::from(found.residual)).abs() < 1e-6);
        assert!(distance(at) < distance(at + 1e-3) && distance(at) < distance(at - 1e-3));
    }

    #[test]
    fn both_sides_of_a_step_are_edges_and_holes_are_not() {
        let depth = [1.0, 1.01, 2.0, f32::NAN, 2.0, 2.0];
        let mut valid = [validity::GOOD; 6];
        mark_edges(&depth, 6, 0.05, &mut valid);
        let kept: Vec<bool> = valid.iter().map(|v| v & validity::NOT_EDGE != 0).collect();
        assert_eq!(kept, [true, false, false, true, true, true]);
    }
}

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
use crate::kernels::vectorised;
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
        let range = row * width..(row + 1) * width;
        let world = range.start * 3..range.end * 3;
        let mut of_row = FrameOutput {
            points: &mut output.points[world.clone()],
            depth: &mut output.depth[range.clone()],
            residual: &mut output.residual[range.clone()],
            valid: &mut output.valid[range.clone()],
        };
        let points = input.points[world].as_chunks::<3>().0;
        vectorised(
            #[inline(always)]
            || evaluate_row(input, table, dy, points, &mut of_row),
        );
        if input.depth == DepthSource::RayL1 {
            component_depths(input, table, dy, points, of_row.depth);
        }
        if let Some(valid) = input.valid {
            let known = !(validity::FINITE | validity::CONSISTENT);
            for (bits, before) in of_row.valid.iter_mut().zip(&valid[range]) {
                *bits = *bits & !known | before & known;
            }
        }
    }
    mark_edges(output.depth, width, table.edge_step, output.valid);
}

/// Points, depths, residuals and validity of a row; what is known beforehand counts as set.
///
/// Depth by the rule `D* = <Y, d> / <d, d>`, or the z of the point; the residual is the distance of
/// `Y` from its ray.
#[inline(always)]
#[expect(
    clippy::needless_bitwise_bool,
    reason = "branches keep the loop from being vectorised"
)]
fn evaluate_row(
    input: &FrameInput<'_>,
    table: &RayTable,
    dy: f64,
    points: &[[f32; 3]],
    output: &mut FrameOutput<'_>,
) {
    const KNOWN: u8 = validity::NOT_EDGE | validity::NOT_CLIPPED | validity::NOT_SKY;
    let camera = input.camera_from_clip;
    let world = input.world_from_clip;
    let takes_z = input.depth == DepthSource::RawZ;
    let noise = NEAR_SIGMAS * input.scale;
    let outputs = (output.points.as_chunks_mut::<3>().0.iter_mut())
        .zip(&mut *output.depth)
        .zip(&mut *output.residual)
        .zip(&mut *output.valid);
    let inputs = points.iter().zip(&table.dx);
    for ((((place, depth), residual), bits), (point, &dx)) in outputs.zip(inputs) {
        let point = DVec3::from(point.map(f64::from));
        let y = camera.rotation * point + camera.translation;
        let along = (y.x * dx + y.y * dy + y.z) / (dx * dx + dy * dy + 1.0);
        let rest = (y - DVec3::new(dx, dy, 1.0) * along).length();
        let is_finite = rest.is_finite();
        let size = if takes_z { y.z } else { along };
        let in_front = is_finite & (y.z > 0.0) & (size > 0.0);
        let one_pixel = table.pixel * size;
        let far = FAR_SHARE * size;
        let near = if noise > one_pixel { noise } else { one_pixel };
        let near = if near < far { near } else { far };
        let finite_bit = if is_finite { validity::FINITE } else { 0 };
        let consistent_bit = if in_front & (rest <= near) {
            validity::CONSISTENT
        } else {
            0
        };
        let moved = world.rotation * point + world.translation;
        // NaN where there is no point.
        let hole = if is_finite { 0.0 } else { f64::NAN };
        *place = [moved.x + hole, moved.y + hole, moved.z + hole].map(|x| x as f32);
        *depth = if in_front { size as f32 } else { f32::NAN };
        *residual = (rest + hole) as f32;
        *bits = KNOWN | finite_bit | consistent_bit;
    }
}

/// Depths by the sum of components in the world, where the paper takes them.
fn component_depths(
    input: &FrameInput<'_>,
    table: &RayTable,
    dy: f64,
    points: &[[f32; 3]],
    depth: &mut [f32],
) {
    let back = input.world_from_clip.rotation * input.camera_from_clip.rotation.transpose();
    for ((depth, point), &dx) in depth.iter_mut().zip(points).zip(&table.dx) {
        let y = input
            .camera_from_clip
            .transform(DVec3::from(point.map(f64::from)));
        let ray = DVec3::new(dx, dy, 1.0);
        let found = best_depth(back * y, back * ray, PointNorm::ComponentL1);
        *depth = if *depth > 0.0 && found > 0.0 {
            found as f32
        } else {
            f32::NAN
        };
    }
}

/// Clears `NOT_EDGE` on both sides of a relative depth step above `step`.
///
/// Decoders blur depth edges, which leaves points between the surfaces.
pub(crate) fn mark_edges(depth: &[f32], width: usize, step: f32, valid: &mut [u8]) {
    let height = depth.len() / width;
    let mut edges = vec![0; width];
    for row in 0..height {
        let own = row * width..(row + 1) * width;
        vectorised(
            #[inline(always)]
            || {
                let line = &depth[own.clone()];
                mark_steps(&line[..width - 1], &line[1..], step, &mut edges);
                let valid = &mut valid[own.clone()];
                clear(&mut valid[..width - 1], &edges);
                clear(&mut valid[1..], &edges);
                if row + 1 < height {
                    let next = own.start + width..own.end + width;
                    mark_steps(line, &depth[next], step, &mut edges);
                    clear(valid, &edges);
                }
            },
        );
        if row + 1 < height {
            // Still holds the steps down to the next row.
            clear(&mut valid[own.end..own.end + width], &edges);
        }
    }
}

/// `NOT_EDGE` where two depths are a step apart, else 0; a depth that is not known makes none.
#[inline(always)]
fn mark_steps(a: &[f32], b: &[f32], step: f32, edges: &mut [u8]) {
    for ((edge, a), b) in edges.iter_mut().zip(a).zip(b) {
        let nearer = if a < b { a } else { b };
        *edge = if (a - b).abs() > step * nearer {
            validity::NOT_EDGE
        } else {
            0
        };
    }
}

#[inline(always)]
fn clear(valid: &mut [u8], edges: &[u8]) {
    for (bits, edge) in valid.iter_mut().zip(edges) {
        *bits &= !edge;
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
        let table = RayTable {
            dx: vec![ray.x],
            dy: vec![ray.y],
            pixel: 1e-3,
            edge_step: 0.05,
        };
        let mut output = FrameOutput {
            points: &mut [0.0; 3],
            depth: &mut [0.0],
            residual: &mut [0.0],
            valid: &mut [0],
        };
        let points = [point.as_vec3().to_array()];
        evaluate_row(&input, &table, ray.y, &points, &mut output);
        let distance = |d: f64| (point - ray * d).length();
        let at = f64::from(output.depth[0]);
        assert!((distance(at) - f64::from(output.residual[0])).abs() < 1e-6);
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

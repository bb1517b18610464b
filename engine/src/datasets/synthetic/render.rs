//! Renders a world frame by frame: colours with smoothed edges, and the exact geometry of pixel centres.

use glam::{Affine3A, DMat3, Mat3A, Vec3, Vec3A};
use rayon::prelude::*;

use super::clip::{Clip, ClipSpec};
use super::shading::{encode, shade, sky};
use super::tracer::{Instant, SKY, View};
use super::world::World;
use crate::geometry::{Camera, Intrinsics, WorldFromCamera};
use crate::scene::validity;

/// Frames of one unit of time, so that a clip's first frames do not depend on its length.
const FRAMES_PER_UNIT: f64 = 16.0;
/// A neighbour on another surface at this relative distance in depth makes an edge.
const EDGE_STEP: f32 = 0.03;
/// Positions of the samples that smooth a silhouette, in pixels from the centre.
const SUBSAMPLES: [(f32, f32); 4] = [
    (-0.125, -0.375),
    (0.375, -0.125),
    (0.125, 0.375),
    (-0.375, 0.125),
];

/// The planes of one frame, to be written.
struct FramePlanes<'a> {
    rgb: &'a mut [u8],
    points: &'a mut [f32],
    depth: &'a mut [f32],
    dynamic: &'a mut [u8],
    valid: &'a mut [u8],
    /// Optical flow and scene flow; the last frame has none.
    motion: Option<(&'a mut [f32], &'a mut [f32])>,
}

/// Maps of one frame between the delivered coordinates.
struct FrameMaps {
    world_from_camera: Affine3A,
    next_camera_from_world: Affine3A,
    /// Directions of the stage in the world.
    world_from_stage: Mat3A,
}

/// Renders all frames of a world; frames run in parallel and do not depend on each other.
pub(super) fn render_world(world: &World, spec: &ClipSpec) -> Clip {
    let pixels = spec.height * spec.width;
    let cameras = cameras(world, spec);
    let mut clip = Clip::empty(spec, cameras);
    let mut motion = clip
        .flow
        .chunks_exact_mut(pixels * 2)
        .zip(clip.scene_flow.chunks_exact_mut(pixels * 3));
    let planes: Vec<FramePlanes<'_>> = clip
        .rgb
        .chunks_exact_mut(pixels * 3)
        .zip(clip.points.chunks_exact_mut(pixels * 3))
        .zip(clip.depth.chunks_exact_mut(pixels))
        .zip(clip.dynamic.chunks_exact_mut(pixels))
        .zip(clip.valid.chunks_exact_mut(pixels))
        .map(|((((rgb, points), depth), dynamic), valid)| FramePlanes {
            rgb,
            points,
            depth,
            dynamic,
            valid,
            motion: motion.next(),
        })
        .collect();
    let cameras = &clip.cameras;
    planes
        .into_par_iter()
        .enumerate()
        .for_each(|(frame, planes)| render_frame(world, spec, cameras, frame, planes));
    clip
}

fn time_of(frame: usize) -> f64 {
    frame as f64 / FRAMES_PER_UNIT
}

/// Cameras in the frame of the first one.
fn cameras(world: &World, spec: &ClipSpec) -> Vec<Camera> {
    let first = world.path.stage_from_camera(0.0);
    let focal_px = 0.5 * spec.width as f64 / (0.5 * world.path.fov_x).tan();
    (0..spec.frames)
        .map(|frame| Camera {
            intrinsics: Intrinsics::centred(focal_px, spec.width, spec.height),
            world_from_camera: if frame == 0 {
                WorldFromCamera::IDENTITY
            } else {
                world
                    .path
                    .stage_from_camera(time_of(frame))
                    .relative_to(first)
            },
        })
        .collect()
}

fn mat3(m: DMat3) -> Mat3A {
    Mat3A::from(m.as_mat3())
}

fn render_frame(
    world: &World,
    spec: &ClipSpec,
    cameras: &[Camera],
    frame: usize,
    mut planes: FramePlanes<'_>,
) {
    let pose = world.path.stage_from_camera(time_of(frame));
    let view = View {
        eye: pose.translation.as_vec3().into(),
        stage_from_camera: mat3(pose.rotation),
        focal_px: cameras[frame].intrinsics.fx_px as f32,
        width: spec.width,
        height: spec.height,
    };
    let here = cameras[frame].world_from_camera;
    let next = cameras
        .get(frame + 1)
        .map_or(here, |c| c.world_from_camera)
        .inverse();
    let maps = FrameMaps {
        world_from_camera: affine(here.rotation, here.translation.as_vec3()),
        next_camera_from_world: affine(next.rotation, next.translation.as_vec3()),
        world_from_stage: mat3(world.path.stage_from_camera(0.0).rotation).transpose(),
    };
    let instant = Instant::new(
        world,
        view,
        time_of(frame) as f32,
        time_of(frame + 1) as f32,
    );
    let pixels = spec.height * spec.width;
    let mut colours = vec![Vec3A::ZERO; pixels];
    // Surface, and whether the lamp reaches it: a change in either asks for smoothing.
    let mut surfaces = vec![SKY; pixels];
    let mut candidates = Vec::new();
    for row in 0..spec.height {
        instant.solids_of_row(row, &mut candidates);
        for column in 0..spec.width {
            let at = row * spec.width + column;
            let (u, v) = (column as f32 + 0.5, row as f32 + 0.5);
            let ray = view.ray(u, v);
            if let Some(hit) = instant.trace(&candidates, column, u, v) {
                let (colour, lit) = shade(&instant, &hit);
                colours[at] = colour;
                surfaces[at] = hit.id << 1 | u32::from(lit);
                planes.write_point(at, ray * hit.depth, hit.step, &maps, &view);
            } else {
                colours[at] = sky(&world.atmosphere, view.stage_from_camera * ray);
                planes.write_sky(at, ray, &maps, &view);
            }
        }
    }
    mark_edges(&mut planes, &surfaces, spec.width);
    smooth_edges(&instant, &mut colours, &surfaces);
    for (bytes, colour) in planes.rgb.chunks_exact_mut(3).zip(&colours) {
        bytes.copy_from_slice(&encode(*colour));
    }
}

fn affine(rotation: DMat3, translation: Vec3) -> Affine3A {
    Affine3A {
        matrix3: mat3(rotation),
        translation: translation.into(),
    }
}

impl FramePlanes<'_> {
    #[inline]
    fn write_point(
        &mut self,
        at: usize,
        in_camera: Vec3A,
        step: Vec3A,
        maps: &FrameMaps,
        view: &View,
    ) {
        let point = maps.world_from_camera.transform_point3a(in_camera);
        self.points[at * 3..at * 3 + 3].copy_from_slice(&point.to_array());
        self.depth[at] = in_camera.z;
        let moves = step != Vec3A::ZERO;
        self.dynamic[at] = if moves { 255 } else { 0 };
        self.valid[at] = validity::GOOD;
        if let Some((flow, scene_flow)) = &mut self.motion {
            let moved = if moves {
                maps.world_from_stage * step
            } else {
                Vec3A::ZERO
            };
            scene_flow[at * 3..at * 3 + 3].copy_from_slice(&moved.to_array());
            let later = maps.next_camera_from_world.transform_point3a(point + moved);
            write_flow(&mut flow[at * 2..at * 2 + 2], in_camera, later, view);
        }
    }

    /// The sky has no point and no depth; its flow is that of a point at infinity.
    fn write_sky(&mut self, at: usize, ray: Vec3A, maps: &FrameMaps, view: &View) {
        self.points[at * 3..at * 3 + 3].fill(f32::NAN);
        self.depth[at] = f32::NAN;
        self.dynamic[at] = 0;
        self.valid[at] =
            validity::GOOD & !(validity::FINITE | validity::NOT_SKY | validity::CONSISTENT);
        if let Some((flow, scene_flow)) = &mut self.motion {
            scene_flow[at * 3..at * 3 + 3].fill(f32::NAN);
            let direction = maps.world_from_camera.matrix3 * ray;
            let later = maps.next_camera_from_world.matrix3 * direction;
            write_flow(&mut flow[at * 2..at * 2 + 2], ray, later, view);
        }
    }
}

/// Image motion between two camera-space positions; NaN if the later one is not in front.
#[inline]
fn write_flow(flow: &mut [f32], now: Vec3A, later: Vec3A, view: &View) {
    if later.z > 0.0 {
        flow[0] = view.focal_px * (later.x / later.z - now.x / now.z);
        flow[1] = view.focal_px * (later.y / later.z - now.y / now.z);
    } else {
        flow.fill(f32::NAN);
    }
}

/// Clears the edge bit of pixels next to another surface at a clearly different depth.
fn mark_edges(planes: &mut FramePlanes<'_>, surfaces: &[u32], width: usize) {
    for at in 0..surfaces.len() {
        let right = (at % width + 1 < width).then_some(at + 1);
        let below = (at + width < surfaces.len()).then_some(at + width);
        for other in [right, below].into_iter().flatten() {
            if surfaces[at] >> 1 == surfaces[other] >> 1 {
                continue;
            }
            let (a, b) = (planes.depth[at], planes.depth[other]);
            let step = (a - b).abs() / a.min(b);
            // Also true where one of them is sky, whose depth is NaN.
            if step.is_nan() || step > EDGE_STEP {
                planes.valid[at] &= !validity::NOT_EDGE;
                planes.valid[other] &= !validity::NOT_EDGE;
            }
        }
    }
}

/// Replaces the colour of pixels on silhouettes and shadow borders by the mean of four samples.
fn smooth_edges(instant: &Instant<'_>, colours: &mut [Vec3A], surfaces: &[u32]) {
    let View { width, height, .. } = instant.view;
    let mut candidates = Vec::new();
    for row in 0..height {
        instant.solids_of_row(row, &mut candidates);
        for column in 0..width {
            let at = row * width + column;
            let differs = |other: usize| surfaces[other] != surfaces[at];
            let border = (column > 0 && differs(at - 1))
                || (column + 1 < width && differs(at + 1))
                || (row > 0 && differs(at - width))
                || (row + 1 < height && differs(at + width));
            if !border {
                continue;
            }
            let mut sum = Vec3A::ZERO;
            for (dx, dy) in SUBSAMPLES {
                let (u, v) = (column as f32 + 0.5 + dx, row as f32 + 0.5 + dy);
                let colour = if let Some(hit) = instant.trace(&candidates, column, u, v) {
                    shade(instant, &hit).0
                } else {
                    let direction = instant.view.stage_from_camera * instant.view.ray(u, v);
                    sky(&instant.world.atmosphere, direction)
                };
                sum += colour.min(Vec3A::ONE);
            }
            colours[at] = sum / SUBSAMPLES.len() as f32;
        }
    }
}

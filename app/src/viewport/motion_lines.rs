//! Motion as lines: arrows of the scene flow, and the paths of points over the frames around.

use glam::{DVec2, DVec3};
use one4d_engine::geometry::Camera;
use one4d_engine::scene::{Scene4d, validity};

use super::frame_data::camera_of;
use super::gpu_data::Segment;
use super::options::{ColourMap, Overlay, Overlays};
use super::stats::frame_flow;

/// Arrows and tracks start from about so many places on the grid.
const ARROWS: usize = 1200;
const TRACKS: usize = 500;
/// Tracks reach so many frames back and ahead.
const TRACK_FRAMES: usize = 12;
/// A track ends where the surface under it lies this share of its depth off: it is hidden there.
const MAX_MISS: f64 = 0.05;
/// Shorter flow than this share of the depth is noise.
const MIN_FLOW: f64 = 0.001;

/// Those of the motion overlays that are shown.
pub fn segments(scene: &Scene4d, frame_idx: usize, overlays: Overlays) -> Vec<Segment> {
    let mut out = Vec::new();
    if overlays.has(Overlay::Tracks) {
        out.extend(tracks(scene, frame_idx));
    }
    if overlays.has(Overlay::FlowArrows) {
        out.extend(flow_arrows(scene, frame_idx));
    }
    out
}

/// Arrows from the points of a frame to where the flow takes them.
pub fn flow_arrows(scene: &Scene4d, frame_idx: usize) -> Vec<Segment> {
    let mut out = Vec::new();
    for pixel in places(scene, ARROWS) {
        let (Some(start), Some(flow)) = (
            point_at(scene, frame_idx, pixel),
            flow_at(scene, frame_idx, pixel),
        ) else {
            continue;
        };
        let (camera_from_world, _) = camera_of(scene, frame_idx);
        let in_camera = camera_from_world.rotation * flow;
        if flow.length() < MIN_FLOW * camera_from_world.transform(start).z.abs() {
            continue;
        }
        let colour = hue(in_camera.y.atan2(in_camera.x));
        let [r, g, b, _] = colour;
        let neck = start + flow * 0.65;
        // A shaft that grows out of nothing, then a thick short head.
        out.push(segment([start, neck], 1.5, [[r, g, b, 90], colour]));
        out.push(segment([neck, start + flow], 4.0, [colour; 2]));
    }
    out
}

/// Paths of points of a frame, followed by the scene flow for some frames back and ahead, coloured
/// by time.
pub fn tracks(scene: &Scene4d, frame_idx: usize) -> Vec<Segment> {
    let Some(cameras) = scene.cameras.as_deref() else {
        return Vec::new();
    };
    let last = scene.num_frames.saturating_sub(1).max(1) as f64;
    let colour = |t: usize| {
        let [r, g, b] = ColourMap::Viridis.at(t as f64 / last);
        [r, g, b, 220]
    };
    let mut out = Vec::new();
    for pixel in places(scene, TRACKS) {
        let Some(start) = point_at(scene, frame_idx, pixel) else {
            continue;
        };
        let mut path = Vec::new();
        let ahead = (frame_idx + TRACK_FRAMES).min(scene.num_frames - 1);
        let mut at = (start, pixel);
        for t in frame_idx..ahead {
            let Some(next) = step_ahead(scene, cameras, t, at) else {
                break;
            };
            path.push(([at.0, next.0], [t, t + 1]));
            at = next;
        }
        let mut at = start;
        for t in (frame_idx.saturating_sub(TRACK_FRAMES)..frame_idx).rev() {
            let Some(before) = step_back(scene, cameras, t, at) else {
                break;
            };
            path.push(([before, at], [t, t + 1]));
            at = before;
        }
        let length: f64 = path.iter().map(|([a, b], _)| a.distance(*b)).sum();
        if length > MIN_FLOW * path.len() as f64 * start.distance(centre(&cameras[frame_idx])) {
            out.extend(
                path.into_iter()
                    .map(|(ends, times)| segment(ends, 1.75, times.map(colour))),
            );
        }
    }
    out
}

fn centre(camera: &Camera) -> DVec3 {
    camera.world_from_camera.centre()
}

/// Pixels on a coarse grid over the frame.
fn places(scene: &Scene4d, count: usize) -> impl Iterator<Item = usize> + use<> {
    let step = ((scene.pixels_per_frame() as f64 / count as f64).sqrt() as usize).max(1);
    let (width, height) = (scene.width, scene.height);
    (step / 2..height).step_by(step).flat_map(move |row| {
        (step / 2..width)
            .step_by(step)
            .map(move |c| row * width + c)
    })
}

/// A point that is fit to be followed.
fn point_at(scene: &Scene4d, frame_idx: usize, pixel: usize) -> Option<DVec3> {
    let needed = validity::FINITE | validity::NOT_EDGE | validity::NOT_CLIPPED;
    let at = frame_idx * scene.pixels_per_frame() + pixel;
    if scene.valid.as_slice()[at] & needed != needed {
        return None;
    }
    let point = scene.points.range(at * 3, at * 3 + 3);
    let point = DVec3::from_array([0, 1, 2].map(|i| f64::from(point[i])));
    point.is_finite().then_some(point)
}

fn flow_at(scene: &Scene4d, frame_idx: usize, pixel: usize) -> Option<DVec3> {
    let flow = frame_flow(scene, frame_idx)?;
    let flow = DVec3::from_array([0, 1, 2].map(|i| flow[pixel * 3 + i].to_f64()));
    flow.is_finite().then_some(flow)
}

/// The pixel of a frame that sees a place, if no other surface hides it there.
fn pixel_of(scene: &Scene4d, cameras: &[Camera], frame_idx: usize, at: DVec3) -> Option<usize> {
    let camera = cameras.get(frame_idx)?;
    let camera_from_world = camera.world_from_camera.inverse();
    let in_camera = camera_from_world.transform(at);
    let image = camera.intrinsics.project(in_camera)?;
    let size = DVec2::new(scene.width as f64, scene.height as f64);
    if image.cmplt(DVec2::ZERO).any() || image.cmpge(size).any() {
        return None;
    }
    let pixel = image.y as usize * scene.width + image.x as usize;
    let seen = camera_from_world.transform(point_at(scene, frame_idx, pixel)?);
    ((seen.z - in_camera.z).abs() <= MAX_MISS * in_camera.z).then_some(pixel)
}

fn step_ahead(
    scene: &Scene4d,
    cameras: &[Camera],
    frame_idx: usize,
    (at, pixel): (DVec3, usize),
) -> Option<(DVec3, usize)> {
    let next = at + flow_at(scene, frame_idx, pixel)?;
    Some((next, pixel_of(scene, cameras, frame_idx + 1, next)?))
}

/// Where a point came from: the place whose flow leads to it, found by two guesses.
fn step_back(scene: &Scene4d, cameras: &[Camera], frame_idx: usize, at: DVec3) -> Option<DVec3> {
    let first = pixel_of(scene, cameras, frame_idx, at)?;
    let guess = at - flow_at(scene, frame_idx, first)?;
    let second = pixel_of(scene, cameras, frame_idx, guess)?;
    Some(at - flow_at(scene, frame_idx, second)?)
}

fn segment(ends: [DVec3; 2], width_px: f32, colours: [[u8; 4]; 2]) -> Segment {
    Segment {
        start: ends[0].as_vec3().to_array(),
        width_px,
        end: ends[1].as_vec3().to_array(),
        fades: 0.0,
        start_colour: colours[0],
        end_colour: colours[1],
    }
}

/// The colour wheel of directions, as the flow mode of the resolve pass has it.
fn hue(angle_rad: f64) -> [u8; 4] {
    let turn = angle_rad / std::f64::consts::TAU;
    let [r, g, b] = [0.0, 2.0 / 3.0, 1.0 / 3.0].map(|shift: f64| {
        let place = (turn + shift).rem_euclid(1.0) * 6.0 - 3.0;
        ((place.abs() - 1.0).clamp(0.0, 1.0) * 255.0).round() as u8
    });
    [r, g, b, 255]
}

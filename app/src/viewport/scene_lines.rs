//! Line work of a scene: frustums, trajectory, grid, axes.

use glam::{DMat3, DQuat, DVec3};
use one4d_engine::geometry::Camera;
use one4d_engine::scene::Scene4d;

use super::bounds::SceneBounds;
use super::gpu_data::Segment;
use super::options::{ColourMap, Overlay, Palette, ViewOptions};

/// Width of frustums, pixels.
const THIN_PX: f32 = 1.25;
/// Length of a frustum as a share of the scene's depth.
const FRUSTUM_SHARE: f64 = 0.1;
/// Grid lines reach this many view distances from their centre.
const GRID_REACH: f64 = 2.5;

/// Everything that lines are made from.
#[derive(Clone, Copy)]
pub struct LineInput<'a> {
    /// The scene, if there is one.
    pub scene: Option<&'a Scene4d>,
    /// Its extent.
    pub bounds: SceneBounds,
    /// The frame that is shown.
    pub frame_idx: usize,
    /// Draw the frustum of the shown frame (not while looking through it).
    pub current_frustum: bool,
    /// What to draw.
    pub options: &'a ViewOptions,
    /// In which colours.
    pub palette: &'a Palette,
    /// Where the grid is centred and over which distance it fades.
    pub fade: Fade,
}

/// Centre, reach and direction of the grid.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fade {
    /// On the floor.
    pub centre: DVec3,
    /// Scene units.
    pub radius: f64,
    /// Away from the floor, unit length.
    pub up: DVec3,
}

impl Fade {
    /// A grid under what the eye looks at, `distance` away, on a floor across the world's y axis.
    pub fn under(target: DVec3, distance: f64, floor_y: f64) -> Self {
        Self::on_floor(target, distance, (DVec3::NEG_Y, -floor_y))
    }

    /// The same on any floor: up, and the height of the floor above the world's origin along it.
    pub fn on_floor(target: DVec3, distance: f64, (up, height): (DVec3, f64)) -> Self {
        Self {
            centre: target + up * (height - target.dot(up)),
            radius: distance * GRID_REACH,
            up,
        }
    }

    /// Axes of the grid as columns: right, down, forward. World axes while up is -y.
    fn world_from_floor(&self) -> DMat3 {
        DMat3::from_quat(DQuat::from_rotation_arc(DVec3::NEG_Y, self.up))
    }
}

/// The segments of a picture, furthest layer first.
pub fn segments(input: &LineInput<'_>) -> Vec<Segment> {
    let mut out = Vec::new();
    let shows = |overlay| input.options.overlays.has(overlay);
    if shows(Overlay::Grid) {
        grid(&mut out, input.fade, input.palette);
    }
    if shows(Overlay::Axes) {
        axes(&mut out, frustum_length(&input.bounds), input.palette);
    }
    let cameras = input.scene.and_then(|s| Some((s, s.cameras.as_deref()?)));
    if let Some((scene, cameras)) = cameras {
        if shows(Overlay::Frustums) {
            frustums(&mut out, scene, cameras, input);
        }
        if shows(Overlay::Trajectory) {
            trajectory(&mut out, cameras);
        }
    }
    out
}

/// Corners of a camera's image plane: top left, top right, bottom left, bottom right.
pub fn image_corners(scene: &Scene4d, camera: &Camera, length: f64) -> [DVec3; 4] {
    let k = camera.intrinsics;
    let (w, h) = (scene.width as f64, scene.height as f64);
    [(0.0, 0.0), (w, 0.0), (0.0, h), (w, h)].map(|(u, v)| {
        let ray = DVec3::new((u - k.cx_px) / k.fx_px, (v - k.cy_px) / k.fy_px, 1.0);
        camera.world_from_camera.transform(ray * length)
    })
}

/// Distance from a camera to the image plane of its frustum.
pub fn frustum_length(bounds: &SceneBounds) -> f64 {
    bounds.depth * FRUSTUM_SHARE
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

fn frustums(out: &mut Vec<Segment>, scene: &Scene4d, cameras: &[Camera], input: &LineInput<'_>) {
    let length = frustum_length(&input.bounds);
    let crowd = 24.0 / cameras.len().max(24) as f64;
    let [r, g, b, a] = input.palette.muted;
    // Many frustums would add up to a solid block; each takes less.
    let muted = [r, g, b, (f64::from(a) * crowd.sqrt()) as u8];
    for (frame_idx, camera) in cameras.iter().enumerate() {
        if frame_idx != input.frame_idx {
            frustum(out, scene, camera, (length * 0.6, THIN_PX, muted));
        }
    }
    if let (Some(current), true) = (cameras.get(input.frame_idx), input.current_frustum) {
        frustum(out, scene, current, (length, 1.75, input.palette.accent));
    }
}

fn frustum(
    out: &mut Vec<Segment>,
    scene: &Scene4d,
    camera: &Camera,
    (length, width_px, colour): (f64, f32, [u8; 4]),
) {
    let [tl, tr, bl, br] = image_corners(scene, camera, length);
    let centre = camera.world_from_camera.centre();
    // A tick above the image tells up from down.
    let up = (tl - bl) * 0.16;
    let tip = (tl + tr) * 0.5 + up;
    let (left, right) = (tl.lerp(tr, 0.38), tl.lerp(tr, 0.62));
    let edges = [
        [centre, tl],
        [centre, tr],
        [centre, bl],
        [centre, br],
        [tl, tr],
        [tr, br],
        [br, bl],
        [bl, tl],
        [left, tip],
        [tip, right],
    ];
    out.extend(edges.map(|ends| segment(ends, width_px, [colour; 2])));
}

fn trajectory(out: &mut Vec<Segment>, cameras: &[Camera]) {
    let last = (cameras.len().max(2) - 1) as f64;
    for (i, pair) in cameras.windows(2).enumerate() {
        let ends = [pair[0], pair[1]].map(|c| c.world_from_camera.centre());
        let colours = [i, i + 1].map(|t| colour_of_time(t as f64 / last));
        out.push(segment(ends, 2.0, colours));
    }
}

fn axes(out: &mut Vec<Segment>, length: f64, palette: &Palette) {
    for (axis, colour) in [DVec3::X, DVec3::Y, DVec3::Z].into_iter().zip(palette.axes) {
        let ends = [DVec3::ZERO, axis * length];
        out.push(segment(ends, 2.0, [colour; 2]));
    }
}

/// Two decades of lines around the centre; the finer one fades out as the view widens, so the grid
/// changes its step without a jump.
fn grid(out: &mut Vec<Segment>, fade: Fade, palette: &Palette) {
    let decades = (fade.radius / 12.0).max(1e-9).log10();
    let fine = 10_f64.powf(decades.floor());
    let widened = decades - decades.floor();
    let [r, g, b, a] = palette.grid;
    let faint = [r, g, b, (f64::from(a) * (1.0 - widened)) as u8];
    let world_from_floor = fade.world_from_floor();
    let centre = world_from_floor.transpose() * fade.centre;
    for (step, colour) in [(fine, faint), (fine * 10.0, palette.grid_major)] {
        let count = (fade.radius / step).ceil() as i64;
        for along_x in [false, true] {
            let (across, along) = if along_x {
                (centre.z, centre.x)
            } else {
                (centre.x, centre.z)
            };
            let nearest = (across / step).round() as i64;
            for i in (nearest - count)..=(nearest + count) {
                if step == fine && i % 10 == 0 {
                    continue;
                }
                let offset = i as f64 * step;
                let half2 = fade.radius.powi(2) - (offset - across).powi(2);
                if half2 <= 0.0 {
                    continue;
                }
                let half = half2.sqrt();
                let ends = [along - half, along + half].map(|s| {
                    let (x, z) = if along_x { (s, offset) } else { (offset, s) };
                    world_from_floor * DVec3::new(x, centre.y, z)
                });
                out.push(Segment {
                    fades: 1.0,
                    ..segment(ends, 1.0, [colour; 2])
                });
            }
        }
    }
}

/// Colour of a moment of the clip, 0..1.
fn colour_of_time(place: f64) -> [u8; 4] {
    let [r, g, b] = ColourMap::Viridis.at(place);
    [r, g, b, 255]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_stays_within_its_reach_and_its_count_does_not_grow_with_the_scene() {
        for distance in [0.01, 1.0, 3.3, 1e5] {
            let fade = Fade::under(DVec3::new(17.0, 0.0, -3.0), distance, 1.5);
            assert_eq!(fade.centre, DVec3::new(17.0, 1.5, -3.0));
            let mut lines = Vec::new();
            grid(&mut lines, fade, &Palette::DARK);
            assert!(lines.len() > 20 && lines.len() < 1200, "{}", lines.len());
            for end in ends(&lines) {
                assert!(end.distance(fade.centre) <= fade.radius * 1.1);
                assert!((end.y - 1.5).abs() < 1e-6);
            }
        }
    }

    fn ends(lines: &[Segment]) -> impl Iterator<Item = DVec3> + '_ {
        let ends = lines.iter().flat_map(|line| [line.start, line.end]);
        ends.map(|end| glam::Vec3::from_array(end).as_dvec3())
    }

    #[test]
    fn the_grid_lies_on_a_floor_that_was_levelled() {
        let up = DVec3::new(0.2, -1.0, -0.1).normalize();
        let fade = Fade::on_floor(DVec3::new(1.0, 2.0, 3.0), 2.0, (up, -0.7));
        let mut lines = Vec::new();
        grid(&mut lines, fade, &Palette::DARK);
        assert!(lines.len() > 20);
        for end in ends(&lines) {
            assert!((end.dot(up) + 0.7).abs() < 1e-5, "{end} is off the floor");
        }
    }
}

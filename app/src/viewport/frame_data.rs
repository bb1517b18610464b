//! A frame of a scene as the GPU holds it: contracted 16-bit positions with flags, 8-bit colours
//! with confidence, and one word of attributes where the scene has motion.

use glam::{DVec3, Vec3};
use one4d_engine::geometry::{CameraFromWorld, Intrinsics};
use one4d_engine::scene::{Scene4d, validity};

use super::quantiser::Quantiser;
use super::stats::frame_flow;

/// Largest edge code.
pub const MAX_EDGE_CODE: u8 = 127;

/// A surface that is steeper than this against its rays is drawn as if it were just so steep: next
/// to an outline its points would become discs as wide as the step behind it.
const MAX_STRETCH: f32 = 16.0;

/// Edge code of a relative depth step: logarithmic from 0.001 (0) to 10 (127).
pub fn edge_code(relative_step: f32) -> u8 {
    let top = f32::from(MAX_EDGE_CODE);
    (top * (relative_step.max(0.001) / 0.001).log10() / 4.0)
        .round()
        .clamp(0.0, top) as u8
}

/// Slope code of the stretch of a surface's spacing along its ray: 0 below 0.35, else `k` for
/// `2^((k - 3) / 2)`, rounded up, to 15 for 64.
pub fn slope_code(stretch: f32) -> u8 {
    if stretch < 0.35 {
        return 0;
    }
    (2.0 * stretch.log2() + 3.0 - 0.1).ceil().clamp(1.0, 15.0) as u8
}

/// Validity, slope and edge as the fourth 16 bits hold them.
fn pack_flags(valid: u8, slope: u8, edge: u8) -> u16 {
    u16::from(valid & validity::GOOD) | (u16::from(slope) << 5) | (u16::from(edge) << 9)
}

/// Takes [`pack_flags`] apart: validity, slope code, edge code.
pub(crate) fn unpack_flags(flags: u16) -> [u8; 3] {
    [flags & 31, (flags >> 5) & 15, flags >> 9].map(|v| v as u8)
}

/// Attributes of a point in one word: the probability that it moves, 0..255, in the lowest byte,
/// then a vector of three signed bytes.
pub fn pack_attributes(dynamic: u8, vector: Vec3) -> u32 {
    let bytes = (vector.clamp(Vec3::NEG_ONE, Vec3::ONE) * 127.0).round();
    let [x, y, z] = bytes.to_array().map(|v| (v as i8).cast_unsigned());
    u32::from_le_bytes([dynamic, x, y, z])
}

/// Takes [`pack_attributes`] apart.
pub(crate) fn unpack_attributes(word: u32) -> (u8, Vec3) {
    let [dynamic, x, y, z] = word.to_le_bytes();
    let vector = [x, y, z].map(|v| f32::from(v.cast_signed()) / 127.0);
    (dynamic, Vec3::from_array(vector))
}

/// A frame, encoded; or other points that are drawn like one.
#[derive(Clone, Debug)]
pub struct FrameData {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// How positions were coded.
    pub quantiser: Quantiser,
    /// `[H, W]`: codes of x, y, z; then validity (5 bits), slope (4 bits) and edge (7 bits).
    pub positions: Vec<[u16; 4]>,
    /// `[H, W]` sRGB and confidence; 255 where the scene has none.
    pub colours: Vec<[u8; 4]>,
    /// `[H, W]` of [`pack_attributes`]: on a grid the scene flow in camera axes, as the signed root
    /// of its share of `flow_scale`, elsewhere the normal. `None` where the scene has no motion.
    pub attributes: Option<Vec<u32>>,
    /// Component of the scene flow that is coded as 1, scene units a frame.
    pub flow_scale: f32,
    /// Whether neighbours in memory are neighbours on a surface.
    pub is_grid: bool,
    /// Plane `(n, d)`: distance to the neighbouring point at `p` is `n . p + d`, scene units.
    pub spacing_from_world: (DVec3, f64),
    /// Plane of the z-depth in the camera that took the frame, scene units.
    pub depth_from_world: (DVec3, f64),
    /// Centre of the camera that took the frame, in the world.
    pub camera_centre: DVec3,
    /// Its focal length, pixels.
    pub focal_px: f32,
}

impl FrameData {
    /// Encodes a frame; about 10 ms for 400,000 pixels on one core.
    pub fn encode(scene: &Scene4d, frame_idx: usize) -> Self {
        let points = scene.frame_points(frame_idx);
        let quantiser = Quantiser::fit(&points);
        let (camera_from_world, intrinsics) = camera_of(scene, frame_idx);
        let depths = depths(&points, camera_from_world);
        let valid = scene.frame_valid(frame_idx);
        let focal_px = intrinsics.fx_px.min(intrinsics.fy_px) as f32;
        let positions = (0..scene.pixels_per_frame())
            .map(|pixel| {
                let point = Vec3::from_slice(&points[pixel * 3..pixel * 3 + 3]);
                if !point.is_finite() {
                    return [0; 4];
                }
                let [x, y, z] = quantiser.encode(point);
                let steps = relative_steps(&depths, pixel, scene.width);
                let slope = slope_code((steps.surface * focal_px).min(MAX_STRETCH));
                let flags = valid[pixel] | validity::FINITE;
                [x, y, z, pack_flags(flags, slope, edge_code(steps.largest))]
            })
            .collect();
        let per_px = 1.0 / f64::from(focal_px);
        let axis = camera_from_world.rotation.row(2);
        let offset = camera_from_world.translation.z;
        let (attributes, flow_scale) = attributes(scene, frame_idx, camera_from_world);
        Self {
            width: scene.width,
            height: scene.height,
            quantiser,
            positions,
            colours: colours(scene, frame_idx),
            attributes,
            flow_scale,
            is_grid: true,
            spacing_from_world: (axis * per_px, offset * per_px),
            depth_from_world: (axis, offset),
            camera_centre: camera_from_world.inverse().centre(),
            focal_px,
        }
    }

    /// A plane over the world as a plane over unit coordinates.
    pub fn plane_from_unit(&self, (normal, offset): (DVec3, f64)) -> [f32; 4] {
        (normal * self.quantiser.scale)
            .extend(normal.dot(self.quantiser.centre) + offset)
            .as_vec4()
            .to_array()
    }

    /// Bytes of a frame of a scene on the GPU.
    pub fn gpu_bytes(scene: &Scene4d) -> u64 {
        let attributes = if has_attributes(scene) { 4 } else { 0 };
        scene.pixels_per_frame() as u64 * (8 + 4 + attributes)
    }
}

fn has_attributes(scene: &Scene4d) -> bool {
    scene.dynamic.is_some() || scene.scene_flow.is_some()
}

fn colours(scene: &Scene4d, frame_idx: usize) -> Vec<[u8; 4]> {
    let rgb = scene.frame_rgb(frame_idx).chunks_exact(3);
    let count = scene.pixels_per_frame();
    match &scene.confidence {
        Some(plane) => rgb
            .zip(&plane.as_slice()[frame_idx * count..(frame_idx + 1) * count])
            .map(|(c, confidence)| {
                let share = confidence.to_f32().clamp(0.0, 1.0);
                [c[0], c[1], c[2], (share * 255.0).round() as u8]
            })
            .collect(),
        None => rgb.map(|c| [c[0], c[1], c[2], 255]).collect(),
    }
}

/// Words and flow scale of a frame; the last frame of a clip flows nowhere.
fn attributes(
    scene: &Scene4d,
    frame_idx: usize,
    camera_from_world: CameraFromWorld,
) -> (Option<Vec<u32>>, f32) {
    if !has_attributes(scene) {
        return (None, 1.0);
    }
    let count = scene.pixels_per_frame();
    let axes = camera_from_world.rotation.as_mat3();
    let flow_at = |pixel: usize| {
        let flow = frame_flow(scene, frame_idx)?;
        let at = Vec3::from_array([0, 1, 2].map(|i| flow[pixel * 3 + i].to_f32()));
        at.is_finite().then(|| axes * at)
    };
    let largest = (0..count)
        .filter_map(flow_at)
        .fold(0.0, |largest: f32, flow| {
            largest.max(flow.abs().max_element())
        });
    let scale = if largest > 0.0 { largest } else { 1.0 };
    let dynamic = scene.frame_dynamic(frame_idx);
    let words = (0..count)
        .map(|pixel| {
            let share = flow_at(pixel).map_or(Vec3::ZERO, |flow| flow / scale);
            let root = share.signum() * share.abs().powf(0.5);
            pack_attributes(dynamic.map_or(0, |d| d[pixel]), root)
        })
        .collect();
    (Some(words), scale)
}

/// The frame's camera, or the world's origin with a field of view of a radian where there is none.
pub(crate) fn camera_of(scene: &Scene4d, frame_idx: usize) -> (CameraFromWorld, Intrinsics) {
    let camera = scene.cameras.as_ref().and_then(|c| c.get(frame_idx));
    match camera {
        Some(camera) => (camera.world_from_camera.inverse(), camera.intrinsics),
        None => (
            CameraFromWorld::IDENTITY,
            Intrinsics::centred(
                scene.width.max(scene.height) as f64,
                scene.width,
                scene.height,
            ),
        ),
    }
}

/// z-depth of every point in its camera.
fn depths(points: &[f32], camera_from_world: CameraFromWorld) -> Vec<f32> {
    let axis = camera_from_world.rotation.row(2).as_vec3();
    let offset = camera_from_world.translation.z as f32;
    points
        .chunks_exact(3)
        .map(|p| axis.dot(Vec3::new(p[0], p[1], p[2])) + offset)
        .collect()
}

/// Steps of depth from a pixel, relative to its own depth.
struct Steps {
    /// To any of the four neighbours: a discontinuity, where large.
    largest: f32,
    /// Along the surface: the smaller step of each axis, so that an outline does not count.
    surface: f32,
}

fn relative_steps(depths: &[f32], pixel: usize, width: usize) -> Steps {
    let own = depths[pixel];
    let column = pixel % width;
    let step = |at: Option<usize>| {
        // A missing neighbour is NaN, which `max` and `min` drop.
        at.and_then(|at| depths.get(at))
            .map_or(f32::NAN, |z| (z - own).abs())
    };
    let left = step((column > 0).then(|| pixel - 1));
    let right = step((column + 1 < width).then(|| pixel + 1));
    let up = step(pixel.checked_sub(width));
    let down = step(Some(pixel + width));
    let scale = 1.0 / own.abs().max(f32::MIN_POSITIVE);
    Steps {
        largest: left.max(right).max(up).max(down).max(0.0) * scale,
        surface: left.min(right).max(up.min(down)).max(0.0) * scale,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edge_codes_grow_with_the_step() {
        assert_eq!(edge_code(0.0), 0);
        assert_eq!(edge_code(f32::INFINITY), MAX_EDGE_CODE);
        assert!(edge_code(0.03) < edge_code(0.04) && edge_code(0.04) < edge_code(0.06));
    }

    #[test]
    fn slope_codes_hardly_fall_short() {
        assert_eq!(slope_code(0.0), 0);
        assert_eq!(slope_code(f32::INFINITY), 15);
        for stretch in [0.5_f32, 0.9, 1.0, 3.3, 17.0, 60.0] {
            let coded = 2_f32.powf((f32::from(slope_code(stretch)) - 3.0) / 2.0);
            assert!(
                coded > 0.95 * stretch && coded < 1.5 * stretch,
                "{stretch}: {coded}"
            );
        }
    }

    #[test]
    fn flags_come_apart_as_they_were_put_together() {
        assert_eq!(unpack_flags(pack_flags(31, 15, 127)), [31, 15, 127]);
        assert_eq!(unpack_flags(pack_flags(5, 9, 64)), [5, 9, 64]);
    }

    #[test]
    fn attributes_come_apart_as_they_were_put_together() {
        let vector = Vec3::new(-1.0, 0.5, 0.25);
        let (dynamic, back) = unpack_attributes(pack_attributes(200, vector));
        assert_eq!(dynamic, 200);
        assert!(back.abs_diff_eq(vector, 0.5 / 127.0));
    }

    #[test]
    fn steps_look_at_the_four_neighbours_only() {
        let depths = [1.0, 1.0, 9.0, 1.0, 1.1, f32::NAN, 1.0, 1.2, 9.0];
        assert!((relative_steps(&depths, 4, 3).largest - 0.1 / 1.1).abs() < 1e-6);
        // The end of a row is no neighbour of the next row's start.
        assert!((relative_steps(&depths, 3, 3).largest - 0.1).abs() < 1e-6);
    }

    #[test]
    fn an_outline_is_a_step_but_no_slope() {
        let depths = [2.0, 2.0, 2.1, 9.0, 9.0];
        let steps = relative_steps(&depths, 2, 5);
        assert!(steps.largest > 3.0 && steps.surface < 0.05);
    }
}

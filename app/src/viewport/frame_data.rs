//! A frame of a scene as the GPU holds it: contracted 16-bit positions and 8-bit colours.
//!
//! Unit coordinates are `(point - centre) / scale`. Inside the unit cube they are kept as they are,
//! outside they are contracted to `(2 - 1/m) / m`, `m` the largest of the three magnitudes, after
//! Mip-NeRF 360 (arXiv 2111.12077, eq. 10) with the maximum norm. So near surfaces have a step of
//! `scale / 16383` and sky does not eat the range.

use glam::{DMat4, DVec3, Vec3};
use one4d_engine::geometry::{CameraFromWorld, Intrinsics};
use one4d_engine::scene::{Scene4d, validity};

/// Code of the centre; codes run from 1 to 65533.
const CENTRE_CODE: f32 = 32767.0;
/// Codes per unit.
const CODES_PER_UNIT: f32 = 16383.5;
/// At most this many points are looked at to fit a quantiser.
const FIT_SAMPLES: usize = 4096;

/// Maps the world to unit coordinates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantiser {
    /// Median of the points, in the world.
    pub centre: DVec3,
    /// Distance within which nine tenths of the points lie, scene units; positive.
    pub scale: f64,
}

impl Quantiser {
    /// Fits centre and scale to `[N, 3]` points; those that are not finite do not count.
    pub fn fit(points: &[f32]) -> Self {
        let step = (points.len() / 3).div_ceil(FIT_SAMPLES).max(1);
        let sample: Vec<DVec3> = points
            .chunks_exact(3)
            .step_by(step)
            .map(|p| Vec3::new(p[0], p[1], p[2]).as_dvec3())
            .filter(|p| p.is_finite())
            .collect();
        let axis = |i: usize| quantile(sample.iter().map(|p| p[i]).collect(), 0.5).unwrap_or(0.0);
        let centre = DVec3::new(axis(0), axis(1), axis(2));
        let away = sample.iter().map(|p| (*p - centre).abs().max_element());
        let scale = quantile(away.collect(), 0.9).unwrap_or(1.0);
        Self {
            centre,
            scale: if scale > 1e-9 { scale } else { 1.0 },
        }
    }

    /// Codes of a point, which must be finite.
    pub fn encode(&self, point_in_world: Vec3) -> [u16; 3] {
        let unit = ((point_in_world.as_dvec3() - self.centre) / self.scale).as_vec3();
        let m = unit.abs().max_element();
        let contracted = if m <= 1.0 {
            unit
        } else {
            // Divided first: `unit * m` could overflow for points near the end of f32.
            unit / m * (2.0 - 1.0 / m)
        };
        contracted.to_array().map(|v| {
            (v * CODES_PER_UNIT + CENTRE_CODE)
                .round()
                .clamp(1.0, 65533.0) as u16
        })
    }

    /// Unit coordinates of codes, in the order of operations of `unit_from_words`.
    pub fn unit(codes: [u16; 3]) -> Vec3 {
        let contracted =
            Vec3::from_array(codes.map(|c| (f32::from(c) - CENTRE_CODE) / CODES_PER_UNIT));
        let m = contracted.abs().max_element();
        if m <= 1.0 {
            contracted
        } else {
            contracted / (m * (2.0 - m))
        }
    }

    /// The point of codes, in the world.
    pub fn decode(&self, codes: [u16; 3]) -> DVec3 {
        self.centre + Self::unit(codes).as_dvec3() * self.scale
    }

    /// Any place of the world in unit coordinates.
    pub fn unit_of(&self, point_in_world: DVec3) -> [f32; 3] {
        ((point_in_world - self.centre) / self.scale)
            .as_vec3()
            .to_array()
    }

    /// Unit coordinates to the world.
    pub fn world_from_unit(&self) -> DMat4 {
        DMat4::from_translation(self.centre) * DMat4::from_scale(DVec3::splat(self.scale))
    }
}

/// The value below which a share of the values lies.
pub(crate) fn quantile(mut values: Vec<f64>, share: f64) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    let rank = ((values.len() - 1) as f64 * share).round() as usize;
    Some(*values.select_nth_unstable_by(rank, f64::total_cmp).1)
}

/// Largest edge code.
pub const MAX_EDGE_CODE: u8 = 127;

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

/// A frame, encoded.
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
    /// `[H, W]` sRGB; the fourth byte is 255.
    pub colours: Vec<[u8; 4]>,
    /// Plane `(n, d)`: distance to the neighbouring point at `p` is `n . p + d`, scene units.
    pub spacing_from_world: (DVec3, f64),
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
        let (camera_from_world, intrinsics) = lens(scene, frame_idx);
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
                let slope = slope_code(steps.surface * focal_px);
                let flags = valid[pixel] | validity::FINITE;
                [x, y, z, pack_flags(flags, slope, edge_code(steps.largest))]
            })
            .collect();
        let colours = scene
            .frame_rgb(frame_idx)
            .chunks_exact(3)
            .map(|c| [c[0], c[1], c[2], 255])
            .collect();
        let per_px = 1.0 / f64::from(focal_px);
        Self {
            width: scene.width,
            height: scene.height,
            quantiser,
            positions,
            colours,
            spacing_from_world: (
                camera_from_world.rotation.row(2) * per_px,
                camera_from_world.translation.z * per_px,
            ),
            camera_centre: camera_from_world.inverse().centre(),
            focal_px,
        }
    }

    /// Plane of the spacing over unit coordinates.
    pub fn spacing_from_unit(&self) -> [f32; 4] {
        let (normal, offset) = self.spacing_from_world;
        (normal * self.quantiser.scale)
            .extend(normal.dot(self.quantiser.centre) + offset)
            .as_vec4()
            .to_array()
    }

    /// Bytes on the GPU.
    pub fn gpu_bytes(width: usize, height: usize) -> u64 {
        (width * height) as u64 * (size_of::<[u16; 4]>() + size_of::<[u8; 4]>()) as u64
    }
}

/// The frame's camera, or the world's origin with a field of view of a radian where there is none.
fn lens(scene: &Scene4d, frame_idx: usize) -> (CameraFromWorld, Intrinsics) {
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
    fn near_points_come_back_within_a_step_and_far_ones_within_a_share() {
        let quantiser = Quantiser {
            centre: DVec3::new(1.0, -2.0, 4.0),
            scale: 5.0,
        };
        for (point, tolerance) in [
            (Vec3::new(1.0, -2.0, 4.0), 1e-9),
            (Vec3::new(3.3, 1.7, 8.9), 5.0 / 16383.0),
            (Vec3::new(-3.9, -6.9, -0.9), 5.0 / 16383.0),
            (Vec3::new(20.0, 3.0, 40.0), 0.03),
            (Vec3::new(0.0, 0.0, 200.0), 1.0),
        ] {
            let error = (quantiser.decode(quantiser.encode(point)) - point.as_dvec3()).length();
            assert!(error <= tolerance, "{point}: {error}");
        }
    }

    #[test]
    fn the_ends_of_f32_stay_finite() {
        let quantiser = Quantiser {
            centre: DVec3::ZERO,
            scale: 1.0,
        };
        for point in [Vec3::splat(f32::MAX), Vec3::new(-f32::MAX, 0.0, 1.0)] {
            assert!(quantiser.decode(quantiser.encode(point)).is_finite());
        }
    }

    #[test]
    fn a_quantiser_ignores_what_is_not_finite() {
        let quantiser = Quantiser::fit(&[f32::NAN, 0.0, 0.0, f32::INFINITY, 1.0, 1.0]);
        assert_eq!(quantiser.centre, DVec3::ZERO);
        assert_eq!(quantiser.scale, 1.0);
        assert_eq!(Quantiser::fit(&[]).scale, 1.0);
    }

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

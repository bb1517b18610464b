//! The point pass on the CPU, word for word: what the GPU must agree with. Sums and quotients are
//! written in the order of the shaders, so that both round alike.

use glam::{IVec2, Vec2, Vec3, Vec4};

use super::frame_data::{FrameData, unpack_attributes, unpack_flags};
use super::gpu_data::PointUniforms;
use super::quantiser::Quantiser;

struct Splat {
    centre: Vec2,
    low: IVec2,
    high: IVec2,
    per_reach: Vec2,
    word: u64,
}

/// `[H, W]` of `depth bits << 32 | id`, zero where nothing is drawn.
pub fn rasterize(frame: &FrameData, uniforms: &PointUniforms) -> Vec<u64> {
    let [width, height] = uniforms.size_px;
    let mut visibility = vec![0; width as usize * height as usize];
    let stride = uniforms.stride as usize;
    for row in (0..frame.height).step_by(stride) {
        for column in (0..frame.width).step_by(stride) {
            let pixel = row * frame.width + column;
            if let Some(splat) = splat_of(frame, pixel, uniforms) {
                draw(&splat, uniforms, &mut visibility);
            }
        }
    }
    visibility
}

/// Permuted congruential generator (O'Neill 2014), one round.
fn hash(value: u32) -> u32 {
    let state = value.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
    let word = ((state >> ((state >> 28) + 4)) ^ state).wrapping_mul(277_803_737);
    (word >> 22) ^ word
}

/// Whether the filter in the uniforms lets a point through.
pub(crate) fn is_kept(frame: &FrameData, pixel: usize, uniforms: &PointUniforms) -> bool {
    let [x, y, z, w] = frame.positions[pixel];
    let [valid, _, edge] = unpack_flags(w).map(u32::from);
    let required = uniforms.required_valid;
    if valid & required != required || edge > uniforms.max_edge {
        return false;
    }
    if u32::from(frame.colours[pixel][3]) < uniforms.min_confidence {
        return false;
    }
    if let (Some(attributes), true) = (&frame.attributes, uniforms.mask != 0) {
        let moves = unpack_attributes(attributes[pixel]).0 >= 128;
        if moves != (uniforms.mask == 1) {
            return false;
        }
    }
    if hash(pixel as u32) > uniforms.max_hash {
        return false;
    }
    let unit = Quantiser::unit([x, y, z]).extend(1.0);
    uniforms.has_box == 0
        || times(&uniforms.box_from_unit, unit)
            .truncate()
            .abs()
            .cmple(Vec3::ONE)
            .all()
}

/// A column-major matrix times a vector.
fn times(columns: &[[f32; 4]; 4], v: Vec4) -> Vec4 {
    let [a, b, c, d] = columns.map(Vec4::from_array);
    ((a * v.x + b * v.y) + c * v.z) + d * v.w
}

pub(super) fn clip_of(unit: Vec3, uniforms: &PointUniforms) -> Vec4 {
    times(&uniforms.clip_from_unit, unit.extend(1.0))
}

pub(super) fn in_view(clip: Vec4) -> bool {
    clip.w > 0.0 && clip.z <= clip.w
}

pub(super) fn depth_of(clip: Vec4, uniforms: &PointUniforms) -> f32 {
    let [share, offset] = uniforms.setback;
    let depth = clip.z * (1.0 / clip.w);
    (depth - (share * depth + offset)).max(1e-12)
}

pub(super) fn spacing_at(unit: Vec3, uniforms: &PointUniforms) -> f32 {
    let [x, y, z, offset] = uniforms.spacing_from_unit;
    ((x * unit.x + y * unit.y) + z * unit.z) + offset
}

fn splat_of(frame: &FrameData, pixel: usize, uniforms: &PointUniforms) -> Option<Splat> {
    if !is_kept(frame, pixel, uniforms) {
        return None;
    }
    let [x, y, z, w] = frame.positions[pixel];
    let slope = u32::from(unpack_flags(w)[1]);
    let unit = Quantiser::unit([x, y, z]);
    let clip = clip_of(unit, uniforms);
    if !in_view(clip) {
        return None;
    }
    let size = Vec2::from_array(uniforms.size_px.map(|n| n as f32));
    let centre = screen_px(clip, size);
    let extent = footprint_px(unit, clip, (slope, uniforms));
    let corner = (centre - 0.5 * (extent - 1.0)).floor();
    if (corner + extent).cmple(Vec2::ZERO).any() || corner.cmpge(size).any() {
        return None;
    }
    let depth = depth_of(clip, uniforms).to_bits();
    Some(Splat {
        centre,
        low: corner.max(Vec2::ZERO).as_ivec2(),
        high: (corner + extent).min(size).as_ivec2(),
        per_reach: if is_round(extent, uniforms) {
            2.0 / extent
        } else {
            Vec2::ZERO
        },
        word: (u64::from(depth) << 32) | u64::from(uniforms.id_base | pixel as u32),
    })
}

pub(super) fn screen_px(clip: Vec4, size: Vec2) -> Vec2 {
    let per_w = 1.0 / clip.w;
    Vec2::new(clip.x * per_w * 0.5 + 0.5, 0.5 - clip.y * per_w * 0.5) * size
}

/// `2^((code - 3) / 2)`.
fn stretch_of(slope_code: u32) -> f32 {
    let odd = slope_code & 1 == 1;
    (1_u32 << (slope_code >> 1)) as f32 * if odd { 0.5 } else { 0.353_553_38 }
}

fn footprint_px(unit: Vec3, clip: Vec4, (slope, uniforms): (u32, &PointUniforms)) -> Vec2 {
    if uniforms.fixed_px > 0.0 {
        return Vec2::splat(uniforms.fixed_px);
    }
    if uniforms.world_px > 0.0 {
        let px = (uniforms.world_px * (1.0 / clip.w) + 0.5).floor();
        return Vec2::splat(px.clamp(1.0, uniforms.max_px));
    }
    let stride = uniforms.stride as f32;
    let facing_px = spacing_at(unit, uniforms) * uniforms.spacing_to_px * stride * (1.0 / clip.w);
    let mut px = Vec2::splat(facing_px);
    if slope > 0 {
        let step = (unit - Vec3::from_array(uniforms.camera_in_unit))
            * (stretch_of(slope) * stride * (1.0 / uniforms.source_focal_px));
        let moved = clip + times(&uniforms.clip_from_unit, step.extend(0.0));
        if in_view(moved) {
            let size = Vec2::from_array(uniforms.size_px.map(|n| n as f32));
            let shift = screen_px(moved, size) - screen_px(clip, size);
            px += 0.8 * shift.abs();
        }
    }
    let grown = px.map(|px| px * if px > 5.0 { 1.45 } else { uniforms.closing });
    (grown - 0.05)
        .ceil()
        .clamp(Vec2::ONE, Vec2::splat(uniforms.max_px))
}

fn is_round(extent: Vec2, uniforms: &PointUniforms) -> bool {
    if uniforms.fixed_px > 0.0 || uniforms.world_px > 0.0 {
        extent.x > 2.0
    } else {
        extent.cmpgt(Vec2::splat(6.0)).all()
    }
}

fn draw(splat: &Splat, uniforms: &PointUniforms, visibility: &mut [u64]) {
    for y in splat.low.y..splat.high.y {
        for x in splat.low.x..splat.high.x {
            let offset = (Vec2::new(x as f32, y as f32) + 0.5 - splat.centre) * splat.per_reach;
            if offset.x * offset.x + offset.y * offset.y <= 1.0 {
                let at = y as usize * uniforms.size_px[0] as usize + x as usize;
                visibility[at] = visibility[at].max(splat.word);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable as _;
    use glam::{DVec3, Mat4};

    use super::*;

    fn uniforms() -> PointUniforms {
        let mut clip_from_unit = Mat4::IDENTITY;
        // Every depth is a half.
        clip_from_unit.w_axis.z = 0.5;
        PointUniforms {
            clip_from_unit: clip_from_unit.to_cols_array_2d(),
            source_focal_px: 1.0,
            closing: 1.0,
            grid: [1, 1],
            size_px: [8, 8],
            stride: 1,
            required_valid: 1,
            max_edge: 127,
            max_hash: u32::MAX,
            spacing_to_px: 1.0,
            fixed_px: 1.0,
            max_px: 5.0,
            ..PointUniforms::zeroed()
        }
    }

    fn frame(flags: u8) -> FrameData {
        FrameData {
            width: 1,
            height: 1,
            quantiser: Quantiser {
                centre: DVec3::ZERO,
                scale: 1.0,
            },
            positions: vec![[32767, 32767, 32767, u16::from(flags)]],
            colours: vec![[255; 4]],
            attributes: None,
            flow_scale: 1.0,
            is_grid: true,
            spacing_from_world: (DVec3::ZERO, 0.0),
            depth_from_world: (DVec3::ZERO, 0.0),
            camera_centre: DVec3::ZERO,
            focal_px: 1.0,
        }
    }

    fn covered(uniforms: &PointUniforms) -> usize {
        let words = rasterize(&frame(1), uniforms);
        words.iter().filter(|w| **w != 0).count()
    }

    #[test]
    fn footprints_have_the_area_of_their_size() {
        let sized = |fixed_px| {
            covered(&PointUniforms {
                fixed_px,
                ..uniforms()
            })
        };
        assert_eq!([1.0, 2.0].map(sized), [1, 4]);
        // The point lies on a corner of four pixels; a disc of 4 px there covers 12.
        assert_eq!(sized(4.0), 12);
    }

    #[test]
    fn points_that_lack_a_required_bit_are_not_drawn() {
        let words = rasterize(&frame(0), &uniforms());
        assert!(words.iter().all(|w| *w == 0));
    }

    #[test]
    fn a_points_depth_is_z_over_w() {
        let words = rasterize(&frame(1), &uniforms());
        let depths: Vec<f32> = words
            .iter()
            .filter(|w| **w != 0)
            .map(|w| f32::from_bits((w >> 32) as u32))
            .collect();
        assert_eq!(depths, [0.5]);
    }
}

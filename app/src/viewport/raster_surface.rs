//! The surface pass on the CPU. It fills every triangle itself, where the device hands those of 16
//! pixels and more to its own rasteriser; smaller ones give the same words.

use glam::Vec2;

use super::frame_data::FrameData;
use super::gpu_data::PointUniforms;
use super::quantiser::Quantiser;
use super::raster::{clip_of, depth_of, in_view, is_kept, screen_px, spacing_at};

/// Triangles overlap by this share of their area's scale, so that rounding leaves no gap.
const SLACK: f32 = 0.002;

/// A point of the grid on the picture.
#[derive(Clone, Copy)]
struct Corner {
    /// Column and row of the frame.
    cell: Vec2,
    /// Place on the picture, pixels.
    at: Vec2,
    depth: f32,
    /// Proportional to the z-depth in the frame's camera.
    spacing: f32,
}

/// `[H, W]` of `depth bits << 32 | id`, zero where nothing is drawn.
pub fn rasterize(frame: &FrameData, uniforms: &PointUniforms) -> Vec<u64> {
    let [width, height] = uniforms.size_px;
    let mut visibility = vec![0; width as usize * height as usize];
    let stride = uniforms.stride as usize;
    for row in (0..frame.height.saturating_sub(stride)).step_by(stride) {
        for column in (0..frame.width.saturating_sub(stride)).step_by(stride) {
            let corners = [(0, 0), (stride, 0), (0, stride), (stride, stride)]
                .map(|(right, down)| corner_of(frame, (column + right, row + down), uniforms));
            quad(corners, uniforms, &mut visibility);
        }
    }
    visibility
}

fn corner_of(
    frame: &FrameData,
    (column, row): (usize, usize),
    uniforms: &PointUniforms,
) -> Option<Corner> {
    let pixel = row * frame.width + column;
    if !is_kept(frame, pixel, uniforms) {
        return None;
    }
    let [x, y, z, _] = frame.positions[pixel];
    let unit = Quantiser::unit([x, y, z]);
    let clip = clip_of(unit, uniforms);
    in_view(clip).then(|| Corner {
        cell: Vec2::new(column as f32, row as f32),
        at: screen_px(clip, Vec2::from_array(uniforms.size_px.map(|n| n as f32))),
        depth: depth_of(clip, uniforms),
        spacing: spacing_at(unit, uniforms),
    })
}

/// Step of depth between two corners, relative to the nearer.
fn step_between(a: &Corner, b: &Corner) -> f32 {
    let nearer = a.spacing.abs().min(b.spacing.abs()).max(1e-20);
    (a.spacing - b.spacing).abs() * (1.0 / nearer)
}

fn quad([a, b, c, d]: [Option<Corner>; 4], uniforms: &PointUniforms, visibility: &mut [u64]) {
    let falls = match (a, b, c, d) {
        (Some(a), Some(b), Some(c), Some(d)) => step_between(&a, &d) <= step_between(&b, &c),
        // With one corner missing the diagonal that leaves a triangle is the right one.
        _ => a.is_some() && d.is_some(),
    };
    let triangles = if falls {
        [[a, b, d], [a, d, c]]
    } else {
        [[a, b, c], [b, d, c]]
    };
    for corners in triangles {
        if let [Some(a), Some(b), Some(c)] = corners {
            triangle([a, b, c], uniforms, visibility);
        }
    }
}

fn side(a: Vec2, b: Vec2, p: Vec2) -> f32 {
    (b.x - a.x) * (p.y - a.y) - (b.y - a.y) * (p.x - a.x)
}

fn triangle([a, b, c]: [Corner; 3], uniforms: &PointUniforms, visibility: &mut [u64]) {
    let steps = [
        step_between(&a, &b),
        step_between(&b, &c),
        step_between(&c, &a),
    ];
    let limit = uniforms.max_step * uniforms.stride as f32;
    if steps.iter().any(|step| *step > limit) {
        return;
    }
    let [width, height] = uniforms.size_px;
    let last = Vec2::new(width as f32, height as f32) - 1.0;
    let low = (a.at.min(b.at.min(c.at)) - 0.5).ceil().max(Vec2::ZERO);
    let high = (a.at.max(b.at.max(c.at)) - 0.5).floor().min(last);
    let area = side(a.at, b.at, c.at);
    if low.cmpgt(high).any() || area == 0.0 {
        return;
    }
    let per_area = 1.0 / area;
    let least = -SLACK * per_area.abs();
    for y in low.y as u32..=high.y as u32 {
        for x in low.x as u32..=high.x as u32 {
            let p = Vec2::new(x as f32, y as f32) + 0.5;
            let share = [
                side(b.at, c.at, p) * per_area,
                side(c.at, a.at, p) * per_area,
                side(a.at, b.at, p) * per_area,
            ];
            if share.iter().all(|share| *share >= least) {
                let [u, v, w] = [share[0] * a.depth, share[1] * b.depth, share[2] * c.depth];
                let depth = (u + v + w).max(1e-12);
                let cell = (u * a.cell + v * b.cell + w * c.cell) * (1.0 / depth);
                let id = uniforms.id_base | nearest_pixel(cell, uniforms);
                let at = (y * width + x) as usize;
                let word = (u64::from(depth.to_bits()) << 32) | u64::from(id);
                visibility[at] = visibility[at].max(word);
            }
        }
    }
}

/// The point of the frame nearest to a place on its grid.
fn nearest_pixel(cell: Vec2, uniforms: &PointUniforms) -> u32 {
    let stride = uniforms.stride as f32;
    let nearest = ((cell / stride + 0.5).floor() * stride).as_uvec2();
    nearest.y * uniforms.grid[0] + nearest.x
}

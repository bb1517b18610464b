//! From options, eye and frames to what the shaders take.

use bytemuck::Zeroable as _;
use glam::DVec3;

use super::eye::Eye;
use super::filter::PointFilter;
use super::frame_gpu::FrameGpu;
use super::gpu_data::{EyeUniforms, FrameLook, LookUniforms, PointUniforms};
use super::options::{
    Background, ColourMap, ColourMode, DrawMode, Palette, PointSize, ViewOptions,
};
use super::renderer::{DrawnFrame, PictureEye};
use super::stats::SceneRanges;

/// Frames are thinned while their points lie closer than this on the picture.
const LOD_SPACING_PX: f64 = 0.7;
/// The coarsest stride: an eighth of columns and rows still shows what is there.
const MAX_STRIDE: u32 = 8;
/// Ceiling of the size of a point, pixels. Zoomed in, fewer points cover as much of the picture, so
/// large ones cost no more in all.
const MAX_POINT_PX: f32 = 64.0;
/// How far ghosts are set back, as a share of the distance.
const GHOST_SETBACK: f64 = 0.006;
/// Blended points are so much larger: there is nothing to blend where they do not overlap.
const SMOOTH_GROWTH: f32 = 1.7;

pub(super) fn eye_uniforms(eye: &PictureEye, size_px: [u32; 2]) -> EyeUniforms {
    EyeUniforms {
        clip_from_world: eye
            .eye
            .clip_from_world(size_px, eye.near)
            .as_mat4()
            .to_cols_array_2d(),
        size_px: size_px.map(|n| n as f32),
        depth_metric: eye.eye.depth_metric(eye.near).map(|v| v as f32),
        fade_centre: eye.fade.centre.as_vec3().to_array(),
        fade_radius: eye.fade.radius as f32,
    }
}

/// Uniforms of the raster passes for the frame at a place in the list of drawn frames, whose ids
/// start at `id_base`.
pub fn point_uniforms(
    drawn: &DrawnFrame<'_>,
    id_base: u32,
    eye: &PictureEye,
    options: &ViewOptions,
    size_px: [u32; 2],
) -> PointUniforms {
    let frame = drawn.frame;
    let clip_from_unit =
        eye.eye.clip_from_world(size_px, eye.near) * frame.quantiser.world_from_unit();
    let k = eye.eye.intrinsics(size_px);
    let focal_px = k.fx_px.max(k.fy_px) as f32;
    let size = SizeRule::of(options);
    let mut uniforms = PointUniforms {
        clip_from_unit: clip_from_unit.as_mat4().to_cols_array_2d(),
        spacing_from_unit: frame.spacing_from_unit,
        camera_in_unit: frame.quantiser.unit_of(frame.camera_centre),
        source_focal_px: frame.source_focal_px,
        closing: closing(frame, &eye.eye),
        grid: frame.grid,
        size_px,
        id_base,
        stride: (stride(frame, eye, size_px) * drawn.thinning).min(MAX_STRIDE),
        max_hash: max_hash(drawn.weight),
        spacing_to_px: focal_px * size.factor,
        fixed_px: size.fixed_px,
        world_px: size.world * focal_px,
        max_px: MAX_POINT_PX,
        max_step: options.edge_threshold.unwrap_or(f32::MAX),
        setback: setback(drawn, id_base, eye),
        ..PointUniforms::zeroed()
    };
    let filter = PointFilter::of(options);
    let filter = if draws_surface(drawn, options) {
        filter.without_edges()
    } else {
        filter
    };
    filter.write(
        &mut uniforms,
        &frame.quantiser,
        frame.buffers.attributes.is_some(),
    );
    uniforms
}

/// Whether a frame is drawn as a surface: the current one; surfaces of ghosts would hide it.
pub(super) fn draws_surface(drawn: &DrawnFrame<'_>, options: &ViewOptions) -> bool {
    options.draw == DrawMode::Surface && drawn.frame.is_grid && !drawn.is_ghost
}

/// Place of a frame in its clip, 0..1.
pub fn place_in_clip(frame_idx: usize, num_frames: usize) -> f32 {
    frame_idx as f32 / num_frames.saturating_sub(1).max(1) as f32
}

/// Ghosts lie a hair behind the current frame and each behind the one before it, so that of many
/// sights of one surface the newest is seen instead of a mixture.
fn setback(drawn: &DrawnFrame<'_>, id_base: u32, eye: &PictureEye) -> [f32; 2] {
    if !drawn.is_ghost {
        return [0.0; 2];
    }
    let rank = drawn.frame.id_layout().unpack(id_base).frame;
    let share = GHOST_SETBACK * (1.0 + f64::from(rank) * 0.1);
    eye.eye
        .depth_metric(eye.near)
        .map(|part| (part * share) as f32)
}

/// How a size is chosen, as the shader takes it.
struct SizeRule {
    factor: f32,
    fixed_px: f32,
    world: f32,
}

impl SizeRule {
    fn of(options: &ViewOptions) -> Self {
        let growth = if options.draw == DrawMode::Smooth {
            SMOOTH_GROWTH
        } else {
            1.0
        };
        let none = Self {
            factor: 1.0,
            fixed_px: 0.0,
            world: 0.0,
        };
        match options.point_size {
            PointSize::Auto(factor) => Self {
                factor: factor.clamp(0.1, 10.0) * growth,
                ..none
            },
            PointSize::Pixels(px) => Self {
                fixed_px: f32::from(px.clamp(1, 5)),
                ..none
            },
            PointSize::World(size) => Self {
                // A size of nothing is a pixel, not automatic.
                world: size.max(f32::MIN_POSITIVE) * growth,
                ..none
            },
        }
    }
}

/// A share of points as a limit on their hashes.
fn max_hash(weight: f32) -> u32 {
    if weight >= 1.0 {
        u32::MAX
    } else {
        (f64::from(weight.max(0.0)) * f64::from(u32::MAX)) as u32
    }
}

/// Seen from its own camera a frame's lattice lies straight on the picture and needs no more than
/// its spacing to close; turned, it needs more.
fn closing(frame: &FrameGpu, eye: &Eye) -> f32 {
    let away = eye.position.distance(frame.camera_centre);
    if frame.is_grid && away < 1e-6 * frame.quantiser.scale {
        1.0
    } else {
        1.2
    }
}

/// The coarsest stride whose points, in the middle of the cloud, still touch on the picture.
fn stride(frame: &FrameGpu, eye: &PictureEye, size_px: [u32; 2]) -> u32 {
    let distance = eye.eye.scale_distance(frame.quantiser.centre).max(eye.near);
    let focal_px = eye.eye.intrinsics(size_px).fx_px;
    // At the middle of unit coordinates the spacing plane has its offset as value.
    let spacing_px = f64::from(frame.spacing_from_unit[3]) * focal_px / distance;
    [8, 4, 2]
        .into_iter()
        .find(|n| spacing_px * f64::from(*n) <= LOD_SPACING_PX * 2.0)
        .filter(|_| spacing_px > 0.0)
        .unwrap_or(1)
}

/// Uniforms of the resolve pass that all frames share.
pub fn look_uniforms(
    options: &ViewOptions,
    palette: &Palette,
    ranges: &SceneRanges,
    eye: &PictureEye,
    size_px: [u32; 2],
) -> LookUniforms {
    let [canvas_top, canvas_bottom] = canvas(options.background, palette);
    let (map, range) = scale_of_colours(options, ranges);
    let dome = options.eye_dome;
    LookUniforms {
        canvas_top,
        canvas_bottom,
        accent: palette.accent.map(|c| f32::from(c) / 255.0),
        size_px,
        range,
        depth_metric: eye.eye.depth_metric(eye.near).map(|v| v as f32),
        dome_radius_px: dome.map_or(1, |d| d.radius_px.round().clamp(1.0, 4.0) as i32),
        dome_strength: dome.map_or(0.0, |d| d.strength.clamp(0.0, 2.0)),
        ramp: map.ramp(),
    }
}

fn canvas(background: Background, palette: &Palette) -> [[f32; 4]; 2] {
    let opaque = |[r, g, b]: [u8; 3]| [r, g, b, 255].map(|c| f32::from(c) / 255.0);
    match background {
        Background::Canvas => [opaque(palette.canvas_top), opaque(palette.canvas_bottom)],
        Background::Black => [opaque([0; 3]); 2],
        Background::White => [opaque([255; 3]); 2],
        Background::Transparent => [[0.0; 4]; 2],
    }
}

/// The map and range that a colour mode uses: what a legend must show.
pub fn scale_of_colours(options: &ViewOptions, ranges: &SceneRanges) -> (ColourMap, [f32; 2]) {
    let (map, of_scene) = match options.colour {
        ColourMode::Depth => (options.colour_map, ranges.depth),
        ColourMode::Height => (options.colour_map, ranges.height),
        ColourMode::Confidence => (ColourMap::Magma, [0.0, 1.0]),
        ColourMode::Flow => (ColourMap::Viridis, [0.0, ranges.flow]),
        ColourMode::Rgb | ColourMode::Normal | ColourMode::Frame | ColourMode::Mask => {
            (ColourMap::Viridis, [0.0, 1.0])
        }
    };
    (map, options.colour_range.unwrap_or(of_scene))
}

/// Uniforms of the resolve pass for the frame at a place in the list of drawn frames.
pub fn frame_look(
    drawn: &DrawnFrame<'_>,
    (id_base, is_first): (u32, bool),
    ranges: &SceneRanges,
) -> FrameLook {
    let frame = drawn.frame;
    let up = DVec3::NEG_Y * frame.quantiser.scale;
    let height = f64::from(ranges.floor_y) - frame.quantiser.centre.y;
    FrameLook {
        depth_from_unit: frame.depth_from_unit,
        height_from_unit: up.extend(height).as_vec4().to_array(),
        camera_in_unit: frame.quantiser.unit_of(frame.camera_centre),
        flow_scale: frame.flow_scale,
        grid: frame.grid,
        id_base,
        pixel_mask: frame.id_layout().pixel_mask(),
        time: drawn.time.unwrap_or(-1.0),
        has_attributes: u32::from(frame.buffers.attributes.is_some()),
        is_grid: u32::from(frame.is_grid),
        is_first: u32::from(is_first),
    }
}

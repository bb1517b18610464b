//! What Rust and WGSL share byte for byte; `tests/shaders` compares sizes and offsets with naga's.

use bytemuck::{Pod, Zeroable};

/// Colours of a scale of colours on the GPU.
pub const RAMP_STEPS: usize = 33;

/// The eye of one picture (`EyeUniforms`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct EyeUniforms {
    /// Column-major; reverse-Z.
    pub clip_from_world: [[f32; 4]; 4],
    /// Picture size, pixels.
    pub size_px: [f32; 2],
    /// See [`super::eye::Eye::depth_metric`].
    pub depth_metric: [f32; 2],
    /// Middle of the grid.
    pub fade_centre: [f32; 3],
    /// Fading lines end at this distance from `fade_centre`, scene units.
    pub fade_radius: f32,
}

/// One frame's points seen by one eye (`PointUniforms`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct PointUniforms {
    /// Column-major, from the quantiser's unit coordinates.
    pub clip_from_unit: [[f32; 4]; 4],
    /// Column-major, to the clip box, whose sides lie at -1 and 1.
    pub box_from_unit: [[f32; 4]; 4],
    /// Plane whose value at a unit point is the distance to the neighbouring point on a surface
    /// that faces its camera, scene units.
    pub spacing_from_unit: [f32; 4],
    /// Centre of the camera that took the frame, unit coordinates.
    pub camera_in_unit: [f32; 3],
    /// Fixed size in pixels; 0 = from the spacing.
    pub fixed_px: f32,
    /// Columns and rows of the frame.
    pub grid: [u32; 2],
    /// Picture size, pixels.
    pub size_px: [u32; 2],
    /// Scene and frame bits of the ids.
    pub id_base: u32,
    /// Every stride-th column and row is drawn: 1, 2, 4 or 8.
    pub stride: u32,
    /// Bits that a point's validity must have.
    pub required_valid: u32,
    /// Largest edge code that is drawn, 0..=127.
    pub max_edge: u32,
    /// Smallest confidence that is drawn, 0..=255.
    pub min_confidence: u32,
    /// 0 = all, 1 = only moving, 2 = only still points.
    pub mask: u32,
    /// 1 = only what lies in the clip box.
    pub has_box: u32,
    /// Share of the points that is drawn, as the largest hash of a pixel.
    pub max_hash: u32,
    /// Scene units to pixels at distance 1, times the user's scale.
    pub spacing_to_px: f32,
    /// Ceiling of the size, pixels.
    pub max_px: f32,
    /// Focal length of the camera that took the frame, pixels.
    pub source_focal_px: f32,
    /// How much larger than the spacing a footprint is.
    pub closing: f32,
    /// Fixed size in pixels at distance 1; 0 = from the spacing.
    pub world_px: f32,
    /// Largest relative step of depth along an edge of the surface.
    pub max_step: f32,
    /// Share of the depth and depth by which the points are set back.
    pub setback: [f32; 2],
}

/// How ids become colours (`LookUniforms`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct LookUniforms {
    /// Background at the top, gamma-encoded, premultiplied.
    pub canvas_top: [f32; 4],
    /// Background at the bottom, gamma-encoded, premultiplied.
    pub canvas_bottom: [f32; 4],
    /// Colour of what moves.
    pub accent: [f32; 4],
    /// Picture size, pixels.
    pub size_px: [u32; 2],
    /// Range of the attribute over the scale of colours.
    pub range: [f32; 2],
    /// See [`super::eye::Eye::depth_metric`].
    pub depth_metric: [f32; 2],
    /// Distance of the neighbours of eye-dome lighting, pixels.
    pub dome_radius_px: i32,
    /// Strength of eye-dome lighting.
    pub dome_strength: f32,
    /// The scale of colours.
    pub ramp: [[f32; 4]; RAMP_STEPS],
}

/// One frame of a picture, as its colours need it (`FrameLook`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct FrameLook {
    /// Plane whose value at a unit point is the z-depth in the frame's camera, scene units.
    pub depth_from_unit: [f32; 4],
    /// Plane whose value at a unit point is the height above the floor, scene units.
    pub height_from_unit: [f32; 4],
    /// Centre of the camera that took the frame, unit coordinates.
    pub camera_in_unit: [f32; 3],
    /// Length of a coded scene flow of 1, scene units a frame.
    pub flow_scale: f32,
    /// Columns and rows of the frame.
    pub grid: [u32; 2],
    /// Scene and frame bits of the ids.
    pub id_base: u32,
    /// Bits of an id that hold the pixel.
    pub pixel_mask: u32,
    /// Place of the frame in the clip, 0..1; negative for what belongs to no frame.
    pub time: f32,
    /// 1 = has attributes.
    pub has_attributes: u32,
    /// 1 = neighbours in memory are neighbours on a surface.
    pub is_grid: u32,
    /// 1 = draws the background too.
    pub is_first: u32,
}

/// The picture on a frustum (`ImagePlaneUniforms`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct ImagePlaneUniforms {
    /// Top left, top right, bottom left, bottom right in the world.
    pub corners: [[f32; 4]; 4],
    /// Columns and rows of the frame.
    pub grid: [u32; 2],
    /// Opacity, 0..1.
    pub alpha: f32,
    /// Keeps the size a multiple of 16.
    pub padding: f32,
}

/// One line segment (`Segment`, a vertex buffer that steps by instance).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct Segment {
    /// Start in the world.
    pub start: [f32; 3],
    /// Width, pixels.
    pub width_px: f32,
    /// End in the world.
    pub end: [f32; 3],
    /// 1 for lines of the grid, which fade with distance; else 0.
    pub fades: f32,
    /// Gamma-encoded colour and opacity at the start.
    pub start_colour: [u8; 4],
    /// Gamma-encoded colour and opacity at the end.
    pub end_colour: [u8; 4],
}

/// One struct as Rust lays it out, for comparison with its shader.
#[derive(Clone, Debug)]
pub struct StructLayout {
    /// Name in WGSL.
    pub name: &'static str,
    /// Shader that holds it.
    pub file: &'static str,
    /// Bytes.
    pub size: usize,
    /// Fields in order with their offsets.
    pub fields: Vec<(&'static str, usize)>,
}

macro_rules! layout {
    ($kind:ident in $file:literal: $($field:ident),*) => {
        StructLayout {
            name: stringify!($kind),
            file: $file,
            size: size_of::<$kind>(),
            fields: vec![$((stringify!($field), std::mem::offset_of!($kind, $field))),*],
        }
    };
}

/// Every uniform struct of this module.
pub fn uniform_layouts() -> Vec<StructLayout> {
    vec![
        layout!(EyeUniforms in "lines.wgsl": clip_from_world, size_px, depth_metric, fade_centre, fade_radius),
        layout!(PointUniforms in "points_u64.wgsl": clip_from_unit, box_from_unit, spacing_from_unit, camera_in_unit,
            fixed_px, grid, size_px, id_base, stride, required_valid, max_edge, min_confidence, mask, has_box, max_hash,
            spacing_to_px, max_px, source_focal_px, closing, world_px, max_step, setback),
        layout!(LookUniforms in "resolve.wgsl": canvas_top, canvas_bottom, accent, size_px, range,
            depth_metric, dome_radius_px, dome_strength, ramp),
        layout!(FrameLook in "resolve.wgsl": depth_from_unit, height_from_unit, camera_in_unit, flow_scale, grid, id_base,
            pixel_mask, time, has_attributes, is_grid, is_first),
        layout!(ImagePlaneUniforms in "image_plane.wgsl": corners, grid, alpha, padding),
    ]
}

/// Attributes of [`Segment`] by shader location, in order.
pub const SEGMENT_ATTRIBUTES: [wgpu::VertexAttribute; 6] = wgpu::vertex_attr_array![
    0 => Float32x3, 1 => Float32, 2 => Float32x3, 3 => Float32, 4 => Unorm8x4, 5 => Unorm8x4
];

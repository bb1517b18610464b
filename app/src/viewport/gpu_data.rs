//! What Rust and WGSL share byte for byte; `tests/shaders` compares sizes and offsets with naga's.

use bytemuck::{Pod, Zeroable};

/// The eye of one picture (`EyeUniforms`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct EyeUniforms {
    /// Column-major; infinite reverse-Z.
    pub clip_from_world: [[f32; 4]; 4],
    /// Picture size, pixels.
    pub size_px: [f32; 2],
    /// Distance of the near plane, scene units.
    pub near: f32,
    /// Fading lines end at this distance from `fade_centre`, scene units.
    pub fade_radius: f32,
    /// Middle of the grid.
    pub fade_centre: [f32; 3],
    /// How much of a hidden line still shows, 0..1.
    pub xray: f32,
}

/// One frame's points seen by one eye (`PointUniforms`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct PointUniforms {
    /// Column-major, from the quantiser's unit coordinates.
    pub clip_from_unit: [[f32; 4]; 4],
    /// Plane whose value at a unit point is the distance to the neighbouring point on a surface
    /// that faces its camera, scene units.
    pub spacing_from_unit: [f32; 4],
    /// Centre of the camera that took the frame, unit coordinates.
    pub camera_in_unit: [f32; 3],
    /// Fixed size in pixels; 0 = from the spacing.
    pub fixed_px: f32,
    /// The eye, unit coordinates.
    pub eye_in_unit: [f32; 3],
    /// Ceiling of the size, pixels.
    pub max_px: f32,
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
    /// Scene units to pixels at distance 1, times the user's scale.
    pub spacing_to_px: f32,
    /// Distance of the near plane, scene units.
    pub near: f32,
    /// Focal length of the camera that took the frame, pixels.
    pub source_focal_px: f32,
    /// How much larger than the spacing a footprint is.
    pub closing: f32,
}

/// How ids become colours (`ResolveUniforms`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct ResolveUniforms {
    /// Background at the top, gamma-encoded.
    pub canvas_top: [f32; 4],
    /// Background at the bottom, gamma-encoded.
    pub canvas_bottom: [f32; 4],
    /// Picture size, pixels.
    pub size_px: [u32; 2],
    /// Bits of an id that hold the pixel.
    pub pixel_mask: u32,
    /// Which attribute gives the colour.
    pub colour_mode: u32,
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
        layout!(EyeUniforms in "lines.wgsl": clip_from_world, size_px, near, fade_radius, fade_centre, xray),
        layout!(PointUniforms in "points_u64.wgsl": clip_from_unit, spacing_from_unit, camera_in_unit, fixed_px,
            eye_in_unit, max_px, grid, size_px, id_base, stride, required_valid, max_edge, spacing_to_px, near, source_focal_px, closing),
        layout!(ResolveUniforms in "resolve.wgsl": canvas_top, canvas_bottom, size_px, pixel_mask, colour_mode),
        layout!(ImagePlaneUniforms in "image_plane.wgsl": corners, grid, alpha, padding),
    ]
}

/// Attributes of [`Segment`] by shader location, in order.
pub const SEGMENT_ATTRIBUTES: [wgpu::VertexAttribute; 6] = wgpu::vertex_attr_array![
    0 => Float32x3, 1 => Float32, 2 => Float32x3, 3 => Float32, 4 => Unorm8x4, 5 => Unorm8x4
];

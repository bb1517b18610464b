// What the compute path is measured against: a camera-facing quad an instance, drawn by the
// rasteriser with a depth test. Same points, same sizes, same filters.
#import include/splat.wgsl

struct Corner {
    @builtin(position) position: vec4<f32>,
    @location(0) @interpolate(flat) colour: vec3<f32>,
    @location(1) offset_px: vec2<f32>,
    @location(2) @interpolate(flat) extent: vec2<f32>,
}

@vertex
fn expand(@builtin(vertex_index) vertex: u32, @builtin(instance_index) instance: u32) -> Corner {
    var out: Corner;
    let columns = (points.grid.x + points.stride - 1u) / points.stride;
    let cell = vec2<u32>(instance % columns, instance / columns) * points.stride;
    let pixel = cell.y * points.grid.x + cell.x;
    let words = positions[pixel];
    if (!has_flags(pixel, words)) {
        out.position = vec4<f32>(0.0, 0.0, -1.0, 1.0);
        return out;
    }
    let unit = unit_from_words(words);
    let clip = points.clip_from_unit * vec4<f32>(unit, 1.0);
    let extent = footprint_px(unit, clip, slope_code(words));
    // Two triangles over four corners.
    var order = array<u32, 6>(0u, 1u, 2u, 2u, 1u, 3u);
    let corner = order[vertex];
    let side = vec2<f32>(f32(corner & 1u), f32(corner >> 1u)) - 0.5;
    out.position = clip;
    out.position += vec4<f32>(side * extent * 2.0 / vec2<f32>(points.size_px) * clip.w, 0.0, 0.0);
    out.colour = unpack4x8unorm(colours[pixel]).rgb;
    out.offset_px = side * extent;
    out.extent = extent;
    return out;
}

@fragment
fn shade(in: Corner) -> @location(0) vec4<f32> {
    let offset = in.offset_px * 2.0 / in.extent;
    if (is_round(in.extent) && dot(offset, offset) > 1.0) {
        discard;
    }
    return vec4<f32>(in.colour, 1.0);
}

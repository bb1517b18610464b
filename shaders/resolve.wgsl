// Visibility buffer to colour: every decision about looks is taken here, once a pixel.

struct ResolveUniforms {
    // Background at the top and at the bottom, gamma-encoded.
    canvas_top: vec4<f32>,
    canvas_bottom: vec4<f32>,
    // Picture size in pixels.
    size_px: vec2<u32>,
    // Bits of an id that hold the pixel.
    pixel_mask: u32,
    // Which attribute gives the colour; 0 = RGB.
    colour_mode: u32,
}

@group(0) @binding(0) var<uniform> resolve: ResolveUniforms;
// Written as one 64-bit word a pixel, read as id and depth.
@group(0) @binding(1) var<storage, read> visibility: array<vec2<u32>>;
@group(0) @binding(2) var target_colour: texture_storage_2d<rgba8unorm, write>;
@group(1) @binding(0) var<storage, read> colours: array<u32>;

// Noise of half an 8-bit step, which hides the bands of a faint gradient
// (interleaved gradient noise, Jimenez 2014).
fn dither(at: vec2<f32>) -> f32 {
    return (fract(52.9829189 * fract(dot(at, vec2<f32>(0.06711056, 0.00583715)))) - 0.5) / 255.0;
}

fn background(at: vec2<u32>) -> vec3<f32> {
    let height = (f32(at.y) + 0.5) / f32(resolve.size_px.y);
    return mix(resolve.canvas_top.rgb, resolve.canvas_bottom.rgb, height) + dither(vec2<f32>(at));
}

@compute @workgroup_size(64)
fn shade(@builtin(global_invocation_id) cell: vec3<u32>) {
    if (cell.x >= resolve.size_px.x || cell.y >= resolve.size_px.y) {
        return;
    }
    let word = visibility[cell.y * resolve.size_px.x + cell.x];
    var colour: vec3<f32>;
    if (word.y == 0u) {
        colour = background(cell.xy);
    } else {
        colour = unpack4x8unorm(colours[word.x & resolve.pixel_mask]).rgb;
    }
    textureStore(target_colour, vec2<i32>(cell.xy), vec4<f32>(colour, 1.0));
}

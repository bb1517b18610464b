// Visibility buffer to colour: every decision about looks is taken here, once a pixel.
#import include/look.wgsl

@group(0) @binding(0) var<uniform> look: LookUniforms;
// Written as one 64-bit word a pixel, read as id and depth.
@group(0) @binding(1) var<storage, read> visibility: array<vec2<u32>>;
// Sums of the smooth pass: red, green, blue, weight.
@group(0) @binding(2) var<storage, read> sums: array<vec4<u32>>;
@group(0) @binding(3) var target_colour: texture_storage_2d<rgba8unorm, write>;
@group(1) @binding(0) var<uniform> frame: FrameLook;
@group(1) @binding(1) var<storage, read> positions: array<vec2<u32>>;
@group(1) @binding(2) var<storage, read> colours: array<u32>;
@group(1) @binding(3) var<storage, read> attributes: array<u32>;

// Whether there is eye-dome lighting, and whether colours come from the sums of the smooth pass.
override DOME: bool = false;
override SMOOTHED: bool = false;

// Noise of half an 8-bit step, which hides the bands of a faint gradient
// (interleaved gradient noise, Jimenez 2014).
fn dither(at: vec2<f32>) -> f32 {
    return (fract(52.9829189 * fract(dot(at, vec2<f32>(0.06711056, 0.00583715)))) - 0.5) / 255.0;
}

fn background(at: vec2<u32>) -> vec4<f32> {
    let height = (f32(at.y) + 0.5) / f32(look.size_px.y);
    let canvas = mix(look.canvas_top, look.canvas_bottom, height);
    // A plain background stays as it is.
    let noise = select(dither(vec2<f32>(at)), 0.0, all(look.canvas_top == look.canvas_bottom));
    return vec4<f32>(canvas.rgb + noise, canvas.a);
}

// How much nearer a neighbour is; nothing behind the cloud counts.
fn nearer(at: vec2<i32>, own: f32) -> f32 {
    let inside = clamp(at, vec2<i32>(0), vec2<i32>(look.size_px) - 1);
    let bits = visibility[u32(inside.y) * look.size_px.x + u32(inside.x)].y;
    return select(bitcast<f32>(bits) - own, 0.0, bits == 0u);
}

// Eye-dome lighting (Boucheny 2009) with four taps. 1 / distance is linear over the picture of a
// plane, so opposite neighbours cancel there and only steps and creases darken.
fn dome(at: vec2<i32>, own: f32) -> f32 {
    if (!DOME) {
        return 1.0;
    }
    let r = look.dome_radius_px;
    let across = nearer(at - vec2<i32>(r, 0), own) + nearer(at + vec2<i32>(r, 0), own);
    let down = nearer(at - vec2<i32>(0, r), own) + nearer(at + vec2<i32>(0, r), own);
    let share = (max(across, 0.0) + max(down, 0.0)) / (look.depth_metric.x * own + look.depth_metric.y);
    return exp(-8.0 * look.dome_strength * max(share - 0.008, 0.0));
}

@compute @workgroup_size(64)
fn shade(@builtin(global_invocation_id) cell: vec3<u32>) {
    if (cell.x >= look.size_px.x || cell.y >= look.size_px.y) {
        return;
    }
    let at = cell.y * look.size_px.x + cell.x;
    let word = visibility[at];
    var colour: vec4<f32>;
    if (word.y == 0u) {
        if (frame.is_first == 0u) {
            return;
        }
        colour = background(cell.xy);
    } else {
        if ((word.x & ~frame.pixel_mask) != frame.id_base) {
            return;
        }
        var lit: vec3<f32>;
        if (SMOOTHED) {
            let sum = sums[at];
            lit = vec3<f32>(sum.rgb) / (255.0 * f32(max(sum.a, 1u)));
        } else {
            lit = colour_of(word.x & frame.pixel_mask);
        }
        colour = vec4<f32>(lit * dome(vec2<i32>(cell.xy), bitcast<f32>(word.y)), 1.0);
    }
    textureStore(target_colour, vec2<i32>(cell.xy), colour);
}

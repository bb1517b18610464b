// How a point of a frame becomes a colour: the attribute that was chosen and its scale. A file that
// imports this declares `look`, `frame`, `positions`, `colours` and `attributes`.
#import include/frame.wgsl

struct LookUniforms {
    // Background at the top and at the bottom, gamma-encoded, premultiplied.
    canvas_top: vec4<f32>,
    canvas_bottom: vec4<f32>,
    // Colour of what moves.
    accent: vec4<f32>,
    // Picture size in pixels.
    size_px: vec2<u32>,
    // Range of the attribute over the scale of colours.
    range: vec2<f32>,
    // How a difference of depth relates to distance: share = difference / (x * depth + y).
    depth_metric: vec2<f32>,
    // Eye-dome lighting: distance of the neighbours, pixels, and strength; 0 = off.
    dome_radius_px: i32,
    dome_strength: f32,
    // The scale of colours.
    ramp: array<vec4<f32>, 33>,
}

// One frame of the picture.
struct FrameLook {
    // dot with (unit, 1): z-depth in the frame's camera; height above the floor; scene units.
    depth_from_unit: vec4<f32>,
    height_from_unit: vec4<f32>,
    // Centre of the camera that took the frame, unit coordinates.
    camera_in_unit: vec3<f32>,
    // Length of a scene flow of 1, scene units a frame.
    flow_scale: f32,
    grid: vec2<u32>,
    // Scene and frame bits of the ids.
    id_base: u32,
    // Bits of an id that hold the pixel.
    pixel_mask: u32,
    // Place of the frame in the clip, 0..1; negative for what belongs to no frame.
    time: f32,
    // 1 = has attributes.
    has_attributes: u32,
    // 1 = neighbours in memory are neighbours on a surface.
    is_grid: u32,
    // 1 = draws the background too.
    is_first: u32,
}

// Which attribute gives the colour, and whether moving points are tinted. Fixed when the pipeline is
// made: software rasterisers run every branch of a switch for every pixel.
override COLOUR_MODE: u32 = 0u;
override TINT: bool = false;

const MODE_DEPTH = 1u;
const MODE_HEIGHT = 2u;
const MODE_CONFIDENCE = 3u;
const MODE_NORMAL = 4u;
const MODE_FRAME = 5u;
const MODE_FLOW = 6u;
const MODE_MASK = 7u;
const UNKNOWN = vec3<f32>(0.35, 0.36, 0.38);

fn attributes_of(pixel: u32) -> u32 {
    if (frame.has_attributes == 0u) {
        return 0u;
    }
    return attributes[pixel];
}

fn on_ramp(value: f32) -> vec3<f32> {
    let span = max(look.range.y - look.range.x, 1e-20);
    let at = clamp((value - look.range.x) / span, 0.0, 1.0) * 32.0;
    let below = min(u32(at), 31u);
    return mix(look.ramp[below].rgb, look.ramp[below + 1u].rgb, at - f32(below));
}

// Hue 0..1 at full saturation and value.
fn hue(h: f32) -> vec3<f32> {
    return clamp(abs(fract(h + vec3<f32>(0.0, 2.0 / 3.0, 1.0 / 3.0)) * 6.0 - 3.0) - 1.0, vec3<f32>(0.0), vec3<f32>(1.0));
}

// Step along the surface to a neighbour, zero where there is none.
fn step_to(pixel: u32, own: vec3<f32>, exists: bool, offset: i32) -> vec3<f32> {
    if (!exists) {
        return vec3<f32>(0.0);
    }
    let words = positions[u32(i32(pixel) + offset)];
    if ((validity_of(words) & 1u) == 0u) {
        return vec3<f32>(0.0);
    }
    return unit_from_words(words) - own;
}

// Along one axis of the grid: across both neighbours where they lie on one surface, else to the
// nearer one.
fn tangent(before: vec3<f32>, after: vec3<f32>) -> vec3<f32> {
    let a = length(before);
    let b = length(after);
    if (a > 0.0 && (b == 0.0 || b > 4.0 * a)) {
        return -before;
    }
    if (b > 0.0 && (a == 0.0 || a > 4.0 * b)) {
        return after;
    }
    return after - before;
}

// Unit normal towards the frame's camera; zero where it is unknown.
fn normal_of(pixel: u32) -> vec3<f32> {
    if (frame.is_grid == 0u) {
        return vector_of(attributes_of(pixel));
    }
    let own = unit_from_words(positions[pixel]);
    let width = i32(frame.grid.x);
    let column = pixel % frame.grid.x;
    let row = pixel / frame.grid.x;
    // Two pixels away: the steps of the quantiser weigh half as much.
    let across = tangent(
        step_to(pixel, own, column >= 2u, -2),
        step_to(pixel, own, column + 2u < frame.grid.x, 2),
    );
    let down = tangent(
        step_to(pixel, own, row >= 2u, -2 * width),
        step_to(pixel, own, row + 2u < frame.grid.y, 2 * width),
    );
    let normal = cross(across, down);
    let size = length(normal);
    if (size == 0.0) {
        return vec3<f32>(0.0);
    }
    return normal / select(-size, size, dot(normal, frame.camera_in_unit - own) > 0.0);
}

fn flow_colour(pixel: u32) -> vec3<f32> {
    let coded = vector_of(attributes_of(pixel));
    if (frame.is_grid == 0u) {
        return UNKNOWN;
    }
    // The code is the signed square root.
    let flow = coded * abs(coded) * frame.flow_scale;
    let strength = clamp(length(flow) / max(look.range.y, 1e-20), 0.0, 1.0);
    return mix(vec3<f32>(0.2), hue(atan2(flow.y, flow.x) / 6.2831853), sqrt(strength));
}

fn colour_of(pixel: u32) -> vec3<f32> {
    let packed = unpack4x8unorm(colours[pixel]);
    var colour = packed.rgb;
    switch COLOUR_MODE {
        case MODE_DEPTH: {
            let unit = vec4<f32>(unit_from_words(positions[pixel]), 1.0);
            colour = on_ramp(dot(frame.depth_from_unit, unit));
        }
        case MODE_HEIGHT: {
            let unit = vec4<f32>(unit_from_words(positions[pixel]), 1.0);
            colour = on_ramp(dot(frame.height_from_unit, unit));
        }
        case MODE_CONFIDENCE: {
            colour = on_ramp(packed.a);
        }
        case MODE_NORMAL: {
            let normal = normal_of(pixel);
            // World axes are right, down, forward; colours are right, up, towards the viewer.
            let shown = normal * vec3<f32>(0.5, -0.5, -0.5) + 0.5;
            colour = select(shown, UNKNOWN, dot(normal, normal) == 0.0);
        }
        case MODE_FRAME: {
            colour = select(UNKNOWN, on_ramp(frame.time), frame.time >= 0.0);
        }
        case MODE_FLOW: {
            colour = flow_colour(pixel);
        }
        case MODE_MASK: {
            let share = f32(attributes_of(pixel) & 0xffu) / 255.0;
            let grey = dot(colour, vec3<f32>(0.299, 0.587, 0.114)) * 0.55 + 0.08;
            colour = mix(vec3<f32>(grey), look.accent.rgb, share);
        }
        default: {}
    }
    if (TINT && moves(attributes_of(pixel))) {
        colour = mix(colour, look.accent.rgb, 0.45);
    }
    return colour;
}

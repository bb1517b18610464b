// Line segments of constant width in pixels with analytic coverage: frustums, trajectory, grid,
// axes. Hidden against the cloud by its visibility buffer, against the image plane by depth.
#import include/eye.wgsl

struct Segment {
    @location(0) start: vec3<f32>,
    @location(1) width_px: f32,
    @location(2) end: vec3<f32>,
    // 1: fades with distance from the fade centre and never shows through the cloud.
    @location(3) fades: f32,
    @location(4) start_colour: vec4<f32>,
    @location(5) end_colour: vec4<f32>,
}

struct Corner {
    @builtin(position) position: vec4<f32>,
    @location(0) colour: vec4<f32>,
    @location(1) world: vec3<f32>,
    // Along and across the segment, pixels from its start.
    @location(2) @interpolate(linear) offset_px: vec2<f32>,
    // Length, half the width, fades.
    @location(3) @interpolate(flat) shape: vec3<f32>,
}

// How much of a line behind the cloud still shows.
const XRAY = 0.22;

@group(0) @binding(0) var<uniform> eye: EyeUniforms;
@group(0) @binding(1) var<storage, read> visibility: array<vec2<u32>>;

fn screen_px(clip: vec4<f32>) -> vec2<f32> {
    return (clip.xy / clip.w) * vec2<f32>(0.5, -0.5) * eye.size_px;
}

@vertex
fn expand(@builtin(vertex_index) corner: u32, segment: Segment) -> Corner {
    var out: Corner;
    let clip_a = eye.clip_from_world * vec4<f32>(segment.start, 1.0);
    let clip_b = eye.clip_from_world * vec4<f32>(segment.end, 1.0);
    // Beyond the near plane, with a margin that leaves no corner behind it after rounding.
    let beyond_a = clip_a.w - 1.001 * clip_a.z;
    let beyond_b = clip_b.w - 1.001 * clip_b.z;
    if (max(beyond_a, beyond_b) <= 0.0) {
        out.position = vec4<f32>(0.0, 0.0, -1.0, 1.0);
        return out;
    }
    let cut = beyond_a / (beyond_a - beyond_b);
    let from_t = select(0.0, cut, beyond_a < 0.0);
    let to_t = select(1.0, cut, beyond_b < 0.0);
    let first = mix(clip_a, clip_b, from_t);
    let last = mix(clip_a, clip_b, to_t);

    let axis_px = screen_px(last) - screen_px(first);
    let length_px = length(axis_px);
    let along = select(vec2<f32>(1.0, 0.0), axis_px / length_px, length_px > 1e-4);
    let across = vec2<f32>(-along.y, along.x);
    let reach = 0.5 * segment.width_px + 1.0;
    let at_end = (corner & 1u) == 1u;
    let side = select(-reach, reach, corner >= 2u);
    let forward = select(-reach, reach, at_end);

    let clip = select(first, last, vec4<bool>(at_end));
    let shift_px = along * forward + across * side;
    out.position = clip;
    out.position += vec4<f32>(shift_px * vec2<f32>(2.0, -2.0) / eye.size_px * clip.w, 0.0, 0.0);
    // A hair nearer, so that the rim of a frustum wins over the picture that it carries.
    out.position.z += 0.001 * depth_per_share(clip.z / clip.w) * clip.w;
    let t = select(from_t, to_t, at_end);
    out.colour = mix(segment.start_colour, segment.end_colour, t);
    out.world = mix(segment.start, segment.end, t);
    out.offset_px = vec2<f32>(select(0.0, length_px, at_end) + forward, side);
    out.shape = vec3<f32>(length_px, 0.5 * segment.width_px, segment.fades);
    return out;
}

@fragment
fn cover(in: Corner) -> @location(0) vec4<f32> {
    let nearest = clamp(in.offset_px.x, 0.0, in.shape.x);
    let outside = length(in.offset_px - vec2<f32>(nearest, 0.0)) - in.shape.y;
    var alpha = in.colour.a * clamp(0.5 - outside, 0.0, 1.0);
    let at = vec2<u32>(in.position.xy);
    let cloud = visibility[at.y * u32(eye.size_px.x) + at.x].y;
    let fades = in.shape.z > 0.5;
    if (!in_front_of_cloud(in.position.z, cloud)) {
        alpha *= select(XRAY, 0.0, fades);
    }
    if (fades) {
        let away = distance(in.world, eye.fade_centre) / eye.fade_radius;
        alpha *= 1.0 - smoothstep(0.25, 1.0, away);
    }
    return vec4<f32>(in.colour.rgb * alpha, alpha);
}

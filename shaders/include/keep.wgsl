// One frame seen by one eye, and which of its points are drawn.
#import include/frame.wgsl

struct PointUniforms {
    clip_from_unit: mat4x4<f32>,
    // Unit coordinates to the clip box, whose sides lie at -1 and 1.
    box_from_unit: mat4x4<f32>,
    // dot(spacing_from_unit, (unit, 1)) = distance between neighbouring points on a surface that
    // faces its camera, scene units.
    spacing_from_unit: vec4<f32>,
    // Centre of the camera that took the frame, unit coordinates.
    camera_in_unit: vec3<f32>,
    // Fixed size in pixels; 0 = from the spacing.
    fixed_px: f32,
    // Columns and rows of the frame.
    grid: vec2<u32>,
    // Picture size in pixels.
    size_px: vec2<u32>,
    // Scene and frame bits of the ids.
    id_base: u32,
    // Every stride-th column and row is drawn.
    stride: u32,
    // Bits that a point's validity must have.
    required_valid: u32,
    // Largest edge code that is drawn.
    max_edge: u32,
    // Smallest confidence that is drawn, 0..255.
    min_confidence: u32,
    // 0 = all, 1 = only moving, 2 = only still points.
    mask: u32,
    // 1 = only what lies in the box.
    has_box: u32,
    // Share of the points that is drawn, as the largest hash of an id.
    max_hash: u32,
    // Scene units to pixels at distance 1, times the user's scale.
    spacing_to_px: f32,
    // Ceiling of the size, pixels.
    max_px: f32,
    // Focal length of the camera that took the frame, pixels.
    source_focal_px: f32,
    // How much larger than the spacing a footprint is, so that a lattice that is turned against the
    // picture closes too; 1 seen from the frame's own camera, where nothing is turned.
    closing: f32,
    // Fixed size in pixels at distance 1; 0 = from the spacing.
    world_px: f32,
    // Largest relative step of depth along an edge of the surface.
    max_step: f32,
    // What is drawn besides the current frame lies behind it where both show the same surface:
    // share of the depth and depth that are taken off.
    setback: vec2<f32>,
}

@group(0) @binding(0) var<uniform> points: PointUniforms;
@group(0) @binding(1) var<storage, read> positions: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read> colours: array<u32>;
@group(0) @binding(3) var<storage, read> attributes: array<u32>;

// Sums and quotients of the raster are spelled out, so that the CPU twin rounds each of them alike:
// a pick has to lead to the very pixel that the twin would draw.
fn times(m: mat4x4<f32>, v: vec4<f32>) -> vec4<f32> {
    return ((m[0] * v.x + m[1] * v.y) + m[2] * v.z) + m[3] * v.w;
}

fn clip_of(unit: vec3<f32>) -> vec4<f32> {
    return times(points.clip_from_unit, vec4<f32>(unit, 1.0));
}

// Permuted congruential generator (O'Neill 2014), one round.
fn hash(value: u32) -> u32 {
    let state = value * 747796405u + 2891336453u;
    let word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
    return (word >> 22u) ^ word;
}

// What can be decided before the position is known.
fn has_flags(pixel: u32, words: vec2<u32>) -> bool {
    if ((validity_of(words) & points.required_valid) != points.required_valid || edge_code(words) > points.max_edge) {
        return false;
    }
    if (points.min_confidence > 0u && (colours[pixel] >> 24u) < points.min_confidence) {
        return false;
    }
    if (points.mask != 0u && moves(attributes[pixel]) != (points.mask == 1u)) {
        return false;
    }
    return points.max_hash == 0xffffffffu || hash(pixel) <= points.max_hash;
}

fn in_box(unit: vec3<f32>) -> bool {
    if (points.has_box == 0u) {
        return true;
    }
    let inside = times(points.box_from_unit, vec4<f32>(unit, 1.0)).xyz;
    return all(abs(inside) <= vec3<f32>(1.0));
}

// In front of the near plane; nothing is cut off in the distance.
fn in_view(clip: vec4<f32>) -> bool {
    return clip.w > 0.0 && clip.z <= clip.w;
}

fn depth_of(clip: vec4<f32>) -> f32 {
    // Parallel rays run out of depth far behind the scene; what lies there stays behind everything.
    let depth = clip.z * (1.0 / clip.w);
    return max(depth - (points.setback.x * depth + points.setback.y), 1e-12);
}

fn screen_px(clip: vec4<f32>) -> vec2<f32> {
    let per_w = 1.0 / clip.w;
    return vec2<f32>(clip.x * per_w * 0.5 + 0.5, 0.5 - clip.y * per_w * 0.5) * vec2<f32>(points.size_px);
}

fn spacing_at(unit: vec3<f32>) -> f32 {
    let plane = points.spacing_from_unit;
    return ((plane.x * unit.x + plane.y * unit.y) + plane.z * unit.z) + plane.w;
}

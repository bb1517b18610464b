// From a pixel of a frame to its footprint on the picture; shared by both raster paths, so that
// both write the same words.

struct PointUniforms {
    clip_from_unit: mat4x4<f32>,
    // dot(spacing_from_unit, (unit, 1)) = distance between neighbouring points on a surface that
    // faces its camera, scene units.
    spacing_from_unit: vec4<f32>,
    // Centre of the camera that took the frame, unit coordinates.
    camera_in_unit: vec3<f32>,
    // Fixed size in pixels; 0 = from the spacing.
    fixed_px: f32,
    // The eye, unit coordinates.
    eye_in_unit: vec3<f32>,
    // Ceiling of the size, pixels.
    max_px: f32,
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
    // Scene units to pixels at distance 1, times the user's scale.
    spacing_to_px: f32,
    near: f32,
    // Focal length of the camera that took the frame, pixels.
    source_focal_px: f32,
    // How much larger than the spacing a footprint is, so that a lattice that is turned against the
    // picture closes too; 1 seen from the frame's own camera, where nothing is turned.
    closing: f32,
}

struct Splat {
    // Position on the picture, pixels.
    centre: vec2<f32>,
    // First column and row that the footprint covers, and those after the last, on the picture.
    low: vec2<i32>,
    high: vec2<i32>,
    // One over the half axes of an ellipse; zero for small footprints, which are rectangles.
    per_reach: vec2<f32>,
    // Bits of the reverse-Z depth; 0 = nothing to draw.
    depth: u32,
    id: u32,
}

@group(0) @binding(0) var<uniform> points: PointUniforms;
@group(0) @binding(1) var<storage, read> positions: array<vec2<u32>>;

// Undoes the contraction of the quantiser: identity inside the unit cube, 1 / (2 - m) outside.
fn unit_from_words(words: vec2<u32>) -> vec3<f32> {
    let code = vec3<f32>(f32(words.x & 0xffffu), f32(words.x >> 16u), f32(words.y & 0xffffu));
    let contracted = (code - 32767.0) / 16383.5;
    let size = abs(contracted);
    let m = max(max(size.x, size.y), size.z);
    if (m <= 1.0) {
        return contracted;
    }
    return contracted / (m * (2.0 - m));
}

// The fourth 16 bits: validity (5), slope (4), edge (7).
fn is_shown(words: vec2<u32>) -> bool {
    let valid = (words.y >> 16u) & 31u;
    let edge = words.y >> 25u;
    return (valid & points.required_valid) == points.required_valid && edge <= points.max_edge;
}

fn slope_code(words: vec2<u32>) -> u32 {
    return (words.y >> 21u) & 15u;
}

fn screen_px(clip: vec4<f32>) -> vec2<f32> {
    return vec2<f32>(clip.x / clip.w * 0.5 + 0.5, 0.5 - clip.y / clip.w * 0.5) * vec2<f32>(points.size_px);
}

// Width and height at which neighbours touch. A slanted surface moves the neighbour along the ray
// that saw it; how much of that shows depends on where we look from.
fn footprint_px(unit: vec3<f32>, clip: vec4<f32>, slope_code: u32) -> vec2<f32> {
    if (points.fixed_px > 0.0) {
        return vec2<f32>(points.fixed_px);
    }
    let spacing = dot(points.spacing_from_unit, vec4<f32>(unit, 1.0));
    let facing_px = spacing * points.spacing_to_px * f32(points.stride) / clip.w;
    var px = vec2<f32>(facing_px);
    if (slope_code > 0u) {
        let stretch = exp2(0.5 * f32(slope_code) - 1.5);
        let step = (unit - points.camera_in_unit) * (stretch * f32(points.stride) / points.source_focal_px);
        let moved = clip + points.clip_from_unit * vec4<f32>(step, 0.0);
        if (moved.w > points.near) {
            let shift = screen_px(moved) - screen_px(clip);
            // The two parts add up where they point the same way, as on a floor.
            px += 0.8 * abs(shift);
        }
    }
    let grown = select(px * points.closing, px * 1.45, px > vec2<f32>(5.0));
    return clamp(ceil(grown - 0.05), vec2<f32>(1.0), vec2<f32>(points.max_px));
}

// Large footprints are ellipses, small ones rectangles: they close sooner.
fn is_round(extent: vec2<f32>) -> bool {
    return select(all(extent > vec2<f32>(6.0)), extent.x > 2.0, points.fixed_px > 0.0);
}

fn splat_of(cell: vec2<u32>) -> Splat {
    var splat: Splat;
    let column = cell.x * points.stride;
    let row = cell.y * points.stride;
    if (column >= points.grid.x || row >= points.grid.y) {
        return splat;
    }
    let pixel = row * points.grid.x + column;
    let words = positions[pixel];
    if (!is_shown(words)) {
        return splat;
    }
    let unit = unit_from_words(words);
    let clip = points.clip_from_unit * vec4<f32>(unit, 1.0);
    if (clip.w < points.near) {
        return splat;
    }
    let size = vec2<f32>(points.size_px);
    splat.centre = screen_px(clip);
    let extent = footprint_px(unit, clip, slope_code(words));
    let corner = floor(splat.centre - 0.5 * (extent - 1.0));
    if (any(corner + extent <= vec2<f32>(0.0)) || any(corner >= size)) {
        return splat;
    }
    splat.low = vec2<i32>(max(corner, vec2<f32>(0.0)));
    splat.high = vec2<i32>(min(corner + extent, size));
    splat.per_reach = select(vec2<f32>(0.0), 2.0 / extent, is_round(extent));
    splat.id = points.id_base | pixel;
    splat.depth = bitcast<u32>(points.near / clip.w);
    return splat;
}

fn covers(splat: Splat, x: i32, y: i32) -> bool {
    let offset = (vec2<f32>(f32(x), f32(y)) + 0.5 - splat.centre) * splat.per_reach;
    return dot(offset, offset) <= 1.0;
}

// From a pixel of a frame to its footprint on the picture; shared by every path, so that all write
// the same words.
#import include/keep.wgsl

struct Splat {
    // Position on the picture, pixels.
    centre: vec2<f32>,
    // First column and row that the footprint covers, and those after the last, on the picture.
    low: vec2<i32>,
    high: vec2<i32>,
    // One over the half axes of an ellipse; zero for small footprints, which are rectangles.
    per_reach: vec2<f32>,
    // Bits of the depth; 0 = nothing to draw.
    depth: u32,
    id: u32,
}

// 2^((code - 3) / 2), without the approximation that an `exp2` would be.
fn stretch_of(slope_code: u32) -> f32 {
    return f32(1u << (slope_code >> 1u)) * select(0.35355338, 0.5, (slope_code & 1u) == 1u);
}

// Width and height at which neighbours touch. A slanted surface moves the neighbour along the ray
// that saw it; how much of that shows depends on where we look from.
fn footprint_px(unit: vec3<f32>, clip: vec4<f32>, slope_code: u32) -> vec2<f32> {
    if (points.fixed_px > 0.0) {
        return vec2<f32>(points.fixed_px);
    }
    if (points.world_px > 0.0) {
        return vec2<f32>(clamp(floor(points.world_px * (1.0 / clip.w) + 0.5), 1.0, points.max_px));
    }
    let facing_px = spacing_at(unit) * points.spacing_to_px * f32(points.stride) * (1.0 / clip.w);
    var px = vec2<f32>(facing_px);
    if (slope_code > 0u) {
        let step = (unit - points.camera_in_unit)
            * (stretch_of(slope_code) * f32(points.stride) * (1.0 / points.source_focal_px));
        let moved = clip + times(points.clip_from_unit, vec4<f32>(step, 0.0));
        if (in_view(moved)) {
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
    let chosen = points.fixed_px > 0.0 || points.world_px > 0.0;
    return select(all(extent > vec2<f32>(6.0)), extent.x > 2.0, chosen);
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
    if (!has_flags(pixel, words)) {
        return splat;
    }
    let unit = unit_from_words(words);
    let clip = clip_of(unit);
    if (!in_view(clip) || !in_box(unit)) {
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
    splat.depth = bitcast<u32>(depth_of(clip));
    return splat;
}

fn covers(splat: Splat, x: i32, y: i32) -> bool {
    let offset = (vec2<f32>(f32(x), f32(y)) + 0.5 - splat.centre) * splat.per_reach;
    return offset.x * offset.x + offset.y * offset.y <= 1.0;
}

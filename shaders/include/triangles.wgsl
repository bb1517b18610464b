// The frame's grid as a surface: a quad of neighbouring points is two triangles along the diagonal
// with the smaller step of depth, each drawn if none of its edges steps too far. Small triangles are
// rasterised here, since setting one up costs the hardware more than its few pixels; large ones go
// to a list for an indirect draw. A file that imports this defines `emit` and `add_large`.
#import include/keep.wgsl

struct Corner {
    // Column and row of the frame.
    cell: vec2<f32>,
    // Position on the picture, pixels.
    at: vec2<f32>,
    depth: f32,
    // Proportional to the z-depth in the frame's camera.
    spacing: f32,
    pixel: u32,
    drawn: bool,
}

// Sides of a triangle that the hardware takes over, pixels.
const LARGE_PX = 16.0;

fn corner_of(cell: vec2<u32>) -> Corner {
    var corner: Corner;
    corner.pixel = cell.y * points.grid.x + cell.x;
    let words = positions[corner.pixel];
    if (!has_flags(corner.pixel, words)) {
        return corner;
    }
    let unit = unit_from_words(words);
    let clip = clip_of(unit);
    if (!in_view(clip) || !in_box(unit)) {
        return corner;
    }
    corner.cell = vec2<f32>(cell);
    corner.at = screen_px(clip);
    corner.depth = depth_of(clip);
    corner.spacing = spacing_at(unit);
    corner.drawn = true;
    return corner;
}

// Step of depth between two corners, relative to the nearer and to the distance on the grid.
fn step_between(a: Corner, b: Corner) -> f32 {
    return abs(a.spacing - b.spacing) * (1.0 / max(min(abs(a.spacing), abs(b.spacing)), 1e-20));
}

fn side(a: vec2<f32>, b: vec2<f32>, p: vec2<f32>) -> f32 {
    return (b.x - a.x) * (p.y - a.y) - (b.y - a.y) * (p.x - a.x);
}

// The point of the frame nearest to a place on its grid.
fn nearest_pixel(cell: vec2<f32>) -> u32 {
    let stride = f32(points.stride);
    let nearest = vec2<u32>(floor(cell / stride + 0.5) * stride);
    return nearest.y * points.grid.x + nearest.x;
}

fn triangle(a: Corner, b: Corner, c: Corner) {
    if (!a.drawn || !b.drawn || !c.drawn) {
        return;
    }
    let limit = points.max_step * f32(points.stride);
    if (max(step_between(a, b), max(step_between(b, c), step_between(c, a))) > limit) {
        return;
    }
    let low = max(ceil(min(a.at, min(b.at, c.at)) - 0.5), vec2<f32>(0.0));
    let high = min(floor(max(a.at, max(b.at, c.at)) - 0.5), vec2<f32>(points.size_px) - 1.0);
    // Beside the picture, or between the centres of its pixels.
    if (any(low > high)) {
        return;
    }
    let area = side(a.at, b.at, c.at);
    if (area == 0.0) {
        return;
    }
    if (any(high - low >= vec2<f32>(LARGE_PX)) && add_large(a.pixel, b.pixel, c.pixel)) {
        return;
    }
    let per_area = 1.0 / area;
    // A hair of overlap, so that rounding leaves no gap between neighbours.
    let slack = -0.002 * abs(per_area);
    for (var y = low.y; y <= high.y; y += 1.0) {
        for (var x = low.x; x <= high.x; x += 1.0) {
            let p = vec2<f32>(x, y) + 0.5;
            let share = vec3<f32>(side(b.at, c.at, p), side(c.at, a.at, p), side(a.at, b.at, p)) * per_area;
            if (all(share >= vec3<f32>(slack))) {
                // 1 / distance is linear over the picture, places on the grid are so once divided by it.
                let weights = share * vec3<f32>(a.depth, b.depth, c.depth);
                let depth = max(weights.x + weights.y + weights.z, 1e-12);
                let cell = (weights.x * a.cell + weights.y * b.cell + weights.z * c.cell) * (1.0 / depth);
                emit(u32(y) * points.size_px.x + u32(x), bitcast<u32>(depth), points.id_base | nearest_pixel(cell));
            }
        }
    }
}

fn quad(cell: vec2<u32>) {
    let low = cell * points.stride;
    let high = low + points.stride;
    if (any(high >= points.grid)) {
        return;
    }
    let a = corner_of(low);
    let b = corner_of(vec2<u32>(high.x, low.y));
    let c = corner_of(vec2<u32>(low.x, high.y));
    let d = corner_of(high);
    // With one corner missing the diagonal that leaves a triangle is the right one.
    let whole = a.drawn && b.drawn && c.drawn && d.drawn;
    let falls = select(a.drawn && d.drawn, step_between(a, d) <= step_between(b, c), whole);
    if (falls) {
        triangle(a, b, d);
        triangle(a, d, c);
    } else {
        triangle(a, b, c);
        triangle(b, d, c);
    }
}

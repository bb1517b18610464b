// Large triangles of the surface by the hardware: ids and depths as the other passes write them.
#import include/keep.wgsl

// As `include/large.wgsl` lays it out, read only.
struct LargeTriangles {
    num_vertices: u32,
    num_instances: u32,
    first_vertex: u32,
    first_instance: u32,
    pixels: array<u32>,
}

struct Corner {
    @builtin(position) position: vec4<f32>,
    // Column and row of the frame.
    @location(0) cell: vec2<f32>,
}

@group(0) @binding(5) var<storage, read> large: LargeTriangles;

@vertex
fn place(@builtin(vertex_index) vertex: u32) -> Corner {
    var out: Corner;
    // Triangles beyond the list's room were counted and drawn elsewhere.
    if (vertex >= arrayLength(&large.pixels) / 3u * 3u) {
        out.position = vec4<f32>(0.0, 0.0, -1.0, 1.0);
        return out;
    }
    let pixel = large.pixels[vertex];
    let unit = unit_from_words(positions[pixel]);
    out.position = clip_of(unit);
    out.cell = vec2<f32>(f32(pixel % points.grid.x), f32(pixel / points.grid.x));
    return out;
}

@fragment
fn identify(in: Corner) -> @location(0) vec2<u32> {
    let stride = f32(points.stride);
    let nearest = vec2<u32>(floor(in.cell / stride + 0.5) * stride);
    let pixel = nearest.y * points.grid.x + nearest.x;
    return vec2<u32>(points.id_base | pixel, bitcast<u32>(in.position.z));
}

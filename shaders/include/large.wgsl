// The list of triangles that the hardware draws: arguments of an indirect draw, then three pixels
// each.
struct LargeTriangles {
    num_vertices: atomic<u32>,
    num_instances: u32,
    first_vertex: u32,
    first_instance: u32,
    pixels: array<u32>,
}

@group(0) @binding(5) var<storage, read_write> large: LargeTriangles;

// Only the first pass over the grid writes the list.
var<private> lists_large: bool;

// False if the list is full: then the triangle is small after all.
fn add_large(a: u32, b: u32, c: u32) -> bool {
    let room = arrayLength(&large.pixels);
    if (!lists_large) {
        return atomicLoad(&large.num_vertices) <= room;
    }
    let first = atomicAdd(&large.num_vertices, 3u);
    if (first + 3u > room) {
        return false;
    }
    large.pixels[first] = a;
    large.pixels[first + 1u] = b;
    large.pixels[first + 2u] = c;
    return true;
}

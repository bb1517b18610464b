// Triangles of the surface into the visibility buffer with one 64-bit maximum a pixel.
#import include/triangles.wgsl

@group(0) @binding(4) var<storage, read_write> visibility: array<atomic<u64>>;
#import include/large.wgsl

fn emit(at: u32, depth: u32, id: u32) {
    atomicMax(&visibility[at], (u64(depth) << 32u) | u64(id));
}

@compute @workgroup_size(64)
fn raster(@builtin(global_invocation_id) cell: vec3<u32>) {
    lists_large = true;
    quad(cell.xy);
}

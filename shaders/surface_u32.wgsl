// The same without 64-bit atomics: first depths, then the largest id at the nearest depth.
#import include/triangles.wgsl

@group(0) @binding(4) var<storage, read_write> visibility: array<atomic<u32>>;
#import include/large.wgsl

var<private> writes_ids: bool;

fn emit(at: u32, depth: u32, id: u32) {
    if (!writes_ids) {
        atomicMax(&visibility[2u * at + 1u], depth);
    } else if (atomicLoad(&visibility[2u * at + 1u]) == depth) {
        atomicMax(&visibility[2u * at], id);
    }
}

@compute @workgroup_size(64)
fn raster_depth(@builtin(global_invocation_id) cell: vec3<u32>) {
    lists_large = true;
    quad(cell.xy);
}

@compute @workgroup_size(64)
fn raster_id(@builtin(global_invocation_id) cell: vec3<u32>) {
    writes_ids = true;
    quad(cell.xy);
}

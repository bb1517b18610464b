// The same visibility buffer without 64-bit atomics: first the nearest depth, then the largest id
// among the points at that depth. Words lie as in the 64-bit path: id, then depth.
#import include/splat.wgsl

@group(0) @binding(4) var<storage, read_write> visibility: array<atomic<u32>>;

@compute @workgroup_size(64)
fn raster_depth(@builtin(global_invocation_id) cell: vec3<u32>) {
    let splat = splat_of(cell.xy);
    if (splat.depth == 0u) {
        return;
    }
    for (var y = splat.low.y; y < splat.high.y; y++) {
        for (var x = splat.low.x; x < splat.high.x; x++) {
            if (covers(splat, x, y)) {
                atomicMax(&visibility[2u * (u32(y) * points.size_px.x + u32(x)) + 1u], splat.depth);
            }
        }
    }
}

@compute @workgroup_size(64)
fn raster_id(@builtin(global_invocation_id) cell: vec3<u32>) {
    let splat = splat_of(cell.xy);
    if (splat.depth == 0u) {
        return;
    }
    for (var y = splat.low.y; y < splat.high.y; y++) {
        for (var x = splat.low.x; x < splat.high.x; x++) {
            let word = 2u * (u32(y) * points.size_px.x + u32(x));
            if (covers(splat, x, y) && atomicLoad(&visibility[word + 1u]) == splat.depth) {
                atomicMax(&visibility[word], splat.id);
            }
        }
    }
}

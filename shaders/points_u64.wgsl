// Points into the visibility buffer with one 64-bit maximum a pixel: depth above, id below.
// The result does not depend on the order of threads. Never loaded here: Metal has no 64-bit load.
#import include/splat.wgsl

@group(0) @binding(4) var<storage, read_write> visibility: array<atomic<u64>>;

@compute @workgroup_size(64)
fn raster(@builtin(global_invocation_id) cell: vec3<u32>) {
    let splat = splat_of(cell.xy);
    if (splat.depth == 0u) {
        return;
    }
    let word = (u64(splat.depth) << 32u) | u64(splat.id);
    for (var y = splat.low.y; y < splat.high.y; y++) {
        for (var x = splat.low.x; x < splat.high.x; x++) {
            if (covers(splat, x, y)) {
                atomicMax(&visibility[u32(y) * points.size_px.x + u32(x)], word);
            }
        }
    }
}

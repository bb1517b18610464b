// High-quality splats (Botsch 2005; Schuetz 2021): colours of all points within a hundredth of the
// nearest distance of a pixel, weighted towards their centres and summed for the resolve pass.
#import include/splat.wgsl
#import include/look.wgsl

// Written as one 64-bit word a pixel, read as id and depth.
@group(0) @binding(4) var<storage, read> visibility: array<vec2<u32>>;
@group(1) @binding(0) var<uniform> look: LookUniforms;
@group(1) @binding(1) var<uniform> frame: FrameLook;
// Red, green, blue, weight a pixel.
@group(1) @binding(2) var<storage, read_write> sums: array<atomic<u32>>;

// Points of one surface lie this close, as a share of their distance.
const SAME_SURFACE = 0.01;

@compute @workgroup_size(64)
fn blend(@builtin(global_invocation_id) cell: vec3<u32>) {
    let splat = splat_of(cell.xy);
    if (splat.depth == 0u) {
        return;
    }
    let depth = bitcast<f32>(splat.depth);
    let reach = max(0.5 * vec2<f32>(splat.high - splat.low), vec2<f32>(0.5));
    let colour = colour_of(splat.id & frame.pixel_mask) * 255.0;
    for (var y = splat.low.y; y < splat.high.y; y++) {
        for (var x = splat.low.x; x < splat.high.x; x++) {
            let at = u32(y) * points.size_px.x + u32(x);
            let front = bitcast<f32>(visibility[at].y);
            let behind = (front - depth) / (look.depth_metric.x * front + look.depth_metric.y);
            if (covers(splat, x, y) && behind <= SAME_SURFACE) {
                let offset = (vec2<f32>(f32(x), f32(y)) + 0.5 - splat.centre) / reach;
                let weight = u32(1.0 + 15.0 * max(1.0 - dot(offset, offset), 0.0));
                let sum = vec3<u32>(colour + 0.5) * weight;
                atomicAdd(&sums[4u * at], sum.r);
                atomicAdd(&sums[4u * at + 1u], sum.g);
                atomicAdd(&sums[4u * at + 2u], sum.b);
                atomicAdd(&sums[4u * at + 3u], weight);
            }
        }
    }
}

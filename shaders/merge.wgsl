// What the hardware drew of the surface into the visibility buffer: a thread a pixel, so no atomics.

@group(0) @binding(0) var drawn: texture_2d<u32>;
// Ids and depths.
@group(0) @binding(1) var<storage, read_write> visibility: array<vec2<u32>>;

@compute @workgroup_size(64)
fn merge(@builtin(global_invocation_id) cell: vec3<u32>) {
    let size = textureDimensions(drawn);
    if (cell.x >= size.x || cell.y >= size.y) {
        return;
    }
    let word = textureLoad(drawn, vec2<i32>(cell.xy), 0).xy;
    if (word.y == 0u) {
        return;
    }
    let at = cell.y * size.x + cell.x;
    let held = visibility[at];
    if (word.y > held.y || (word.y == held.y && word.x > held.x)) {
        visibility[at] = word;
    }
}

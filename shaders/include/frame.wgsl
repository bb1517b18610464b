// A frame as it lies in memory: codes of positions, flags, colours, attributes.

// Undoes the contraction of the quantiser: identity inside the unit cube, 1 / (2 - m) outside.
fn unit_from_words(words: vec2<u32>) -> vec3<f32> {
    let code = vec3<f32>(f32(words.x & 0xffffu), f32(words.x >> 16u), f32(words.y & 0xffffu));
    let contracted = (code - 32767.0) * (1.0 / 16383.5);
    let size = abs(contracted);
    let m = max(max(size.x, size.y), size.z);
    if (m <= 1.0) {
        return contracted;
    }
    return contracted * (1.0 / (m * (2.0 - m)));
}

// The fourth 16 bits: validity (5), slope (4), edge (7).
fn validity_of(words: vec2<u32>) -> u32 {
    return (words.y >> 16u) & 31u;
}

fn slope_code(words: vec2<u32>) -> u32 {
    return (words.y >> 21u) & 15u;
}

fn edge_code(words: vec2<u32>) -> u32 {
    return words.y >> 25u;
}

// Attributes: probability that the point moves (8), then a vector of three signed bytes.
fn moves(attributes: u32) -> bool {
    return (attributes & 0xffu) >= 128u;
}

fn vector_of(attributes: u32) -> vec3<f32> {
    let bytes = vec3<i32>(vec3<u32>(attributes << 16u, attributes << 8u, attributes)) >> vec3<u32>(24u);
    return vec3<f32>(bytes) / 127.0;
}

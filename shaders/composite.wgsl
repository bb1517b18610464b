// The finished picture into the window's pass, texel for pixel.

struct Corner {
    @builtin(position) position: vec4<f32>,
    @location(0) uv: vec2<f32>,
}

@group(0) @binding(0) var picture: texture_2d<f32>;

@vertex
fn cover(@builtin(vertex_index) corner: u32) -> Corner {
    var out: Corner;
    out.uv = vec2<f32>(f32((corner << 1u) & 2u), f32(corner & 2u));
    out.position = vec4<f32>(out.uv * vec2<f32>(2.0, -2.0) + vec2<f32>(-1.0, 1.0), 0.0, 1.0);
    return out;
}

fn fetch(uv: vec2<f32>) -> vec4<f32> {
    let size = vec2<i32>(textureDimensions(picture));
    return textureLoad(picture, clamp(vec2<i32>(uv * vec2<f32>(size)), vec2<i32>(0), size - 1), 0);
}

// Shows through where the picture is transparent.
fn checker(position: vec2<f32>) -> f32 {
    let cell = vec2<i32>(position) / 12;
    return select(0.30, 0.38, ((cell.x + cell.y) & 1) == 0);
}

fn opaque(in: Corner) -> vec3<f32> {
    let picture = fetch(in.uv);
    return picture.rgb + (1.0 - picture.a) * checker(in.position.xy);
}

// For targets that hold gamma-encoded values, as the window usually does.
@fragment
fn keep_gamma(in: Corner) -> @location(0) vec4<f32> {
    return vec4<f32>(opaque(in), 1.0);
}

// For sRGB targets, which encode on write.
@fragment
fn to_linear(in: Corner) -> @location(0) vec4<f32> {
    let gamma = opaque(in);
    let linear = select(pow((gamma + 0.055) / 1.055, vec3<f32>(2.4)), gamma / 12.92, gamma <= vec3<f32>(0.04045));
    return vec4<f32>(linear, 1.0);
}

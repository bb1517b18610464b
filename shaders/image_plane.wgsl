// The picture of the current camera on the image plane of its frustum.
#import include/eye.wgsl

struct ImagePlaneUniforms {
    // Top left, top right, bottom left, bottom right in the world.
    corners: array<vec4<f32>, 4>,
    // Columns and rows of the frame.
    grid: vec2<u32>,
    alpha: f32,
    padding: f32,
}

struct Corner {
    @builtin(position) position: vec4<f32>,
    @location(0) uv: vec2<f32>,
}

@group(0) @binding(0) var<uniform> eye: EyeUniforms;
@group(0) @binding(1) var<storage, read> visibility: array<vec2<u32>>;
@group(0) @binding(2) var<uniform> plane: ImagePlaneUniforms;
@group(1) @binding(0) var<storage, read> colours: array<u32>;

@vertex
fn place(@builtin(vertex_index) corner: u32) -> Corner {
    var out: Corner;
    out.position = eye.clip_from_world * vec4<f32>(plane.corners[corner].xyz, 1.0);
    out.uv = vec2<f32>(f32(corner & 1u), f32(corner >> 1u));
    return out;
}

fn texel(at: vec2<i32>) -> vec3<f32> {
    let inside = vec2<u32>(clamp(at, vec2<i32>(0), vec2<i32>(plane.grid) - 1));
    return unpack4x8unorm(colours[inside.y * plane.grid.x + inside.x]).rgb;
}

fn bilinear(uv: vec2<f32>) -> vec3<f32> {
    let at = uv * vec2<f32>(plane.grid) - 0.5;
    let cell = vec2<i32>(floor(at));
    let part = fract(at);
    let top = mix(texel(cell), texel(cell + vec2<i32>(1, 0)), part.x);
    let bottom = mix(texel(cell + vec2<i32>(0, 1)), texel(cell + vec2<i32>(1, 1)), part.x);
    return mix(top, bottom, part.y);
}

@fragment
fn shade(in: Corner) -> @location(0) vec4<f32> {
    let at = vec2<u32>(in.position.xy);
    let cloud = visibility[at.y * u32(eye.size_px.x) + at.x].y;
    let colour = bilinear(in.uv);
    if (!in_front_of_cloud(in.position.z, cloud)) {
        discard;
    }
    return vec4<f32>(colour * plane.alpha, plane.alpha);
}

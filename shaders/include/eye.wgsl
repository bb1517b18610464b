// The eye of one picture: shared by every pass that draws geometry of its own.

struct EyeUniforms {
    // Infinite reverse-Z: clip.z = near, clip.w = distance along the view axis.
    clip_from_world: mat4x4<f32>,
    // Picture size in pixels.
    size_px: vec2<f32>,
    // Distance of the near plane, scene units.
    near: f32,
    // Lines stop fading at this distance from `fade_centre`, scene units.
    fade_radius: f32,
    fade_centre: vec3<f32>,
    // How much of a hidden line still shows, 0..1.
    xray: f32,
}

// Whether something at reverse-Z depth `z` is in front of the point cloud at a pixel.
// The slack of 0.2 % keeps lines that touch a surface from flickering.
fn in_front_of_cloud(z: f32, cloud_depth_bits: u32) -> bool {
    return z >= bitcast<f32>(cloud_depth_bits) * 0.998;
}

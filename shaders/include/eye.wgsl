// The eye of one picture: shared by every pass that draws geometry of its own.

struct EyeUniforms {
    // Reverse-Z: nearer is larger. Perspective: clip.z = near, clip.w = distance along the view
    // axis. Orthographic: clip.w = 1, clip.z linear in the distance.
    clip_from_world: mat4x4<f32>,
    // Picture size in pixels.
    size_px: vec2<f32>,
    // How a difference of depth relates to distance; see `depth_per_share`.
    depth_metric: vec2<f32>,
    fade_centre: vec3<f32>,
    // Lines stop fading at this distance from `fade_centre`, scene units.
    fade_radius: f32,
}

// The difference of depth that a change of the distance by its own size would make at depth `z`;
// for parallel rays the height of the picture stands for the distance.
fn depth_per_share(z: f32) -> f32 {
    return eye.depth_metric.x * z + eye.depth_metric.y;
}

// Whether something at depth `z` is in front of the point cloud at a pixel.
// The slack of 0.2 % keeps lines that touch a surface from flickering.
fn in_front_of_cloud(z: f32, cloud_depth_bits: u32) -> bool {
    let cloud = bitcast<f32>(cloud_depth_bits);
    return cloud_depth_bits == 0u || z >= cloud - 0.002 * depth_per_share(cloud);
}

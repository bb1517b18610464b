//! The flow that the camera's motion alone would cause.

use glam::DVec3;
use rayon::prelude::*;

use super::FlowField;
use super::scene_flow::point_at;
use crate::scene::Scene4d;

/// Flow of a still world between two frames, from points and cameras; pixels without a point flow as
/// points at infinity. `None` for a scene without cameras.
///
/// # Shapes
/// The vectors are `[H, W]`; NaN where the ray turns behind the other camera.
pub fn ego_flow(scene: &Scene4d, from: usize, to: usize) -> Option<FlowField> {
    let cameras = scene.cameras.as_ref()?;
    let (own, onto) = (&cameras[from], &cameras[to]);
    let camera_from_world = onto.world_from_camera.inverse();
    let turn = camera_from_world.rotation * own.world_from_camera.rotation;
    let points = scene.frame_points(from);
    let width = scene.width;
    let vectors = (0..scene.pixels_per_frame())
        .into_par_iter()
        .map(|i| {
            let (column, row) = (i % width, i / width);
            let point = point_at(&points, i);
            let seen: DVec3 = if point.is_finite() {
                camera_from_world.transform(point)
            } else {
                turn * own.intrinsics.ray(column, row)
            };
            onto.intrinsics.project(seen).map_or([f32::NAN; 2], |at| {
                [
                    (at.x - column as f64 - 0.5) as f32,
                    (at.y - row as f64 - 0.5) as f32,
                ]
            })
        })
        .collect();
    Some(FlowField {
        height: scene.height,
        width,
        vectors,
    })
}

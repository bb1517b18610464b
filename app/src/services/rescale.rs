//! A scene in metres, where a person has said how long something is.

use std::sync::Arc;

use one4d_engine::geometry::Camera;
use one4d_engine::scene::{Half, Plane, Points, ScaleTag, Scene4d};
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};

/// The scene with every length multiplied by `metres`, marked as metric.
pub fn in_metres(scene: &Scene4d, metres: f64) -> Scene4d {
    let factor = metres as f32;
    let points: Vec<f32> = match &scene.points {
        Points::F32(plane) => plane.as_slice().par_iter().map(|v| v * factor).collect(),
        Points::F16(plane) => plane
            .as_slice()
            .par_iter()
            .map(|v| v.to_f32() * factor)
            .collect(),
    };
    let scaled = |plane: &Plane<f32>| {
        let values: Vec<f32> = plane.as_slice().par_iter().map(|v| v * factor).collect();
        Plane::new(values)
    };
    let scaled_half = |plane: &Plane<Half>| {
        let values: Vec<Half> = plane
            .as_slice()
            .par_iter()
            .map(|v| Half::from_f32(v.to_f32() * factor))
            .collect();
        Plane::new(values)
    };
    let moved = |camera: &Camera| {
        let mut camera = *camera;
        camera.world_from_camera.translation *= metres;
        camera
    };
    let mut meta = scene.meta.clone();
    meta.scale = ScaleTag::Metric;
    Scene4d {
        points: Points::F32(Plane::new(points)),
        depth: scene.depth.as_ref().map(scaled),
        scene_flow: scene.scene_flow.as_ref().map(scaled_half),
        cameras: scene
            .cameras
            .as_ref()
            .map(|all| all.iter().map(moved).collect::<Arc<[_]>>()),
        meta,
        ..scene.clone()
    }
}

//! Extent of a scene as the viewer needs it: robust against sky and stray points.

use glam::{DVec3, Vec3};
use one4d_engine::scene::Scene4d;

use super::stats::quantile;

/// Points looked at per frame.
const SAMPLES: usize = 3000;

/// Middle, size and floor of a scene.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SceneBounds {
    /// Median of the points.
    pub centre: DVec3,
    /// Distance from the centre within which four fifths of the points lie; positive.
    pub radius: f64,
    /// World y (down) below which next to nothing lies: the height of the grid.
    pub floor_y: f64,
    /// Median distance of the points from the first camera; positive.
    pub depth: f64,
}

impl SceneBounds {
    /// Looks at a few thousand points of the first, middle and last frame.
    pub fn of(scene: &Scene4d) -> Self {
        let last = scene.num_frames - 1;
        let mut frames = vec![0, last / 2, last];
        frames.dedup();
        let points: Vec<DVec3> = frames.iter().flat_map(|&t| sample(scene, t)).collect();
        let origin = first_camera(scene);
        let axis = |i: usize, share| quantile(points.iter().map(|p| p[i]).collect(), share);
        let centre = DVec3::from_array([0, 1, 2].map(|i| axis(i, 0.5).unwrap_or(0.0)));
        let away = |from: DVec3, share| {
            quantile(points.iter().map(|p| p.distance(from)).collect(), share)
                .filter(|d| *d > 1e-9)
                .unwrap_or(1.0)
        };
        Self {
            centre,
            radius: away(centre, 0.8),
            floor_y: axis(1, 0.98).unwrap_or(0.0),
            depth: away(origin, 0.5),
        }
    }

    /// Height above the world's origin, along `up`, below which next to nothing of a scene lies.
    pub fn floor_along(scene: &Scene4d, up: DVec3) -> f64 {
        let last = scene.num_frames - 1;
        let mut frames = vec![0, last / 2, last];
        frames.dedup();
        let points = frames.iter().flat_map(|&t| sample(scene, t));
        quantile(points.map(|p| p.dot(up)).collect(), 0.02).unwrap_or(0.0)
    }

    /// A near plane that clips nothing one would look at.
    pub fn near(&self) -> f64 {
        self.depth * 2e-3
    }
}

/// Centre of the first camera; the world's origin where the scene has no cameras.
pub(crate) fn first_camera(scene: &Scene4d) -> DVec3 {
    scene
        .cameras
        .as_ref()
        .and_then(|c| c.first())
        .map_or(DVec3::ZERO, |c| c.world_from_camera.centre())
}

fn sample(scene: &Scene4d, frame_idx: usize) -> Vec<DVec3> {
    let step = scene.pixels_per_frame().div_ceil(SAMPLES).max(1);
    let points = scene.frame_points(frame_idx);
    points
        .chunks_exact(3)
        .step_by(step)
        .map(|p| Vec3::new(p[0], p[1], p[2]).as_dvec3())
        .filter(|p| p.is_finite())
        .collect()
}

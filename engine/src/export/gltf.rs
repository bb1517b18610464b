//! What scenes and glTF disagree on: axes, colour, cameras.
//!
//! glTF is Y-up with cameras that look down -Z, so `S = diag(1, -1, -1)`: points `S p`, cameras
//! `S C S`. Vertex colours are linear.

use std::sync::LazyLock;

use glam::{DMat3, DQuat, DVec3};
use serde_json::{Value, json};

use crate::geometry::{Camera, WorldFromCamera};
use crate::scene::Scene4d;

/// Linear value of each sRGB byte: the piecewise curve of IEC 61966-2-1.
static LINEAR: LazyLock<[f32; 256]> = LazyLock::new(|| {
    std::array::from_fn(|byte| {
        let v = byte as f64 / 255.0;
        let linear = if v <= 0.04045 {
            v / 12.92
        } else {
            ((v + 0.055) / 1.055).powf(2.4)
        };
        linear as f32
    })
});

/// Linear colour of an sRGB pixel.
pub(super) fn linear_rgb(rgb: [u8; 3]) -> [f32; 3] {
    rgb.map(|byte| LINEAR[usize::from(byte)])
}

/// A position in glTF's axes.
pub(super) fn y_up(p: [f32; 3]) -> [f32; 3] {
    [p[0], -p[1], -p[2]]
}

/// Where a glTF camera node stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct NodePose {
    pub(super) translation: [f32; 3],
    /// x y z w.
    pub(super) rotation: [f32; 4],
}

/// Converts a pose to `S C S`; the quaternion is chosen in the hemisphere of `previous`.
pub(super) fn node_pose(pose: &WorldFromCamera, previous: Option<&NodePose>) -> NodePose {
    let flip = DMat3::from_diagonal(DVec3::new(1.0, -1.0, -1.0));
    let mut q = DQuat::from_mat3(&(flip * pose.rotation * flip)).normalize();
    if previous.is_some_and(|p| q.dot(DQuat::from_array(p.rotation.map(f64::from))) < 0.0) {
        q = -q;
    }
    NodePose {
        translation: (flip * pose.translation).as_vec3().to_array(),
        rotation: q.as_quat().to_array(),
    }
}

/// The poses of a frame range, each in the hemisphere of the one before.
pub(super) fn node_poses(cameras: &[Camera]) -> Vec<NodePose> {
    let mut poses: Vec<NodePose> = Vec::with_capacity(cameras.len());
    for camera in cameras {
        let pose = node_pose(&camera.world_from_camera, poses.last());
        poses.push(pose);
    }
    poses
}

/// A glTF camera with the mean lens of `cameras`, K of the first in its extras.
pub(super) fn camera_json(scene: &Scene4d, cameras: &[Camera], radius: f32) -> Value {
    let n = cameras.len().max(1) as f64;
    let (width, height) = (scene.width as f64, scene.height as f64);
    let fov = |c: &Camera| c.intrinsics.fov_y_rad(scene.height);
    let aspect = |c: &Camera| width * c.intrinsics.fy_px / (height * c.intrinsics.fx_px);
    let k = cameras.first().map(|c| c.intrinsics);
    json!({
        "type": "perspective",
        "name": "camera",
        "perspective": {
            "yfov": cameras.iter().map(fov).sum::<f64>() / n,
            "aspectRatio": cameras.iter().map(aspect).sum::<f64>() / n,
            "znear": f64::from(radius.max(1e-3)) * 1e-3,
        },
        "extras": {
            "width_px": scene.width, "height_px": scene.height,
            "fx_px": k.map(|k| k.fx_px), "fy_px": k.map(|k| k.fy_px),
            "cx_px": k.map(|k| k.cx_px), "cy_px": k.map(|k| k.cy_px),
        },
    })
}

/// What the lenses of `cameras` lose in glTF, for people.
pub(super) fn lens_warning(scene: &Scene4d, cameras: &[Camera]) -> Option<String> {
    let first = cameras.first()?.intrinsics;
    let zooms = cameras
        .iter()
        .any(|c| (c.intrinsics.fy_px / first.fy_px - 1.0).abs() > 0.01);
    let centred = (first.cx_px - scene.width as f64 / 2.0).abs() < 0.01 * scene.width as f64
        && (first.cy_px - scene.height as f64 / 2.0).abs() < 0.01 * scene.height as f64;
    match (zooms, centred) {
        (true, _) => Some("the lens zooms; the glTF camera has its mean field of view".to_owned()),
        (false, false) => Some(
            "the principal point is off centre, which glTF cannot say; it stands in the extras"
                .to_owned(),
        ),
        (false, true) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_colour_follows_the_piecewise_curve() {
        assert_eq!(linear_rgb([0, 255, 255]), [0.0, 1.0, 1.0]);
        let [low, middle, _] = linear_rgb([10, 188, 0]);
        assert!((low - 10.0 / 255.0 / 12.92).abs() < 1e-7);
        assert!((middle - 0.5028865).abs() < 1e-6, "{middle}");
    }

    #[test]
    fn a_camera_looks_at_the_same_point_after_conversion() {
        let pose = WorldFromCamera {
            rotation: DMat3::from_rotation_y(0.3) * DMat3::from_rotation_x(-0.2),
            translation: DVec3::new(1.0, -2.0, 0.5),
        };
        let ahead = pose.transform(DVec3::new(0.0, 0.0, 4.0)).as_vec3();
        let node = node_pose(&pose, None);
        let forward = glam::Quat::from_array(node.rotation) * glam::Vec3::new(0.0, 0.0, -4.0);
        let seen = forward + glam::Vec3::from_array(node.translation);
        assert!((seen - glam::Vec3::from_array(y_up(ahead.to_array()))).length() < 1e-5);
    }

    #[test]
    fn a_full_turn_never_leaves_its_hemisphere() {
        let camera = |turn: f64| Camera {
            intrinsics: crate::geometry::Intrinsics::centred(10.0, 8, 8),
            world_from_camera: WorldFromCamera {
                rotation: DMat3::from_rotation_y(turn),
                translation: DVec3::ZERO,
            },
        };
        let turn: Vec<Camera> = (0..=20)
            .map(|i| camera(f64::from(i) * std::f64::consts::TAU / 20.0))
            .collect();
        for pair in node_poses(&turn).windows(2) {
            let dot: f32 = (0..4)
                .map(|i| pair[0].rotation[i] * pair[1].rotation[i])
                .sum();
            assert!(dot > 0.9, "{pair:?}");
        }
    }
}

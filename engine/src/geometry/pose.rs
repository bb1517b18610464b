//! The two rigid poses of a camera, told apart by type and joined by `inverse()`.

use glam::{DMat3, DMat4, DVec3};

/// Maps world coordinates to camera coordinates: `Y = R X + t`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CameraFromWorld {
    /// Rotation `R`, orthonormal.
    pub rotation: DMat3,
    /// Translation `t = -R o`, in scene units.
    pub translation: DVec3,
}

/// Maps camera coordinates to world coordinates: `X = R Y + o`, `o` the camera centre.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WorldFromCamera {
    /// Rotation, orthonormal; its columns are the camera's axes in the world.
    pub rotation: DMat3,
    /// Camera centre in the world, in scene units.
    pub translation: DVec3,
}

impl CameraFromWorld {
    /// The pose of a camera that is the world's origin.
    pub const IDENTITY: Self = Self {
        rotation: DMat3::IDENTITY,
        translation: DVec3::ZERO,
    };

    /// The same pose, read the other way.
    pub fn inverse(self) -> WorldFromCamera {
        let rotation = self.rotation.transpose();
        WorldFromCamera {
            rotation,
            translation: -(rotation * self.translation),
        }
    }

    /// A point of the world in camera coordinates.
    pub fn transform(self, point_in_world: DVec3) -> DVec3 {
        self.rotation * point_in_world + self.translation
    }
}

impl WorldFromCamera {
    /// The pose of a camera that is the world's origin.
    pub const IDENTITY: Self = Self {
        rotation: DMat3::IDENTITY,
        translation: DVec3::ZERO,
    };

    /// The same pose, read the other way.
    pub fn inverse(self) -> CameraFromWorld {
        let rotation = self.rotation.transpose();
        CameraFromWorld {
            rotation,
            translation: -(rotation * self.translation),
        }
    }

    /// A point in camera coordinates in the world.
    pub fn transform(self, point_in_camera: DVec3) -> DVec3 {
        self.rotation * point_in_camera + self.translation
    }

    /// The camera's centre in the world.
    pub fn centre(self) -> DVec3 {
        self.translation
    }

    /// The pose as a homogeneous matrix.
    pub fn to_mat4(self) -> DMat4 {
        DMat4::from_cols(
            self.rotation.x_axis.extend(0.0),
            self.rotation.y_axis.extend(0.0),
            self.rotation.z_axis.extend(0.0),
            self.translation.extend(1.0),
        )
    }

    /// Reads a homogeneous matrix; its last row is ignored.
    pub fn from_mat4(m: DMat4) -> Self {
        Self {
            rotation: DMat3::from_mat4(m),
            translation: m.w_axis.truncate(),
        }
    }

    /// This pose seen from the world of `first`: `first^-1 * self`.
    pub fn relative_to(self, first: Self) -> Self {
        let back = first.inverse();
        Self {
            rotation: back.rotation * self.rotation,
            translation: back.transform(self.translation),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inverse_undoes_the_pose() {
        let pose = WorldFromCamera {
            rotation: DMat3::from_axis_angle(DVec3::new(1.0, 2.0, 3.0).normalize_or_zero(), 0.7),
            translation: DVec3::new(0.3, -1.0, 2.0),
        };
        let point = DVec3::new(1.0, 2.0, 5.0);
        let there_and_back = pose.inverse().transform(pose.transform(point));
        assert!((there_and_back - point).length() < 1e-12);
        assert_eq!(WorldFromCamera::from_mat4(pose.to_mat4()), pose);
    }

    #[test]
    fn a_pose_relative_to_itself_is_the_origin() {
        let pose = WorldFromCamera {
            rotation: DMat3::from_rotation_y(0.4),
            translation: DVec3::new(1.0, 0.0, -2.0),
        };
        let relative = pose.relative_to(pose);
        assert!(relative.translation.length() < 1e-12);
        assert!((relative.rotation.x_axis - DVec3::X).length() < 1e-12);
    }
}

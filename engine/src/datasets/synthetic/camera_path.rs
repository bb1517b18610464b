//! How the camera moves: a path about its first pose, with or without a shaking hand.

use std::f64::consts::TAU;

use glam::{DMat3, DVec3};

use crate::geometry::WorldFromCamera;

/// A way of moving; amounts are over one unit of time (sixteen frames).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Move {
    /// It stands.
    Still,
    /// Along the view, metres; positive goes in.
    Dolly(f64),
    /// To the right, metres.
    Truck(f64),
    /// Upwards while it keeps looking at the target, metres.
    Crane(f64),
    /// About the target, radians; positive goes to the right.
    Orbit(f64),
    /// Turns to the right, radians.
    Pan(f64),
    /// Turns upwards, radians.
    Tilt(f64),
}

impl Move {
    /// A sentence's end for captions.
    pub(super) fn words(self) -> &'static str {
        let pick = |amount: f64, positive, negative| {
            if amount > 0.0 { positive } else { negative }
        };
        match self {
            Self::Still => "stands still",
            Self::Dolly(m) => pick(m, "moves forward", "moves back"),
            Self::Truck(m) => pick(m, "moves right", "moves left"),
            Self::Crane(m) => pick(m, "rises", "sinks"),
            Self::Orbit(rad) => pick(rad, "orbits right", "orbits left"),
            Self::Pan(rad) => pick(rad, "pans right", "pans left"),
            Self::Tilt(rad) => pick(rad, "tilts up", "tilts down"),
        }
    }

    /// The same move at a share of its amount.
    pub(super) fn scaled(self, share: f64) -> Self {
        match self {
            Self::Still => Self::Still,
            Self::Dolly(m) => Self::Dolly(m * share),
            Self::Truck(m) => Self::Truck(m * share),
            Self::Crane(m) => Self::Crane(m * share),
            Self::Orbit(rad) => Self::Orbit(rad * share),
            Self::Pan(rad) => Self::Pan(rad * share),
            Self::Tilt(rad) => Self::Tilt(rad * share),
        }
    }
}

/// Sway of a camera held by hand: sums of sines in position and angle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shake {
    /// Metres.
    pub(super) position: f64,
    /// Radians.
    pub(super) angle: f64,
    /// Phase of the first sine.
    pub(super) phase: f64,
}

/// The pose of the camera as a function of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct CameraPath {
    /// Stage position at time 0.
    pub(super) eye: DVec3,
    /// What it looks at.
    pub(super) target: DVec3,
    /// Rotation about the view, radians.
    pub(super) roll: f64,
    pub(super) motion: Move,
    pub(super) shake: Option<Shake>,
    /// Horizontal field of view, radians.
    pub(super) fov_x: f64,
}

impl CameraPath {
    /// Pose in stage coordinates at `time`, OpenCV axes.
    pub(super) fn stage_from_camera(&self, time: f64) -> WorldFromCamera {
        let (mut eye, mut target) = (self.eye, self.target);
        let forward = (target - eye).normalize_or(DVec3::NEG_Z);
        let right = forward.cross(DVec3::Y).normalize_or(DVec3::X);
        let (mut yaw, mut pitch) = (0.0, 0.0);
        match self.motion {
            Move::Still => {}
            Move::Dolly(metres) => {
                eye += forward * metres * time;
                target += forward * metres * time;
            }
            Move::Truck(metres) => {
                eye += right * metres * time;
                target += right * metres * time;
            }
            Move::Crane(metres) => eye.y += metres * time,
            Move::Orbit(rad) => {
                eye = target + DMat3::from_rotation_y(rad * time) * (eye - target);
            }
            Move::Pan(rad) => yaw -= rad * time,
            Move::Tilt(rad) => pitch += rad * time,
        }
        if let Some(shake) = self.shake {
            let sway = |k: f64| {
                let base = shake.phase + 1.7 * k;
                let at = |t: f64| {
                    (TAU * (0.9 + 0.13 * k) * t + base).sin()
                        + 0.5 * (TAU * (2.3 - 0.21 * k) * t + 2.0 * base).sin()
                };
                at(time) - at(0.0)
            };
            let drift = DVec3::new(sway(0.0), 0.6 * sway(1.0), sway(2.0)) * shake.position;
            eye += drift;
            target += drift;
            yaw += shake.angle * sway(3.0);
            pitch += shake.angle * sway(4.0);
        }
        let rotation = look(target - eye, yaw, pitch, self.roll);
        WorldFromCamera {
            rotation,
            translation: eye,
        }
    }
}

/// Columns right, down, forward of a camera that looks along `view`, then turned.
fn look(view: DVec3, yaw: f64, pitch: f64, roll: f64) -> DMat3 {
    let forward = view.normalize_or(DVec3::NEG_Z);
    let right = forward.cross(DVec3::Y).normalize_or(DVec3::X);
    let level = DMat3::from_cols(right, forward.cross(right), forward);
    DMat3::from_rotation_y(yaw)
        * level
        * DMat3::from_rotation_x(pitch)
        * DMat3::from_rotation_z(roll)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(motion: Move) -> CameraPath {
        CameraPath {
            eye: DVec3::new(0.0, 1.5, 4.0),
            target: DVec3::new(0.0, 1.0, 0.0),
            roll: 0.0,
            motion,
            shake: Some(Shake {
                position: 0.02,
                angle: 0.01,
                phase: 0.4,
            }),
            fov_x: 1.0,
        }
    }

    #[test]
    fn poses_are_rotations_with_y_down() {
        for motion in [
            Move::Orbit(0.5),
            Move::Pan(0.3),
            Move::Tilt(-0.2),
            Move::Crane(1.0),
        ] {
            for time in [0.0, 0.5, 1.0] {
                let pose = path(motion).stage_from_camera(time);
                let gram = pose.rotation.transpose() * pose.rotation;
                assert!(gram.abs_diff_eq(DMat3::IDENTITY, 1e-12));
                assert!((pose.rotation.determinant() - 1.0).abs() < 1e-12);
                assert!(pose.rotation.y_axis.y < -0.5);
            }
        }
    }

    #[test]
    fn words_match_the_motion() {
        let seen = |motion: Move| {
            let first = path(motion).stage_from_camera(0.0).inverse();
            let last = path(motion).stage_from_camera(1.0);
            (
                first.transform(last.translation),
                first.rotation * last.rotation.z_axis,
            )
        };
        assert!(seen(Move::Dolly(1.0)).0.z > 0.8);
        assert!(seen(Move::Truck(1.0)).0.x > 0.8);
        assert!(seen(Move::Orbit(0.4)).0.x > 0.8);
        assert!(seen(Move::Crane(1.0)).0.y < -0.8);
        assert!(seen(Move::Pan(0.4)).1.x > 0.3);
        assert!(seen(Move::Tilt(0.4)).1.y < -0.3);
    }
}

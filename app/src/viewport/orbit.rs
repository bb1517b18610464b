//! Eye controls as pure state: orbit, pan, dolly, fly, focus. Up is world -y until levelled.

use glam::{DMat3, DQuat, DVec2, DVec3};

use super::bounds::SceneBounds;
use super::eye::{Eye, Lens};

/// Turn per point that the pointer moves, radians.
const TURN_RAD_PER_POINT: f64 = 0.006;
/// The eye never looks straight up or down, where left and right lose their meaning.
const MAX_PITCH_RAD: f64 = 1.55;
/// Angle across the shorter side of the picture, radians.
const FIELD_OF_VIEW_RAD: f64 = 0.8;

/// An eye that circles a target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Orbit {
    /// What the eye looks at, in the world.
    pub target: DVec3,
    /// Eye to target, scene units; positive.
    pub distance: f64,
    /// Turn about the vertical, radians; 0 looks along +z.
    pub yaw_rad: f64,
    /// Height above the horizon, radians; positive looks down.
    pub pitch_rad: f64,
    /// Angle across the shorter side of the picture, radians.
    pub field_of_view_rad: f64,
    /// Parallel rays; the picture shows as much of the target's plane as with a lens.
    pub orthographic: bool,
    /// Up in the world, unit length.
    pub up: DVec3,
}

impl Default for Orbit {
    fn default() -> Self {
        Self {
            target: DVec3::new(0.0, 0.0, 3.0),
            distance: 5.0,
            yaw_rad: 0.4,
            pitch_rad: 0.35,
            field_of_view_rad: FIELD_OF_VIEW_RAD,
            orthographic: false,
            up: DVec3::NEG_Y,
        }
    }
}

/// A named direction of view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// From the right, along -x.
    X,
    /// From above, along +y.
    Y,
    /// From the front, where the first camera stands, along +z.
    Z,
}

impl Orbit {
    /// A view a little behind, beside and above the first camera, with cloud and frustums in it.
    pub fn fit(bounds: &SceneBounds, first_camera: DVec3) -> Self {
        let to_camera = first_camera - bounds.centre;
        // Shifted towards the camera, so that the nearest frustum is on the picture too.
        let target = bounds.centre + to_camera * 0.2;
        let reach = bounds.radius.max(0.55 * to_camera.length());
        let facing_rad = if to_camera.length() > 1e-9 {
            to_camera.x.atan2(-to_camera.z)
        } else {
            0.0
        };
        Self {
            target,
            distance: reach * 1.02 / (0.5 * FIELD_OF_VIEW_RAD).sin(),
            yaw_rad: facing_rad - 0.42,
            pitch_rad: 0.34,
            ..Self::default()
        }
    }

    /// Level axes (x right, y down, z forward, at yaw 0) to world axes.
    fn world_from_level(&self) -> DMat3 {
        DMat3::from_quat(DQuat::from_rotation_arc(DVec3::NEG_Y, self.up))
    }

    /// Target to eye, unit length.
    fn outward(&self) -> DVec3 {
        let (sin_yaw, cos_yaw) = self.yaw_rad.sin_cos();
        let (sin_pitch, cos_pitch) = self.pitch_rad.sin_cos();
        self.world_from_level() * DVec3::new(sin_yaw * cos_pitch, -sin_pitch, -cos_yaw * cos_pitch)
    }

    /// Another lens; the target's plane keeps its size on the picture.
    pub fn with_field_of_view(&self, angle_rad: f64) -> Self {
        let angle_rad = angle_rad.clamp(0.05, 2.6);
        Self {
            field_of_view_rad: angle_rad,
            distance: 0.5 * self.span() / (0.5 * angle_rad).tan(),
            ..*self
        }
    }

    /// Scene units across the shorter side of the picture, in the target's plane.
    pub fn span(&self) -> f64 {
        2.0 * self.distance * (0.5 * self.field_of_view_rad).tan()
    }

    /// The eye in the world.
    pub fn position(&self) -> DVec3 {
        self.target + self.outward() * self.distance
    }

    /// The eye as the renderer takes it.
    pub fn eye(&self) -> Eye {
        let back = self.outward();
        let right =
            self.world_from_level() * DVec3::new(self.yaw_rad.cos(), 0.0, self.yaw_rad.sin());
        let up = back.cross(right);
        Eye {
            view_from_world: DMat3::from_cols(right, up, back).transpose(),
            position: self.position(),
            lens: if self.orthographic {
                Lens::Orthographic(self.span())
            } else {
                Lens::FieldOfView(self.field_of_view_rad)
            },
        }
    }

    /// The orbit whose eye stands and looks as `eye` does, its target at `distance`; roll is lost.
    pub fn from_eye(eye: &Eye, distance: f64) -> Self {
        Self::default().placed_at(eye, distance)
    }

    /// The same up and lens, standing and looking as `eye` does, the target at `distance`.
    pub fn placed_at(&self, eye: &Eye, distance: f64) -> Self {
        let forward = self.world_from_level().transpose() * eye.forward();
        let pitch_rad = forward.y.clamp(-1.0, 1.0).asin();
        Self {
            target: eye.position + eye.forward() * distance,
            distance,
            yaw_rad: (-forward.x).atan2(forward.z),
            pitch_rad: pitch_rad.clamp(-MAX_PITCH_RAD, MAX_PITCH_RAD),
            ..*self
        }
    }

    /// The same eye and target with another up; the horizon turns, what is looked at stays.
    pub fn levelled(&self, up: DVec3) -> Self {
        let Some(up) = up.try_normalize() else {
            return *self;
        };
        Self { up, ..*self }.placed_at(&self.eye(), self.distance)
    }

    /// Circles the target by a drag in points.
    pub fn turn(&mut self, drag: DVec2) {
        self.yaw_rad = wrap(self.yaw_rad - drag.x * TURN_RAD_PER_POINT);
        self.pitch_rad =
            (self.pitch_rad + drag.y * TURN_RAD_PER_POINT).clamp(-MAX_PITCH_RAD, MAX_PITCH_RAD);
    }

    /// Turns the head by a drag in points; the eye stays.
    pub fn look(&mut self, drag: DVec2) {
        let position = self.position();
        self.turn(drag);
        self.target = position - self.outward() * self.distance;
    }

    /// Moves eye and target so that what lies in the target's plane follows the pointer.
    pub fn pan(&mut self, drag_px: DVec2, size_px: [u32; 2]) {
        let eye = self.eye();
        let units_per_px = self.span() / f64::from(size_px[0].min(size_px[1]).max(1));
        self.target += (eye.up() * drag_px.y - eye.right() * drag_px.x) * units_per_px;
    }

    /// Changes the distance by a factor; what lies under the pointer in the target's plane stays.
    pub fn dolly(&mut self, factor: f64, pointer_px: DVec2, size_px: [u32; 2]) {
        let factor = factor.clamp(0.1, 10.0);
        let distance = (self.distance * factor).clamp(1e-6, 1e6);
        let under_pointer = self.eye().unproject(pointer_px, self.distance, size_px);
        self.target = under_pointer + (self.target - under_pointer) * (distance / self.distance);
        self.distance = distance;
    }

    /// Takes the depth of a point for that of the middle; the picture stays. Nearing it afterwards
    /// approaches what the point lies on and never passes through it. With parallel rays the distance is
    /// the scale of the picture and stays too.
    pub fn aim_at_depth_of(&mut self, point: DVec3) {
        let eye = self.eye();
        let depth = (point - eye.position).dot(eye.forward());
        if self.orthographic || !depth.is_finite() || depth < 1e-6 {
            return;
        }
        self.target = eye.position + eye.forward() * depth;
        self.distance = depth.min(1e6);
    }

    /// Flies right, up and forward by a share of the distance to the target.
    pub fn fly(&mut self, right_up_forward: DVec3) {
        let eye = self.eye();
        let step = eye.right() * right_up_forward.x
            + eye.up() * right_up_forward.y
            + eye.forward() * right_up_forward.z;
        self.target += step * self.distance;
    }

    /// The same direction of view, looking at a point from a distance.
    pub fn focused_on(&self, target: DVec3, distance: f64) -> Self {
        Self {
            target,
            distance: distance.clamp(1e-6, 1e6),
            ..*self
        }
    }

    /// The same target seen along an axis.
    pub fn along(&self, axis: Axis) -> Self {
        let (yaw_rad, pitch_rad) = match axis {
            Axis::X => (std::f64::consts::FRAC_PI_2, 0.0),
            Axis::Y => (0.0, MAX_PITCH_RAD),
            Axis::Z => (0.0, 0.0),
        };
        Self {
            yaw_rad,
            pitch_rad,
            ..*self
        }
    }

    /// Between two orbits: the short way round, distance by equal factors.
    pub fn lerp(from: &Self, to: &Self, t: f64) -> Self {
        let mix = |a: f64, b: f64| a + (b - a) * t;
        Self {
            target: from.target.lerp(to.target, t),
            distance: from.distance * (to.distance / from.distance).powf(t),
            yaw_rad: wrap(from.yaw_rad + wrap(to.yaw_rad - from.yaw_rad) * t),
            pitch_rad: mix(from.pitch_rad, to.pitch_rad),
            field_of_view_rad: mix(from.field_of_view_rad, to.field_of_view_rad),
            orthographic: to.orthographic,
            up: from.up.lerp(to.up, t).try_normalize().unwrap_or(to.up),
        }
    }
}

/// An angle in -pi..=pi.
fn wrap(angle_rad: f64) -> f64 {
    let turn = std::f64::consts::TAU;
    angle_rad - turn * (angle_rad / turn).round()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: [u32; 2] = [800, 600];

    fn close(a: DVec3, b: DVec3) -> bool {
        (a - b).length() < 1e-9
    }

    #[test]
    fn the_view_is_a_rotation_and_looks_at_the_target() {
        let orbit = Orbit::default();
        let eye = orbit.eye();
        let identity = eye.view_from_world * eye.view_from_world.transpose();
        assert!(identity.abs_diff_eq(DMat3::IDENTITY, 1e-12));
        assert!((eye.view_from_world.determinant() - 1.0).abs() < 1e-12);
        assert!(close(
            eye.forward() * orbit.distance,
            orbit.target - eye.position
        ));
        assert!(eye.up().y < 0.0, "up on the picture is up in the world");
        assert!(
            eye.position.y < orbit.target.y,
            "the eye is above its target"
        );
    }

    #[test]
    fn turning_keeps_target_and_distance() {
        let mut orbit = Orbit::default();
        orbit.turn(DVec2::new(130.0, 9999.0));
        assert_eq!(orbit.target, Orbit::default().target);
        let distance = orbit.position().distance(orbit.target);
        assert!((distance - Orbit::default().distance).abs() < 1e-9);
        assert!(orbit.pitch_rad < std::f64::consts::FRAC_PI_2);
    }

    #[test]
    fn looking_around_keeps_the_eye() {
        let mut orbit = Orbit::default();
        let before = orbit.position();
        orbit.look(DVec2::new(40.0, -25.0));
        assert!(close(orbit.position(), before));
        assert!(!close(orbit.target, Orbit::default().target));
    }

    #[test]
    fn panning_carries_the_target_with_the_pointer() {
        let mut orbit = Orbit::default();
        let grabbed = orbit.target;
        orbit.pan(DVec2::new(30.0, -12.0), SIZE);
        let at = orbit.eye().project(grabbed, SIZE).unwrap();
        assert!((at - DVec2::new(430.0, 288.0)).length() < 1e-6);
    }

    #[test]
    fn dolly_keeps_what_is_under_the_pointer() {
        let mut orbit = Orbit::default();
        let pointer = DVec2::new(150.0, 420.0);
        let under = orbit.eye().unproject(pointer, orbit.distance, SIZE);
        orbit.dolly(0.5, pointer, SIZE);
        assert!((orbit.distance - 2.5).abs() < 1e-12);
        assert!((orbit.eye().project(under, SIZE).unwrap() - pointer).length() < 1e-6);
    }

    #[test]
    fn nearing_a_point_does_not_pass_it() {
        let mut orbit = Orbit::default();
        let eye = orbit.position();
        let pointer = DVec2::new(420.0, 280.0);
        // Much nearer than the middle, which the wheel would otherwise near.
        let point = orbit.eye().unproject(pointer, 0.2 * orbit.distance, SIZE);
        orbit.aim_at_depth_of(point);
        assert!(close(orbit.position(), eye), "the picture stays");
        for _ in 0..40 {
            orbit.dolly(0.7, pointer, SIZE);
            let to_point = (point - orbit.position()).dot(orbit.eye().forward());
            assert!(to_point > 0.0);
            let at = orbit.eye().project(point, SIZE).unwrap();
            assert!((at - pointer).length() < 1e-3, "{at}");
        }
        let before = orbit;
        orbit.aim_at_depth_of(orbit.position() - orbit.eye().forward());
        assert_eq!(orbit, before, "what lies behind is no middle");
    }

    #[test]
    fn flying_forward_approaches_what_is_ahead() {
        let mut orbit = Orbit::default();
        let before = orbit.position();
        let ahead = orbit.eye().forward();
        orbit.fly(DVec3::new(0.0, 0.0, 0.1));
        assert!(close(orbit.position(), before + ahead * 0.5));
    }

    #[test]
    fn an_orbit_taken_from_its_own_eye_is_the_same() {
        let orbit = Orbit::default();
        let again = Orbit::from_eye(&orbit.eye(), orbit.distance);
        assert!(close(again.target, orbit.target));
        assert!((again.yaw_rad - orbit.yaw_rad).abs() < 1e-12);
        assert!((again.pitch_rad - orbit.pitch_rad).abs() < 1e-12);
    }

    #[test]
    fn the_default_view_has_the_cloud_and_the_first_camera_on_the_picture() {
        let bounds = SceneBounds {
            centre: DVec3::new(0.2, 0.1, 4.0),
            radius: 2.0,
            floor_y: 1.0,
            depth: 4.0,
        };
        let orbit = Orbit::fit(&bounds, DVec3::ZERO);
        assert!(orbit.position().y < 0.0, "above the first camera");
        assert!(orbit.position().z < 0.0, "behind the first camera");
        for point in [DVec3::ZERO, bounds.centre, bounds.centre + DVec3::Z] {
            let at = orbit.eye().project(point, SIZE).unwrap();
            assert!(
                at.x > 40.0 && at.x < 760.0 && at.y > 40.0 && at.y < 560.0,
                "{at}"
            );
        }
    }

    #[test]
    fn a_levelled_eye_keeps_its_place_and_stands_upright() {
        let orbit = Orbit::default();
        let up = DVec3::new(0.3, -1.0, 0.2).normalize();
        let level = orbit.levelled(up);
        assert!(close(level.position(), orbit.position()));
        assert!(close(level.eye().forward(), orbit.eye().forward()));
        assert!(level.eye().right().dot(up).abs() < 1e-9, "no roll");
        assert!(level.eye().up().dot(up) > 0.0);
        assert!(close(
            level.levelled(DVec3::NEG_Y).position(),
            orbit.position()
        ));
        assert_eq!(orbit.levelled(DVec3::ZERO), orbit);
    }

    #[test]
    fn the_span_is_what_the_lens_sees_in_the_targets_plane() {
        let orbit = Orbit::default();
        let edge = orbit.target + orbit.eye().up() * (0.5 * orbit.span());
        let at = orbit.eye().project(edge, SIZE).unwrap();
        assert!(at.y.abs() < 1e-6, "{at}");
        let wide = orbit.with_field_of_view(1.4);
        assert!((wide.span() - orbit.span()).abs() < 1e-9);
    }

    #[test]
    fn axis_views_look_along_their_axis() {
        let orbit = Orbit::default();
        assert!(close(orbit.along(Axis::X).eye().forward(), -DVec3::X));
        assert!(close(orbit.along(Axis::Z).eye().forward(), DVec3::Z));
        assert!(orbit.along(Axis::Y).eye().forward().y > 0.99);
    }
}

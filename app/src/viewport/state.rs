//! What the studio keeps of a view: a plain value.

use glam::DVec3;
use one4d_engine::scene::Scene4d;

use super::bounds::{SceneBounds, first_camera};
use super::eye::Eye;
use super::options::ViewOptions;
use super::orbit::{Axis, Orbit};
use super::orbit_move::OrbitMove;

/// Eye and options of one view.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ViewportState {
    /// The eye, while it does not look through a camera.
    pub orbit: Orbit,
    /// A move of the eye that is under way.
    pub motion: Option<OrbitMove>,
    /// Look through the current frame's camera.
    pub look_through: bool,
    /// What is shown and how.
    pub options: ViewOptions,
    /// Whether the eye has been fitted to a scene.
    pub fitted: bool,
    /// Clicks belong to a tool: a double click does not move the eye.
    pub clicks_are_taken: bool,
}

impl ViewportState {
    /// Jumps to the view in which a scene opens.
    pub fn fit(&mut self, scene: &Scene4d) {
        self.orbit = self.opening_orbit(scene);
        self.motion = None;
        self.look_through = false;
        self.fitted = true;
    }

    /// Moves to the view in which a scene opens; `now_secs` is the window's clock.
    pub fn focus_scene(&mut self, scene: &Scene4d, now_secs: f64) {
        self.look_through = false;
        let goal = self.opening_orbit(scene);
        self.move_to(goal, now_secs);
    }

    /// Moves towards a point, to a third of the distance at most.
    pub fn focus_point(&mut self, point_in_world: DVec3, now_secs: f64) {
        let away = self.orbit.position().distance(point_in_world);
        let goal = self
            .orbit
            .focused_on(point_in_world, self.orbit.distance.min(away * 0.6));
        self.move_to(goal, now_secs);
    }

    /// Turns to a view along an axis.
    pub fn look_along(&mut self, axis: Axis, now_secs: f64) {
        self.look_through = false;
        self.move_to(self.orbit.along(axis), now_secs);
    }

    /// Turns so that `up` is up on the picture.
    pub fn level(&mut self, up: DVec3, now_secs: f64) {
        self.move_to(self.goal().levelled(up), now_secs);
    }

    /// Where the eye is, or is on its way to.
    pub fn goal(&self) -> Orbit {
        self.motion.map_or(self.orbit, |motion| motion.to)
    }

    /// Moves to another orbit.
    pub fn move_to(&mut self, goal: Orbit, now_secs: f64) {
        self.motion = Some(OrbitMove {
            from: self.orbit,
            to: goal,
            start_secs: now_secs,
        });
    }

    /// The eye that sees a frame.
    pub fn eye(&self, scene: &Scene4d, frame_idx: usize) -> Eye {
        self.camera_eye(scene, frame_idx)
            .unwrap_or_else(|| self.orbit.eye())
    }

    /// Starts to look through the current camera, or stops and stays where that camera is.
    pub fn toggle_look_through(&mut self, scene: &Scene4d, frame_idx: usize) {
        if let Some(eye) = self.camera_eye(scene, frame_idx) {
            self.leave_camera(&eye, SceneBounds::of(scene).depth);
        } else {
            self.motion = None;
            self.look_through = scene.cameras.is_some();
        }
    }

    /// Takes the pose of the camera that was looked through as the orbit's own.
    pub(crate) fn leave_camera(&mut self, camera_eye: &Eye, distance: f64) {
        self.look_through = false;
        self.motion = None;
        self.orbit = self.orbit.placed_at(camera_eye, distance);
    }

    /// The eye of the camera that is looked through.
    pub(crate) fn camera_eye(&self, scene: &Scene4d, frame_idx: usize) -> Option<Eye> {
        let camera = scene.cameras.as_ref()?.get(frame_idx)?;
        self.look_through
            .then(|| Eye::through_camera(camera, scene.width, scene.height))
    }

    /// Follows the move that is under way; returns whether it goes on.
    pub(crate) fn advance(&mut self, now_secs: f64) -> bool {
        let Some(motion) = self.motion else {
            return false;
        };
        let (orbit, moving) = motion.at(now_secs);
        self.orbit = orbit;
        if !moving {
            self.motion = None;
        }
        moving
    }

    /// The view in which a scene opens, with the up and lens that are in force.
    fn opening_orbit(&self, scene: &Scene4d) -> Orbit {
        let fit = Orbit::fit(&SceneBounds::of(scene), first_camera(scene));
        Orbit {
            field_of_view_rad: self.orbit.field_of_view_rad,
            orthographic: self.orbit.orthographic,
            ..fit.levelled(self.orbit.up)
        }
    }
}

//! A scene before it is rendered: surroundings, objects, light and the way of the camera.
//!
//! Stage coordinates: y up, the floor at `y = 0`, lengths in metres. The delivered clip is in the
//! camera frame of its first frame instead.

use glam::{Affine3A, Vec3, Vec3A};

use super::camera_path::CameraPath;
use super::motion::Motion;
use super::shape::Shape;
use super::texture::Material;

/// One solid of an object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) shape: Shape,
    /// Canonical solid to the object's resting coordinates.
    pub(super) object_from_solid: Affine3A,
    /// Lengths that give the texture its scale: half extents of the part.
    pub(super) extent: Vec3A,
    pub(super) material: Material,
}

/// Solids that move together.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) parts: Vec<Part>,
    /// Where it rests: base on the ground, turned about the vertical.
    pub(super) stage_from_rest: Affine3A,
    /// Height of its middle above its base.
    pub(super) middle: f32,
    pub(super) motion: Motion,
    /// What it is, for captions: "red striped ball".
    pub(super) name: String,
    /// What it does: "bouncing"; empty for a still object.
    pub(super) verb: &'static str,
}

impl Object {
    /// Map from the object's own coordinates to the stage.
    pub(super) fn stage_from_object(&self, time: f32) -> Affine3A {
        self.stage_from_rest * self.motion.at(time, self.middle)
    }
}

/// What surrounds the objects.
#[derive(Clone, Copy, Debug)]
pub(super) enum Surroundings {
    /// The inside of a box from `low` to `high`: floor, walls, ceiling.
    Room {
        low: Vec3A,
        high: Vec3A,
        floor: Material,
        walls: Material,
        ceiling: Material,
    },
    /// A plane under a sky; at the distance `far` everything is lost in the horizon.
    Ground { material: Material, far: f32 },
}

/// The light that casts shadows.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lamp {
    /// Parallel light from this direction, unit length.
    Sun { direction: Vec3A },
    /// A small lamp; `reach` is the distance at which it has lost half its strength.
    Bulb { position: Vec3A, reach: f32 },
}

/// Light and air; colours are linear RGB.
#[derive(Clone, Copy, Debug)]
pub(super) struct Atmosphere {
    pub(super) lamp: Lamp,
    pub(super) lamp_colour: Vec3A,
    /// Ambient light from above and from below.
    pub(super) ambient_up: Vec3A,
    pub(super) ambient_down: Vec3A,
    /// Sky at the zenith and at the horizon; the horizon is also the colour of fog.
    pub(super) zenith: Vec3A,
    pub(super) horizon: Vec3A,
    /// Cover of clouds, 0..1.
    pub(super) clouds: f32,
    /// Extinction per metre.
    pub(super) fog: f32,
    /// Factor before the tone curve.
    pub(super) exposure: f32,
}

/// Everything that determines a clip, apart from its size.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) surroundings: Surroundings,
    pub(super) objects: Vec<Object>,
    pub(super) atmosphere: Atmosphere,
    pub(super) path: CameraPath,
    /// The place, for captions: "a room with brick walls".
    pub(super) place: String,
}

impl Part {
    /// A solid of half extents `half` about `centre`.
    pub(super) fn new(shape: Shape, centre: Vec3, half: Vec3, material: Material) -> Self {
        Self {
            shape,
            object_from_solid: Affine3A::from_translation(centre) * Affine3A::from_scale(half),
            extent: half.into(),
            material,
        }
    }

    /// The same solid turned by `turn` about the object's origin.
    pub(super) fn turned(mut self, turn: Affine3A) -> Self {
        self.object_from_solid = turn * self.object_from_solid;
        self
    }
}

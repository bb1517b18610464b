//! How objects move: every motion is a closed-form function of time, so flow is exact.

use std::f32::consts::TAU;

use glam::{Affine3A, Mat3A, Quat, Vec3, Vec3A};

/// Motion of an object about its resting place; a component that is zero does nothing.
///
/// Time is 0 at the first frame and 1 sixteen frames later.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Motion {
    /// Straight travel per unit of time.
    pub(super) travel: Vec3,
    /// Axis of spin, unit length, and turns per unit of time.
    pub(super) spin: Option<(Vec3, f32)>,
    /// Height and number of hops.
    pub(super) bounce: Option<(f32, f32)>,
    /// Height and number of slow rises.
    pub(super) hover: Option<(f32, f32)>,
    /// Circle on the ground: radius, angle per unit of time, starting angle.
    pub(super) circle: Option<(f32, f32, f32)>,
    /// Swing about a pivot at this height: height, amplitude in radians, swings.
    pub(super) swing: Option<(f32, f32, f32)>,
    /// Growth and shrinkage of the whole: share, beats.
    pub(super) pulse: Option<(f32, f32)>,
    /// Squash along the vertical at constant volume: share, beats.
    pub(super) squash: Option<(f32, f32)>,
}

impl Motion {
    /// True if nothing ever moves.
    pub(super) fn is_still(&self) -> bool {
        *self == Self::default()
    }

    /// Map from the object's resting coordinates (base at the origin, y up) at `time`.
    ///
    /// `middle` is the height of the centre about which it spins and swells.
    pub(super) fn at(&self, time: f32, middle: f32) -> Affine3A {
        let mut scale = Vec3::ONE;
        if let Some((share, beats)) = self.pulse {
            scale *= 1.0 + share * (TAU * beats * time).sin();
        }
        if let Some((share, beats)) = self.squash {
            let tall = 1.0 + share * (TAU * beats * time).sin();
            let wide = tall.sqrt().recip();
            scale *= Vec3::new(wide, tall, wide);
        }
        let rotation = self.spin.map_or(Quat::IDENTITY, |(axis, turns)| {
            Quat::from_axis_angle(axis, TAU * turns * time)
        });
        // A squashed thing keeps its foot on the ground; a tumbling one turns about its middle.
        let pivot = Vec3::Y * middle;
        let body = Affine3A::from_translation(pivot)
            * Affine3A::from_quat(rotation)
            * Affine3A::from_translation(-pivot)
            * Affine3A::from_scale(scale);
        Affine3A::from_translation(self.offset(time)) * self.swung(time) * body
    }

    fn offset(&self, time: f32) -> Vec3 {
        let mut offset = self.travel * time;
        if let Some((height, hops)) = self.bounce {
            let phase = (hops * time).fract();
            offset.y += 4.0 * height * phase * (1.0 - phase);
        }
        if let Some((height, rises)) = self.hover {
            offset.y += height * (0.5 - 0.5 * (TAU * rises * time).cos());
        }
        if let Some((radius, rate, start)) = self.circle {
            let (sin, cos) = (start + rate * time).sin_cos();
            let (sin0, cos0) = start.sin_cos();
            offset += Vec3::new(cos - cos0, 0.0, sin - sin0) * radius;
        }
        offset
    }

    fn swung(&self, time: f32) -> Affine3A {
        let Some((height, amplitude, swings)) = self.swing else {
            return Affine3A::IDENTITY;
        };
        let angle = amplitude * (TAU * swings * time).sin();
        let pivot = Vec3::Y * height;
        Affine3A::from_translation(pivot)
            * Affine3A::from_rotation_z(angle)
            * Affine3A::from_translation(-pivot)
    }
}

/// Inverse of an affine map and the matrix that carries normals back: `(M^-1)^T`.
pub(super) fn inverse_with_normals(map: &Affine3A) -> (Affine3A, Mat3A) {
    let inverse = map.inverse();
    (inverse, inverse.matrix3.transpose())
}

/// Radius about the map's centre that holds the image of the cube `[-1, 1]^3`: its farthest corner.
pub(super) fn cube_radius(map: &Affine3A) -> f32 {
    let m = map.matrix3;
    let sums = [m.y_axis + m.z_axis, m.y_axis - m.z_axis];
    sums.into_iter()
        .map(|side| {
            (m.x_axis + side)
                .length_squared()
                .max((m.x_axis - side).length_squared())
        })
        .fold(0.0, f32::max)
        .sqrt()
}

/// Radius about the map's centre that holds the image of the unit ball: `|M|_2 <= |M^T M|_inf^(1/2)`.
pub(super) fn ball_radius(map: &Affine3A) -> f32 {
    let gram = map.matrix3.transpose() * map.matrix3;
    let row = |v: Vec3A| v.abs().element_sum();
    row(gram.x_axis)
        .max(row(gram.y_axis))
        .max(row(gram.z_axis))
        .sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rest_is_the_identity_and_time_zero_is_rest() {
        let still = Motion::default();
        assert!(still.is_still());
        assert_eq!(still.at(0.7, 0.5), Affine3A::IDENTITY);
        let busy = Motion {
            travel: Vec3::new(1.0, 0.0, 2.0),
            spin: Some((Vec3::Y, 0.5)),
            bounce: Some((1.0, 2.0)),
            circle: Some((1.0, 2.0, 0.3)),
            swing: Some((2.0, 0.4, 1.0)),
            pulse: Some((0.2, 1.0)),
            squash: Some((0.3, 1.0)),
            hover: Some((0.3, 1.0)),
        };
        assert!(!busy.is_still());
        assert!(busy.at(0.0, 0.5).abs_diff_eq(Affine3A::IDENTITY, 1e-6));
    }
}

//! Minimises the quadratic form of [`RotationCost`] over rotations.

use glam::{DMat3, DVec3};

use super::moments::{RotationCost, frobenius, from_row_vector};
use crate::geometry::{cross_matrix, nearest_rotation, rotation_exp, symmetric_eigen};

/// Newton steps; 3 to 5 are typical.
const MAX_STEPS: usize = 20;

impl RotationCost {
    /// Descends from `start` to the nearest minimum over SO(3).
    ///
    /// Left perturbation `R <- exp(delta) R`. Full Newton where the Hessian is positive definite,
    /// else Gauss-Newton, with the step halved until the cost falls.
    pub(super) fn descend(&self, start: DMat3) -> DMat3 {
        let mut rotation = start;
        let mut value = self.value(rotation);
        for _ in 0..MAX_STEPS {
            let Some(mut delta) = self.newton_step(rotation) else {
                break;
            };
            let mut improved = false;
            for _ in 0..8 {
                let candidate = rotation_exp(delta) * rotation;
                let candidate_value = self.value(candidate);
                if candidate_value <= value {
                    improved = candidate_value < value;
                    (rotation, value) = (candidate, candidate_value);
                    break;
                }
                delta *= 0.5;
            }
            if !improved || delta.length() < 1e-12 {
                break;
            }
        }
        // Products of rotations drift from orthonormality by rounding only; one projection ends it.
        nearest_rotation(rotation)
    }

    /// Minima reached from the eigenvectors of `Omega` with the four smallest eigenvalues.
    ///
    /// Both signs of each, projected to SO(3): for a planar cloud two of the minima have equal
    /// cost, one with the cloud behind the camera, so the caller chooses by depth.
    pub(super) fn all_minima(&self) -> Vec<DMat3> {
        let pairs = symmetric_eigen(self.omega);
        let mut minima: Vec<DMat3> = pairs[..4]
            .iter()
            .flat_map(|(_, r)| [*r, r.map(|x| -x)])
            .map(|r| self.descend(nearest_rotation(from_row_vector(r))))
            .collect();
        minima.push(self.descend(DMat3::IDENTITY));
        minima
    }

    /// `-H^-1 g` at `rotation`, at most half a radian long.
    fn newton_step(&self, rotation: DMat3) -> Option<DVec3> {
        let (gradient, curvature, gauss_newton) = self.derivatives(rotation);
        let hessian = if is_positive_definite(curvature) {
            curvature
        } else {
            gauss_newton + DMat3::IDENTITY * (1e-9 * self.trace())
        };
        let delta = -(hessian.inverse() * gradient);
        delta.is_finite().then(|| delta.clamp_length_max(0.5))
    }

    /// Half gradient, half Hessian and its Gauss-Newton part with respect to `delta`.
    ///
    /// With `J[:, a] = rows(G_a R)`, `G_a = [e_a]x` and `P = R (Omega r)^T`:
    /// `g_a = tr(G_a P)`, `H = J^T Omega J + (P + P^T) / 2 - tr(P) I`.
    pub(super) fn derivatives(&self, rotation: DMat3) -> (DVec3, DMat3, DMat3) {
        let p = rotation * self.omega_times(rotation).transpose();
        let gradient = DVec3::new(
            p.z_axis.y - p.y_axis.z,
            p.x_axis.z - p.z_axis.x,
            p.y_axis.x - p.x_axis.y,
        );
        let turned = DVec3::AXES.map(|axis| cross_matrix(axis) * rotation);
        let weighted = turned.map(|m| self.omega_times(m));
        let gauss_newton =
            DMat3::from_cols_array_2d(&turned.map(|a| weighted.map(|b| frobenius(a, b))));
        let trace = p.x_axis.x + p.y_axis.y + p.z_axis.z;
        let second = (p + p.transpose()) * 0.5 - DMat3::IDENTITY * trace;
        (gradient, gauss_newton + second, gauss_newton)
    }

    /// Columns: change of the best translation with a turn about each axis.
    pub(super) fn translation_jacobian(&self, rotation: DMat3) -> DMat3 {
        let [x, y, z] = DVec3::AXES.map(|axis| self.translation(cross_matrix(axis) * rotation));
        DMat3::from_cols(x, y, z)
    }
}

/// True if all leading minors of a symmetric matrix are positive.
fn is_positive_definite(m: DMat3) -> bool {
    m.x_axis.x > 0.0
        && m.x_axis.x * m.y_axis.y - m.x_axis.y * m.x_axis.y > 0.0
        && m.determinant() > 0.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::rotation_angle_rad;
    use crate::postopt::moments::Moments;

    /// Points seen from a known pose, `depth_of` giving each ray's depth.
    fn cost_of(pose: (DMat3, DVec3), depth_of: impl Fn(DVec3) -> f64) -> RotationCost {
        let mut moments = Moments::default();
        for i in 0..400 {
            let (u, v) = (
                f64::from(i % 20) / 19.0 - 0.5,
                f64::from(i / 20) / 19.0 - 0.5,
            );
            let ray = DVec3::new(u, v, 1.0);
            let in_camera = ray * depth_of(ray);
            let in_world = pose.0.transpose() * (in_camera - pose.1);
            moments.add(ray / ray.length(), in_world, 1.0);
        }
        moments.eliminate_translation().unwrap()
    }

    fn pose() -> (DMat3, DVec3) {
        (
            rotation_exp(DVec3::new(0.3, 2.4, -0.6)),
            DVec3::new(0.1, -0.2, 0.4),
        )
    }

    #[test]
    fn derivatives_equal_central_differences() {
        let cost = cost_of(pose(), |d| 3.0 + (5.0 * d.x).sin() + d.y);
        let rotation = rotation_exp(DVec3::new(0.2, 0.5, -0.1));
        let (gradient, hessian, _) = cost.derivatives(rotation);
        let at = |delta: DVec3| cost.value(rotation_exp(delta) * rotation) / 2.0;
        let h = 1e-4;
        for a in 0..3 {
            let ea = DVec3::AXES[a] * h;
            let slope = (at(ea) - at(-ea)) / (2.0 * h);
            assert!((slope - gradient[a]).abs() < 1e-6 * gradient.length());
            for b in 0..3 {
                let eb = DVec3::AXES[b] * h;
                let bend = (at(ea + eb) - at(ea - eb) - at(eb - ea) + at(-ea - eb)) / (4.0 * h * h);
                assert!((bend - hessian.col(b)[a]).abs() < 1e-5 * hessian.col(a).length());
            }
        }
    }

    #[test]
    fn a_cold_start_finds_a_pose_far_from_identity() {
        let cost = cost_of(pose(), |d| 3.0 + (5.0 * d.x).sin() + d.y);
        let best = cost
            .all_minima()
            .into_iter()
            .min_by(|a, b| cost.value(*a).total_cmp(&cost.value(*b)))
            .unwrap();
        assert!(rotation_angle_rad(best * pose().0.transpose()) < 1e-7);
        assert!((cost.translation(best) - pose().1).length() < 1e-7);
    }

    #[test]
    fn the_minima_of_a_plane_hold_the_pose_and_its_twin() {
        for slope in [0.0, 0.4] {
            let cost = cost_of(pose(), |d| 3.0 / (1.0 - slope * d.x));
            let zero: Vec<_> = cost
                .all_minima()
                .into_iter()
                .filter(|r| cost.value(*r) < 1e-9)
                .collect();
            let is_pose = |r: &&DMat3| rotation_angle_rad(**r * pose().0.transpose()) < 1e-6;
            assert!(zero.iter().any(|r| is_pose(&r)), "slope {slope}");
            assert!(zero.iter().any(|r| !is_pose(&r)), "slope {slope}");
        }
    }
}

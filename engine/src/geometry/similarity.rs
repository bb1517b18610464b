//! Least-squares alignment of two point sets by rotation, translation and scale (Umeyama 1991).

use glam::{DMat3, DQuat, DVec3};

use super::WorldFromCamera;
use super::eigen::svd3;

/// Which motions an alignment may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlignmentGroup {
    /// Rotation and translation.
    Se3,
    /// Rotation, translation and one positive scale.
    Sim3,
}

/// `y = scale * rotation * x + translation`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Similarity {
    /// Scale, > 0.
    pub scale: f64,
    /// Rotation.
    pub rotation: DMat3,
    /// Translation, in units of the target.
    pub translation: DVec3,
}

/// A fitted similarity and how far the points determine it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SimilarityFit {
    /// The motion.
    pub motion: Similarity,
    /// Dimensions that the points span together: 1 is a line, about which the turn is free; the
    /// shortest turn was taken. 2 and 3 determine the rotation.
    pub rank: usize,
}

impl Similarity {
    /// The motion that leaves everything where it is.
    pub const IDENTITY: Self = Self {
        scale: 1.0,
        rotation: DMat3::IDENTITY,
        translation: DVec3::ZERO,
    };

    /// Best fit of `from` to `onto`, pairwise.
    ///
    /// With means `mx, my`, `C = mean (y - my)(x - mx)^T = U diag(d) V^T`, `S = diag(1, 1, det U V^T)`:
    /// `R = U S V^T`, `c = tr(diag(d) S) / mean |x - mx|^2`, `t = my - c R mx`
    /// (Umeyama, PAMI 13(4), 1991; the same form as in the trajectory tool evo).
    ///
    /// `None` if one side is a single point, which fixes neither scale nor rotation.
    pub fn fit(from: &[DVec3], onto: &[DVec3], group: AlignmentGroup) -> Option<SimilarityFit> {
        let even = vec![1.0; from.len().min(onto.len())];
        Self::fit_weighted(from, onto, &even, group)
    }

    /// As [`Self::fit`] with a weight >= 0 a pair: all means are weighted ones.
    pub fn fit_weighted(
        from: &[DVec3],
        onto: &[DVec3],
        weights: &[f64],
        group: AlignmentGroup,
    ) -> Option<SimilarityFit> {
        let total: f64 = weights.iter().sum();
        (total > 0.0).then_some(())?;
        let triples = || from.iter().zip(onto).zip(weights.iter().map(|w| w / total));
        let mean_x = triples().map(|((x, _), w)| *x * w).sum::<DVec3>();
        let mean_y = triples().map(|((_, y), w)| *y * w).sum::<DVec3>();
        let mut covariance = DMat3::ZERO;
        let (mut var_x, mut var_y) = (0.0, 0.0);
        for ((x, y), w) in triples() {
            let (x, y) = (*x - mean_x, *y - mean_y);
            covariance += DMat3::from_cols(y * x.x, y * x.y, y * x.z) * w;
            var_x += x.length_squared() * w;
            var_y += y.length_squared() * w;
        }
        let svd = svd3(covariance);
        // Relative to the spreads, so that the test does not depend on units.
        let negligible = f64::EPSILON * 16.0 * (var_x * var_y).sqrt();
        let rank = svd
            .singular
            .to_array()
            .iter()
            .filter(|d| **d > negligible)
            .count();
        let (rotation, overlap) = if rank < 2 {
            let (x, y) = (svd.v.x_axis, svd.u.x_axis);
            (
                DMat3::from_quat(DQuat::from_rotation_arc(x, y)),
                svd.singular.x,
            )
        } else {
            let vt = svd.v.transpose();
            let signs = DVec3::new(1.0, 1.0, (svd.u * vt).determinant().signum());
            (
                svd.u * DMat3::from_diagonal(signs) * vt,
                svd.singular.dot(signs),
            )
        };
        let scale = match group {
            AlignmentGroup::Se3 => 1.0,
            AlignmentGroup::Sim3 => overlap / var_x,
        };
        let motion = Self {
            scale,
            rotation,
            translation: mean_y - rotation * mean_x * scale,
        };
        let determined = rank > 0 && scale > 0.0 && motion.translation.is_finite();
        determined.then_some(SimilarityFit { motion, rank })
    }

    /// The motion that does `first`, then this.
    pub fn after(self, first: Self) -> Self {
        Self {
            scale: self.scale * first.scale,
            rotation: self.rotation * first.rotation,
            translation: self.transform(first.translation),
        }
    }

    /// Moves a point.
    pub fn transform(self, point: DVec3) -> DVec3 {
        self.rotation * point * self.scale + self.translation
    }

    /// Moves a camera: turns its axes, moves its centre.
    pub fn transform_pose(self, pose: WorldFromCamera) -> WorldFromCamera {
        WorldFromCamera {
            rotation: self.rotation * pose.rotation,
            translation: self.transform(pose.translation),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{rotation_angle_rad, rotation_exp};

    fn cloud() -> Vec<DVec3> {
        (0..40)
            .map(|i| {
                let t = i as f64;
                DVec3::new(
                    (0.3 * t).sin(),
                    (0.7 * t).cos() * 2.0,
                    (0.11 * t).sin() - 0.4,
                )
            })
            .collect()
    }

    fn motion() -> Similarity {
        Similarity {
            scale: 2.5,
            rotation: rotation_exp(DVec3::new(0.4, -1.1, 0.9)),
            translation: DVec3::new(3.0, -2.0, 10.0),
        }
    }

    #[test]
    fn recovers_a_known_similarity() {
        let from = cloud();
        let onto: Vec<_> = from.iter().map(|&p| motion().transform(p)).collect();
        let fit = Similarity::fit(&from, &onto, AlignmentGroup::Sim3)
            .unwrap()
            .motion;
        assert!((fit.scale - 2.5).abs() < 1e-12);
        assert!(rotation_angle_rad(fit.rotation * motion().rotation.transpose()) < 1e-12);
        assert!((fit.translation - motion().translation).length() < 1e-11);
    }

    #[test]
    fn a_mirrored_target_is_met_by_a_rotation() {
        let from = cloud();
        let onto: Vec<_> = from.iter().map(|p| DVec3::new(p.x, p.y, -p.z)).collect();
        let fit = Similarity::fit(&from, &onto, AlignmentGroup::Se3)
            .unwrap()
            .motion;
        assert!((fit.rotation.determinant() - 1.0).abs() < 1e-12);
        assert_eq!(fit.scale, 1.0);
    }

    #[test]
    fn a_single_point_is_refused_and_a_line_takes_the_shortest_turn() {
        let same = vec![DVec3::ONE; 10];
        assert!(Similarity::fit(&same, &cloud(), AlignmentGroup::Sim3).is_none());
        assert!(Similarity::fit(&[], &[], AlignmentGroup::Sim3).is_none());
        let line: Vec<_> = (0..10).map(|i| DVec3::X * f64::from(i)).collect();
        let longer: Vec<_> = (0..10).map(|i| DVec3::X * f64::from(3 * i)).collect();
        let fit = Similarity::fit(&line, &longer, AlignmentGroup::Sim3).unwrap();
        assert_eq!(fit.rank, 1);
        assert!((fit.motion.scale - 3.0).abs() < 1e-12);
        assert!(rotation_angle_rad(fit.motion.rotation) < 1e-9);
    }
}

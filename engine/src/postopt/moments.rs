//! One pass over the pixels: the 60 sums that the pose of a frame depends on.

use glam::{DMat3, DVec3};

/// Place of entry `(a, b)` of a symmetric 3x3 matrix among its six unique ones.
const SYMMETRIC: [[usize; 3]; 3] = [[0, 1, 2], [1, 3, 4], [2, 4, 5]];

/// Sums of `Q = w (I - v v^T)` times `1`, `X` and `X X^T`; rows by entry of `Q`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moments {
    rows: [[f64; 10]; 6],
}

impl Moments {
    /// Adds the point `x` of the pixel with unit ray `v` and weight `w`.
    pub(super) fn add(&mut self, v: DVec3, x: DVec3, w: f64) {
        let q = [
            w * (1.0 - v.x * v.x),
            -w * v.x * v.y,
            -w * v.x * v.z,
            w * (1.0 - v.y * v.y),
            -w * v.y * v.z,
            w * (1.0 - v.z * v.z),
        ];
        let monomials = [
            1.0,
            x.x,
            x.y,
            x.z,
            x.x * x.x,
            x.x * x.y,
            x.x * x.z,
            x.y * x.y,
            x.y * x.z,
            x.z * x.z,
        ];
        for (row, q) in self.rows.iter_mut().zip(q) {
            for (sum, m) in row.iter_mut().zip(monomials) {
                *sum += q * m;
            }
        }
    }

    /// Eliminates the translation.
    ///
    /// With `r` the rows of `R` one after another and `A = I (x) X^T`, so that `R X = A r`:
    /// the best translation is `t*(r) = -S_Q^-1 S_QA r`, the remaining cost `r^T Omega r` with
    /// `Omega = S_AQA - S_QA^T S_Q^-1 S_QA`. `None` if the rays do not fix a translation.
    pub(super) fn eliminate_translation(&self) -> Option<RotationCost> {
        let s_q = DMat3::from_cols_array_2d(
            &[0, 1, 2].map(|a| [0, 1, 2].map(|b| self.rows[SYMMETRIC[a][b]][0])),
        );
        let inverse = s_q.inverse();
        if !inverse.is_finite() {
            return None;
        }
        let s_qa: [[f64; 9]; 3] = std::array::from_fn(|a| {
            std::array::from_fn(|j| self.rows[SYMMETRIC[a][j / 3]][1 + j % 3])
        });
        let translation_from_rotation: [[f64; 9]; 3] = std::array::from_fn(|a| {
            std::array::from_fn(|j| {
                -(inverse.x_axis[a] * s_qa[0][j]
                    + inverse.y_axis[a] * s_qa[1][j]
                    + inverse.z_axis[a] * s_qa[2][j])
            })
        });
        let omega: [[f64; 9]; 9] = std::array::from_fn(|i| {
            std::array::from_fn(|j| {
                let direct = self.rows[SYMMETRIC[i / 3][j / 3]][4 + SYMMETRIC[i % 3][j % 3]];
                let through: f64 = (0..3)
                    .map(|a| s_qa[a][i] * translation_from_rotation[a][j])
                    .sum();
                direct + through
            })
        });
        Some(RotationCost {
            omega,
            translation_from_rotation,
            translation_covariance: inverse,
        })
    }
}

/// The cost of a frame as a function of its rotation alone.
#[derive(Clone, Debug)]
pub(super) struct RotationCost {
    /// `Omega`.
    pub(super) omega: [[f64; 9]; 9],
    /// `-S_Q^-1 S_QA`.
    pub(super) translation_from_rotation: [[f64; 9]; 3],
    /// `S_Q^-1`.
    pub(super) translation_covariance: DMat3,
}

/// Rows of a matrix one after another.
pub(super) fn row_vector(m: DMat3) -> [f64; 9] {
    m.transpose().to_cols_array()
}

/// The matrix with these rows.
pub(super) fn from_row_vector(r: [f64; 9]) -> DMat3 {
    DMat3::from_cols_array(&r).transpose()
}

impl RotationCost {
    /// The best translation for a rotation.
    pub(super) fn translation(&self, rotation: DMat3) -> DVec3 {
        DVec3::from_array(apply(
            &self.translation_from_rotation,
            &row_vector(rotation),
        ))
    }

    /// `Omega r`, as the matrix with these rows.
    pub(super) fn omega_times(&self, rotation: DMat3) -> DMat3 {
        from_row_vector(apply(&self.omega, &row_vector(rotation)))
    }

    /// `r^T Omega r`.
    pub(super) fn value(&self, rotation: DMat3) -> f64 {
        frobenius(rotation, self.omega_times(rotation))
    }

    /// Sum of the eigenvalues of `Omega`, a scale for damping.
    pub(super) fn trace(&self) -> f64 {
        (0..9).map(|i| self.omega[i][i]).sum()
    }
}

/// `sum a_ij b_ij`.
pub(super) fn frobenius(a: DMat3, b: DMat3) -> f64 {
    a.x_axis.dot(b.x_axis) + a.y_axis.dot(b.y_axis) + a.z_axis.dot(b.z_axis)
}

fn apply<const M: usize>(matrix: &[[f64; 9]; M], r: &[f64; 9]) -> [f64; M] {
    std::array::from_fn(|i| matrix[i].iter().zip(r).map(|(a, b)| a * b).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::rotation_exp;

    /// The cost summed pixel by pixel.
    fn direct_cost(pixels: &[(DVec3, DVec3, f64)], rotation: DMat3, translation: DVec3) -> f64 {
        pixels
            .iter()
            .map(|&(v, x, w)| {
                let y = rotation * x + translation;
                w * (y - v * v.dot(y)).length_squared()
            })
            .sum()
    }

    fn pixels() -> Vec<(DVec3, DVec3, f64)> {
        (0..50)
            .map(|i| {
                let t = f64::from(i);
                let v = DVec3::new((t * 0.7).sin() * 0.5, (t * 1.3).cos() * 0.4, 1.0);
                let x = DVec3::new((t * 0.31).cos(), (t * 0.17).sin() * 2.0, (t * 0.9).sin());
                (v / v.length(), x, 0.5 + 0.5 * (t * 0.2).sin().abs())
            })
            .collect()
    }

    #[test]
    fn eliminated_cost_equals_the_sum_at_its_best_translation() {
        let mut moments = Moments::default();
        for (v, x, w) in pixels() {
            moments.add(v, x, w);
        }
        let cost = moments.eliminate_translation().unwrap();
        let rotation = rotation_exp(DVec3::new(0.2, -0.4, 0.9));
        let translation = cost.translation(rotation);
        let best = direct_cost(&pixels(), rotation, translation);
        assert!((best - cost.value(rotation)).abs() < 1e-10 * best);
        for step in [DVec3::X, DVec3::Y, DVec3::Z] {
            for sign in [-1e-3, 1e-3] {
                let moved = direct_cost(&pixels(), rotation, translation + step * sign);
                assert!(moved > best);
            }
        }
    }
}

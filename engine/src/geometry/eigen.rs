//! Eigenvalues of small symmetric matrices and singular values of 3x3 ones, by Jacobi rotations.
//!
//! Jacobi is slower than tridiagonal methods for large matrices, but for 3 to 9 rows it is short,
//! unconditionally convergent and accurate to the last digits also where eigenvalues coincide.

use glam::{DMat3, DVec3};

/// Sweeps after which the off-diagonal part is gone to rounding; 6 to 8 are typical.
const MAX_SWEEPS: usize = 40;

/// Eigenvalues of a symmetric matrix in ascending order, each with its unit eigenvector.
///
/// Cyclic Jacobi (Golub and Van Loan, Matrix Computations, 8.5). Only the upper triangle counts.
pub fn symmetric_eigen<const N: usize>(mut a: [[f64; N]; N]) -> [(f64, [f64; N]); N] {
    let mut v = [[0.0; N]; N];
    for (i, row) in v.iter_mut().enumerate() {
        row[i] = 1.0;
    }
    let total: f64 = a.iter().flatten().map(|x| x * x).sum();
    for _ in 0..MAX_SWEEPS {
        let mut off = 0.0;
        for p in 0..N {
            for q in p + 1..N {
                off += a[p][q] * a[p][q];
                rotate_away(&mut a, &mut v, p, q);
            }
        }
        if off <= total * f64::EPSILON * f64::EPSILON {
            break;
        }
    }
    let mut pairs: [(f64, [f64; N]); N] =
        std::array::from_fn(|i| (a[i][i], std::array::from_fn(|row| v[row][i])));
    pairs.sort_by(|x, y| x.0.total_cmp(&y.0));
    pairs
}

/// One Jacobi rotation in the plane `(p, q)` that zeroes `a[p][q]`.
fn rotate_away<const N: usize>(a: &mut [[f64; N]; N], v: &mut [[f64; N]; N], p: usize, q: usize) {
    let apq = a[p][q];
    if apq == 0.0 {
        return;
    }
    let theta = (a[q][q] - a[p][p]) / (2.0 * apq);
    let t = theta.signum() / (theta.abs() + theta.hypot(1.0));
    let c = 1.0 / t.hypot(1.0);
    let s = t * c;
    a[p][p] -= t * apq;
    a[q][q] += t * apq;
    a[p][q] = 0.0;
    a[q][p] = 0.0;
    for k in (0..N).filter(|&k| k != p && k != q) {
        let (akp, akq) = (a[k.min(p)][k.max(p)], a[k.min(q)][k.max(q)]);
        let (new_p, new_q) = (c * akp - s * akq, s * akp + c * akq);
        a[k][p] = new_p;
        a[p][k] = new_p;
        a[k][q] = new_q;
        a[q][k] = new_q;
    }
    for row in v.iter_mut() {
        let (vp, vq) = (row[p], row[q]);
        row[p] = c * vp - s * vq;
        row[q] = s * vp + c * vq;
    }
}

/// `m = u * diag(singular) * v^T`, singular values in descending order, `u` and `v` orthonormal.
#[derive(Clone, Copy, Debug)]
pub struct Svd3 {
    /// Left singular vectors as columns; the determinant may be -1.
    pub u: DMat3,
    /// Singular values, descending, not negative.
    pub singular: DVec3,
    /// Right singular vectors as columns; the determinant may be -1.
    pub v: DMat3,
}

/// Singular value decomposition of a 3x3 matrix by one-sided Jacobi (Hestenes 1958).
pub fn svd3(m: DMat3) -> Svd3 {
    let mut b = [m.x_axis, m.y_axis, m.z_axis];
    let mut v = [DVec3::X, DVec3::Y, DVec3::Z];
    for _ in 0..MAX_SWEEPS {
        let mut rotated = false;
        for (p, q) in [(0, 1), (0, 2), (1, 2)] {
            rotated |= orthogonalise(&mut b, &mut v, p, q);
        }
        if !rotated {
            break;
        }
    }
    let mut order = [0, 1, 2];
    order.sort_by(|&i, &j| b[j].length_squared().total_cmp(&b[i].length_squared()));
    let singular = DVec3::from_array(order.map(|i| b[i].length()));
    let [b0, b1, _] = order.map(|i| b[i]);
    // Directions of vanishing singular values are free; complete them to an orthonormal frame.
    let tiny = singular.x * 1e-14;
    let u0 = if singular.x > 0.0 {
        b0 / singular.x
    } else {
        DVec3::X
    };
    let u1 = if singular.y > tiny {
        b1 / singular.y
    } else {
        u0.any_orthonormal_vector()
    };
    let u2 = if singular.z > tiny {
        b[order[2]] / singular.z
    } else {
        u0.cross(u1)
    };
    Svd3 {
        u: DMat3::from_cols(u0, u1, u2),
        singular,
        v: DMat3::from_cols(v[order[0]], v[order[1]], v[order[2]]),
    }
}

/// Rotates columns `p` and `q` until they are orthogonal; false if they were.
fn orthogonalise(b: &mut [DVec3; 3], v: &mut [DVec3; 3], p: usize, q: usize) -> bool {
    let (alpha, beta, gamma) = (b[p].length_squared(), b[q].length_squared(), b[p].dot(b[q]));
    if gamma.abs() <= f64::EPSILON * (alpha * beta).sqrt() || gamma == 0.0 {
        return false;
    }
    let zeta = (beta - alpha) / (2.0 * gamma);
    let t = if zeta >= 0.0 { 1.0 } else { -1.0 } / (zeta.abs() + zeta.hypot(1.0));
    let c = 1.0 / t.hypot(1.0);
    let s = t * c;
    for m in [b, v] {
        let (x, y) = (m[p], m[q]);
        m[p] = c * x - s * y;
        m[q] = s * x + c * y;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eigenpairs_satisfy_their_definition() {
        let a: [[f64; 5]; 5] = std::array::from_fn(|i| {
            std::array::from_fn(|j| ((i * j) as f64).sin() + ((i + j) as f64).cos())
        });
        let pairs = symmetric_eigen(a);
        for window in pairs.windows(2) {
            assert!(window[0].0 <= window[1].0);
        }
        for (value, vector) in pairs {
            let norm: f64 = vector.iter().map(|x| x * x).sum();
            assert!((norm - 1.0).abs() < 1e-12);
            for (row, x) in a.iter().zip(vector) {
                let ax: f64 = row.iter().zip(vector).map(|(a, x)| a * x).sum();
                assert!((ax - value * x).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn equal_eigenvalues_still_give_an_orthonormal_basis() {
        let pairs = symmetric_eigen([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 2.0]]);
        assert!(pairs.iter().all(|p| p.0 == 2.0));
    }

    #[test]
    fn singular_factors_multiply_back_also_for_rank_one() {
        let full = DMat3::from_cols_array(&[1.0, 2.0, 3.0, -4.0, 5.0, 0.5, 7.0, 8.0, -9.0]);
        let rank_one = DMat3::from_cols(DVec3::X * 2.0, DVec3::X * 3.0, DVec3::ZERO);
        for m in [full, rank_one, DMat3::ZERO, DMat3::IDENTITY] {
            let Svd3 { u, singular, v } = svd3(m);
            let back = u * DMat3::from_diagonal(singular) * v.transpose();
            let error = (back - m)
                .to_cols_array()
                .iter()
                .map(|x| x.abs())
                .sum::<f64>();
            assert!(error < 1e-12, "{m:?} {back:?}");
            for side in [u, v] {
                let gram = side.transpose() * side - DMat3::IDENTITY;
                assert!(gram.to_cols_array().iter().all(|x| x.abs() < 1e-12));
            }
            assert!(singular.x >= singular.y && singular.y >= singular.z);
        }
    }
}

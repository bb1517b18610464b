//! Rotations: exponential map, angles, projection onto SO(3).

use glam::{DMat3, DQuat, DVec3};

use super::eigen::svd3;

/// Rotation by the vector `w`: axis `w / |w|`, angle `|w|` radians (Rodrigues).
pub fn rotation_exp(w: DVec3) -> DMat3 {
    let theta_sq = w.length_squared();
    let theta = theta_sq.sqrt();
    // Series below 1e-4: the quotients lose digits there, the next terms are under 1e-17.
    let (a, b) = if theta < 1e-4 {
        (1.0 - theta_sq / 6.0, 0.5 - theta_sq / 24.0)
    } else {
        (theta.sin() / theta, (1.0 - theta.cos()) / theta_sq)
    };
    let k = cross_matrix(w);
    DMat3::IDENTITY + k * a + k * k * b
}

/// The vector `w` with `exp(w) = r`, `|w|` in `0..=pi`.
pub fn rotation_log(r: DMat3) -> DVec3 {
    let q = DQuat::from_mat3(&r);
    let q = if q.w < 0.0 { -q } else { q };
    let axis = DVec3::new(q.x, q.y, q.z);
    let sin = axis.length();
    // asin(x) / x is 1 + x^2 / 6 near 0, where the quotient has no digits.
    if sin < 1e-6 {
        axis * (2.0 + sin * sin / 3.0)
    } else {
        axis * (2.0 * sin.atan2(q.w) / sin)
    }
}

/// The matrix `[w]x` with `[w]x y = w x y`.
pub fn cross_matrix(w: DVec3) -> DMat3 {
    DMat3::from_cols(
        DVec3::new(0.0, w.z, -w.y),
        DVec3::new(-w.z, 0.0, w.x),
        DVec3::new(w.y, -w.x, 0.0),
    )
}

/// Angle of a rotation in radians, `0..=pi`; accurate also near both ends.
pub fn rotation_angle_rad(r: DMat3) -> f64 {
    let axis = DVec3::new(
        r.y_axis.z - r.z_axis.y,
        r.z_axis.x - r.x_axis.z,
        r.x_axis.y - r.y_axis.x,
    );
    let trace = r.x_axis.x + r.y_axis.y + r.z_axis.z;
    axis.length().atan2(trace - 1.0)
}

/// The rotation closest to `m` in the Frobenius norm: `U diag(1, 1, det(U V^T)) V^T`.
pub fn nearest_rotation(m: DMat3) -> DMat3 {
    let svd = svd3(m);
    let vt = svd.v.transpose();
    let sign = (svd.u * vt).determinant().signum();
    svd.u * DMat3::from_diagonal(DVec3::new(1.0, 1.0, sign)) * vt
}

/// Rotation at share `t` of the shortest way from `a` to `b`.
pub fn rotation_slerp(a: DMat3, b: DMat3, t: f64) -> DMat3 {
    DMat3::from_quat(DQuat::from_mat3(&a).slerp(DQuat::from_mat3(&b), t))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponential_turns_by_its_length_about_its_direction() {
        for angle in [1e-9, 1e-5, 0.3, 3.0] {
            let w = DVec3::new(1.0, -2.0, 2.0) / 3.0 * angle;
            let r = rotation_exp(w);
            assert!((rotation_angle_rad(r) - angle).abs() < 1e-12 + 1e-9 * angle);
            assert!((r * w - w).length() < 1e-14);
            let gram = r.transpose() * r - DMat3::IDENTITY;
            assert!(gram.to_cols_array().iter().all(|x| x.abs() < 1e-14));
        }
    }

    #[test]
    fn the_logarithm_undoes_the_exponential() {
        for angle in [0.0, 1e-9, 1e-5, 0.3, 3.0] {
            let w = DVec3::new(1.0, -2.0, 2.0) / 3.0 * angle;
            assert!(
                (rotation_log(rotation_exp(w)) - w).length() < 1e-12,
                "{angle}"
            );
        }
    }

    #[test]
    fn nearest_rotation_undoes_a_stretch_and_never_mirrors() {
        let r = rotation_exp(DVec3::new(0.3, 0.8, -0.4));
        let stretch = DMat3::from_diagonal(DVec3::new(3.0, 2.0, 0.7));
        let back = nearest_rotation(r * stretch);
        assert!(rotation_angle_rad(back * r.transpose()) < 1e-12);
        let mirrored = DMat3::from_diagonal(DVec3::new(1.0, 1.0, -1.0));
        assert!((nearest_rotation(mirrored).determinant() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn slerp_halves_the_angle() {
        let r = rotation_exp(DVec3::new(0.0, 0.8, 0.0));
        let half = rotation_slerp(DMat3::IDENTITY, r, 0.5);
        assert!((rotation_angle_rad(half) - 0.4).abs() < 1e-12);
    }
}

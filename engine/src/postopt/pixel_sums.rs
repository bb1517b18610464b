//! The sums of one pass over a frame's pixels, and the normal equations that they make.

use glam::{DMat3, DVec3};

use super::normals::Normals;

/// Sums of a row, in the order of [`FrameSums::add_row`].
pub(super) const SUMS: usize = 23;

/// What one pass over a frame gives. Residuals and centres are in the pass's unit.
#[derive(Clone, Copy, Debug)]
pub(super) struct PixelSums {
    /// Without a loss.
    pub(super) normals: Normals,
    /// Sum of the weights that pixels have before they are looked at.
    pub(super) prior_weight: f64,
    /// Sum of all weights.
    pub(super) weight: f64,
    /// Sum of weights times squared residuals.
    pub(super) squares: f64,
    /// Sum of the loss's curvature over the two directions across the ray, halved.
    pub(super) curvature: f64,
}

impl PixelSums {
    /// Variance of a residual's component.
    pub(super) fn variance(&self) -> f64 {
        self.squares / (2.0 * self.weight)
    }

    /// By what the matrix of reweighted squares is stiffer than the loss: its steps fall short by
    /// this. Below 2, where a step of a majoriser still never climbs.
    pub(super) fn stiffness(&self) -> f64 {
        (self.curvature / self.weight).clamp(0.55, 1.0)
    }
}

/// Sums over rows, in the camera's axes.
pub(super) struct FrameSums {
    turn_turn: DMat3,
    turn_shift: DMat3,
    shift_shift: DMat3,
    turn_focal: DVec3,
    shift_focal: DVec3,
    focal_focal: f64,
    turn: DVec3,
    shift: DVec3,
    focal: f64,
    prior_weight: f64,
    weight: f64,
    squares: f64,
    curvature: f64,
}

/// Symmetric, from its rows' upper triangle.
fn symmetric(xx: f64, xy: f64, xz: f64, yy: f64, yz: f64, zz: f64) -> DMat3 {
    DMat3::from_cols_array(&[xx, xy, xz, xy, yy, yz, xz, yz, zz])
}

impl FrameSums {
    pub(super) const ZERO: Self = Self {
        turn_turn: DMat3::ZERO,
        turn_shift: DMat3::ZERO,
        shift_shift: DMat3::ZERO,
        turn_focal: DVec3::ZERO,
        shift_focal: DVec3::ZERO,
        focal_focal: 0.0,
        turn: DVec3::ZERO,
        shift: DVec3::ZERO,
        focal: 0.0,
        prior_weight: 0.0,
        weight: 0.0,
        squares: 0.0,
        curvature: 0.0,
    };

    pub(super) fn add_row(&mut self, dy: f64, sums: &[f64; SUMS]) {
        let &[
            w,
            n,
            nx,
            nxx,
            d,
            dx,
            dn,
            dnx,
            dd,
            ddx,
            ddxx,
            ddn,
            ex,
            ey,
            ez,
            dex,
            dey,
            dez,
            dxey,
            dxez,
            prior_weight,
            squares,
            curvature,
        ] = sums;
        // |d|^2 I - d d^T with d = (dx, dy, 1).
        self.turn_turn += symmetric(
            dd * (dy * dy + 1.0),
            -ddx * dy,
            -ddx,
            ddxx + dd,
            -dd * dy,
            ddxx + dd * dy * dy,
        );
        // Columns of [d]x.
        self.turn_shift += DMat3::from_cols(
            DVec3::new(0.0, d, -d * dy),
            DVec3::new(-d, 0.0, dx),
            DVec3::new(d * dy, -dx, 0.0),
        );
        self.shift_shift += symmetric(w - nxx, -nx * dy, -nx, w - n * dy * dy, -n * dy, w - n);
        self.turn_focal += DVec3::new(-dd * dy, ddx, 0.0);
        self.shift_focal += DVec3::new(dnx, dn * dy, dn - d);
        self.focal_focal += dd - ddn;
        self.turn += DVec3::new(dy * dez - dey, dex - dxez, dxey - dy * dex);
        self.shift += DVec3::new(ex, ey, ez);
        self.focal -= dez;
        self.prior_weight += prior_weight;
        self.weight += w;
        self.squares += squares;
        self.curvature += curvature;
    }

    /// A shift of the camera's origin by `-R p` is one of its centre by `p`.
    pub(super) fn finish(&self, world_from_camera: DMat3) -> PixelSums {
        let camera_from_world = world_from_camera.transpose();
        let turn_centre = self.turn_shift * camera_from_world * -1.0;
        let centre_centre = world_from_camera * self.shift_shift * camera_from_world;
        let centre_focal = -(world_from_camera * self.shift_focal);
        let centre = -(world_from_camera * self.shift);
        let mut normals = Normals::default();
        for a in 0..3 {
            for b in 0..3 {
                normals.matrix[a][b] = self.turn_turn.col(b)[a];
                normals.matrix[3 + a][b] = turn_centre.col(a)[b];
                normals.matrix[3 + a][3 + b] = centre_centre.col(b)[a];
            }
            normals.matrix[6][a] = self.turn_focal[a];
            normals.matrix[6][3 + a] = centre_focal[a];
            normals.gradient[a] = self.turn[a];
            normals.gradient[3 + a] = centre[a];
        }
        normals.matrix[6][6] = self.focal_focal;
        normals.gradient[6] = self.focal;
        PixelSums {
            normals: normals.mirrored(),
            prior_weight: self.prior_weight,
            weight: self.weight,
            squares: self.squares,
            curvature: self.curvature,
        }
    }
}

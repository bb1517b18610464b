//! What the points of one frame say about its pose and its focal length: normal equations.
//!
//! Derivatives are by a left turn, a shift of the centre in units of the clip, and the logarithm of
//! the focal length, with the depth of each pixel following (Golub and Pereyra's variable projection
//! without the term that vanishes with the residual).

use glam::{DMat3, DVec3};

use super::elimination::eliminate;
use super::motion_prior::PER_FRAME;
use super::refinement::PointNorm;
use super::samples::{FrameSamples, Sample};
use crate::geometry::Intrinsics;

/// Unknowns of a pixel: those of its frame and the focal length.
pub(super) const COLUMNS: usize = PER_FRAME + 1;

/// Normal equations of one frame.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Normals {
    pub(super) loss: f64,
    pub(super) matrix: [[f64; COLUMNS]; COLUMNS],
    pub(super) gradient: [f64; COLUMNS],
}

/// One frame's camera under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    /// World to camera.
    pub(super) rotation: DMat3,
    /// In the clip's coordinates.
    pub(super) centre: DVec3,
    pub(super) lens: Intrinsics,
}

impl View {
    /// The point from the camera's centre, its ray in the world, and the ray in the camera.
    #[inline(always)]
    pub(super) fn of(&self, sample: &Sample, origin: DVec3) -> (DVec3, DVec3, DVec3) {
        let d = DVec3::new(
            (sample.u_px - self.lens.cx_px) / self.lens.fx_px,
            (sample.v_px - self.lens.cy_px) / self.lens.fy_px,
            1.0,
        );
        (
            sample.point + (origin - self.centre),
            self.rotation.transpose() * d,
            d,
        )
    }
}

/// How the samples of a frame are counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counting {
    pub(super) norm: PointNorm,
    /// Robust scale of the residuals.
    pub(super) scale: f64,
    /// Unit of the centre's derivatives.
    pub(super) unit: f64,
    /// Factor of every sample's weight.
    pub(super) share: f64,
}

impl Normals {
    /// Sum over the samples of a frame.
    pub(super) fn of_samples(samples: &FrameSamples, view: &View, how: &Counting) -> Self {
        let mut sums = Self::default();
        let back = view.rotation.transpose();
        for sample in &samples.pixels {
            let (y, g, d) = view.of(sample, samples.centre);
            let pixel = eliminate(y, g, how.norm, how.scale);
            let w = sample.weight * how.share;
            sums.loss += w * pixel.loss;
            let turned = |axis: DVec3| back * d.cross(axis) * -pixel.depth;
            let moved = |axis: DVec3| axis * -how.unit;
            let columns = [
                turned(DVec3::X),
                turned(DVec3::Y),
                turned(DVec3::Z),
                moved(DVec3::X),
                moved(DVec3::Y),
                moved(DVec3::Z),
                back * DVec3::new(d.x, d.y, 0.0) * pixel.depth,
            ];
            let weighted = columns.map(|column| pixel.weights * column * w);
            for (a, sw) in weighted.iter().enumerate() {
                sums.gradient[a] += sw.dot(pixel.rest);
                for (b, column) in columns.iter().enumerate().take(a + 1) {
                    sums.matrix[a][b] += sw.dot(*column);
                }
            }
        }
        sums.mirrored()
    }

    /// With the upper triangle made equal to the lower.
    pub(super) fn mirrored(mut self) -> Self {
        for a in 0..COLUMNS {
            for b in a + 1..COLUMNS {
                self.matrix[a][b] = self.matrix[b][a];
            }
        }
        self
    }

    /// All of it times `factor`, the matrix times `stiffness` besides.
    pub(super) fn scaled(mut self, factor: f64, stiffness: f64) -> Self {
        self.loss *= factor;
        for a in 0..COLUMNS {
            self.gradient[a] *= factor;
            for b in 0..COLUMNS {
                self.matrix[a][b] *= factor * stiffness;
            }
        }
        self
    }
}

//! What the joint refinement minimises, and how strongly motion is smoothed.

/// What a smooth camera motion is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MotionPrior {
    /// A short path, as in One4D, eq. (12): `sqrt 2 angle + |step| / m` over neighbours. It draws
    /// the trajectory together.
    Path,
    /// A steady one: the same of the differences between neighbouring steps.
    Acceleration,
}

/// How the distance of a point from its ray is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointNorm {
    /// Length, not squared: MonST3R's code.
    Euclidean,
    /// Sum of the three components in the world: One4D, eq. (11).
    ComponentL1,
}

/// Joint refinement of all poses and the focal length.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Refinement {
    /// What a smooth motion is.
    pub prior: MotionPrior,
    /// Weight of the prior beside the mean distance of points from their rays, in median depths.
    pub weight: f64,
    /// How distances are measured.
    pub norm: PointNorm,
}

impl Refinement {
    /// Acceleration prior at 0.005: halves the jitter of generated clips and bends no path.
    pub const OURS: Self = Self {
        prior: MotionPrior::Acceleration,
        weight: 0.005,
        norm: PointNorm::Euclidean,
    };

    /// The path prior of the paper, at Geo4D's weight (the paper gives none).
    pub const PAPER: Self = Self {
        prior: MotionPrior::Path,
        weight: 0.015,
        norm: PointNorm::ComponentL1,
    };
}

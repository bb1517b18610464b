//! All poses and the focal length together: robust distances to rays plus a motion prior.
//!
//! ```text
//! E = mean over frames and pixels of |e| / m  +  weight * sum of prior terms,   m = median depth
//! ```
//!
//! Unsquared norms by iterative reweighting, Levenberg's damping on the normal equations. Unknowns
//! are a left turn and the centre (in `m`) a frame, coupled to one or two frames before by the prior
//! (a band of 11 or 17), and the logarithm of the focal length, which touches all of them and is
//! eliminated last (Schur complement of the border).

use super::every_pixel::EveryPixel;
use super::jitter::Jitter;
use super::joint_problem::{Problem, State};
use super::refinement::{MotionPrior, PointNorm, Refinement};
use super::samples::FrameSamples;
use super::trajectory::Trajectory;
use super::{PointmapClip, SolveOptions};
use crate::Result;
use crate::geometry::{CameraFromWorld, Intrinsics, nearest_rotation};
use crate::job::JobCtx;

/// Pixels a frame.
const PIXELS: usize = 1800;
/// Least scale of residuals in deviations of the jitter.
///
/// What all points of a frame share by its jitter is no outlier among them: up to 3.6 deviations
/// (the kink of the loss lies at 0.3 scales) it counts by its square, as a normal error should. An
/// unsquared loss would hold each frame where its own points put it, the more the less noise these
/// have.
const JITTER_SCALES: f64 = 12.0;
/// What may move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Freedom {
    pub(super) poses: bool,
    pub(super) focal: bool,
}

/// What a clip gives to the refinement.
#[derive(Clone, Copy)]
pub(super) struct Data<'a> {
    pub(super) clip: &'a PointmapClip<'a>,
    pub(super) options: &'a SolveOptions,
    /// `[T]`, all that were sampled.
    pub(super) frames: &'a [FrameSamples],
}

/// Refines poses and lenses in place; leaves them if there is nothing to stand on.
pub(super) fn refine(
    data: &Data<'_>,
    lenses: &mut [Intrinsics],
    path: &mut Trajectory,
    refinement: Refinement,
    freedom: Freedom,
    ctx: &JobCtx,
) -> Result<()> {
    let solved = path.fits.iter().flatten().count();
    let Some(every) = EveryPixel::new(data.clip, data.options, path) else {
        return Ok(());
    };
    if solved == 0 || path.median_depth < 0.0 {
        return Ok(());
    }
    let jitter = Jitter::of(path);
    let refinement = match refinement.prior {
        MotionPrior::Acceleration => Refinement {
            weight: refinement.weight * jitter.share(),
            ..refinement
        },
        MotionPrior::Path => refinement,
    };
    if freedom.poses && refinement.weight == 0.0 {
        return Ok(());
    }
    let of_solved = |of: &dyn Fn(&FrameSamples) -> FrameSamples| {
        let each = data.frames.iter().zip(&path.fits);
        each.map(|(samples, found)| found.map_or_else(FrameSamples::default, |_| of(samples)))
            .collect()
    };
    let mut problem = Problem {
        frames: of_solved(&|samples| samples.thinned(PIXELS)),
        lenses,
        solved,
        unit: path.median_depth,
        refinement,
        cuts: &path.cuts,
        floor: JITTER_SCALES * jitter.size(),
    };
    let start = State {
        rotations: path.poses.iter().map(|p| p.rotation).collect(),
        centres: path.poses.iter().map(|p| p.inverse().translation).collect(),
        ln_focal: 0.0,
    };
    let near = problem.minimise(start, freedom, ctx)?;
    let end = match refinement.norm {
        PointNorm::Euclidean => problem.finish(&near, freedom, ctx, |problem, state, scales| {
            problem.normals_of_every_pixel(&every, state, scales)
        })?,
        PointNorm::ComponentL1 => {
            problem.frames = of_solved(&FrameSamples::clone);
            problem.finish(&near, freedom, ctx, Problem::normals)?
        }
    };
    let factor = end.ln_focal.exp();
    for (pose, (rotation, centre)) in path
        .poses
        .iter_mut()
        .zip(end.rotations.iter().zip(&end.centres))
    {
        let rotation = nearest_rotation(*rotation);
        *pose = CameraFromWorld {
            rotation,
            translation: -(rotation * *centre),
        };
    }
    for lens in lenses {
        lens.fx_px *= factor;
        lens.fy_px *= factor;
    }
    Ok(())
}

//! The last refinement of independent poses and the focal length, over every pixel.
//!
//! Poses that a grid of pixels gave are a few of their own deviations from what all pixels say. One
//! Newton step on the same robust loss takes them there (Le Cam's one-step estimator); the passes
//! after it see to it that the step was the last. The focal length touches all frames and is
//! eliminated last, each frame counting by its own variance.

use glam::DVec3;
use rayon::prelude::*;

use super::PoseSigma;
use super::banded::Banded;
use super::every_pixel::{EveryPixel, Weighing};
use super::lenses::{FoundLenses, smoothed};
use super::motion_prior::PER_FRAME;
use super::normals::View;
use super::pixel_sums::PixelSums;
use super::samples::FrameSamples;
use super::trajectory::Trajectory;
use crate::Result;
use crate::geometry::{CameraFromWorld, Intrinsics, nearest_rotation, rotation_exp};
use crate::job::JobCtx;

/// Passes at most; two are typical.
const MAX_PASSES: usize = 4;
/// A step this long, in deviations of what it changes (root mean square), was the last.
const ENOUGH_SIGMAS: f64 = 0.1;
/// Least scale of residuals beside the depth: below, the rounding of f32 decides.
const LEAST_SCALE: f64 = 1e-6;
/// A start from which one step changes the focal length by more than this share was none.
const MAX_ZOOM: f64 = 0.05;
/// Nor one that turns a frame or moves it by more, radians and median depths.
const MAX_STEP: f64 = 0.1;

/// What may happen to the focal length.
#[derive(Clone, Copy, Debug)]
pub(super) enum Zoom<'a> {
    /// It is known, or cannot be seen.
    Fixed,
    /// One for all frames.
    Shared,
    /// One a frame, smooth over time; true where a frame shows its own.
    Each(&'a [bool]),
}

/// One frame's part of the normal equations, solved for its pose.
struct Solved {
    /// Step of the pose where the focal length stays.
    along: [f64; PER_FRAME],
    /// Change of that step with the focal length.
    border: [f64; PER_FRAME],
    /// Curvature and slope of what remains for the focal length.
    focal: (f64, f64),
    sigma: PoseSigma,
    /// Squared length in deviations of the step where the focal length stays.
    squared: f64,
}

impl Solved {
    /// Squared length of the step in deviations.
    fn squared_length(&self, zoom: f64) -> f64 {
        self.squared + self.focal.0 * zoom * zoom
    }

    /// The change of the focal length's logarithm that suits this frame best.
    fn zoom(&self) -> Option<f64> {
        let (curvature, slope) = self.focal;
        Some(-slope / curvature).filter(|z| curvature > 0.0 && z.abs() < MAX_ZOOM)
    }

    fn moved(&self, pose: CameraFromWorld, zoom: f64, unit: f64) -> CameraFromWorld {
        let at = |k: usize| self.along[k] + self.border[k] * zoom;
        let turn = DVec3::new(at(0), at(1), at(2));
        let centre = pose.inverse().translation + DVec3::new(at(3), at(4), at(5)) * unit;
        let rotation = nearest_rotation(rotation_exp(turn) * pose.rotation);
        CameraFromWorld {
            rotation,
            translation: -(rotation * centre),
        }
    }
}

/// Refines poses, and lenses if they may change, in place; frames without a pose of their own are
/// left.
pub(super) fn polish(
    every: &EveryPixel<'_>,
    frames: &[FrameSamples],
    found: &mut FoundLenses,
    path: &mut Trajectory,
    may_zoom: bool,
    ctx: &JobCtx,
) -> Result<()> {
    let mut before = f64::INFINITY;
    let mut kept = (path.clone(), found.lenses.clone());
    for _ in 0..MAX_PASSES {
        ctx.check()?;
        let solved: Vec<Option<Solved>> = (0..frames.len())
            .into_par_iter()
            .map(|i| solve_frame(every, i, &frames[i], &found.lenses[i], path))
            .collect();
        let count = solved.iter().flatten().count();
        let zoom = if may_zoom { found.zoom() } else { Zoom::Fixed };
        let zooms = zooms(&solved, &found.lenses, zoom);
        let squares: f64 = solved
            .iter()
            .zip(&zooms)
            .filter_map(|(found, zoom)| Some(found.as_ref()?.squared_length(*zoom)))
            .sum();
        let size = (squares / (count * PER_FRAME).max(1) as f64).sqrt();
        // Steps shrink towards a minimum; one that grew came from a place that was none.
        if size.is_nan() || size >= before {
            *path = kept.0;
            found.lenses = kept.1;
            break;
        }
        kept = (path.clone(), found.lenses.clone());
        for (i, (step, zoom)) in solved.iter().zip(&zooms).enumerate() {
            found.lenses[i].fx_px *= zoom.exp();
            found.lenses[i].fy_px *= zoom.exp();
            if let (Some(step), Some(fit)) = (step, &mut path.fits[i]) {
                fit.pose = step.moved(fit.pose, *zoom, every.unit);
                fit.sigma = step.sigma;
            }
        }
        path.fill();
        if size < ENOUGH_SIGMAS {
            break;
        }
        before = size;
    }
    Ok(())
}

/// `None` for a frame without a pose of its own, or whose pixels do not fix one.
fn solve_frame(
    every: &EveryPixel<'_>,
    frame_idx: usize,
    samples: &FrameSamples,
    lens: &Intrinsics,
    path: &Trajectory,
) -> Option<Solved> {
    let fit = path.fits[frame_idx].as_ref()?;
    let view = View {
        rotation: fit.pose.rotation,
        centre: fit.pose.inverse().translation,
        lens: *lens,
    };
    let scale = (fit.scale / every.unit).max(LEAST_SCALE);
    let sums = every.sums(frame_idx, samples, &view, Weighing::GemanMcClure(scale));
    // Residuals of zero have the variance of their rounding.
    let variance = sums.variance().max((LEAST_SCALE * LEAST_SCALE) / 4.0);
    solve_sums(&sums, variance, every.unit)
}

fn solve_sums(sums: &PixelSums, variance: f64, unit: f64) -> Option<Solved> {
    const F: usize = PER_FRAME;
    let stiffness = sums.stiffness();
    let normals = sums.normals.scaled(1.0 / variance, stiffness);
    let mut matrix = Banded::new(PER_FRAME, PER_FRAME - 1);
    for a in 0..PER_FRAME {
        for b in 0..=a {
            matrix.add(a, b, normals.matrix[a][b]);
        }
    }
    matrix.damp(0.0);
    if !matrix.factor() {
        return None;
    }
    let solve = |mut x: [f64; PER_FRAME]| {
        matrix.solve(&mut x);
        x
    };
    let along = solve(std::array::from_fn(|a| -normals.gradient[a]));
    let border = solve(std::array::from_fn(|a| -normals.matrix[F][a]));
    let dot = |with: &[f64; PER_FRAME], from: &[f64]| -> f64 {
        with.iter().zip(from).map(|(a, b)| a * b).sum()
    };
    // The inverse of the matrix before it was softened.
    let variance_of = |a: usize| {
        let mut unit = [0.0; PER_FRAME];
        unit[a] = stiffness;
        solve(unit)[a]
    };
    let root = |from: usize| (from..from + 3).map(variance_of).sum::<f64>().sqrt();
    let within = |from: usize| along[from..from + 3].iter().all(|x| x.abs() < MAX_STEP);
    (within(0) && within(3)).then(|| Solved {
        along,
        border,
        focal: (
            normals.matrix[F][F] + dot(&border, &normals.matrix[F]),
            normals.gradient[F] + dot(&along, &normals.matrix[F]),
        ),
        sigma: PoseSigma {
            rotation_rad: root(0),
            centre: root(3) * unit,
        },
        squared: -dot(&along, &normals.gradient),
    })
}

/// Change of each frame's focal length, as a logarithm.
fn zooms(solved: &[Option<Solved>], lenses: &[Intrinsics], zoom: Zoom<'_>) -> Vec<f64> {
    let none = vec![0.0; solved.len()];
    match zoom {
        Zoom::Fixed => none,
        Zoom::Shared => {
            let parts = solved.iter().flatten().map(|s| s.focal);
            let (curvature, slope) = parts.fold((0.0, 0.0), |sum, f| (sum.0 + f.0, sum.1 + f.1));
            let z = -slope / curvature;
            if curvature > 0.0 && z.abs() < MAX_ZOOM {
                vec![z; solved.len()]
            } else {
                none
            }
        }
        Zoom::Each(seen) => {
            let each: Vec<Option<f64>> = (solved.iter().zip(lenses).zip(seen))
                .map(|((found, lens), seen)| {
                    let z = found.as_ref().filter(|_| *seen)?.zoom()?;
                    Some(lens.fx_px.ln() + z)
                })
                .collect();
            smoothed(&each).map_or(none, |smooth| {
                smooth
                    .iter()
                    .zip(lenses)
                    .map(|(ln, lens)| ln - lens.fx_px.ln())
                    .collect()
            })
        }
    }
}

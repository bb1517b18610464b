//! The poses of all frames at the final lens: track in order, polish in parallel, fill the gaps.

use std::collections::VecDeque;

use glam::DMat3;
use rayon::prelude::*;

use super::frame_pose::{FrameFit, Robust, Start, fit};
use super::samples::FrameSamples;
use super::{FrameQuality, PoseSigma};
use crate::Result;
use crate::geometry::robust::median;
use crate::geometry::{CameraFromWorld, Intrinsics, WorldFromCamera, rotation_slerp};
use crate::job::JobCtx;

/// Pixels a frame of the tracking pass, which only has to find the right minimum.
const TRACK_PIXELS: usize = 600;
/// Rise of the residual over the running median that calls for a cold start.
const JUMP: f64 = 4.0;
/// Residuals below this many pixels are no jump, however small those before were.
const JUMP_FLOOR_PX: f64 = 0.25;
/// Length of the running median.
const HISTORY: usize = 9;
/// Share of rejected pixels above which a pose is not believed.
const MAX_OUTLIERS: f64 = 0.7;

/// The poses of a clip.
#[derive(Clone, Debug)]
pub(super) struct Trajectory {
    /// `[T]`, in the clip's coordinates; interpolated where `fits` has none.
    pub(super) poses: Vec<CameraFromWorld>,
    /// `[T]`: the frames that have a pose of their own.
    pub(super) fits: Vec<Option<FrameFit>>,
    /// Frames whose residual jumped and stayed high with a cold start.
    pub(super) cuts: Vec<usize>,
    /// Median depth over the solved frames; 0 without any.
    pub(super) median_depth: f64,
}

impl Trajectory {
    pub(super) fn quality(&self) -> Vec<FrameQuality> {
        let of = |found: &Option<FrameFit>| FrameQuality {
            solved: found.is_some(),
            residual: found.map_or(0.0, |f| f.residual),
            sigma: found.map_or(PoseSigma::default(), |f| f.sigma),
        };
        self.fits.iter().map(of).collect()
    }

    /// Takes the poses from `fits`, with interpolated ones where there is none.
    pub(super) fn fill(&mut self) {
        self.poses = fill_gaps(&self.fits);
    }

    /// Robust scale of the frame's residuals, the clip's median where the frame has none.
    pub(super) fn scale(&self, frame_idx: usize) -> f64 {
        let clip = || {
            median(
                &mut self
                    .fits
                    .iter()
                    .flatten()
                    .map(|f| f.scale)
                    .collect::<Vec<_>>(),
            )
        };
        self.fits[frame_idx]
            .map(|f| f.scale)
            .or_else(clip)
            .unwrap_or(0.0)
    }
}

/// Solves every frame that can be solved, each with its lens, and interpolates the others.
pub(super) fn solve(
    frames: &[FrameSamples],
    lenses: &[Intrinsics],
    ctx: &JobCtx,
) -> Result<Trajectory> {
    let (starts, cuts) = track(frames, lenses, ctx)?;
    let fits: Vec<Option<FrameFit>> = frames
        .par_iter()
        .zip(lenses)
        .zip(starts)
        .map(|((samples, lens), start)| {
            ctx.check()?;
            let robust = Robust {
                rounds: 6,
                scale: None,
            };
            Ok(start
                .and_then(|rotation| fit(samples, lens, Start::Warm(rotation), robust))
                .filter(|found| found.outliers <= MAX_OUTLIERS))
        })
        .collect::<Result<_>>()?;
    let mut depths: Vec<f64> = fits.iter().flatten().map(|f| f.median_depth).collect();
    Ok(Trajectory {
        poses: fill_gaps(&fits),
        fits,
        cuts,
        median_depth: median(&mut depths).unwrap_or(0.0),
    })
}

/// A rotation near the right minimum for each solvable frame, and the frames where it jumped.
///
/// Warm from the frame before, as long as the camera sees its points and the residual does not
/// jump; else cold, keeping the better of the two.
fn track(
    frames: &[FrameSamples],
    lenses: &[Intrinsics],
    ctx: &JobCtx,
) -> Result<(Vec<Option<DMat3>>, Vec<usize>)> {
    let mut cuts = Vec::new();
    let mut history = VecDeque::with_capacity(HISTORY);
    let mut last: Option<DMat3> = None;
    let mut starts = Vec::with_capacity(frames.len());
    for (frame_idx, (frame, lens)) in frames.iter().zip(lenses).enumerate() {
        ctx.check()?;
        if !frame.solvable() {
            starts.push(None);
            continue;
        }
        let samples = frame.thinned(TRACK_PIXELS);
        let robust = Robust {
            rounds: 3,
            scale: None,
        };
        let warm = last.and_then(|r| fit(&samples, lens, Start::Warm(r), robust));
        let usual = median(&mut history.iter().copied().collect::<Vec<f64>>());
        let jumped = |found: &FrameFit| {
            let floor = JUMP_FLOOR_PX * found.median_depth.abs() / lens.fx_px;
            usual.is_some_and(|usual| found.residual > (JUMP * usual).max(floor))
        };
        let mut best = warm;
        if !warm.is_some_and(|found| found.is_in_front() && !jumped(&found)) {
            let cold = fit(&samples, lens, Start::Cold, robust);
            best = match (warm, cold) {
                (Some(warm), Some(cold)) => Some(if cold.beats(&warm) { cold } else { warm }),
                (warm, cold) => warm.or(cold),
            };
        }
        if let Some(found) = best {
            if jumped(&found) {
                cuts.push(frame_idx);
                history.clear();
            }
            if history.len() == HISTORY {
                history.pop_front();
            }
            history.push_back(found.residual);
            last = Some(found.pose.rotation);
        }
        starts.push(best.map(|found| found.pose.rotation));
    }
    Ok((starts, cuts))
}

/// Poses of all frames: between two solved ones by slerp and lerp, beyond them by copying.
fn fill_gaps(fits: &[Option<FrameFit>]) -> Vec<CameraFromWorld> {
    let solved: Vec<(usize, WorldFromCamera)> = fits
        .iter()
        .enumerate()
        .filter_map(|(i, found)| Some((i, (*found)?.pose.inverse())))
        .collect();
    (0..fits.len())
        .map(|frame_idx| {
            if let Some(found) = &fits[frame_idx] {
                return found.pose;
            }
            let after = solved.partition_point(|(i, _)| *i < frame_idx);
            let before = after.checked_sub(1).map(|i| solved[i]);
            match (before, solved.get(after).copied()) {
                (Some((i, a)), Some((j, b))) => {
                    between(a, b, (frame_idx - i) as f64 / (j - i) as f64)
                }
                (Some((_, only)), None) | (None, Some((_, only))) => only.inverse(),
                (None, None) => CameraFromWorld::IDENTITY,
            }
        })
        .collect()
}

fn between(a: WorldFromCamera, b: WorldFromCamera, share: f64) -> CameraFromWorld {
    WorldFromCamera {
        rotation: rotation_slerp(a.rotation, b.rotation, share),
        translation: a.translation.lerp(b.translation, share),
    }
    .inverse()
}

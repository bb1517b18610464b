//! What a solution is worth: the flags.

use glam::DVec3;

use super::focal::{FocalProfile, FocalSource};
use super::samples::{FrameSamples, MIN_PIXELS, principal_axes};
use super::trajectory::Trajectory;
use crate::geometry::robust::{median, quantile};
use crate::geometry::rotation_log;
use crate::scene::SolverFlag;

/// A cloud is a plane if its variance across is below this share of the next smaller one.
const PLANAR_RATIO: f64 = 1e-3;
/// Focal lengths from here on, in image sides, are biased by some percent under noise.
const TELEPHOTO: f64 = 2.5;
/// Cameras closer together than this share of the depth stand still.
const STILL: f64 = 1e-4;
/// Cameras turned by less than this, radians, do not turn.
const UNTURNED_RAD: f64 = 1e-4;
/// A box counts as centred if its middle is within this share of its half extent.
const CENTRED: f64 = 0.02;

/// Flags in the order clip first, then by frame.
pub(super) fn flags(
    frames: &[FrameSamples],
    focal: &FocalProfile,
    path: &Trajectory,
    longer_side: usize,
) -> Vec<(Option<usize>, SolverFlag)> {
    let mut clip_flags = Vec::new();
    match focal.source {
        FocalSource::Prior => clip_flags.push(SolverFlag::FocalUnobservable),
        FocalSource::Weak => clip_flags.push(SolverFlag::FocalWeak),
        FocalSource::Known | FocalSource::Estimated => {}
    }
    if focal.lens.fx_px > TELEPHOTO * longer_side as f64 {
        clip_flags.push(SolverFlag::Telephoto);
    }
    clip_flags.extend(motion_flag(path));
    if is_centred_per_frame(frames) {
        clip_flags.push(SolverFlag::PerFrameCentred);
    }
    let mut flags: Vec<_> = clip_flags.into_iter().map(|flag| (None, flag)).collect();
    for (frame_idx, samples) in frames.iter().enumerate() {
        let of_frame = frame_flags(samples, frame_idx, path);
        flags.extend(of_frame.into_iter().map(|flag| (Some(frame_idx), flag)));
    }
    flags
}

fn frame_flags(samples: &FrameSamples, frame_idx: usize, path: &Trajectory) -> Vec<SolverFlag> {
    let mut flags = Vec::new();
    if samples.pixels.len() < MIN_PIXELS {
        flags.push(SolverFlag::TooFewPixels);
    } else if samples.collapsed {
        flags.push(SolverFlag::CollapsedCloud);
    }
    match &path.fits[frame_idx] {
        None => flags.push(SolverFlag::PoseInterpolated),
        Some(found) => {
            if !found.is_in_front() {
                flags.push(SolverFlag::Behind);
            }
            if is_planar(samples) {
                flags.push(SolverFlag::Planar);
            }
        }
    }
    if path.cuts.contains(&frame_idx) {
        flags.push(SolverFlag::SceneCut);
    }
    flags
}

/// True if the points lie on a plane, leaving out the tenth that lies farthest from it.
fn is_planar(samples: &FrameSamples) -> bool {
    let all = || samples.pixels.iter().map(|s| (s.point, s.weight));
    let (mean, [(_, normal), ..]) = principal_axes(all());
    let distance = |p: DVec3| (p - mean).dot(normal).abs();
    let mut distances: Vec<f64> = all().map(|(p, _)| distance(p)).collect();
    let Some(reach) = quantile(&mut distances, 0.9) else {
        return false;
    };
    let (_, [(third, _), (second, _), _]) =
        principal_axes(all().filter(|(p, _)| distance(*p) <= reach));
    third < PLANAR_RATIO * second
}

/// Whether the camera stands still or only turns.
///
/// Judged on the poses that frames found by themselves: what the frames do not share is noise.
fn motion_flag(path: &Trajectory) -> Option<SolverFlag> {
    let solved: Vec<_> = path.fits.iter().flatten().collect();
    let first = solved.first().filter(|_| solved.len() > 1)?;
    let centres: Vec<DVec3> = solved
        .iter()
        .map(|f| f.pose.inverse().translation)
        .collect();
    let turns: Vec<DVec3> = solved
        .iter()
        .map(|f| rotation_log(f.pose.rotation * first.pose.rotation.transpose()))
        .collect();
    let mut centre_sigmas: Vec<f64> = solved.iter().map(|f| f.sigma.centre).collect();
    let mut turn_sigmas: Vec<f64> = solved.iter().map(|f| f.sigma.rotation_rad).collect();
    let moves = varies(
        &centres,
        STILL * path.median_depth.abs(),
        median(&mut centre_sigmas)?,
    );
    let turning = varies(&turns, UNTURNED_RAD, median(&mut turn_sigmas)?);
    match (moves, turning) {
        (true, _) => None,
        (false, true) => Some(SolverFlag::PureRotation),
        (false, false) => Some(SolverFlag::StaticCamera),
    }
}

/// Whether a sequence moves, and is not a constant under noise of about `sigma`.
///
/// The formal deviation assumes independent pixels and the right lens and may be off by some factor,
/// so below 30 of it the order in time decides: for white noise von Neumann's ratio of the mean
/// square step to the variance is 2 with a spread of about 2 / sqrt(3 n), for a motion far less.
fn varies(values: &[DVec3], floor: f64, sigma: f64) -> bool {
    let n = values.len() as f64;
    let mean = values.iter().sum::<DVec3>() / n;
    let largest = values
        .iter()
        .map(|v| (*v - mean).length())
        .fold(0.0, f64::max);
    if largest <= floor || largest > 30.0 * sigma {
        return largest > floor;
    }
    if values.len() < 8 {
        return largest > 4.0 * sigma;
    }
    let variance = values
        .iter()
        .map(|v| (*v - mean).length_squared())
        .sum::<f64>()
        / n;
    let steps = values.windows(2).map(|w| (w[1] - w[0]).length_squared());
    let ratio = steps.sum::<f64>() / (n - 1.0) / variance;
    ratio < 2.0 - 3.0 * 2.0 / (3.0 * n).sqrt()
}

/// True if every frame's box lies around the origin, as 4DNeX leaves its clips.
fn is_centred_per_frame(frames: &[FrameSamples]) -> bool {
    let mut boxes = frames
        .iter()
        .filter(|f| f.solvable())
        .map(|f| f.bounds)
        .peekable();
    let several = frames.iter().filter(|f| f.solvable()).count() > 1;
    several && boxes.all(|(middle, half)| middle.abs().max_element() < CENTRED * half.max_element())
}

//! What a solution is worth: the flags.

use glam::DVec3;

use super::focal::{FocalProfile, FocalSource};
use super::samples::{FrameSamples, MIN_PIXELS, principal_axes};
use super::trajectory::Trajectory;
use crate::geometry::robust::{median, quantile};
use crate::geometry::rotation_angle_rad;
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

/// Whether the camera stands still, judged against the uncertainty of its poses.
fn motion_flag(path: &Trajectory) -> Option<SolverFlag> {
    let solved: Vec<_> = path.fits.iter().flatten().collect();
    let first = solved.first().filter(|_| solved.len() > 1)?;
    let middle = solved
        .iter()
        .map(|f| f.pose.inverse().translation)
        .sum::<DVec3>()
        / solved.len() as f64;
    let largest = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
    let moved = largest(
        &mut solved
            .iter()
            .map(|f| (f.pose.inverse().translation - middle).length()),
    );
    let turned = largest(
        &mut solved
            .iter()
            .map(|f| rotation_angle_rad(f.pose.rotation * first.pose.rotation.transpose())),
    );
    let mut centre_sigmas: Vec<f64> = solved.iter().map(|f| f.sigma.centre).collect();
    let mut turn_sigmas: Vec<f64> = solved.iter().map(|f| f.sigma.rotation_rad).collect();
    // The largest of some hundred three-axis deviations stays below 4 sigma, and the difference of
    // two below 6.
    let still = (STILL * path.median_depth.abs()).max(4.0 * median(&mut centre_sigmas)?);
    let unturned = UNTURNED_RAD.max(6.0 * median(&mut turn_sigmas)?);
    if moved > still {
        None
    } else if turned > unturned {
        Some(SolverFlag::PureRotation)
    } else {
        Some(SolverFlag::StaticCamera)
    }
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

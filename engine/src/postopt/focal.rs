//! The shared focal length: profile of the residual over a grid, then golden section.

use glam::DMat3;
use rayon::prelude::*;

use super::PointmapClip;
use super::frame_pose::{FrameFit, Robust, Start, fit};
use super::samples::FrameSamples;
use crate::Result;
use crate::geometry::Intrinsics;
use crate::job::JobCtx;

/// Focal length assumed where none can be seen, in units of the longer image side.
pub const FOCAL_PRIOR: f64 = 0.9;

/// Candidates in geometric steps over `[0.3, 5]` times the longer side.
const CANDIDATES: usize = 15;
const RANGE: (f64, f64) = (0.3, 5.0);
/// Frames and pixels a frame of the coarse profile.
const PROFILE_FRAMES: usize = 5;
const PROFILE_PIXELS: usize = 1500;
/// Frames and pixels a frame of the refinement.
const REFINE_FRAMES: usize = 16;
const REFINE_PIXELS: usize = 3500;
/// Golden-section steps of each of the two refinement passes.
const REFINE_STEPS: usize = 10;
/// Relative rise of the profile below which the focal length is not seen, or only weakly.
const UNOBSERVABLE_SPAN: f64 = 0.05;
const WEAK_SPAN: f64 = 0.25;

/// Where the focal length comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FocalSource {
    /// It was given.
    Known,
    /// It was found and stands out clearly.
    Estimated,
    /// It was found, but others fit nearly as well.
    Weak,
    /// It cannot be seen; [`FOCAL_PRIOR`] was used.
    Prior,
}

/// The lens and the evidence for it.
#[derive(Clone, Debug, PartialEq)]
pub struct FocalProfile {
    /// The lens, in the clip's own pixel grid.
    pub lens: Intrinsics,
    /// Where its focal length comes from.
    pub source: FocalSource,
    /// Focal length in pixels and summed median residual in scene units; empty if not searched.
    pub profile: Vec<(f64, f64)>,
    /// `(max - min) / min` of the profile; 0 if not searched.
    pub span: f64,
}

/// Finds the focal length that brings the points closest to their rays (square pixels, centred
/// principal point), or takes the one that is known.
pub(super) fn search(
    clip: &PointmapClip<'_>,
    frames: &[FrameSamples],
    known: Option<Intrinsics>,
    ctx: &JobCtx,
) -> Result<FocalProfile> {
    let side = clip.width.max(clip.height) as f64;
    let prior = Intrinsics::centred(FOCAL_PRIOR * side, clip.width, clip.height);
    let unsearched = |lens, source| FocalProfile {
        lens,
        source,
        profile: Vec::new(),
        span: 0.0,
    };
    if let Some(lens) = known {
        return Ok(unsearched(lens, FocalSource::Known));
    }
    let usable: Vec<&FrameSamples> = frames.iter().filter(|f| f.solvable()).collect();
    let search = FocalSearch {
        width: clip.width,
        height: clip.height,
    };
    let profile = search.profile(&spread_over(&usable, PROFILE_FRAMES));
    ctx.check()?;
    let Some(best) = minimum(&profile) else {
        return Ok(unsearched(prior, FocalSource::Prior));
    };
    // Differences at the rounding of f32 input are no evidence, so the minimum has a floor.
    let extent: f64 = usable.iter().map(|f| f.spread).fold(0.0, f64::max);
    let floor = 1e-5 * extent * PROFILE_FRAMES.min(usable.len()) as f64;
    let highest = profile
        .iter()
        .map(|p| p.1)
        .filter(|c| c.is_finite())
        .fold(0.0, f64::max);
    let span = (highest - profile[best].1) / profile[best].1.max(floor);
    if span < UNOBSERVABLE_SPAN {
        return Ok(FocalProfile {
            profile,
            span,
            ..unsearched(prior, FocalSource::Prior)
        });
    }
    let low = profile[best.saturating_sub(1)].0.ln();
    let high = profile[(best + 1).min(CANDIDATES - 1)].0.ln();
    let at_the_end = best == 0 || best == CANDIDATES - 1;
    let thinned: Vec<FrameSamples> = spread_over(&usable, REFINE_FRAMES)
        .into_iter()
        .map(|f| f.thinned(REFINE_PIXELS))
        .collect();
    let focal = search.refine(&thinned, (low, high), profile[best].0);
    let source = if span < WEAK_SPAN || at_the_end {
        FocalSource::Weak
    } else {
        FocalSource::Estimated
    };
    Ok(FocalProfile {
        lens: search.lens(focal),
        source,
        profile,
        span,
    })
}

/// At most `count` of the frames, evenly over the clip, both ends included.
fn spread_over<'a>(frames: &[&'a FrameSamples], count: usize) -> Vec<&'a FrameSamples> {
    let n = frames.len().min(count);
    (0..n)
        .map(|i| {
            frames[if n > 1 {
                i * (frames.len() - 1) / (n - 1)
            } else {
                0
            }]
        })
        .collect()
}

fn minimum(profile: &[(f64, f64)]) -> Option<usize> {
    (0..profile.len())
        .filter(|&i| profile[i].1.is_finite())
        .min_by(|&a, &b| profile[a].1.total_cmp(&profile[b].1))
}

struct FocalSearch {
    width: usize,
    height: usize,
}

impl FocalSearch {
    fn lens(&self, focal_px: f64) -> Intrinsics {
        Intrinsics::centred(focal_px, self.width, self.height)
    }

    /// Sum over frames of the robust median residual, for each candidate.
    fn profile(&self, frames: &[&FrameSamples]) -> Vec<(f64, f64)> {
        if frames.is_empty() {
            return Vec::new();
        }
        let side = self.width.max(self.height) as f64;
        let ratio = (RANGE.1 / RANGE.0).powf(1.0 / (CANDIDATES - 1) as f64);
        let focals: Vec<f64> = (0..CANDIDATES)
            .map(|i| RANGE.0 * side * ratio.powi(i as i32))
            .collect();
        let columns: Vec<Vec<f64>> = frames
            .par_iter()
            .map(|frame| self.frame_profile(&frame.thinned(PROFILE_PIXELS), &focals))
            .collect();
        focals
            .into_iter()
            .enumerate()
            .map(|(i, focal)| (focal, columns.iter().map(|c| c[i]).sum()))
            .collect()
    }

    /// Residuals of one frame; outwards from the candidate nearest the prior, each warm from its
    /// neighbour.
    fn frame_profile(&self, samples: &FrameSamples, focals: &[f64]) -> Vec<f64> {
        let side = self.width.max(self.height) as f64;
        let middle = focals.partition_point(|f| *f < FOCAL_PRIOR * side);
        let mut residuals = vec![f64::INFINITY; focals.len()];
        let upwards: Vec<usize> = (middle..focals.len()).collect();
        let downwards: Vec<usize> = (0..middle).rev().collect();
        let mut seed = None;
        for (leg, order) in [upwards, downwards].into_iter().enumerate() {
            let mut start = seed;
            for i in order {
                let Some(found) = fit_in_front(samples, &self.lens(focals[i]), start, 4) else {
                    continue;
                };
                residuals[i] = found.residual;
                start = Some(found.pose.rotation);
                if leg == 0 && i == middle {
                    seed = start;
                }
            }
        }
        residuals
    }

    /// Minimises the Geman-McClure loss at fixed scales, in two passes of golden section.
    ///
    /// The loss uses all residuals where the profile's median uses their rank only, so it is the
    /// sharper of the two near the minimum. The second pass renews the scales.
    fn refine(&self, frames: &[FrameSamples], bracket: (f64, f64), best_px: f64) -> f64 {
        let mut bracket = bracket;
        let mut focal_px = best_px;
        for _ in 0..2 {
            let lens = self.lens(focal_px);
            let fits: Vec<Option<FrameFit>> = frames
                .par_iter()
                .map(|samples| fit_in_front(samples, &lens, None, 4))
                .collect();
            let mut scales = vec![];
            let mut kept = vec![];
            for (samples, found) in frames.iter().zip(fits) {
                if let Some(found) = found.filter(FrameFit::is_in_front) {
                    scales.push((found.scale, found.pose.rotation));
                    kept.push(samples);
                }
            }
            if kept.is_empty() {
                return focal_px;
            }
            let (ln_focal, width) = golden_section(bracket, REFINE_STEPS, |ln| {
                self.loss(&kept, &mut scales, ln.exp())
            });
            focal_px = ln_focal.exp();
            bracket = (ln_focal - 2.0 * width, ln_focal + 2.0 * width);
        }
        focal_px
    }

    /// Loss over all frames relative to their scales; leaves the rotations where they end.
    fn loss(&self, frames: &[&FrameSamples], state: &mut [(f64, DMat3)], focal_px: f64) -> f64 {
        let lens = self.lens(focal_px);
        let losses: Vec<f64> = frames
            .par_iter()
            .zip(&mut *state)
            .map(|(samples, (scale, rotation))| {
                let robust = Robust {
                    rounds: 3,
                    scale: Some(*scale),
                };
                fit(samples, &lens, Start::Warm(*rotation), robust).map_or(f64::INFINITY, |found| {
                    *rotation = found.pose.rotation;
                    found.loss / (*scale * *scale)
                })
            })
            .collect();
        losses.iter().sum()
    }
}

/// Warm from `start` where there is one and it leads to a camera that sees the cloud, else cold.
fn fit_in_front(
    samples: &FrameSamples,
    lens: &Intrinsics,
    start: Option<DMat3>,
    rounds: usize,
) -> Option<FrameFit> {
    let robust = Robust {
        rounds,
        scale: None,
    };
    start
        .and_then(|rotation| fit(samples, lens, Start::Warm(rotation), robust))
        .filter(FrameFit::is_in_front)
        .or_else(|| fit(samples, lens, Start::Cold, robust))
}

/// Minimum of a unimodal function: its place and the width of the bracket that remains.
fn golden_section(
    bracket: (f64, f64),
    steps: usize,
    mut value: impl FnMut(f64) -> f64,
) -> (f64, f64) {
    let shrink = (5.0_f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = bracket;
    let mut left = high - shrink * (high - low);
    let mut right = low + shrink * (high - low);
    let (mut at_left, mut at_right) = (value(left), value(right));
    for _ in 0..steps {
        if at_left <= at_right {
            (high, right, at_right) = (right, left, at_left);
            left = high - shrink * (high - low);
            at_left = value(left);
        } else {
            (low, left, at_left) = (left, right, at_right);
            right = low + shrink * (high - low);
            at_right = value(right);
        }
    }
    ((low + high) / 2.0, high - low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_section_closes_in_on_the_minimum() {
        let (place, width) = golden_section((-1.0, 4.0), 30, |x| (x - 1.7).powi(2));
        assert!((place - 1.7).abs() < 1e-4 && width < 1e-4);
    }

    #[test]
    fn spread_frames_include_both_ends() {
        let frames: Vec<FrameSamples> = (0..81)
            .map(|i| FrameSamples {
                spread: f64::from(i),
                ..FrameSamples::default()
            })
            .collect();
        let all: Vec<&FrameSamples> = frames.iter().collect();
        let picked: Vec<f64> = spread_over(&all, 5).iter().map(|f| f.spread).collect();
        assert_eq!(picked, [0.0, 20.0, 40.0, 60.0, 80.0]);
        assert_eq!(spread_over(&all[..1], 5).len(), 1);
        assert!(spread_over(&[], 5).is_empty());
    }
}

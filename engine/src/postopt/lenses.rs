//! Lenses of all frames: one for all, or one a frame that follows a zoom.

use rayon::prelude::*;

use super::PointmapClip;
use super::banded::Banded;
use super::focal::{FocalProfile, FocalSource, search};
use super::polish::Zoom;
use super::samples::FrameSamples;
use crate::Result;
use crate::geometry::Intrinsics;
use crate::geometry::robust::median;
use crate::job::JobCtx;

/// Lenses of all frames.
pub(super) struct FoundLenses {
    /// How they were found.
    pub(super) profile: FocalProfile,
    /// `[T]`.
    pub(super) lenses: Vec<Intrinsics>,
    /// `[T]`, where each frame has its own: whether it shows it. `None`: one for all.
    pub(super) seen: Option<Vec<bool>>,
}

impl FoundLenses {
    /// One lens for all frames.
    pub(super) fn shared(profile: FocalProfile, frames: usize) -> Self {
        Self {
            lenses: vec![profile.lens; frames],
            profile,
            seen: None,
        }
    }

    /// True if one lens serves all frames and rests on the clip, so that the clip may move it.
    pub(super) fn is_shared_and_free(&self) -> bool {
        matches!(self.zoom(), Zoom::Shared)
    }

    /// Brings the profile's lens up to the refined ones.
    pub(super) fn renew_profile(&mut self) {
        let middle = if self.seen.is_some() {
            self.lenses.len() / 2
        } else {
            0
        };
        self.profile.lens = self.lenses[middle];
    }

    /// What a refinement of all frames may do to them.
    pub(super) fn zoom(&self) -> Zoom<'_> {
        match (self.profile.source, &self.seen) {
            (FocalSource::Known | FocalSource::Prior, _) => Zoom::Fixed,
            (FocalSource::Estimated | FocalSource::Weak, None) => Zoom::Shared,
            (FocalSource::Estimated | FocalSource::Weak, Some(seen)) => Zoom::Each(seen),
        }
    }
}

/// Frames whose focal length was found make the others; fewer than this share is no evidence.
const MIN_SEEN: f64 = 0.2;

/// A lens of its own for each frame, for zooms: each by its own profile, then smoothed.
///
/// The profile that is returned has the lens of the middle frame.
pub(super) fn search_each(
    clip: &PointmapClip<'_>,
    frames: &[FrameSamples],
    ctx: &JobCtx,
) -> Result<FoundLenses> {
    let each: Vec<FocalProfile> = frames
        .par_iter()
        .map(|frame| search(clip, std::slice::from_ref(frame), None, ctx))
        .collect::<Result<_>>()?;
    let seen: Vec<Option<f64>> = each
        .iter()
        .zip(frames)
        .map(|(found, frame)| {
            let usable = frame.solvable() && found.source != FocalSource::Prior;
            usable.then(|| found.lens.fx_px.ln())
        })
        .collect();
    let count = seen.iter().flatten().count();
    let middle = each.len() / 2;
    let Some(smooth) = smoothed(&seen).filter(|_| count as f64 >= MIN_SEEN * each.len() as f64)
    else {
        let shared = search(clip, frames, None, ctx)?;
        return Ok(FoundLenses::shared(shared, frames.len()));
    };
    let lenses: Vec<Intrinsics> = smooth
        .iter()
        .map(|ln| Intrinsics::centred(ln.exp(), clip.width, clip.height))
        .collect();
    let clear = each
        .iter()
        .filter(|f| f.source == FocalSource::Estimated)
        .count();
    let profile = FocalProfile {
        lens: lenses[middle],
        source: if clear * 2 > each.len() {
            FocalSource::Estimated
        } else {
            FocalSource::Weak
        },
        ..each[middle].clone()
    };
    Ok(FoundLenses {
        profile,
        lenses,
        seen: Some(seen.iter().map(Option::is_some).collect()),
    })
}

/// Weight of the change of slope beside the distance from what was measured.
const ZOOM_STIFFNESS: f64 = 0.5;

/// Values close to those that are known, in absolute distance, with little change of slope, in
/// absolute value too: a zoom that starts and stops keeps its corners. `None` if none is known.
pub(super) fn smoothed(known: &[Option<f64>]) -> Option<Vec<f64>> {
    const KINK: f64 = 1e-4;
    let mut values: Vec<f64> = known.iter().flatten().copied().collect();
    let middle = median(&mut values)?;
    let mut x: Vec<f64> = known.iter().map(|y| y.unwrap_or(middle)).collect();
    for _ in 0..30 {
        let mut matrix = Banded::new(x.len(), 2);
        let mut right = vec![0.0; x.len()];
        for (i, y) in known.iter().enumerate() {
            if let Some(y) = y {
                let w = 1.0 / (x[i] - y).abs().max(KINK);
                matrix.add(i, i, w);
                right[i] += w * y;
            }
        }
        for i in 1..x.len().saturating_sub(1) {
            let bend = x[i - 1] - 2.0 * x[i] + x[i + 1];
            let w = ZOOM_STIFFNESS / bend.abs().max(KINK);
            let parts = [(i - 1, 1.0), (i, -2.0), (i + 1, 1.0)];
            for (a, by_a) in parts {
                for (b, by_b) in parts {
                    matrix.add(a, b, w * by_a * by_b);
                }
            }
        }
        matrix.damp(0.0);
        if !matrix.factor() {
            break;
        }
        matrix.solve(&mut right);
        x = right;
    }
    Some(x)
}

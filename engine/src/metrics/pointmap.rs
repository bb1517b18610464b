//! Distances between predicted and true points, after alignment.

use glam::DVec3;
use serde::{Deserialize, Serialize};

use crate::geometry::robust::median;
use crate::geometry::{AlignmentGroup, Similarity};

/// What is fitted to the truth before distances are measured; one fit for all points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PointAlignment {
    /// Nothing.
    None,
    /// Scale about the origin, least squares: `sum <p, g> / sum |p|^2`. For points that share the
    /// truth's world (camera of frame 0) up to scale.
    Scale,
    /// Rotation, translation and scale (Umeyama).
    Sim3,
}

/// Errors of points; lower is better but for `within_5_percent`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PointScores {
    /// What was fitted first.
    pub alignment: PointAlignment,
    /// Fitted scale.
    pub scale: f64,
    /// `mean |p' - g|`, units of the truth.
    pub mean: f64,
    /// `median |p' - g|`, units of the truth.
    pub median: f64,
    /// `mean |p' - g| / |g|`, `g` seen from the truth's origin.
    pub relative: f64,
    /// Share of points with `|p' - g| < 0.05 |g|`; 0..1, higher is better.
    pub within_5_percent: f64,
    /// Points measured.
    pub points: usize,
}

/// Errors over points that are finite on both sides and pass `keep` (by point index).
///
/// `None` if there is no point to measure or the fit has no answer.
///
/// # Shapes
/// `predicted`, `truth`: `[N, 3]`
pub fn point_scores(
    predicted: &[f32],
    truth: &[f32],
    keep: impl Fn(usize) -> bool,
    alignment: PointAlignment,
) -> Option<PointScores> {
    let point = |p: &[f32]| DVec3::new(f64::from(p[0]), f64::from(p[1]), f64::from(p[2]));
    let (from, onto): (Vec<DVec3>, Vec<DVec3>) = predicted
        .chunks_exact(3)
        .zip(truth.chunks_exact(3))
        .enumerate()
        .filter(|(i, _)| keep(*i))
        .map(|(_, (p, g))| (point(p), point(g)))
        .filter(|(p, g)| p.is_finite() && g.is_finite())
        .unzip();
    let motion = match alignment {
        PointAlignment::None => Similarity::IDENTITY,
        PointAlignment::Scale => {
            let along: f64 = from.iter().zip(&onto).map(|(p, g)| p.dot(*g)).sum();
            let own: f64 = from.iter().map(|p| p.length_squared()).sum();
            Similarity {
                scale: along / own,
                ..Similarity::IDENTITY
            }
        }
        PointAlignment::Sim3 => Similarity::fit(&from, &onto, AlignmentGroup::Sim3)?.motion,
    };
    let mut distances: Vec<f64> = from
        .iter()
        .zip(&onto)
        .map(|(p, g)| (motion.transform(*p) - *g).length())
        .collect();
    let n = distances.len() as f64;
    let relative = || {
        distances
            .iter()
            .zip(&onto)
            .map(|(e, g)| e / g.length().max(1e-9))
    };
    let scores = PointScores {
        alignment,
        scale: motion.scale,
        mean: distances.iter().sum::<f64>() / n,
        relative: relative().sum::<f64>() / n,
        within_5_percent: relative().filter(|r| *r < 0.05).count() as f64 / n,
        points: distances.len(),
        median: 0.0,
    };
    let median = median(&mut distances)?;
    scores
        .mean
        .is_finite()
        .then_some(PointScores { median, ..scores })
}

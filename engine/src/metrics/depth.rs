//! Depth errors after alignment.

use serde::{Deserialize, Serialize};

use super::aligner::Number;
use crate::geometry::robust::{median, weighted_median};

/// Aligned depth below this counts as this where a logarithm or quotient is taken.
const MIN_DEPTH: f64 = 1e-5;

/// What is fitted to the ground truth before errors are measured: `s * predicted + t`.
///
/// One fit serves all pixels that are measured together, in general a whole sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DepthAlignment {
    /// Nothing: `s = 1, t = 0`. For metric predictions.
    None,
    /// `s = median(truth) / median(predicted)`.
    MedianScale,
    /// `s` by least squares: `sum p g / sum p^2`.
    Scale,
    /// `s` that minimises `sum |s p - g|`, exactly: the median of `g / p` with weights `p`.
    ScaleL1,
    /// `s` and `t` by least squares.
    ScaleShift,
    /// `s` and `t` that minimise `sum |s p + t - g|`, to convergence.
    ScaleShiftL1,
}

impl DepthAlignment {
    /// For people: "median scale".
    pub fn label(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::MedianScale => "median scale",
            Self::Scale => "scale, least squares",
            Self::ScaleL1 => "scale, L1",
            Self::ScaleShift => "scale and shift, least squares",
            Self::ScaleShiftL1 => "scale and shift, L1",
        }
    }
}

/// Depth errors over the pixels of a sequence, `d` aligned prediction, `g` ground truth.
///
/// Definitions as in the evaluation of MonST3R (Junyi42/monst3r, dust3r/depth_eval.py @ 574cc77).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DepthScores {
    /// What was fitted first.
    pub alignment: DepthAlignment,
    /// Fitted scale.
    pub scale: f64,
    /// Fitted shift, units of the truth.
    pub shift: f64,
    /// `mean |d - g| / g`; 0 and up, lower is better.
    pub abs_rel: f64,
    /// `mean (d - g)^2 / g`; units of the truth, lower is better.
    pub sq_rel: f64,
    /// `sqrt mean (d - g)^2`; units of the truth, lower is better.
    pub rmse: f64,
    /// `sqrt mean (ln d - ln g)^2`; lower is better.
    pub log_rmse: f64,
    /// Share of pixels with `max(d / g, g / d) < 1.25^k`, k = 1, 2, 3; 0..1, higher is better.
    pub delta: [f64; 3],
    /// Pixels measured.
    pub pixels: usize,
    /// Measured share of the pixels that have ground truth; 0..1.
    pub coverage: f64,
}

/// Errors of depth that is aligned already; definitions as in [`DepthScores`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DepthErrors {
    /// `mean |d - g| / g`.
    pub abs_rel: f64,
    /// `mean (d - g)^2 / g`.
    pub sq_rel: f64,
    /// `sqrt mean (d - g)^2`.
    pub rmse: f64,
    /// `sqrt mean (ln d - ln g)^2`.
    pub log_rmse: f64,
    /// Share of pixels with `max(d / g, g / d) < 1.25^k`, k = 1, 2, 3.
    pub delta: [f64; 3],
    /// Pixels measured.
    pub pixels: usize,
}

impl DepthErrors {
    /// Errors over pairs of aligned prediction and truth; `None` without pairs.
    pub fn of(pairs: impl Iterator<Item = (f64, f64)>) -> Option<Self> {
        let (mut abs_rel, mut sq_rel, mut square, mut log_square) = (0.0, 0.0, 0.0, 0.0);
        let mut within = [0_usize; 3];
        let mut pixels = 0_usize;
        for (d, g) in pairs {
            let error = d - g;
            pixels += 1;
            abs_rel += error.abs() / g;
            sq_rel += error * error / g;
            square += error * error;
            let log_ratio = d.max(MIN_DEPTH).ln() - g.ln();
            log_square += log_ratio * log_ratio;
            for (k, count) in within.iter_mut().enumerate() {
                let bound = (k + 1) as f64 * 1.25_f64.ln();
                *count += usize::from(log_ratio.abs() < bound);
            }
        }
        let n = pixels as f64;
        (pixels > 0).then(|| Self {
            abs_rel: abs_rel / n,
            sq_rel: sq_rel / n,
            rmse: (square / n).sqrt(),
            log_rmse: (log_square / n).sqrt(),
            delta: within.map(|count| count as f64 / n),
            pixels,
        })
    }

    /// Weighted mean of several, each figure by itself; `None` without weight.
    pub fn mean(errors: &[(Self, f64)]) -> Option<Self> {
        let total: f64 = errors.iter().map(|(_, weight)| weight).sum();
        let of = |figure: &dyn Fn(&Self) -> f64| {
            errors.iter().map(|(e, w)| figure(e) * w).sum::<f64>() / total
        };
        (total > 0.0).then(|| Self {
            abs_rel: of(&|e| e.abs_rel),
            sq_rel: of(&|e| e.sq_rel),
            rmse: of(&|e| e.rmse),
            log_rmse: of(&|e| e.log_rmse),
            delta: [0, 1, 2].map(|k| of(&|e| e.delta[k])),
            pixels: errors.iter().map(|(e, _)| e.pixels).sum(),
        })
    }
}

/// Pixels with both a prediction and ground truth.
#[derive(Clone, Debug, Default)]
pub struct DepthPairs {
    pairs: Vec<(f64, f64)>,
    with_truth: usize,
}

impl DepthPairs {
    /// Pairs where the truth is finite, positive and passes `keep` (by index).
    ///
    /// A pixel without a finite prediction counts against [`DepthScores::coverage`] only.
    pub fn new(predicted: &[f32], truth: &[f32], keep: impl Fn(usize) -> bool) -> Self {
        let mut found = Self::default();
        for (i, (&p, &g)) in predicted.iter().zip(truth).enumerate() {
            if g.is_finite() && g > 0.0 && keep(i) {
                found.with_truth += 1;
                if p.is_finite() {
                    found.pairs.push((f64::from(p), f64::from(g)));
                }
            }
        }
        found
    }

    /// Errors after alignment; `None` if there is no pixel to measure or the fit has no answer.
    pub fn scores(&self, alignment: DepthAlignment) -> Option<DepthScores> {
        let (scale, shift) = self.fit(alignment)?;
        let errors = DepthErrors::of(self.pairs.iter().map(|&(p, g)| (scale * p + shift, g)))?;
        Some(DepthScores {
            alignment,
            scale,
            shift,
            abs_rel: errors.abs_rel,
            sq_rel: errors.sq_rel,
            rmse: errors.rmse,
            log_rmse: errors.log_rmse,
            delta: errors.delta,
            pixels: errors.pixels,
            coverage: errors.pixels as f64 / self.with_truth as f64,
        })
    }

    /// Scale and shift of an alignment; `None` without pairs or without a finite answer.
    pub fn fit(&self, alignment: DepthAlignment) -> Option<(f64, f64)> {
        if self.pairs.is_empty() {
            return None;
        }
        let (scale, shift) = match alignment {
            DepthAlignment::None => (1.0, 0.0),
            DepthAlignment::MedianScale => (self.median_scale()?, 0.0),
            DepthAlignment::Scale => (self.least_squares_scale(), 0.0),
            DepthAlignment::ScaleL1 => (self.l1_scale()?, 0.0),
            DepthAlignment::ScaleShift => least_squares_line(&self.pairs)?,
            DepthAlignment::ScaleShiftL1 => exact_l1_line(&self.pairs)?,
        };
        (scale.is_finite() && shift.is_finite()).then_some((scale, shift))
    }

    fn median_scale(&self) -> Option<f64> {
        let mut predicted: Vec<f64> = self.pairs.iter().map(|p| p.0).collect();
        let mut truth: Vec<f64> = self.pairs.iter().map(|p| p.1).collect();
        Some(median(&mut truth)? / median(&mut predicted)?)
    }

    fn least_squares_scale(&self) -> f64 {
        let (pg, pp) = self
            .pairs
            .iter()
            .fold((0.0, 0.0), |(pg, pp), (p, g)| (pg + p * g, pp + p * p));
        pg / pp
    }

    fn l1_scale(&self) -> Option<f64> {
        // |s p - g| = |p| |s - g / p|, so the minimiser is a weighted median.
        let mut ratios: Vec<(f64, f64)> = self
            .pairs
            .iter()
            .filter(|(p, _)| *p != 0.0)
            .map(|(p, g)| (g / p, p.abs()))
            .collect();
        weighted_median(&mut ratios)
    }
}

/// Scale and shift that minimise `sum |s p + t - g|` over pairs `(p, g)`; `None` without pairs.
///
/// For each slope the best shift is the median of the rests, and the loss that remains is convex in
/// the slope: golden section, from a bracket that grows until it holds the minimum.
pub(super) fn exact_l1_line<T: Number>(pairs: &[(T, T)]) -> Option<(f64, f64)> {
    let mut rests = vec![0.0; pairs.len()];
    let mut loss = |scale: f64| {
        for (rest, &(p, g)) in rests.iter_mut().zip(pairs) {
            *rest = g.into() - scale * p.into();
        }
        let shift = median(&mut rests).unwrap_or(0.0);
        (rests.iter().map(|r| (r - shift).abs()).sum::<f64>(), shift)
    };
    let start = least_squares_line(pairs)?.0;
    let mut reach = 0.5 * start.abs() + 1e-3;
    let at_start = loss(start).0;
    while reach < 1e9 && loss(start - reach).0.min(loss(start + reach).0) < at_start {
        reach *= 2.0;
    }
    let shrink = (5.0_f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (start - reach, start + reach);
    while high - low > 1e-10 * (low.abs() + high.abs() + 1e-9) {
        let (left, right) = (high - shrink * (high - low), low + shrink * (high - low));
        if loss(left).0 <= loss(right).0 {
            high = right;
        } else {
            low = left;
        }
    }
    let scale = f64::midpoint(low, high);
    Some((scale, loss(scale).1))
}

/// A constant prediction has no slope: its shift alone is fitted. `None` without pairs.
fn least_squares_line<T: Number>(pairs: &[(T, T)]) -> Option<(f64, f64)> {
    if pairs.is_empty() {
        return None;
    }
    let n = pairs.len() as f64;
    let wide = || pairs.iter().map(|&(p, g)| (p.into(), g.into()));
    let (sum_p, sum_g) = wide().fold((0.0, 0.0), |(a, b), (p, g): (f64, f64)| (a + p, b + g));
    let (mean_p, mean_g) = (sum_p / n, sum_g / n);
    let (pg, pp) = wide().fold((0.0, 0.0), |(pg, pp), (p, g)| {
        let p = p - mean_p;
        (pg + p * (g - mean_g), pp + p * p)
    });
    let scale = if pp > 0.0 { pg / pp } else { 0.0 };
    Some((scale, mean_g - scale * mean_p))
}

//! The fits by which published evaluations bring a prediction onto the ground truth.
//!
//! Pairs are `(predicted, truth)`, in either precision; all sums are f64 and run over blocks of fixed
//! size, so that a result does not depend on the number of threads.

use std::cmp::Ordering;

use rayon::prelude::*;

use crate::Result;

/// Pairs summed by one task.
const BLOCK: usize = 1 << 16;

/// The optimiser of an absolute-error line fit; see [`lad2`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lad2 {
    /// Step size.
    pub rate: f64,
    /// Most steps.
    pub steps: usize,
}

/// Change of the mean error below which [`lad2`] stops.
const LAD2_TOLERANCE: f64 = 1e-6;

/// A number of a pair: single precision halves the memory of a long sequence.
pub trait Number: Copy + Into<f64> + PartialOrd + Send + Sync {}

impl Number for f32 {}
impl Number for f64 {}

fn sums<T: Number, const N: usize>(
    pairs: &[(T, T)],
    of: impl Fn(f64, f64) -> [f64; N] + Sync,
) -> [f64; N] {
    let blocks: Vec<[f64; N]> = pairs
        .par_chunks(BLOCK)
        .map(|block| {
            let mut total = [0.0; N];
            for &(p, g) in block {
                for (sum, x) in total.iter_mut().zip(of(p.into(), g.into())) {
                    *sum += x;
                }
            }
            total
        })
        .collect();
    let mut total = [0.0; N];
    for block in blocks {
        for (sum, x) in total.iter_mut().zip(block) {
            *sum += x;
        }
    }
    total
}

/// Scale and shift by Adam on `mean |s p + t - g|`: `lad2` of MonST3R and Geo4D.
///
/// Starts at `s = median(g) / median(p)`, `t = 0`; Adam with betas 0.9 and 0.999, epsilon 1e-8,
/// both numbers as parameters, no schedule; ends when the loss changes by less than 1e-6. A step
/// moves each number by about the rate at most, so with rate 1e-4 and 1000 steps neither leaves its
/// start by more than about 0.1: published numbers depend on it (Junyi42/monst3r
/// dust3r/depth_eval.py @ 574cc77).
///
/// `None` without pairs or with a median prediction of zero. `go_on` is asked before every step: on
/// millions of pixels all steps take minutes.
///
/// # Errors
/// What `go_on` returns.
pub fn lad2<T: Number>(
    pairs: &[(T, T)],
    how: Lad2,
    mut go_on: impl FnMut() -> Result<()>,
) -> Result<Option<(f64, f64)>> {
    let middle = |side: fn(&(T, T)) -> T| median_of(pairs.iter().map(side).collect());
    let start = match (middle(|p| p.1), middle(|p| p.0)) {
        (Some(g), Some(p)) if (g / p).is_finite() => g / p,
        _ => return Ok(None),
    };
    let n = pairs.len() as f64;
    let (mut x, mut first, mut second) = ([start, 0.0], [0.0; 2], [0.0; 2]);
    let mut previous: Option<f64> = None;
    for step in 1..=how.steps {
        go_on()?;
        let [loss, by_scale, by_shift] = sums(pairs, |p, g| {
            let rest = x[0] * p + x[1] - g;
            let sign = if rest == 0.0 { 0.0 } else { rest.signum() };
            [rest.abs(), sign * p, sign]
        })
        .map(|sum| sum / n);
        let unbias = |beta: f64| 1.0 - beta.powi(step as i32);
        for (i, slope) in [by_scale, by_shift].into_iter().enumerate() {
            first[i] = 0.9 * first[i] + 0.1 * slope;
            second[i] = 0.999 * second[i] + 0.001 * slope * slope;
            let along = first[i] / unbias(0.9);
            let size = (second[i] / unbias(0.999)).sqrt() + 1e-8;
            x[i] -= how.rate * along / size;
        }
        if previous.is_some_and(|before| (before - loss).abs() < LAD2_TOLERANCE) {
            break;
        }
        previous = Some(loss);
    }
    Ok(x.iter().all(|x| x.is_finite()).then_some((x[0], x[1])))
}

/// Lower median; `None` for no values.
fn median_of<T: Number>(mut values: Vec<T>) -> Option<f64> {
    let last = values.len().checked_sub(1)?;
    let by = |a: &T, b: &T| a.partial_cmp(b).unwrap_or(Ordering::Equal);
    Some((*values.select_nth_unstable_by(last / 2, by).1).into())
}

/// Scale by ten Weiszfeld steps from the ratio of the means, at least 1e-3 (CUT3R/CUT3R
/// eval/video_depth/tools.py @ 8bc15dc): `s <- sum w p g / sum w p^2`, `w = 1 / max(|s p - g|, 1e-8)`.
///
/// `None` without pairs or for a prediction of zeros.
pub fn weiszfeld_scale<T: Number>(pairs: &[(T, T)]) -> Option<f64> {
    let [sum_p, sum_g] = sums(pairs, |p, g| [p, g]);
    let mut scale = sum_g / sum_p;
    for _ in 0..10 {
        let [pg, pp] = sums(pairs, |p, g| {
            let w = 1.0 / (scale * p - g).abs().max(1e-8);
            [w * p * g, w * p * p]
        });
        scale = pg / pp;
    }
    scale.is_finite().then(|| scale.max(1e-3))
}

/// Scale by the median of `ln g - ln p`: the exact minimum of the absolute error in log space, over
/// pairs of which both are positive. `None` without such pairs.
pub fn log_scale<T: Number>(pairs: &[(T, T)]) -> Option<f64> {
    let ratios = pairs.iter().map(|&(p, g)| (g.into() / p.into()).ln());
    median_of(ratios.filter(|r| r.is_finite()).collect()).map(f64::exp)
}

/// Scale and shift by least squares; `None` without pairs or for a constant prediction.
pub fn least_squares_line<T: Number>(pairs: &[(T, T)]) -> Option<(f64, f64)> {
    let n = pairs.len() as f64;
    let [mean_p, mean_g] = sums(pairs, |p, g| [p, g]).map(|sum| sum / n);
    let [pg, pp] = sums(pairs, |p, g| {
        let p = p - mean_p;
        [p * (g - mean_g), p * p]
    });
    let scale = pg / pp;
    scale
        .is_finite()
        .then_some((scale, mean_g - scale * mean_p))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `g = scale p + shift` with every fifth pair far off.
    fn pairs(scale: f64, shift: f64) -> Vec<(f64, f64)> {
        (0..500)
            .map(|i| {
                let p = 1.0 + f64::from(i % 83) / 20.0;
                let wild = if i % 5 == 0 { 7.0 } else { 0.0 };
                (p, scale * p + shift + wild)
            })
            .collect()
    }

    fn lad2(pairs: &[(f64, f64)], how: Lad2) -> Option<(f64, f64)> {
        super::lad2(pairs, how, || Ok(())).unwrap()
    }

    #[test]
    fn the_short_rate_moves_by_a_tenth_at_most_and_the_long_one_arrives() {
        let pairs = pairs(2.0, 1.5);
        let slow = Lad2 {
            rate: 1e-4,
            steps: 1000,
        };
        let start = lad2(&pairs, Lad2 { steps: 0, ..slow }).unwrap();
        let (scale, shift) = lad2(&pairs, slow).unwrap();
        assert!((scale - start.0).abs() < 0.101 && shift.abs() < 0.101);
        assert!((shift - 1.5).abs() > 1.0, "{scale} {shift}");
        let fast = Lad2 {
            rate: 1e-2,
            steps: 5000,
        };
        let (scale, shift) = lad2(&pairs, fast).unwrap();
        assert!(
            (scale - 2.0).abs() < 0.02 && (shift - 1.5).abs() < 0.03,
            "{scale} {shift}"
        );
    }

    #[test]
    fn the_first_step_of_adam_has_the_length_of_the_rate() {
        let pairs = [(1.0, 3.0), (2.0, 5.0), (4.0, 9.0)];
        let one = Lad2 {
            rate: 0.01,
            steps: 1,
        };
        // Start 5 / 2; the rests are -0.5, 0, 1.0, so the slopes are (-1 + 4) / 3 and 0.
        let (scale, shift) = lad2(&pairs, one).unwrap();
        assert!(
            (scale - 2.49).abs() < 1e-9 && shift == 0.0,
            "{scale} {shift}"
        );
    }

    #[test]
    fn weiszfeld_passes_over_a_minority() {
        let found = weiszfeld_scale(&pairs(2.0, 0.0)).unwrap();
        assert!((found - 2.0).abs() < 1e-2, "{found}");
        assert!(weiszfeld_scale(&[(0.0, 1.0)]).is_none());
        assert_eq!(weiszfeld_scale(&[(1.0, 1e-9), (2.0, 2e-9)]), Some(1e-3));
    }

    #[test]
    fn the_log_scale_is_the_median_ratio() {
        let found = log_scale(&[
            (1.0, 2.0),
            (2.0, 4.0),
            (3.0, 600.0),
            (0.0, 1.0),
            (-1.0, 1.0),
        ]);
        assert!((found.unwrap() - 2.0).abs() < 1e-12);
        assert!(log_scale(&[(0.0, 1.0)]).is_none());
    }

    #[test]
    fn least_squares_finds_an_exact_line() {
        let pairs = [(1.0, 3.0), (2.0, 5.0), (4.0, 9.0)];
        let (scale, shift) = least_squares_line(&pairs).unwrap();
        assert!((scale - 2.0).abs() < 1e-12 && (shift - 1.0).abs() < 1e-12);
        assert!(least_squares_line(&[(1.0, 3.0), (1.0, 5.0)]).is_none());
    }
}

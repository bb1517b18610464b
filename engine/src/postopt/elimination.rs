//! The best depth of a pixel in closed form, and what remains.

use glam::{DMat3, DVec3};

use super::refinement::PointNorm;
use crate::geometry::robust::weighted_median;

/// Depth along `g` that brings `D g` closest to `y`, in either norm.
///
/// Euclidean: `<y, g> / <g, g>`. Components: each ratio `y_k / g_k` zeroes one component, and the
/// sum of the others is convex, so the minimum is their median with weights `|g_k|`.
pub fn best_depth(y: DVec3, g: DVec3, norm: PointNorm) -> f64 {
    match norm {
        PointNorm::Euclidean => y.dot(g) / g.length_squared(),
        PointNorm::ComponentL1 => {
            let mut ratios = [0, 1, 2].map(|k| (y[k] / g[k], g[k].abs()));
            // A direction without a component has no say in it.
            for pair in &mut ratios {
                if pair.1 < 1e-300 {
                    *pair = (0.0, 0.0);
                }
            }
            weighted_median(&mut ratios).unwrap_or(0.0)
        }
    }
}

/// Kink of the robust loss, in scales.
pub(super) const KINK: f64 = 0.3;
/// Reweightings that bring a depth from the median to the minimum of the rounded loss.
const ROUNDING_STEPS: usize = 8;
/// Reach of the robust loss, in scales.
pub(super) const REACH: f64 = 6.0;

/// Weight of a residual: `1 / max(r, 0.3 s) / (1 + (r / 6s)^2)`.
pub(super) fn robust_weight(r: f64, s: f64) -> f64 {
    let ratio = r / (REACH * s);
    1.0 / (r.max(KINK * s) * (1.0 + ratio * ratio))
}

/// The loss whose derivative is [`robust_weight`] times the residual.
pub(super) fn robust_loss(r: f64, s: f64) -> f64 {
    let (kink, reach) = (KINK * s, REACH * s);
    let below = |r: f64| reach * reach / (2.0 * kink) * (r / reach).powi(2).ln_1p();
    if r <= kink {
        below(r)
    } else {
        below(kink) + reach * ((r / reach).atan() - (kink / reach).atan())
    }
}

/// Loss, residual and weight matrix of one pixel with its depth eliminated.
pub(super) struct Eliminated {
    pub(super) loss: f64,
    /// The depth.
    pub(super) depth: f64,
    /// `y - D g`.
    pub(super) rest: DVec3,
    /// `W - W g g^T W / (g^T W g)`: what a change of the residual costs once the depth has followed.
    pub(super) weights: DMat3,
}

/// Eliminates the depth of a pixel; `s` is the scale of residuals.
pub(super) fn eliminate(y: DVec3, g: DVec3, norm: PointNorm, s: f64) -> Eliminated {
    let mut depth = best_depth(y, g, norm);
    let mut rest = y - g * depth;
    let (loss, w) = match norm {
        PointNorm::Euclidean => {
            let r = rest.length();
            (robust_loss(r, s), DVec3::splat(robust_weight(r, s)))
        }
        PointNorm::ComponentL1 => {
            let of = |rest: DVec3, f: fn(f64, f64) -> f64| [0, 1, 2].map(|k| f(rest[k].abs(), s));
            // The median is the minimum of absolute values; the loss is rounded at zero, so its own
            // minimum lies a little aside.
            let mut w = DVec3::from(of(rest, robust_weight));
            for _ in 0..ROUNDING_STEPS {
                let wg = w * g;
                depth += wg.dot(rest) / wg.dot(g);
                rest = y - g * depth;
                w = DVec3::from(of(rest, robust_weight));
            }
            (of(rest, robust_loss).iter().sum(), w)
        }
    };
    let wg = w * g;
    let weights = DMat3::from_diagonal(w)
        - DMat3::from_cols(wg * wg.x, wg * wg.y, wg * wg.z) * (1.0 / wg.dot(g));
    Eliminated {
        loss,
        depth,
        rest,
        weights,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_depths_are_minima_found_by_search() {
        for i in 0..50 {
            let t = f64::from(i);
            let y = DVec3::new((t * 1.3).sin(), (t * 0.7).cos(), 2.0 + (t * 0.2).sin());
            let g = DVec3::new(0.3 * (t * 0.9).cos(), 0.4 * (t * 1.1).sin(), 1.0);
            let loss = |d: f64, norm| {
                let e = y - g * d;
                match norm {
                    PointNorm::Euclidean => e.length(),
                    PointNorm::ComponentL1 => e.abs().element_sum(),
                }
            };
            for norm in [PointNorm::Euclidean, PointNorm::ComponentL1] {
                let (mut low, mut high) = (-10.0, 10.0);
                for _ in 0..200 {
                    let (a, b) = (low + (high - low) / 3.0, high - (high - low) / 3.0);
                    if loss(a, norm) < loss(b, norm) {
                        high = b;
                    } else {
                        low = a;
                    }
                }
                let found = best_depth(y, g, norm);
                let (ours, searched) = (loss(found, norm), loss(low, norm));
                assert!(ours <= searched + 1e-9, "{norm:?} {i}: {ours} {searched}");
                assert!((found - low).abs() < 1e-6, "{norm:?} {i}: {found} {low}");
            }
        }
        assert_eq!(
            best_depth(DVec3::new(5.0, 5.0, 2.0), DVec3::Z, PointNorm::ComponentL1),
            2.0
        );
    }

    #[test]
    fn the_loss_has_the_weight_as_its_slope() {
        for r in [0.01, 0.2, 0.299, 0.31, 1.0, 5.0, 40.0] {
            let slope = (robust_loss(r + 1e-6, 1.0) - robust_loss(r - 1e-6, 1.0)) / 2e-6;
            assert!((slope - robust_weight(r, 1.0) * r).abs() < 1e-8, "{r}");
        }
    }
}

//! Order statistics: medians and quantiles that a few wild values cannot move.

/// Normal standard deviation over median absolute deviation: `1 / Phi^-1(3/4)`.
pub const MAD_TO_SIGMA: f64 = 1.4826;

/// Quantile `q` in `0..=1` (nearest rank, rounding down); reorders the values.
///
/// `None` for no values. NaN sorts last, so callers pass finite values.
pub fn quantile(values: &mut [f64], q: f64) -> Option<f64> {
    let last = values.len().checked_sub(1)?;
    let rank = ((last as f64 * q.clamp(0.0, 1.0)) as usize).min(last);
    Some(*values.select_nth_unstable_by(rank, f64::total_cmp).1)
}

/// Lower median; reorders the values. `None` for no values.
pub fn median(values: &mut [f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// Value below and above which lies half of the weight: the minimiser of `sum w |x - value|`.
///
/// Pairs are `(value, weight)` with weights >= 0; reorders them. `None` if there is no weight.
pub fn weighted_median(pairs: &mut [(f64, f64)]) -> Option<f64> {
    let total: f64 = pairs.iter().map(|p| p.1).sum();
    if pairs.is_empty() || total <= 0.0 {
        return None;
    }
    pairs.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let mut below = 0.0;
    for &(value, weight) in pairs.iter() {
        below += weight;
        if below * 2.0 >= total {
            return Some(value);
        }
    }
    pairs.last().map(|p| p.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_ignores_a_wild_value() {
        assert_eq!(median(&mut [3.0, 1.0, 1e9, 2.0, 2.5]), Some(2.5));
        assert_eq!(median(&mut []), None);
    }

    #[test]
    fn quantile_ends_are_minimum_and_maximum() {
        let mut values = [4.0, -1.0, 2.0];
        assert_eq!(quantile(&mut values, 0.0), Some(-1.0));
        assert_eq!(quantile(&mut values, 1.0), Some(4.0));
    }

    #[test]
    fn weight_decides_the_weighted_median() {
        let mut pairs = [(1.0, 1.0), (2.0, 1.0), (10.0, 3.0)];
        assert_eq!(weighted_median(&mut pairs), Some(10.0));
        assert_eq!(weighted_median(&mut [(1.0, 0.0)]), None);
    }
}

//! Frames that were centred one by one, brought back into one world.
//!
//! 4DNeX trains on pointmaps `X^_i = (X - c_i) / s` with a centre of its own for every frame, so that
//! the camera's translation is not in them. Where frame `i` sees at pixel `p` what frame `j` sees at
//! pixel `q`, and it stands still in the world,
//!
//! ```text
//! d_ij = X^_j(q) - X^_i(p) = (c_i - c_j) / s
//! ```
//!
//! so the offsets of pairs of frames tell every centre but one, by least squares over the chain of
//! neighbours and some longer leaps. `X^_j - d_0j` is then in the world of frame 0.

use crate::geometry::robust::median;

/// Matches below which a pair of frames says nothing.
const FEWEST_MATCHES: usize = 30;
/// Share of the matches that is kept in a round.
const KEPT: f64 = 0.6;
/// Rounds of keeping what lies nearest to the median.
const ROUNDS: usize = 2;
/// Spread that counts as none: pointmaps are in -1..1.
const LEAST_SPREAD: f64 = 1e-4;

/// What a pair of frames says about their centres.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairOffset {
    /// The earlier frame `i`.
    pub from: usize,
    /// The later frame `j`.
    pub to: usize,
    /// `d_ij`, in the pointmaps' units.
    pub offset: [f64; 3],
    /// Inverse variance of the offset.
    pub weight: f64,
}

impl PairOffset {
    /// The offset that most matches agree on: two rounds of keeping the 60 % nearest to the median,
    /// then the mean. What moves in the world is among the rest as long as it is the smaller part.
    ///
    /// `differences` are `X^_j(q) - X^_i(p)`, finite. `None` for fewer than 30, and where those kept
    /// lie further apart than `max_spread`, root mean square.
    pub fn of(
        from: usize,
        to: usize,
        mut differences: Vec<[f64; 3]>,
        max_spread: f64,
    ) -> Option<Self> {
        for _ in 0..ROUNDS {
            if differences.len() < FEWEST_MATCHES {
                return None;
            }
            let centre = [0, 1, 2].map(|k| {
                let mut values: Vec<f64> = differences.iter().map(|d| d[k]).collect();
                median(&mut values).unwrap_or_default()
            });
            let kept = ((differences.len() as f64 * KEPT) as usize).max(1);
            let by_distance =
                |a: &[f64; 3], b: &[f64; 3]| square(*a, centre).total_cmp(&square(*b, centre));
            differences.select_nth_unstable_by(kept - 1, by_distance);
            differences.truncate(kept);
        }
        let count = differences.len() as f64;
        let offset = [0, 1, 2].map(|k| differences.iter().map(|d| d[k]).sum::<f64>() / count);
        let spread = differences.iter().map(|d| square(*d, offset)).sum::<f64>() / count;
        (spread <= max_spread * max_spread).then_some(Self {
            from,
            to,
            offset,
            weight: count / (spread + LEAST_SPREAD * LEAST_SPREAD),
        })
    }
}

fn square(a: [f64; 3], b: [f64; 3]) -> f64 {
    (0..3).map(|k| (a[k] - b[k]).powi(2)).sum()
}

/// `d_0j` of every frame from the offsets of pairs: minimises
/// `sum w_ij |d_0j - d_0i - d_ij|^2` with `d_00 = 0`.
///
/// # Shapes
/// - returns `[T]`, or `None` if pairs do not lead from frame 0 to every frame
pub fn frame_offsets(num_frames: usize, pairs: &[PairOffset]) -> Option<Vec<[f64; 3]>> {
    if num_frames == 0 || !all_reached(num_frames, pairs) {
        return None;
    }
    // Normal equations in the unknowns of frames 1 and up, with three right sides.
    let n = num_frames - 1;
    let scale = pairs.iter().map(|p| p.weight).fold(0.0, f64::max);
    let mut matrix = vec![0.0; n * n];
    let mut right = vec![[0.0; 3]; n];
    for pair in pairs {
        let weight = pair.weight / scale;
        let ends = [(pair.from, -1.0), (pair.to, 1.0)];
        for (row, sign) in ends.into_iter().filter(|(frame, _)| *frame > 0) {
            for (sum, offset) in right[row - 1].iter_mut().zip(pair.offset) {
                *sum += sign * weight * offset;
            }
            for (column, other) in ends.into_iter().filter(|(frame, _)| *frame > 0) {
                matrix[(row - 1) * n + column - 1] += sign * other * weight;
            }
        }
    }
    let solved = eliminate(&mut matrix, right)?;
    Some(std::iter::once([0.0; 3]).chain(solved).collect())
}

/// Whether pairs connect every frame with frame 0.
fn all_reached(num_frames: usize, pairs: &[PairOffset]) -> bool {
    let mut reached = vec![false; num_frames];
    reached[0] = true;
    // Each pass carries on at least one frame or ends.
    loop {
        let mut grew = false;
        for pair in pairs.iter().filter(|p| p.from.max(p.to) < num_frames) {
            if reached[pair.from] != reached[pair.to] {
                reached[pair.from] = true;
                reached[pair.to] = true;
                grew = true;
            }
        }
        if !grew {
            return reached.into_iter().all(|r| r);
        }
    }
}

/// Solves a symmetric positive definite system by elimination without pivoting.
fn eliminate(matrix: &mut [f64], mut right: Vec<[f64; 3]>) -> Option<Vec<[f64; 3]>> {
    let n = right.len();
    for pivot in 0..n {
        let diagonal = matrix[pivot * n + pivot];
        if diagonal.is_nan() || diagonal <= 0.0 {
            return None;
        }
        for row in pivot + 1..n {
            let factor = matrix[row * n + pivot] / diagonal;
            if factor == 0.0 {
                continue;
            }
            for column in pivot..n {
                matrix[row * n + column] -= factor * matrix[pivot * n + column];
            }
            let known = right[pivot];
            for (value, known) in right[row].iter_mut().zip(known) {
                *value -= factor * known;
            }
        }
    }
    for row in (0..n).rev() {
        for column in row + 1..n {
            let known = right[column];
            for (value, known) in right[row].iter_mut().zip(known) {
                *value -= matrix[row * n + column] * known;
            }
        }
        for value in &mut right[row] {
            *value /= matrix[row * n + row];
        }
    }
    Some(right)
}

/// Moves every frame by its offset: `X^_j - d_0j`.
///
/// # Shapes
/// - `points`: `[T, H, W, 3]`; `offsets`: `[T]`
pub fn move_frames(points: &mut [f32], offsets: &[[f64; 3]]) {
    let frame = points.len() / offsets.len().max(1);
    for (points, offset) in points.chunks_exact_mut(frame.max(3)).zip(offsets) {
        for point in points.chunks_exact_mut(3) {
            for (value, offset) in point.iter_mut().zip(offset) {
                *value = (f64::from(*value) - offset) as f32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Matches between two frames: `still` of them agree, the rest move.
    fn matches(offset: [f64; 3], still: usize, moving: usize) -> Vec<[f64; 3]> {
        let jitter = |i: usize, k: usize| 1e-3 * ((i * 7 + k * 3) as f64).sin();
        (0..still + moving)
            .map(|i| {
                let shift = if i < still { 0.0 } else { 0.4 };
                [0, 1, 2].map(|k| offset[k] + jitter(i, k) + shift)
            })
            .collect()
    }

    #[test]
    fn what_moves_does_not_move_the_offset() {
        let pair = PairOffset::of(0, 1, matches([0.1, -0.2, 0.05], 700, 300), 0.01).unwrap();
        for (value, expected) in pair.offset.iter().zip([0.1, -0.2, 0.05]) {
            assert!((value - expected).abs() < 5e-4, "{pair:?}");
        }
        assert!(PairOffset::of(0, 1, matches([0.0; 3], 29, 0), 1.0).is_none());
        let chaos = (0..900).map(|i| [0, 1, 2].map(|k| (f64::from(i) * 7.1 + f64::from(k)).sin()));
        assert!(PairOffset::of(0, 1, chaos.collect(), 0.05).is_none());
    }

    #[test]
    fn leaps_mend_the_drift_of_the_chain() {
        let pair = |from: usize, to: usize, error: f64, weight: f64| PairOffset {
            from,
            to,
            offset: [0.1 * (to - from) as f64 + error, 0.0, 0.0],
            weight,
        };
        let mut pairs: Vec<PairOffset> = (0..4).map(|i| pair(i, i + 1, 0.01, 1.0)).collect();
        let drifted = frame_offsets(5, &pairs).unwrap();
        assert!((drifted[4][0] - 0.44).abs() < 1e-12);
        pairs.push(pair(0, 4, 0.0, 100.0));
        let mended = frame_offsets(5, &pairs).unwrap();
        assert!((mended[4][0] - 0.4).abs() < 1e-3, "{mended:?}");
        assert_eq!(mended[0], [0.0; 3]);
    }

    #[test]
    fn a_gap_in_the_chain_is_no_answer() {
        let pair = PairOffset {
            from: 0,
            to: 1,
            offset: [0.0; 3],
            weight: 1.0,
        };
        assert!(frame_offsets(3, &[pair]).is_none());
        assert_eq!(frame_offsets(1, &[]), Some(vec![[0.0; 3]]));
    }
}

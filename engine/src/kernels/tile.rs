//! Products of f32 matrices in register tiles of 12 x 32, for processors with AVX-512.
//!
//! The right factor is packed once by panels of columns; rows of the left one are read where they lie,
//! also when they overlap, as the views of a convolution do. A tile's 24 accumulators are summed over
//! the whole inner axis and stored once. Elsewhere [`super::matmul`] does the same work.

use rayon::prelude::*;

/// Rows of a register tile.
pub(super) const ROWS: usize = 12;
/// Columns of a panel: two vectors.
pub(super) const WIDE: usize = 32;
/// Columns of the panel of a matrix that has no more: one vector.
const NARROW: usize = 16;
/// Bytes of a panel that go against all rows before the next: half of the second-level cache.
const GROUP_BYTES: usize = 512 << 10;

/// Whether this processor has the instructions.
pub(super) fn supported() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        is_x86_feature_detected!("avx512f")
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Rows that a product of `rows` rows reads and writes.
pub(super) fn whole_tiles(rows: usize) -> usize {
    rows.next_multiple_of(ROWS)
}

/// A left factor: row `i` is what stands at `data[start + i * stride..][..len]` for every start, in turn.
///
/// All rows of whole tiles are read, those beyond the last for nothing.
#[derive(Clone, Copy)]
pub(super) struct Left<'a> {
    pub(super) data: &'a [f32],
    pub(super) stride: usize,
    pub(super) starts: &'a [usize],
    pub(super) len: usize,
}

/// A right factor `[summed, cols]`: `[panels][summed][lanes]`, columns beyond the last are zero.
pub(super) struct Panels {
    data: Vec<f32>,
    summed: usize,
    cols: usize,
    lanes: usize,
}

impl Panels {
    fn build(summed: usize, cols: usize, fill: impl Fn(usize, usize, &mut [f32]) + Sync) -> Self {
        let lanes = if cols <= NARROW { NARROW } else { WIDE };
        let mut data = vec![0.0; cols.div_ceil(lanes) * summed * lanes];
        data.par_chunks_exact_mut((summed * lanes).max(1))
            .enumerate()
            .for_each(|(panel, out)| fill(panel * lanes, lanes, out));
        Self {
            data,
            summed,
            cols,
            lanes,
        }
    }

    /// Of rows `[summed, cols]`, `stride` apart.
    pub(super) fn from_rows(rows: &[f32], stride: usize, [summed, cols]: [usize; 2]) -> Self {
        Self::build(summed, cols, |first, lanes, out| {
            let count = lanes.min(cols - first);
            for (i, out) in out.chunks_exact_mut(lanes).enumerate() {
                out[..count].copy_from_slice(&rows[i * stride + first..][..count]);
            }
        })
    }

    /// Of its transpose `[cols, summed]`, rows `stride` apart.
    pub(super) fn from_transposed(rows: &[f32], stride: usize, [summed, cols]: [usize; 2]) -> Self {
        Self::build(summed, cols, |first, lanes, out| {
            let count = lanes.min(cols - first);
            // A few values of every column at a time, so that a line of the panel is written whole.
            for start in (0..summed).step_by(NARROW) {
                let end = (start + NARROW).min(summed);
                for col in 0..count {
                    let row = &rows[(first + col) * stride + start..][..end - start];
                    for (out, x) in out[start * lanes + col..]
                        .iter_mut()
                        .step_by(lanes)
                        .zip(row)
                    {
                        *out = *x;
                    }
                }
            }
        })
    }

    /// Values from one row of sums to the next.
    pub(super) fn stride(&self) -> usize {
        self.cols.next_multiple_of(self.lanes)
    }

    /// Columns of a panel.
    pub(super) fn lanes(&self) -> usize {
        self.lanes
    }

    /// The panels there are.
    pub(super) fn all(&self) -> std::ops::Range<usize> {
        0..self.cols.div_ceil(self.lanes)
    }

    /// `sums = left * panels`, or adds to them with `keep`; `sums` `[rows in whole tiles, stride]`.
    pub(super) fn multiply(
        &self,
        left: Left,
        rows: usize,
        panels: std::ops::Range<usize>,
        (sums, stride): (&mut [f32], usize),
        keep: bool,
    ) {
        assert!(left.len * left.starts.len() == self.summed && panels.end <= self.all().end);
        let group = (GROUP_BYTES / (4 * left.len * self.lanes).max(1)).max(1);
        for (i, panel) in panels.enumerate() {
            let panel = &self.data[panel * self.summed * self.lanes..][..self.summed * self.lanes];
            for (first, starts) in left.starts.chunks(group).enumerate() {
                let part = first * group * left.len * self.lanes;
                let part = &panel[part..part + starts.len() * left.len * self.lanes];
                let keep = keep || first > 0;
                for row in (0..rows).step_by(ROWS) {
                    let left = Left {
                        data: &left.data[row * left.stride..],
                        starts,
                        ..left
                    };
                    let sums = &mut sums[row * stride + i * self.lanes..];
                    tile(left, part, (sums, stride), keep, self.lanes);
                }
            }
        }
    }
}

/// One tile: `panel` `[starts * len, lanes]`, `sums` twelve rows `stride` apart.
fn tile(left: Left, panel: &[f32], (sums, stride): (&mut [f32], usize), keep: bool, lanes: usize) {
    let last = left.starts.iter().copied().max().unwrap_or(0);
    assert!(last + (ROWS - 1) * left.stride + left.len <= left.data.len());
    assert!(panel.len() == left.starts.len() * left.len * lanes);
    assert!(sums.len() >= (ROWS - 1) * stride + lanes);
    #[cfg(target_arch = "x86_64")]
    {
        let c = (sums.as_mut_ptr(), stride);
        #[expect(unsafe_code, reason = "vector instructions on raw pointers")]
        // SAFETY: the lengths have just been checked, and panels are only multiplied where `supported`
        // has said that there are the instructions.
        unsafe {
            if lanes == WIDE {
                x86::tile::<{ WIDE / 16 }>(left, panel.as_ptr(), c, keep);
            } else {
                x86::tile::<{ NARROW / 16 }>(left, panel.as_ptr(), c, keep);
            }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    unreachable!("`supported` says no on this processor");
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Left, ROWS};
    use std::arch::x86_64::{
        __m512, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps,
        _mm512_storeu_ps,
    };

    /// Rows that are addressed from one pointer: with twelve pointers there would be no registers left.
    const SHARED: usize = 3;

    #[target_feature(enable = "avx512f")]
    #[expect(unsafe_code, reason = "vector instructions on raw pointers")]
    pub(super) unsafe fn tile<const VECTORS: usize>(
        left: Left,
        mut b: *const f32,
        (c, c_stride): (*mut f32, usize),
        keep: bool,
    ) {
        // SAFETY: the caller has checked that all three reach as far as the loops.
        unsafe {
            let mut sums: [[__m512; VECTORS]; ROWS] = [[_mm512_setzero_ps(); VECTORS]; ROWS];
            if keep {
                for (i, row) in sums.iter_mut().enumerate() {
                    for (v, sum) in row.iter_mut().enumerate() {
                        *sum = _mm512_loadu_ps(c.add(i * c_stride + 16 * v));
                    }
                }
            }
            for &start in left.starts {
                let a = left.data.as_ptr().add(start);
                let bases: [*const f32; ROWS / SHARED] =
                    std::array::from_fn(|i| a.add(SHARED * i * left.stride));
                for k in 0..left.len {
                    let line: [__m512; VECTORS] =
                        std::array::from_fn(|v| _mm512_loadu_ps(b.add(16 * v)));
                    b = b.add(16 * VECTORS);
                    for (i, row) in sums.iter_mut().enumerate() {
                        let at = bases[i / SHARED].add(i % SHARED * left.stride + k);
                        let spread = _mm512_set1_ps(*at);
                        for (sum, line) in row.iter_mut().zip(line) {
                            *sum = _mm512_fmadd_ps(spread, line, *sum);
                        }
                    }
                }
            }
            for (i, row) in sums.iter().enumerate() {
                for (v, sum) in row.iter().enumerate() {
                    _mm512_storeu_ps(c.add(i * c_stride + 16 * v), *sum);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(count: usize, step: f32) -> Vec<f32> {
        (0..count).map(|i| (i as f32 * step).sin()).collect()
    }

    /// Two overlapping pieces a row, every width of panel, rows that do not fill a tile.
    #[test]
    fn overlapping_rows_times_panels_match_sums_in_double_precision() {
        if !supported() {
            println!("skipped: this processor has no AVX-512");
            return;
        }
        for (rows, len, cols) in [
            (1, 1, 1),
            (12, 5, 16),
            (13, 7, 17),
            (30, 3000, 40),
            (25, 9, 96),
        ] {
            let (stride, starts) = (3, [0, 11]);
            let x = ramp(11 + whole_tiles(rows) * stride + len, 0.7);
            let summed = 2 * len;
            let w = ramp(summed * cols, 1.3);
            let flipped: Vec<f32> = (0..cols * summed)
                .map(|i| w[i % summed * cols + i / summed])
                .collect();
            for panels in [
                Panels::from_rows(&w, cols, [summed, cols]),
                Panels::from_transposed(&flipped, summed, [summed, cols]),
            ] {
                let left = Left {
                    data: &x,
                    stride,
                    starts: &starts,
                    len,
                };
                let mut sums = vec![1.0; whole_tiles(rows) * panels.stride()];
                let to = (&mut sums[..], panels.stride());
                panels.multiply(left, rows, panels.all(), to, true);
                for (row, col) in (0..rows).flat_map(|r| (0..cols).map(move |c| (r, c))) {
                    let truth: f64 = (0..summed)
                        .map(|k| {
                            let x = x[starts[k / len] + row * stride + k % len];
                            f64::from(x) * f64::from(w[k * cols + col])
                        })
                        .sum();
                    let ours = f64::from(sums[row * panels.stride() + col]);
                    assert!((ours - 1.0 - truth).abs() < 2e-5 * (summed as f64).sqrt().max(4.0));
                }
            }
        }
    }
}

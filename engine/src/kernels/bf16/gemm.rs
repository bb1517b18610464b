//! Products of bf16 matrices with sums in f32: packed factors and a register tile of 6 x 64.
//!
//! `vdpbf16ps` multiplies pairs along the summed axis, so both factors are laid out in pairs of it:
//! the left one by tiles of [`TILE_ROWS`] rows, the right one by panels of [`PANEL`] columns. A tile's
//! 24 accumulators, a line of the panel and a broadcast pair fill the 32 vector registers. The plan of
//! blocks is that of Goto and van de Geijn, "Anatomy of high-performance matrix multiplication" (2008).

use half::bf16;
use rayon::prelude::*;

use crate::kernels::rows::block_tiles;

/// Rows of a register tile.
pub(super) const TILE_ROWS: usize = 6;
/// Columns of a register tile: four vectors.
pub(super) const PANEL: usize = 64;
/// Pairs summed before a tile is put back: a panel of them stays in the second-level cache.
const MAX_PAIRS: usize = 768;

/// Whether this processor has the instructions.
pub(super) fn supported() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        is_x86_feature_detected!("avx512bf16")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512f")
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// A bf16 matrix in memory.
#[derive(Clone, Copy)]
pub(super) struct Mat<'a> {
    pub(super) data: &'a [bf16],
    pub(super) rows: usize,
    pub(super) cols: usize,
    /// Values from one row to the next.
    pub(super) stride: usize,
}

impl<'a> Mat<'a> {
    /// Row-major without gaps.
    pub(super) fn new(data: &'a [bf16], rows: usize, cols: usize) -> Self {
        Self {
            data,
            rows,
            cols,
            stride: cols,
        }
    }

    fn row(&self, row: usize) -> &'a [bf16] {
        &self.data[row * self.stride..][..self.cols]
    }
}

/// One pair of the summed axis, the earlier value in the low half.
#[inline(always)]
fn pair(low: bf16, high: bf16) -> u32 {
    u32::from(low.to_bits()) | (u32::from(high.to_bits()) << 16)
}

/// The pair at `index` of a row that may end in the middle of it.
#[inline(always)]
fn pair_of(row: &[bf16], index: usize) -> u32 {
    let at = |i: usize| row.get(i).copied().unwrap_or(bf16::ZERO);
    pair(at(2 * index), at(2 * index + 1))
}

/// Left factor: `[tiles][pairs][TILE_ROWS]`, rows beyond the last are zero.
pub(super) struct Left {
    data: Vec<u32>,
    pairs: usize,
}

impl Left {
    pub(super) fn new() -> Self {
        Self {
            data: Vec::new(),
            pairs: 0,
        }
    }

    /// Packs rows `first .. first + count` of `mat`, columns `2 start .. 2 (start + pairs)`.
    pub(super) fn pack(&mut self, mat: Mat, rows: (usize, usize), (start, pairs): (usize, usize)) {
        let (first, count) = rows;
        self.pairs = pairs;
        let tiles = count.div_ceil(TILE_ROWS);
        self.data.clear();
        self.data.resize(tiles * pairs * TILE_ROWS, 0);
        for (tile, out) in self.data.chunks_exact_mut(pairs * TILE_ROWS).enumerate() {
            for i in 0..TILE_ROWS.min(count - tile * TILE_ROWS) {
                let row = &mat.row(first + tile * TILE_ROWS + i)[2 * start..];
                let (whole, _) = row.as_chunks::<2>();
                let slots = out[i..].iter_mut().step_by(TILE_ROWS);
                for (slot, pairs) in slots.zip(whole) {
                    *slot = pair(pairs[0], pairs[1]);
                }
                // A last, single column.
                if whole.len() < pairs {
                    out[whole.len() * TILE_ROWS + i] = pair_of(row, whole.len());
                }
            }
        }
    }
}

/// Right factor: `[panels][pairs][PANEL]`, columns beyond the last are zero.
pub(super) struct Right {
    data: Vec<u32>,
    /// Pairs of the summed axis.
    pub(super) pairs: usize,
    /// Columns, without the filling.
    pub(super) cols: usize,
}

impl Right {
    /// The transpose of `mat` `[columns, summed]`, as weights and keys are stored.
    pub(super) fn from_transposed(mat: Mat) -> Self {
        let pairs = mat.cols.div_ceil(2);
        Self::build(mat.rows, pairs, |panel, out| {
            let cols = PANEL.min(mat.rows - panel * PANEL);
            // A few pairs of every column at a time, so that a line of the panel is written whole.
            for start in (0..pairs).step_by(16) {
                let end = (start + 16).min(pairs);
                let lines = &mut out[start * PANEL..end * PANEL];
                for col in 0..cols {
                    let row = &mat.row(panel * PANEL + col)[2 * start..];
                    let slots = lines[col..].iter_mut().step_by(PANEL);
                    for (slot, pairs) in slots.zip(row.as_chunks::<2>().0) {
                        *slot = pair(pairs[0], pairs[1]);
                    }
                    // A last, single column.
                    if 2 * end > mat.cols {
                        lines[(end - 1 - start) * PANEL + col] = pair_of(row, end - 1 - start);
                    }
                }
            }
        })
    }

    /// `mat` `[summed, columns]` itself, as the values of an attention are stored.
    pub(super) fn from_rows(mat: Mat) -> Self {
        let pairs = mat.rows.div_ceil(2);
        Self::build(mat.cols, pairs, |panel, out| {
            let columns = panel * PANEL..((panel + 1) * PANEL).min(mat.cols);
            for (index, out) in out.chunks_exact_mut(PANEL).enumerate() {
                let low = &mat.row(2 * index)[columns.clone()];
                if 2 * index + 1 < mat.rows {
                    let high = &mat.row(2 * index + 1)[columns.clone()];
                    for ((out, low), high) in out.iter_mut().zip(low).zip(high) {
                        *out = pair(*low, *high);
                    }
                } else {
                    for (out, low) in out.iter_mut().zip(low) {
                        *out = pair(*low, bf16::ZERO);
                    }
                }
            }
        })
    }

    fn build(cols: usize, pairs: usize, fill: impl Fn(usize, &mut [u32]) + Sync) -> Self {
        let mut data = vec![0; cols.div_ceil(PANEL) * pairs * PANEL];
        data.par_chunks_mut((pairs * PANEL).max(1))
            .enumerate()
            .for_each(|(panel, out)| fill(panel, out));
        Self { data, pairs, cols }
    }

    /// Panels, the last perhaps not full.
    pub(super) fn panels(&self) -> usize {
        self.cols.div_ceil(PANEL)
    }

    fn panel(&self, panel: usize, start: usize, pairs: usize) -> &[u32] {
        &self.data[(panel * self.pairs + start) * PANEL..][..pairs * PANEL]
    }
}

/// A block of sums `[rows, stride]`, rows and columns filled up to whole tiles.
pub(super) struct Sums {
    pub(super) data: Vec<f32>,
    pub(super) stride: usize,
}

impl Sums {
    pub(super) fn new() -> Self {
        Self {
            data: Vec::new(),
            stride: 0,
        }
    }

    /// Room for `rows` x `cols`; what is in it is undefined to the caller until written.
    pub(super) fn shape(&mut self, rows: usize, cols: usize) {
        self.stride = cols.next_multiple_of(PANEL);
        let len = rows.next_multiple_of(TILE_ROWS) * self.stride;
        self.data.resize(len, 0.0);
    }

    /// Adds `left` x the columns of `panels`, pairs `start ..` of them; or overwrites.
    pub(super) fn add(
        &mut self,
        left: &Left,
        right: &Right,
        panels: std::ops::Range<usize>,
        start: usize,
        keep: bool,
    ) {
        let tile_len = left.pairs * TILE_ROWS;
        if tile_len == 0 {
            if !keep {
                self.data.fill(0.0);
            }
            return;
        }
        for (i, panel) in panels.enumerate() {
            let b = right.panel(panel, start, left.pairs);
            for (tile, a) in left.data.chunks_exact(tile_len).enumerate() {
                let first = tile * TILE_ROWS * self.stride + i * PANEL;
                tile_product(a, b, &mut self.data[first..], self.stride, keep);
            }
        }
    }
}

/// `c (+)= a b` for one tile: `a` `[pairs][6]`, `b` `[pairs][64]`, `c` six rows `stride` apart.
fn tile_product(a: &[u32], b: &[u32], c: &mut [f32], stride: usize, keep: bool) {
    let pairs = a.len() / TILE_ROWS;
    assert!(b.len() >= pairs * PANEL && c.len() >= (TILE_ROWS - 1) * stride + PANEL);
    #[cfg(target_arch = "x86_64")]
    {
        #[expect(unsafe_code, reason = "vector instructions on raw pointers")]
        // SAFETY: the lengths have just been checked, and nothing gets here on a processor without
        // the instructions: `accept` asks `supported` first.
        unsafe {
            x86::tile_product(
                a.as_ptr(),
                b.as_ptr(),
                pairs,
                (c.as_mut_ptr(), stride),
                keep,
            );
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    unreachable!("`accept` turns bf16 tensors down on this processor");
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{PANEL, TILE_ROWS};
    use std::arch::x86_64::{
        __m512, __m512bh, __m512i, _mm512_dpbf16_ps, _mm512_loadu_ps, _mm512_loadu_si512,
        _mm512_set1_epi32, _mm512_setzero_ps, _mm512_storeu_ps,
    };
    use std::mem::transmute;

    /// Vectors of a panel's line.
    const VECTORS: usize = PANEL / 16;

    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    #[expect(unsafe_code, reason = "vector instructions on raw pointers")]
    pub(super) unsafe fn tile_product(
        a: *const u32,
        b: *const u32,
        pairs: usize,
        (c, stride): (*mut f32, usize),
        keep: bool,
    ) {
        // SAFETY: the caller has checked that `a`, `b` and `c` reach as far as the loops.
        unsafe {
            let mut sums: [[__m512; VECTORS]; TILE_ROWS] =
                [[_mm512_setzero_ps(); VECTORS]; TILE_ROWS];
            if keep {
                for (i, row) in sums.iter_mut().enumerate() {
                    for (j, sum) in row.iter_mut().enumerate() {
                        *sum = _mm512_loadu_ps(c.add(i * stride + 16 * j));
                    }
                }
            }
            for p in 0..pairs {
                let line: [__m512bh; VECTORS] = std::array::from_fn(|j| {
                    let vector: __m512i = _mm512_loadu_si512(b.add(p * PANEL + 16 * j).cast());
                    transmute(vector)
                });
                for (i, row) in sums.iter_mut().enumerate() {
                    let pair = *a.add(p * TILE_ROWS + i);
                    let spread: __m512bh = transmute(_mm512_set1_epi32(pair.cast_signed()));
                    for (sum, b) in row.iter_mut().zip(line) {
                        *sum = _mm512_dpbf16_ps(*sum, spread, b);
                    }
                }
            }
            for (i, row) in sums.iter().enumerate() {
                for (j, sum) in row.iter().enumerate() {
                    _mm512_storeu_ps(c.add(i * stride + 16 * j), *sum);
                }
            }
        }
    }
}

/// Tiles of rows in a block of [`product`]: enough to use a panel well, few enough for the cache.
const BLOCK_TILES: std::ops::RangeInclusive<usize> = 6..=20;
/// Panels of a block of [`product`].
const BLOCK_PANELS: usize = 6;
/// Bytes of the right factor that are packed at a time.
const PACKED_BYTES: usize = 32 << 20;

/// `left right^T` for `left` `[rows, k]` and `right` `[cols, k]`: `[rows, cols]`.
///
/// `finish(column, sums, out)` turns a piece of a row of sums into results. The result is not filled
/// before: its pages are first touched by the threads that compute them.
pub(super) fn product(
    left: Mat,
    right: Mat,
    finish: impl Fn(usize, &[f32], &mut [bf16]) + Sync,
) -> Vec<bf16> {
    let (rows, cols) = (left.rows, right.rows);
    assert!(left.cols == right.cols);
    let mut out: Vec<bf16> = Vec::with_capacity(rows * cols);
    if rows * cols == 0 {
        return out;
    }
    let room = &mut out.spare_capacity_mut()[..rows * cols];
    let columns = (PACKED_BYTES / 2 / left.cols.max(1)).max(PANEL) / PANEL * PANEL;
    let block_rows = TILE_ROWS * block_tiles(rows.div_ceil(TILE_ROWS), BLOCK_TILES);
    for first_col in (0..cols).step_by(columns) {
        let part = Mat {
            data: &right.data[first_col * right.stride..],
            rows: columns.min(cols - first_col),
            ..right
        };
        let packed = Right::from_transposed(part);
        room.par_chunks_mut(block_rows * cols)
            .enumerate()
            .for_each_init(Sums::new, |sums, (block, out)| {
                let mut line = [bf16::ZERO; BLOCK_PANELS * PANEL];
                let block_rows = (block * block_rows, out.len() / cols);
                let tiles = pack_all(left, block_rows, packed.pairs);
                for first in (0..packed.panels()).step_by(BLOCK_PANELS) {
                    let panels = first..(first + BLOCK_PANELS).min(packed.panels());
                    let width = packed.cols.min(panels.end * PANEL) - first * PANEL;
                    sums.shape(block_rows.1, width);
                    for (i, tiles) in tiles.iter().enumerate() {
                        sums.add(tiles, &packed, panels.clone(), i * MAX_PAIRS, i > 0);
                    }
                    let col = first_col + first * PANEL;
                    for (sums, out) in sums
                        .data
                        .chunks_exact(sums.stride)
                        .zip(out.chunks_exact_mut(cols))
                    {
                        finish(col, &sums[..width], &mut line[..width]);
                        out[col..col + width].write_copy_of_slice(&line[..width]);
                    }
                }
            });
    }
    #[expect(
        unsafe_code,
        reason = "a result that is written once, by several threads"
    )]
    // SAFETY: blocks of rows, and in each all columns of all parts of `right`, have been written.
    unsafe {
        out.set_len(rows * cols);
    }
    out
}

/// The rows of a block, [`MAX_PAIRS`] at a time.
fn pack_all(left: Mat, rows: (usize, usize), pairs: usize) -> Vec<Left> {
    (0..pairs.max(1))
        .step_by(MAX_PAIRS)
        .map(|start| {
            let mut tiles = Left::new();
            tiles.pack(left, rows, (start, MAX_PAIRS.min(pairs - start)));
            tiles
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    fn matrix(rows: usize, cols: usize, seed: usize) -> Vec<bf16> {
        (0..rows * cols)
            .map(|i| bf16::from_f32(((i * 7919 + seed * 104_729) % 4093) as f32 / 2046.0 - 1.0))
            .collect()
    }

    /// Largest difference to a sum in f64, relative to the sum of magnitudes.
    fn worst(a: &[bf16], b: &[bf16], out: &[f32], k: usize, n: usize, transposed: bool) -> f64 {
        let at = |x: bf16| f64::from(x.to_f32());
        let mut worst = 0.0_f64;
        for (i, out) in out.iter().enumerate() {
            let (row, col) = (i / n, i % n);
            let terms = (0..k).map(|p| {
                let b = if transposed {
                    b[col * k + p]
                } else {
                    b[p * n + col]
                };
                at(a[row * k + p]) * at(b)
            });
            let (sum, size) = terms.fold((0.0, 0.0), |(s, m), t| (s + t, m + t.abs()));
            worst = worst.max((f64::from(*out) - sum).abs() / f64::max(size, 1e-30));
        }
        worst
    }

    #[test]
    fn products_of_every_shape_match_sums_in_double_precision() {
        if !supported() {
            println!("skipped: this processor has no AVX-512 BF16");
            return;
        }
        for (m, n, k) in [
            (1, 1, 1),
            (5, 63, 7),
            (6, 64, 2),
            (73, 129, 33),
            (80, 900, 96),
            (7, 65, 1701),
        ] {
            let (a, b) = (matrix(m, k, 1), matrix(n, k, 2));
            let seen = Mutex::new(Vec::new());
            let out = product(Mat::new(&a, m, k), Mat::new(&b, n, k), |col, sums, out| {
                seen.lock().unwrap().push((col, sums.len()));
                crate::kernels::bf16::narrow(sums, out);
            });
            let columns: usize = seen.into_inner().unwrap().iter().map(|s| s.1).sum();
            assert_eq!(columns, m * n);
            let out: Vec<f32> = out.iter().map(|x| x.to_f32()).collect();
            // A result is rounded to 8 bits.
            let error = worst(&a, &b, &out, k, n, true);
            assert!(error < 0.004, "{m} x {n} x {k}: {error}");
        }
    }

    #[test]
    fn right_factors_may_be_rows_and_odd() {
        if !supported() {
            println!("skipped: this processor has no AVX-512 BF16");
            return;
        }
        let (m, n, k) = (13, 70, 9);
        let (a, b) = (matrix(m, k, 3), matrix(k, n, 4));
        let right = Right::from_rows(Mat::new(&b, k, n));
        let (mut left, mut sums) = (Left::new(), Sums::new());
        left.pack(Mat::new(&a, m, k), (0, m), (0, right.pairs));
        sums.shape(m, n);
        sums.add(&left, &right, 0..right.panels(), 0, false);
        let out: Vec<f32> = (0..m)
            .flat_map(|row| sums.data[row * sums.stride..][..n].to_vec())
            .collect();
        assert!(worst(&a, &b, &out, k, n, false) < 1e-6);
    }
}

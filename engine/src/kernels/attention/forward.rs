//! Softmax over tiles of keys, each of which rescales what earlier tiles gave.

use rayon::prelude::*;

use super::{Args, Dims, Head, KEYS, QUERIES, Span, spans};
use crate::kernels::matmul::{Held, Mat, MatMut, Parallelism, matmul};
use crate::kernels::simd::{exp, max, sum, vectorised};
use crate::kernels::tile::{self, Left, Panels};

/// Values from one query's scores to the next: with a power of two all would share a line of the cache.
const STRIDE: usize = KEYS + 16;
/// Bytes of keys and values that are packed at a time; one head at least.
const PACKED_BYTES: usize = 16 << 20;

/// Keys and values of a head as the products want them.
enum Packed {
    /// Packed once for all queries, values by tiles of [`KEYS`].
    Tiles { keys: Panels, values: Vec<Panels> },
    /// Where they lie.
    Plain,
}

impl Packed {
    fn new(head: Head) -> Self {
        if !tile::supported() {
            return Self::Plain;
        }
        let Dims { m, a, d, .. } = head.args.dims;
        let first = |row: usize| ((head.r * m + row) * a + head.a) * d;
        let values = spans(m, KEYS)
            .map(|span| {
                let rows = &head.args.v[first(span.start)..];
                Panels::from_rows(rows, a * d, [span.len, d])
            })
            .collect();
        let keys = Panels::from_transposed(&head.args.k[first(0)..], a * d, [d, m]);
        Self::Tiles { keys, values }
    }
}

/// What the tiles of keys seen so far give for a span of queries.
struct Running {
    /// Scaled queries in whole register tiles, `[QUERIES, D]`.
    queries: Vec<f32>,
    /// Scores, then weights, of one tile, rows [`STRIDE`] apart.
    tile: Vec<f32>,
    /// Largest score of each query.
    peak: Vec<f32>,
    /// Sum of the weights of each query, relative to its peak.
    total: Vec<f32>,
    /// Weighted sums of the values, rows `width` apart.
    sums: Vec<f32>,
    width: usize,
}

impl Running {
    fn new(dims: Dims) -> Self {
        let queries = tile::whole_tiles(QUERIES.min(dims.n));
        let width = dims.d.next_multiple_of(tile::WIDE);
        Self {
            queries: vec![0.0; queries * dims.d],
            tile: vec![0.0; queries * STRIDE],
            peak: vec![0.0; queries],
            total: vec![0.0; queries],
            sums: vec![0.0; queries * width],
            width,
        }
    }

    /// Forgets what was gathered, for `queries` of `head`.
    fn start(&mut self, head: Head, queries: Span) {
        self.peak.fill(f32::NEG_INFINITY);
        self.total.fill(0.0);
        self.sums.fill(0.0);
        let Dims { n, a, d, .. } = head.args.dims;
        for (i, out) in self
            .queries
            .chunks_exact_mut(d)
            .take(queries.len)
            .enumerate()
        {
            let row = (head.r * n + queries.start + i) * a + head.a;
            for (out, q) in out.iter_mut().zip(&head.args.q[row * d..][..d]) {
                *out = head.args.scale * q;
            }
        }
    }

    /// Scores of `queries` against `keys`, [`STRIDE`] apart.
    fn score(&mut self, head: Head, packed: &Packed, queries: Span, keys: Span) {
        let d = head.args.dims.d;
        match packed {
            Packed::Tiles { keys: panels, .. } => {
                let lanes = panels.lanes();
                let range = keys.start / lanes..(keys.start + keys.len).div_ceil(lanes);
                let left = Left {
                    data: &self.queries,
                    stride: d,
                    starts: &[0],
                    len: d,
                };
                panels.multiply(left, queries.len, range, (&mut self.tile, STRIDE), false);
            }
            Packed::Plain => {
                let dst = MatMut::strided(&mut self.tile, queries.len, keys.len, STRIDE);
                let q = Mat::new(&self.queries[..queries.len * d], queries.len, d);
                let k = head.keys(keys).t();
                matmul(dst, Held::Dropped, q, k, 1.0, Parallelism::None);
            }
        }
        head.add_bias(queries, keys, (&mut self.tile, STRIDE));
    }

    fn add(&mut self, head: Head, packed: &Packed, queries: Span, keys: Span) {
        let d = head.args.dims.d;
        self.score(head, packed, queries, keys);
        let rows = self.tile.chunks_mut(STRIDE).take(queries.len).enumerate();
        for (i, weights) in rows {
            let (peak, total) = (&mut self.peak[i], &mut self.total[i]);
            let sums = &mut self.sums[i * self.width..][..d];
            vectorised(
                #[inline(always)]
                || soften(&mut weights[..keys.len], peak, total, sums),
            );
        }
        match packed {
            Packed::Tiles { values, .. } => {
                let values = &values[keys.start / KEYS];
                let left = Left {
                    data: &self.tile,
                    stride: STRIDE,
                    starts: &[0],
                    len: keys.len,
                };
                let sums = (&mut self.sums[..], self.width);
                values.multiply(left, queries.len, values.all(), sums, true);
            }
            Packed::Plain => {
                let sums = MatMut::strided(&mut self.sums, queries.len, d, self.width);
                let weights = Mat::strided(&self.tile, queries.len, keys.len, STRIDE);
                let values = head.values(keys);
                matmul(sums, Held::Kept, weights, values, 1.0, Parallelism::None);
            }
        }
    }

    /// Writes the results `[queries, A, D]` of one head and their log-sum-exps `[queries, A]`.
    fn write(&self, head: Head, queries: Span, out: &mut [f32], log_sum_exp: &mut [f32]) {
        let Dims { a, d, .. } = head.args.dims;
        for i in 0..queries.len {
            let slot = i * a + head.a;
            let inverse = 1.0 / self.total[i];
            let sums = &self.sums[i * self.width..][..d];
            let out = &mut out[slot * d..][..d];
            out.iter_mut().zip(sums).for_each(|(o, s)| *o = s * inverse);
            log_sum_exp[slot] = self.peak[i] + self.total[i].ln();
        }
    }
}

/// Turns a query's scores into weights and rescales what it has gathered to the new peak.
#[inline(always)]
fn soften(scores: &mut [f32], peak: &mut f32, total: &mut f32, sums: &mut [f32]) {
    let here = max(scores);
    let highest = if here > *peak { here } else { *peak };
    // A tile that is masked whole has no peak; its weights are zero.
    let level = if highest == f32::NEG_INFINITY {
        0.0
    } else {
        highest
    };
    for s in scores.iter_mut() {
        *s = exp(*s - level);
    }
    let rescale = exp(*peak - level);
    if rescale != 1.0 {
        sums.iter_mut().for_each(|s| *s *= rescale);
    }
    *total = *total * rescale
        + sum(
            scores,
            #[inline(always)]
            |s| s,
        );
    *peak = highest;
}

/// Bytes that keys and values of one row take, packed: `m` keys, `a` heads of `d`.
pub(crate) fn scratch_bytes(m: usize, a: usize, d: usize) -> u64 {
    if !tile::supported() {
        return 0;
    }
    (heads_at_once(m, a, d) * 8 * m * d) as u64
}

/// Heads whose keys and values are packed at a time.
fn heads_at_once(m: usize, a: usize, d: usize) -> usize {
    (PACKED_BYTES / (8 * m * d).max(1)).clamp(1, a.max(1))
}

/// The result `[R, N, A, D]` and the log-sum-exp of every query `[R, N, A]`.
pub(super) fn forward(args: Args) -> (Vec<f32>, Vec<f32>) {
    let Dims { r, n, m, a, d } = args.dims;
    let mut out = vec![0.0; r * n * a * d];
    let mut log_sum_exp = vec![0.0; r * n * a];
    if n * a * d == 0 {
        return (out, log_sum_exp);
    }
    let heads_at_once = heads_at_once(m, a, d);
    let row = |r: usize, out: &mut [f32], log_sum_exp: &mut [f32]| {
        for first in (0..a).step_by(heads_at_once) {
            let heads: Vec<(Head, Packed)> = (first..(first + heads_at_once).min(a))
                .into_par_iter()
                .map(|a| {
                    let head = Head { args, r, a };
                    (head, Packed::new(head))
                })
                .collect();
            out.par_chunks_mut(QUERIES * a * d)
                .zip(log_sum_exp.par_chunks_mut(QUERIES * a))
                .enumerate()
                .for_each_init(
                    || Running::new(args.dims),
                    |running, (i, (out, log_sum_exp))| {
                        let start = i * QUERIES;
                        let len = QUERIES.min(n - start);
                        let queries = Span { start, len };
                        for (head, packed) in &heads {
                            running.start(*head, queries);
                            for keys in spans(m, KEYS) {
                                running.add(*head, packed, queries, keys);
                            }
                            running.write(*head, queries, out, log_sum_exp);
                        }
                    },
                );
        }
    };
    out.par_chunks_mut(n * a * d)
        .zip(log_sum_exp.par_chunks_mut(n * a))
        .enumerate()
        .for_each(|(r, (out, log_sum_exp))| row(r, out, log_sum_exp));
    (out, log_sum_exp)
}

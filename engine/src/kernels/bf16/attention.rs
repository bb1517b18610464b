//! Attention of bf16 queries, keys and values in tiles, softmax and sums in f32.
//!
//! As in [`crate::kernels::attention`], each tile of keys rescales what earlier tiles gave; the
//! weights of a tile are rounded to bf16 before they meet the values, as fused GPU attention does.

use candle_core::{Result, Tensor};
use half::bf16;
use rayon::prelude::*;

use super::gemm::{Left, Mat, PANEL, Right, Sums};
use super::{narrow, read};
use crate::kernels::simd::{max, sum, vectorised};

/// Queries and keys of a tile: sixteen register tiles of queries, scores within the cache.
const QUERIES: usize = 96;
const KEYS: usize = 8 * PANEL;

/// `softmax(scale q k^T) v` for `q` `[R, N, A, D]`, `k` and `v` `[R, M, A, D]`; returns `[R, N, A, D]`.
///
/// # Errors
/// Those of candle for shapes that do not fit.
pub(crate) fn attention(q: &Tensor, k: &Tensor, v: &Tensor, scale: f64) -> Result<Tensor> {
    let (r, n, a, d) = q.dims4()?;
    let (rows, m, heads, width) = k.dims4()?;
    if (rows, heads, width) != (r, a, d) || v.dims() != k.dims() || m == 0 {
        candle_core::bail!("attention: q is {:?}, k {:?}", q.dims(), k.dims());
    }
    let (q_values, k_values, v_values) = (read(q)?, read(k)?, read(v)?);
    let mut out = super::zeros(q_values.len());
    let head_of = |data, row: usize, head: usize, len: usize| {
        let first = (row * len * a + head) * d;
        let data: &[bf16] = data;
        Mat {
            data: &data[first..],
            rows: len,
            cols: d,
            stride: a * d,
        }
    };
    for (row, out) in out.chunks_mut((n * a * d).max(1)).enumerate() {
        for head in 0..a {
            let keys = Keys::new(
                head_of(&k_values, row, head, m),
                head_of(&v_values, row, head, m),
            );
            let queries = head_of(&q_values, row, head, n);
            out.par_chunks_mut(QUERIES * a * d)
                .enumerate()
                .for_each_init(
                    || Running::new(d),
                    |running, (block, out)| {
                        let count = out.len() / (a * d);
                        running.attend(queries, (block * QUERIES, count), &keys, scale as f32);
                        for (i, out) in out.chunks_exact_mut(a * d).enumerate() {
                            running.write(i, &mut out[head * d..][..d]);
                        }
                    },
                );
        }
    }
    Tensor::from_vec(out, q.shape(), q.device())
}

/// Keys and values of a head, packed once; values by tiles of [`KEYS`].
struct Keys {
    keys: Right,
    values: Vec<Right>,
}

impl Keys {
    fn new(keys: Mat, values: Mat) -> Self {
        let values = (0..values.rows)
            .step_by(KEYS)
            .map(|first| {
                Right::from_rows(Mat {
                    data: &values.data[first * values.stride..],
                    rows: KEYS.min(values.rows - first),
                    ..values
                })
            })
            .collect();
        Self {
            keys: Right::from_transposed(keys),
            values,
        }
    }
}

/// What the tiles of keys seen so far give for a block of queries.
struct Running {
    queries: Left,
    weights: Left,
    scores: Sums,
    /// Rounded weights of a tile, `[QUERIES, KEYS]`.
    rounded: Vec<bf16>,
    peak: Vec<f32>,
    total: Vec<f32>,
    /// Weighted sums of the values.
    sums: Sums,
    width: usize,
}

impl Running {
    fn new(width: usize) -> Self {
        let mut sums = Sums::new();
        sums.shape(QUERIES, width);
        Self {
            queries: Left::new(),
            weights: Left::new(),
            scores: Sums::new(),
            rounded: vec![bf16::ZERO; QUERIES * KEYS],
            peak: vec![0.0; QUERIES],
            total: vec![0.0; QUERIES],
            sums,
            width,
        }
    }

    fn attend(&mut self, queries: Mat, (first, count): (usize, usize), keys: &Keys, scale: f32) {
        let pairs = keys.keys.pairs;
        self.queries.pack(queries, (first, count), (0, pairs));
        self.peak.fill(f32::NEG_INFINITY);
        self.total.fill(0.0);
        self.sums.data.fill(0.0);
        for (tile, values) in keys.values.iter().enumerate() {
            let first_panel = tile * KEYS / PANEL;
            let num_keys = KEYS.min(keys.keys.cols - tile * KEYS);
            let panels = first_panel..first_panel + num_keys.div_ceil(PANEL);
            self.scores.shape(count, num_keys);
            self.scores.add(&self.queries, &keys.keys, panels, 0, false);
            self.soften(count, num_keys, scale);
            let weights = Mat::new(&self.rounded, count, num_keys);
            self.weights.pack(weights, (0, count), (0, values.pairs));
            self.sums
                .add(&self.weights, values, 0..values.panels(), 0, true);
        }
    }

    /// Turns the scores of a tile into weights and rescales what was gathered to the new peaks.
    fn soften(&mut self, count: usize, num_keys: usize, scale: f32) {
        let rows = self.scores.data.chunks_exact_mut(self.scores.stride);
        let sums = self.sums.data.chunks_exact_mut(self.sums.stride);
        let rounded = self.rounded.chunks_exact_mut(num_keys);
        for ((i, scores), (sums, rounded)) in rows.take(count).enumerate().zip(sums.zip(rounded)) {
            let scores = &mut scores[..num_keys];
            let (peak, total) = (&mut self.peak[i], &mut self.total[i]);
            vectorised(
                #[inline(always)]
                || {
                    let here = scale * max(scores);
                    let highest = if here > *peak { here } else { *peak };
                    for s in scores.iter_mut() {
                        *s = weight(scale.mul_add(*s, -highest));
                    }
                    let rescale = weight(*peak - highest);
                    if rescale != 1.0 {
                        sums.iter_mut().for_each(|s| *s *= rescale);
                    }
                    narrow(scores, rounded);
                    *total = total.mul_add(
                        rescale,
                        sum(
                            scores,
                            #[inline(always)]
                            |s| s,
                        ),
                    );
                    *peak = highest;
                },
            );
        }
    }

    fn write(&self, query: usize, out: &mut [bf16]) {
        let inverse = 1.0 / self.total[query];
        let sums = &self.sums.data[query * self.sums.stride..][..self.width];
        for (out, sum) in out.iter_mut().zip(sums) {
            *out = super::narrow_one(sum * inverse);
        }
    }
}

/// `e^x` for `x <= 0` to 1e-5, far below the rounding of a weight; 0 below -87.
#[inline(always)]
fn weight(x: f32) -> f32 {
    // 2^(n + f) with |f| <= 1/2; adding 1.5 * 2^23 rounds n into the low bits.
    const ROUND: f32 = 12_582_912.0;
    let t = x * std::f32::consts::LOG2_E;
    let shifted = t + ROUND;
    let f = t - (shifted - ROUND);
    // Taylor's series of 2^f.
    let mut p = 1.333_355_8e-3;
    for c in [
        9.618_129e-3,
        5.550_410_9e-2,
        0.240_226_51,
        std::f32::consts::LN_2,
        1.0,
    ] {
        p = f.mul_add(p, c);
    }
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits() - 127) << 23;
    let y = p * f32::from_bits(exponent);
    if x > -87.0 { y } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_exponentials() {
        for i in 0..9_000 {
            let x = -0.01 * i as f32;
            let truth = f64::from(x).exp();
            let bound = if x > -87.0 { 1e-5 * truth } else { 1e-30 };
            assert!((f64::from(weight(x)) - truth).abs() <= bound, "{x}");
        }
        assert_eq!(weight(f32::NEG_INFINITY), 0.0);
    }
}

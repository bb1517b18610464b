//! Gradients of attention: tiles of the weights are computed again from the log-sum-exp.

use rayon::prelude::*;

use super::{Args, Dims, Head, KEYS, QUERIES, Span, spans};
use crate::kernels::matmul::{Held, Mat, MatMut, Parallelism, matmul};
use crate::kernels::rows::{for_rows, sum_rows};
use crate::kernels::simd::{exp, sum_pairs, vectorised};

/// Gradients of one head: of `q` `[N, D]`, `k` and `v` `[M, D]`, and of the bias `[N, M]`.
pub(super) struct HeadGradients {
    pub(super) q: Vec<f32>,
    pub(super) k: Vec<f32>,
    pub(super) v: Vec<f32>,
    bias: Vec<f32>,
}

/// What the backward pass of a head reads besides its arguments.
#[derive(Clone, Copy)]
struct Seen<'a> {
    grad: &'a [f32],
    log_sum_exp: &'a [f32],
    /// Sum over `D` of result times gradient, `[R, N, A]`.
    along: &'a [f32],
}

/// The tiles of weights and of their gradients.
struct Tiles {
    weights: Vec<f32>,
    grads: Vec<f32>,
}

impl HeadGradients {
    fn new(head: Head, seen: Seen, want_bias: bool) -> Self {
        let Dims { n, m, d, .. } = head.args.dims;
        let mut out = Self {
            q: vec![0.0; n * d],
            k: vec![0.0; m * d],
            v: vec![0.0; m * d],
            bias: vec![0.0; if want_bias { n * m } else { 0 }],
        };
        let tile = QUERIES.min(n) * KEYS.min(m);
        let mut tiles = Tiles {
            weights: vec![0.0; tile],
            grads: vec![0.0; tile],
        };
        for queries in spans(n, QUERIES) {
            for keys in spans(m, KEYS) {
                out.add_tile(head, seen, [queries, keys], &mut tiles);
            }
        }
        out
    }

    fn add_tile(&mut self, head: Head, seen: Seen, spans: [Span; 2], tiles: &mut Tiles) {
        let [queries, keys] = spans;
        let Dims { n, m, d, .. } = head.args.dims;
        let (weights, grads) = (
            &mut tiles.weights[..queries.len * keys.len],
            &mut tiles.grads[..queries.len * keys.len],
        );
        let product = |dst: MatMut, held: Held, a: Mat, b: Mat, scale: f32| {
            matmul(dst, held, a, b, scale, Parallelism::None);
        };
        head.scores(queries, keys, weights);
        let grad = head.rows_of(seen.grad, n, queries);
        let dst = MatMut::new(grads, queries.len, keys.len);
        product(dst, Held::Dropped, grad, head.values(keys).t(), 1.0);
        for (i, (weights, grads)) in weights
            .chunks_exact_mut(keys.len)
            .zip(grads.chunks_exact_mut(keys.len))
            .enumerate()
        {
            let index = head.query_index(queries.start + i);
            let (log_sum_exp, along) = (seen.log_sum_exp[index], seen.along[index]);
            vectorised(
                #[inline(always)]
                || {
                    for (w, g) in weights.iter_mut().zip(grads) {
                        *w = exp(*w - log_sum_exp);
                        *g = *w * (*g - along);
                    }
                },
            );
        }
        let weights = Mat::new(weights, queries.len, keys.len);
        let dscores = Mat::new(grads, queries.len, keys.len);
        let of_keys = keys.start * d..(keys.start + keys.len) * d;
        let dv = MatMut::new(&mut self.v[of_keys.clone()], keys.len, d);
        product(dv, Held::Kept, weights.t(), grad, 1.0);
        let dk = MatMut::new(&mut self.k[of_keys], keys.len, d);
        product(
            dk,
            Held::Kept,
            dscores.t(),
            head.queries(queries),
            head.args.scale,
        );
        let dq = MatMut::new(&mut self.q[queries.start * d..], queries.len, d);
        product(dq, Held::Kept, dscores, head.keys(keys), head.args.scale);
        if !self.bias.is_empty() {
            for (i, grads) in grads.chunks_exact(keys.len).enumerate() {
                let first = (queries.start + i) * m + keys.start;
                self.bias[first..first + keys.len].copy_from_slice(grads);
            }
        }
    }
}

/// Gradients of every head, in the order `r`, `a`.
pub(super) fn backward(
    args: Args,
    out: &[f32],
    grad: &[f32],
    lse: &[f32],
    bias: bool,
) -> Vec<HeadGradients> {
    let Dims { r, a, d, .. } = args.dims;
    let mut along = vec![0.0; out.len() / d.max(1)];
    for_rows(&mut along, 1, |first, along| {
        for (i, along) in along.iter_mut().enumerate() {
            let span = (first + i) * d..(first + i + 1) * d;
            let (out, grad) = (&out[span.clone()], &grad[span]);
            *along = vectorised(
                #[inline(always)]
                || {
                    sum_pairs(
                        out,
                        grad,
                        #[inline(always)]
                        |o, g| o * g,
                    )
                },
            );
        }
    });
    let seen = Seen {
        grad,
        log_sum_exp: lse,
        along: &along,
    };
    (0..r * a)
        .into_par_iter()
        .with_max_len(1)
        .map(|i| {
            let head = Head {
                args,
                r: i / a,
                a: i % a,
            };
            HeadGradients::new(head, seen, bias)
        })
        .collect()
}

/// Appends heads `[R, A, rows, D]` to `out` as `[R, rows, A, D]`.
pub(super) fn interleave(heads: &[&[f32]], dims: Dims, out: &mut [f32]) {
    let Dims { r, a, d, .. } = dims;
    let rows = out.len() / (r * a * d).max(1);
    for_rows(out, a * d, |first, out| {
        for (i, out) in out.chunks_exact_mut(a * d).enumerate() {
            let (r, row) = ((first + i) / rows, (first + i) % rows);
            for (a, out) in out.chunks_exact_mut(d).enumerate() {
                out.copy_from_slice(&heads[r * dims.a + a][row * d..][..d]);
            }
        }
    });
}

/// The heads' gradients one after the other, summed over `R` where the bias has one row only.
pub(super) fn bias_gradient(heads: &[HeadGradients], len: usize) -> Vec<f32> {
    let all: Vec<f32> = heads.iter().flat_map(|h| h.bias.iter().copied()).collect();
    if all.len() == len {
        return all;
    }
    sum_rows(&all, len)
}

//! Attention in tiles: the score matrix never exists whole, forwards or backwards.
//!
//! Forwards, each tile of keys rescales what earlier tiles gave (Milakov and Gimelshein,
//! <https://arxiv.org/abs/1805.02867>) and the log-sum-exp of every query is kept. Backwards, tiles
//! of the weights are computed again from it (Dao et al., <https://arxiv.org/abs/2205.14135>).

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp3, Error, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::matmul::{Held, Mat, MatMut, Parallelism, matmul};
use super::rows::{for_rows, sum_rows};
use super::simd::{exp, max, sum, sum_pairs, vectorised};
use super::tensor_data::{read, tensor_like, values, wanted};

/// Queries and keys of a tile: its scores stay in the second-level cache.
const QUERIES: usize = 128;
const KEYS: usize = 512;

/// `softmax(scale q k^T + bias) v` for `q` `[R, N, A, D]`.
///
/// Its other arguments are `k` and `v`, `[R, M, A, D]`; or, with a bias, `k` and `v` one after the
/// other as `[2 R, M, A, D]` and the bias, `[1 or R, A, N, M]`, since an op has three arguments.
pub(crate) struct Attention {
    scale: f32,
    has_bias: bool,
    /// `[R, N, A]`, from the forward pass.
    log_sum_exp: OnceLock<Vec<f32>>,
}

#[derive(Clone, Copy)]
struct Dims {
    r: usize,
    n: usize,
    m: usize,
    a: usize,
    d: usize,
}

#[derive(Clone, Copy)]
struct Args<'a> {
    dims: Dims,
    scale: f32,
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    /// Empty, or `[1 or R, A, N, M]`.
    bias: &'a [f32],
}

/// One head: row `r`, head `a`.
#[derive(Clone, Copy)]
struct Head<'a> {
    args: Args<'a>,
    r: usize,
    a: usize,
}

/// Rows `start .. start + len` of the queries or keys.
#[derive(Clone, Copy)]
struct Span {
    start: usize,
    len: usize,
}

fn spans(total: usize, step: usize) -> impl Iterator<Item = Span> {
    (0..total).step_by(step).map(move |start| Span {
        start,
        len: step.min(total - start),
    })
}

impl<'a> Head<'a> {
    /// A span of this head in a tensor `[R, rows, A, D]`.
    fn rows_of(&self, data: &'a [f32], rows: usize, span: Span) -> Mat<'a> {
        let Dims { a, d, .. } = self.args.dims;
        let first = ((self.r * rows + span.start) * a + self.a) * d;
        Mat::strided(&data[first..], span.len, d, a * d)
    }

    fn queries(&self, span: Span) -> Mat<'a> {
        self.rows_of(self.args.q, self.args.dims.n, span)
    }

    fn keys(&self, span: Span) -> Mat<'a> {
        self.rows_of(self.args.k, self.args.dims.m, span)
    }

    fn values(&self, span: Span) -> Mat<'a> {
        self.rows_of(self.args.v, self.args.dims.m, span)
    }

    /// Where query `row` of this head lies in `[R, N, A]`.
    fn query_index(&self, row: usize) -> usize {
        let Dims { n, a, .. } = self.args.dims;
        (self.r * n + row) * a + self.a
    }

    /// Writes `scale q k^T + bias` of a tile, `[queries.len, keys.len]`.
    fn scores(&self, queries: Span, keys: Span, tile: &mut [f32]) {
        let dst = MatMut::new(tile, queries.len, keys.len);
        let (q, k) = (self.queries(queries), self.keys(keys).t());
        matmul(dst, Held::Dropped, q, k, self.args.scale, Parallelism::None);
        let Dims { r, n, m, a, .. } = self.args.dims;
        if self.args.bias.is_empty() {
            return;
        }
        let row = if self.args.bias.len() == r * a * n * m {
            self.r
        } else {
            0
        };
        let bias = &self.args.bias[(row * a + self.a) * n * m..][..n * m];
        for (i, tile) in tile.chunks_exact_mut(keys.len).enumerate() {
            let bias = &bias[(queries.start + i) * m + keys.start..][..keys.len];
            tile.iter_mut().zip(bias).for_each(|(s, b)| *s += b);
        }
    }
}

/// What the tiles of keys seen so far give for a span of queries.
struct Running {
    /// Scores, then weights, of one tile.
    tile: Vec<f32>,
    /// Largest score of each query.
    peak: Vec<f32>,
    /// Sum of the weights of each query, relative to its peak.
    total: Vec<f32>,
    /// Weighted sums of the values, `[QUERIES, D]`.
    sums: Vec<f32>,
}

impl Running {
    fn new(dims: Dims) -> Self {
        let queries = QUERIES.min(dims.n);
        Self {
            tile: vec![0.0; queries * KEYS.min(dims.m)],
            peak: vec![0.0; queries],
            total: vec![0.0; queries],
            sums: vec![0.0; queries * dims.d],
        }
    }

    fn clear(&mut self) {
        self.peak.fill(f32::NEG_INFINITY);
        self.total.fill(0.0);
        self.sums.fill(0.0);
    }

    fn add(&mut self, head: Head, queries: Span, keys: Span) {
        let d = head.args.dims.d;
        let tile = &mut self.tile[..queries.len * keys.len];
        head.scores(queries, keys, tile);
        for (i, weights) in tile.chunks_exact_mut(keys.len).enumerate() {
            let (peak, total) = (&mut self.peak[i], &mut self.total[i]);
            let sums = &mut self.sums[i * d..][..d];
            vectorised(
                #[inline(always)]
                || soften(weights, peak, total, sums),
            );
        }
        let sums = MatMut::new(&mut self.sums, queries.len, d);
        let weights = Mat::new(tile, queries.len, keys.len);
        let values = head.values(keys);
        matmul(sums, Held::Kept, weights, values, 1.0, Parallelism::None);
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

/// The result `[R, N, A, D]` and the log-sum-exp of every query `[R, N, A]`.
fn forward(args: Args) -> (Vec<f32>, Vec<f32>) {
    let Dims { r, n, m, a, d } = args.dims;
    let mut out = vec![0.0; r * n * a * d];
    let mut log_sum_exp = vec![0.0; r * n * a];
    if n * a * d == 0 {
        return (out, log_sum_exp);
    }
    let block = |r: usize, queries: Span, out: &mut [f32], log_sum_exp: &mut [f32]| {
        let mut running = Running::new(args.dims);
        for head in (0..a).map(|a| Head { args, r, a }) {
            running.clear();
            for keys in spans(m, KEYS) {
                running.add(head, queries, keys);
            }
            for i in 0..queries.len {
                let slot = i * a + head.a;
                let inverse = 1.0 / running.total[i];
                let sums = &running.sums[i * d..][..d];
                let out = &mut out[slot * d..][..d];
                out.iter_mut().zip(sums).for_each(|(o, s)| *o = s * inverse);
                log_sum_exp[slot] = running.peak[i] + running.total[i].ln();
            }
        }
    };
    out.par_chunks_mut(n * a * d)
        .zip(log_sum_exp.par_chunks_mut(n * a))
        .enumerate()
        .for_each(|(r, (out, lse))| {
            out.par_chunks_mut(QUERIES * a * d)
                .zip(lse.par_chunks_mut(QUERIES * a))
                .enumerate()
                .for_each(|(i, (out, lse))| {
                    let start = i * QUERIES;
                    let len = QUERIES.min(n - start);
                    block(r, Span { start, len }, out, lse);
                });
        });
    (out, log_sum_exp)
}

/// Gradients of one head: of `q` `[N, D]`, `k` and `v` `[M, D]`, and of the bias `[N, M]`.
struct HeadGradients {
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
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
fn backward(args: Args, out: &[f32], grad: &[f32], lse: &[f32], bias: bool) -> Vec<HeadGradients> {
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
fn interleave(heads: &[&[f32]], dims: Dims, out: &mut [f32]) {
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

impl Attention {
    /// `has_bias` tells what the second and third argument are.
    pub(crate) fn new(scale: f64, has_bias: bool) -> Self {
        Self {
            scale: scale as f32,
            has_bias,
            log_sum_exp: OnceLock::new(),
        }
    }

    fn args<'a>(
        &self,
        q: (&'a [f32], &[usize]),
        second: (&'a [f32], &[usize]),
        third: &'a [f32],
    ) -> Result<Args<'a>> {
        let (&[r, n, a, d], &[rows, m, _, _]) = (q.1, second.1) else {
            candle_core::bail!("attention: q is {:?}, k {:?}", q.1, second.1);
        };
        let dims = Dims { r, n, m, a, d };
        let (k, v, bias) = if self.has_bias {
            let (k, v) = second.0.split_at(second.0.len() / 2);
            (k, v, third)
        } else {
            (second.0, third, &[][..])
        };
        let sound = k.len() == r * m * a * d
            && v.len() == k.len()
            && m > 0
            && (bias.is_empty() || bias.len() == a * n * m || bias.len() == r * a * n * m)
            && rows == if self.has_bias { 2 * r } else { r };
        if !sound {
            candle_core::bail!("attention: q is {:?}, k {:?}", q.1, second.1);
        }
        Ok(Args {
            dims,
            scale: self.scale,
            q: q.0,
            k,
            v,
            bias,
        })
    }
}

impl CustomOp3 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        q_layout: &Layout,
        second: &CpuStorage,
        second_layout: &Layout,
        third: &CpuStorage,
        third_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let args = self.args(
            (values(q, q_layout)?, q_layout.dims()),
            (values(second, second_layout)?, second_layout.dims()),
            values(third, third_layout)?,
        )?;
        let (out, log_sum_exp) = forward(args);
        self.log_sum_exp
            .set(log_sum_exp)
            .map_err(|_| Error::msg("an attention op runs once"))?;
        Ok((CpuStorage::F32(out), q_layout.shape().clone()))
    }

    fn bwd(
        &self,
        q: &Tensor,
        second: &Tensor,
        third: &Tensor,
        out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let lse = self
            .log_sum_exp
            .get()
            .ok_or_else(|| Error::msg("attention's backward pass came before its forward pass"))?;
        let grad = grad.contiguous()?;
        let want_bias = self.has_bias && third.track_op();
        let (dims, heads) = {
            let (q_values, second_values, third_values) = (read(q)?, read(second)?, read(third)?);
            let args = self.args(
                (&*q_values, q.dims()),
                (&*second_values, second.dims()),
                &third_values,
            )?;
            let heads = backward(args, &read(out)?, &read(&grad)?, lse, want_bias);
            (args.dims, heads)
        };
        let gather = |pick: fn(&HeadGradients) -> &[f32], out: &mut [f32]| {
            interleave(&heads.iter().map(pick).collect::<Vec<_>>(), dims, out);
        };
        let mut dq = vec![0.0; q.elem_count()];
        gather(|h| &h.q, &mut dq);
        let mut dsecond = vec![0.0; second.elem_count()];
        let dthird = if self.has_bias {
            let (dk, dv) = dsecond.split_at_mut(second.elem_count() / 2);
            gather(|h| &h.k, dk);
            gather(|h| &h.v, dv);
            want_bias.then(|| bias_gradient(&heads, third.elem_count()))
        } else {
            gather(|h| &h.k, &mut dsecond);
            let mut dv = vec![0.0; third.elem_count()];
            gather(|h| &h.v, &mut dv);
            Some(dv)
        };
        let dthird = match dthird {
            Some(values) if third.track_op() => Some(tensor_like(values, third)?),
            _ => None,
        };
        Ok((wanted(dq, q)?, wanted(dsecond, second)?, dthird))
    }
}

/// The heads' gradients one after the other, summed over `R` where the bias has one row only.
fn bias_gradient(heads: &[HeadGradients], len: usize) -> Vec<f32> {
    let all: Vec<f32> = heads.iter().flat_map(|h| h.bias.iter().copied()).collect();
    if all.len() == len {
        return all;
    }
    sum_rows(&all, len)
}

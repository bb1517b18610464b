//! Attention in tiles: the score matrix never exists whole, forwards or backwards.
//!
//! Forwards, each tile of keys rescales what earlier tiles gave (Milakov and Gimelshein,
//! <https://arxiv.org/abs/1805.02867>) and the log-sum-exp of every query is kept. Backwards, tiles
//! of the weights are computed again from it (Dao et al., <https://arxiv.org/abs/2205.14135>).

mod backward;
mod forward;

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp3, Error, Layout, Result, Shape, Tensor};

use self::backward::{HeadGradients, backward, bias_gradient, interleave};
use self::forward::forward;
use super::matmul::{Held, Mat, MatMut, Parallelism, matmul};
use super::tensor_data::{read, tensor_like, values, wanted};
use super::tile;

pub(crate) use self::forward::scratch_bytes;

/// Queries and keys of a tile: its scores stay in the second-level cache.
const QUERIES: usize = 8 * tile::ROWS;
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
        self.add_bias(queries, keys, (tile, keys.len));
    }

    /// Adds the bias to a tile of scores, rows `stride` apart.
    fn add_bias(&self, queries: Span, keys: Span, (tile, stride): (&mut [f32], usize)) {
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
        for (i, tile) in tile.chunks_mut(stride).take(queries.len).enumerate() {
            let bias = &bias[(queries.start + i) * m + keys.start..][..keys.len];
            tile.iter_mut().zip(bias).for_each(|(s, b)| *s += b);
        }
    }
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

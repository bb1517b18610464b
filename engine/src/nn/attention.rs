//! Scaled dot-product attention.

use candle_core::Tensor;

use super::composed;
use crate::{
    Error, Result,
    kernels::{self, attention::Attention},
};

/// Scores that exist at a time where a GPU has no kernel for the heads: 256 MiB in f32, and far below
/// the 2^32 values at which candle's own kernels lose count.
const MOST_SCORES: usize = 1 << 26;

/// `softmax(scale * q k^T + bias) v`, head by head; the softmax in f32.
///
/// The scores exist in tiles only, on the CPU in f32 and bf16 and on a GPU. Heads for which a GPU has
/// no kernel (see [`crate::kernels::launch::attention`]) go query piece by query piece. Only the
/// composed form, for what a variable leads to on a GPU and for other types, holds them whole.
///
/// # Shapes
/// - `q`: `[R, N, A, D]`; `k`, `v`: `[R, M, A, D]`
/// - `bias`: `[1 or R, A, N, M]`, added to the scaled scores
/// - returns `[R, N, A, D]`
pub fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    scale: f64,
    bias: Option<&Tensor>,
) -> Result<Tensor> {
    let (r, n, a, d) = q.dims4()?;
    let m = k.dim(1)?;
    for (what, tensor) in [("keys", k), ("values", v)] {
        if tensor.dims() != [r, m, a, d] || m == 0 {
            let required = format!("[{r}, 1 or more, {a}, {d}]");
            return Err(Error::shape(what, required, tensor.dims()));
        }
    }
    if let Some(bias) = bias
        && bias.dims() != [r, a, n, m]
        && bias.dims() != [1, a, n, m]
    {
        let required = format!("[1 or {r}, {a}, {n}, {m}]");
        return Err(Error::shape("attention bias", required, bias.dims()));
    }
    if bias.is_none() && kernels::bf16::accept(&[q, k, v]) {
        let (q, k, v) = (q.contiguous()?, k.contiguous()?, v.contiguous()?);
        return Ok(kernels::bf16::attention::attention(&q, &k, &v, scale)?);
    }
    if kernels::cuda::accept(&[q, k, v, bias.unwrap_or(q)]) {
        let bias = bias.map(|bias| bias.to_dtype(q.dtype())).transpose()?;
        return match kernels::cuda::attention(q, (k, v), scale, bias.as_ref())? {
            Some(mixed) => Ok(mixed),
            None => composed::attention_in_pieces(q, (k, v), scale, bias.as_ref(), MOST_SCORES),
        };
    }
    if !kernels::accept(&[q, k, v, bias.unwrap_or(q)]) {
        return composed::attention(q, k, v, scale, bias);
    }
    let op = Attention::new(scale, bias.is_some());
    let q = q.contiguous()?;
    Ok(match bias {
        Some(bias) => q.apply_op3(&Tensor::cat(&[k, v], 0)?, &bias.contiguous()?, op)?,
        None => q.apply_op3(&k.contiguous()?, &v.contiguous()?, op)?,
    })
}

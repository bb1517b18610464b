//! Scaled dot-product attention.

use candle_core::{D, DType, Tensor};

use crate::Result;

/// `softmax(scale * q k^T + bias) v`, head by head; the softmax in f32.
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
    let (_r, _n, _a, _d) = q.dims4()?;
    let heads_first = |x: &Tensor| x.transpose(1, 2)?.contiguous(); // [R, A, N, D]
    let (q, k, v) = (heads_first(q)?, heads_first(k)?, heads_first(v)?);
    let mut scores = (q.matmul(&k.transpose(2, 3)?)? * scale)?; // [R, A, N, M]
    if let Some(bias) = bias {
        scores = scores.broadcast_add(bias)?;
    }
    let scores = scores.to_dtype(DType::F32)?;
    let exp = scores
        .broadcast_sub(&scores.max_keepdim(D::Minus1)?.detach())?
        .exp()?;
    let weights = exp
        .broadcast_div(&exp.sum_keepdim(D::Minus1)?)?
        .to_dtype(v.dtype())?;
    Ok(weights.matmul(&v)?.transpose(1, 2)?.contiguous()?) // [R, N, A, D]
}

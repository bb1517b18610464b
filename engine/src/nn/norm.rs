//! Normalisations of the last axis and the modulation around them, in f32.

use candle_core::{D, DType, Tensor};

use crate::Result;

/// Layer normalisation, with an affine map where given.
///
/// # Shapes
/// - `x`: `[.., E]`, `affine`: weight and bias `[E]`; returns `[.., E]`
pub fn layer_norm(x: &Tensor, eps: f64, affine: Option<(&Tensor, &Tensor)>) -> Result<Tensor> {
    let dtype = x.dtype();
    let x = x.to_dtype(DType::F32)?;
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    let normed = centred.broadcast_div(&(variance + eps)?.sqrt()?)?;
    let normed = match affine {
        Some((weight, bias)) => normed
            .broadcast_mul(&weight.to_dtype(DType::F32)?)?
            .broadcast_add(&bias.to_dtype(DType::F32)?)?,
        None => normed,
    };
    Ok(normed.to_dtype(dtype)?)
}

/// `LayerNorm(x) * (1 + scale) + shift`, the input modulation of a DiT block.
///
/// # Shapes
/// - `x`: `[R, N, E]`; `shift`, `scale`: `[1 or R, 1, E]` in f32; returns `[R, N, E]`
pub fn modulated_layer_norm(
    x: &Tensor,
    shift: &Tensor,
    scale: &Tensor,
    eps: f64,
) -> Result<Tensor> {
    let dtype = x.dtype();
    let normed = layer_norm(&x.to_dtype(DType::F32)?, eps, None)?;
    let modulated = normed
        .broadcast_mul(&(scale + 1.0)?)?
        .broadcast_add(shift)?;
    Ok(modulated.to_dtype(dtype)?)
}

/// `x + gate * y`, the gated residual of a DiT block.
///
/// # Shapes
/// - `x`, `y`: `[R, N, E]`; `gate`: `[1 or R, 1, E]` in f32; returns `[R, N, E]`
pub fn gated_add(x: &Tensor, y: &Tensor, gate: &Tensor) -> Result<Tensor> {
    let gated = y.to_dtype(DType::F32)?.broadcast_mul(gate)?;
    Ok((x.to_dtype(DType::F32)? + gated)?.to_dtype(x.dtype())?)
}

/// `x / sqrt(mean(x^2) + eps) * weight`.
///
/// # Shapes
/// - `x`: `[.., E]`, `weight`: `[E]`; returns `[.., E]`
pub fn rms_norm(x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor> {
    let dtype = x.dtype();
    let x = x.to_dtype(DType::F32)?;
    let mean_square = x.sqr()?.mean_keepdim(D::Minus1)?;
    let normed = x.broadcast_div(&(mean_square + eps)?.sqrt()?)?;
    Ok(normed.to_dtype(dtype)?.broadcast_mul(weight)?)
}

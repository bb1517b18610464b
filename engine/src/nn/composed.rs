//! The operations of this module as plain tensor operations.
//!
//! They define what the fused kernels compute, and they run wherever the fused kernels do not:
//! other devices than the CPU, other types than f32.

use candle_core::{D, DType, Tensor};

use super::RopeTable;
use crate::Result;

/// See [`super::linear()`].
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (out_features, in_features) = weight.dims2()?;
    let rows = x.elem_count() / in_features.max(1);
    let mut shape = x.dims().to_vec();
    if let Some(last) = shape.last_mut() {
        *last = out_features;
    }
    let y = x.reshape((rows, in_features))?.matmul(&weight.t()?)?; // [rows, O]
    let y = match bias {
        Some(bias) => y.broadcast_add(bias)?,
        None => y,
    };
    Ok(y.reshape(shape)?)
}

/// See [`super::LoraLinear::forward`]: `x` `[R, N, I]`, A `[M, K, I]`, B `[M, O, K]`.
pub fn lora_linear(
    x: &Tensor,
    (weight, bias): (&Tensor, Option<&Tensor>),
    (a, b): (&Tensor, &Tensor),
    scale: f64,
) -> Result<Tensor> {
    let base = linear(x, &weight.detach(), bias.map(Tensor::detach).as_ref())?; // [R, N, O]
    add_low_rank(&base, x, (a, b), scale)
}

/// The low-rank part of [`lora_linear`] on top of `base` `[R, N, O]`.
pub fn add_low_rank(
    base: &Tensor,
    x: &Tensor,
    (a, b): (&Tensor, &Tensor),
    scale: f64,
) -> Result<Tensor> {
    let (rows, tokens, in_features) = x.dims3()?;
    let (branches, _rank, _in_features) = a.dims3()?;
    let x = x.to_dtype(a.dtype())?;
    let x = x.reshape((branches, rows / branches * tokens, in_features))?; // [M, R/M N, I]
    let low = x.matmul(&a.transpose(1, 2)?)?; // [M, R/M N, K]
    let delta = low.matmul(&(b.transpose(1, 2)? * scale)?)?; // [M, R/M N, O]
    Ok((base + delta.reshape(base.shape())?.to_dtype(base.dtype())?)?) // [R, N, O]
}

/// See [`super::attention()`].
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

/// [`attention`] of so many queries at a time that at most `most_scores` scores exist, or of one.
///
/// # Shapes
/// - as [`super::attention()`]; `most_scores`: over all rows, heads, queries of a piece and keys
pub fn attention_in_pieces(
    q: &Tensor,
    (k, v): (&Tensor, &Tensor),
    scale: f64,
    bias: Option<&Tensor>,
    most_scores: usize,
) -> Result<Tensor> {
    let (r, n, a, _d) = q.dims4()?;
    let scores_a_query = (r * a * k.dim(1)?).max(1);
    let piece = (most_scores / scores_a_query).max(1);
    let pieces = (0..n)
        .step_by(piece)
        .map(|start| {
            let len = piece.min(n - start);
            let bias = bias.map(|bias| bias.narrow(2, start, len)).transpose()?;
            attention(&q.narrow(1, start, len)?, k, v, scale, bias.as_ref())
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Tensor::cat(&pieces, 1)?) // [R, N, A, D]
}

/// See [`super::layer_norm`].
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

/// See [`super::modulated_layer_norm`].
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

/// See [`super::gated_add`].
pub fn gated_add(x: &Tensor, y: &Tensor, gate: &Tensor) -> Result<Tensor> {
    let gated = y.to_dtype(DType::F32)?.broadcast_mul(gate)?;
    Ok((x.to_dtype(DType::F32)? + gated)?.to_dtype(x.dtype())?)
}

/// See [`super::rms_norm`].
pub fn rms_norm(x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor> {
    let dtype = x.dtype();
    let x = x.to_dtype(DType::F32)?;
    let mean_square = x.sqr()?.mean_keepdim(D::Minus1)?;
    let normed = x.broadcast_div(&(mean_square + eps)?.sqrt()?)?;
    Ok(normed.to_dtype(dtype)?.broadcast_mul(weight)?)
}

/// Below this squared length a vector of channels counts as zero.
pub(super) const SMALLEST_SQUARE: f64 = 1e-24;

/// See [`super::channel_norm`], without SiLU.
pub fn channel_norm(x: &Tensor, gamma: &Tensor) -> Result<Tensor> {
    let (_b, c, _t, _h, _w) = x.dims5()?;
    let wide = x.to_dtype(DType::F32)?;
    // The floor lies under the root, where it keeps the gradient at zero finite.
    let length = wide
        .sqr()?
        .sum_keepdim(1)?
        .maximum(SMALLEST_SQUARE)?
        .sqrt()?;
    let gain = (gamma.to_dtype(DType::F32)? * (c as f64).sqrt())?;
    let normed = wide.broadcast_div(&length)?;
    let normed = normed.broadcast_mul(&gain.reshape((1, c, 1, 1, 1))?)?;
    Ok(normed.to_dtype(x.dtype())?)
}

/// See [`super::apply_rope`].
pub fn apply_rope(x: &Tensor, table: &RopeTable) -> Result<Tensor> {
    let (r, n, a, d) = x.dims4()?;
    let pairs = x.to_dtype(DType::F32)?.reshape((r, n, a, d / 2, 2))?; // [R, N, A, D/2, 2]
    let (re, im) = (pairs.narrow(4, 0, 1)?, pairs.narrow(4, 1, 1)?);
    let cos = table.cos.reshape((1, n, 1, d / 2, 1))?;
    let sin = table.sin.reshape((1, n, 1, d / 2, 1))?;
    let rotated_re = (re.broadcast_mul(&cos)? - im.broadcast_mul(&sin)?)?;
    let rotated_im = (re.broadcast_mul(&sin)? + im.broadcast_mul(&cos)?)?;
    let rotated = Tensor::cat(&[rotated_re, rotated_im], 4)?; // [R, N, A, D/2, 2]
    Ok(rotated.reshape((r, n, a, d))?.to_dtype(x.dtype())?)
}

/// See [`super::silu`].
pub fn silu(x: &Tensor) -> Result<Tensor> {
    Ok(x.silu()?)
}

/// See [`super::gelu_tanh`].
pub fn gelu_tanh(x: &Tensor) -> Result<Tensor> {
    Ok(x.gelu()?)
}

/// See [`super::gelu_erf`].
pub fn gelu_erf(x: &Tensor) -> Result<Tensor> {
    Ok(x.gelu_erf()?)
}

/// See [`super::causal_conv3d()`].
pub fn causal_conv3d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    past: Option<&Tensor>,
) -> Result<Tensor> {
    let (b, c, t, h, w) = x.dims5()?;
    let (o, _c, kt, kh, kw) = weight.dims5()?;
    // The taps of time become channels, so that one matrix product serves them all.
    let x = with_past(x, past, kt - 1)?; // [B, C, kt - 1 + T, H, W]
    let taps = (0..kt)
        .map(|tap| x.narrow(2, tap, t))
        .collect::<candle_core::Result<Vec<_>>>()?;
    let taps = Tensor::cat(&taps, 1)?.transpose(1, 2)?.contiguous()?; // [B, T, kt * C, H, W]
    let rows = taps.reshape((b * t, kt * c, h, w))?;
    let kernel = weight.transpose(1, 2)?.reshape((o, kt * c, kh, kw))?;
    let y = rows.conv2d(&kernel.contiguous()?, kh / 2, 1, 1, 1)?; // [B * T, O, H, W]
    let y = match bias {
        Some(bias) => y.broadcast_add(&bias.reshape((1, o, 1, 1))?)?,
        None => y,
    };
    let y = y.reshape((b, t, o, h, w))?.transpose(1, 2)?;
    Ok(y.contiguous()?) // [B, O, T, H, W]
}

/// `x` with exactly `frames` frames before it: the last ones of `past`, and zeros before those.
///
/// # Shapes
/// - `x`: `[B, C, T, H, W]`; `past`: `[B, C, P, H, W]`; returns `[B, C, frames + T, H, W]`
fn with_past(x: &Tensor, past: Option<&Tensor>, frames: usize) -> Result<Tensor> {
    if frames == 0 {
        return Ok(x.clone());
    }
    let Some(past) = past else {
        return Ok(x.pad_with_zeros(2, frames, 0)?);
    };
    let known = past.dim(2)?.min(frames);
    let past = past.narrow(2, past.dim(2)? - known, known)?;
    let joined = Tensor::cat(&[&past, x], 2)?; // [B, C, known + T, H, W]
    if known == frames {
        Ok(joined)
    } else {
        Ok(joined.pad_with_zeros(2, frames - known, 0)?)
    }
}

//! Normalisations of the last axis and the modulation around them, in f32.

use candle_core::Tensor;

use super::composed;
use crate::{
    Result,
    kernels::{self, bf16::rowwise, modulate::GatedAdd, norm::Norm},
};

/// Layer normalisation, with an affine map where given.
///
/// # Shapes
/// - `x`: `[.., E]`, `affine`: weight and bias `[E]`; returns `[.., E]`
pub fn layer_norm(x: &Tensor, eps: f64, affine: Option<(&Tensor, &Tensor)>) -> Result<Tensor> {
    let op = Norm {
        centred: true,
        eps,
        offset: 0.0,
    };
    match affine {
        None if kernels::accept(&[x]) => Ok(x.contiguous()?.apply_op1(op)?),
        Some((weight, bias))
            if kernels::accept(&[x, weight, bias])
                && spans_last_axis(x, weight)
                && spans_last_axis(x, bias) =>
        {
            let (weight, bias) = (weight.contiguous()?, bias.contiguous()?);
            Ok(x.contiguous()?.apply_op3(&weight, &bias, op)?)
        }
        _ if bf16_norm(x, affine.map(|a| a.0), affine.map(|a| a.1)) => {
            let (weight, bias) = (affine.map(|a| a.0), affine.map(|a| a.1));
            Ok(rowwise::norm(&x.contiguous()?, op, weight, bias)?)
        }
        _ => match cuda_norm(x, op, affine.map(|a| a.0), affine.map(|a| a.1))? {
            Some(y) => Ok(y),
            None => composed::layer_norm(x, eps, affine),
        },
    }
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
    let fused =
        kernels::accept(&[x, shift, scale]) && modulates(x, scale) && scale.dims() == shift.dims();
    let op = Norm {
        centred: true,
        eps,
        offset: 1.0,
    };
    if !fused {
        if modulates_bf16(x, scale) && modulates_bf16(x, shift) {
            let (scale, shift) = (scale.contiguous()?, shift.contiguous()?);
            return Ok(rowwise::modulated(&x.contiguous()?, op, &scale, &shift)?);
        }
        if kernels::cuda::accept(&[x, shift, scale])
            && modulates(x, scale)
            && scale.dims() == shift.dims()
            && let Some(y) = kernels::cuda::norm(x, op, Some(scale), Some(shift))?
        {
            return Ok(y);
        }
        return composed::modulated_layer_norm(x, shift, scale, eps);
    }
    let (scale, shift) = (scale.contiguous()?, shift.contiguous()?);
    Ok(x.contiguous()?.apply_op3(&scale, &shift, op)?)
}

/// `x + gate * y`, the gated residual of a DiT block.
///
/// # Shapes
/// - `x`, `y`: `[R, N, E]`; `gate`: `[1 or R, 1, E]` in f32; returns `[R, N, E]`
pub fn gated_add(x: &Tensor, y: &Tensor, gate: &Tensor) -> Result<Tensor> {
    if kernels::accept(&[x, y, gate]) && modulates(x, gate) && x.dims() == y.dims() {
        let (y, gate) = (y.contiguous()?, gate.contiguous()?);
        return Ok(x.contiguous()?.apply_op3(&y, &gate, GatedAdd)?);
    }
    if modulates_bf16(x, gate) && kernels::bf16::accept(&[y]) && x.dims() == y.dims() {
        let (y, gate) = (y.contiguous()?, gate.contiguous()?);
        return Ok(rowwise::gated_add(&x.contiguous()?, &y, &gate)?);
    }
    if kernels::cuda::accept(&[x, y, gate])
        && modulates(x, gate)
        && x.dims() == y.dims()
        && let Some(sum) = kernels::cuda::gated_add(x, y, gate)?
    {
        return Ok(sum);
    }
    composed::gated_add(x, y, gate)
}

/// `x + y` of one shape, a plain residual.
///
/// # Shapes
/// - `x`, `y`, result: any, the same
pub fn add(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    if kernels::bf16::accept(&[x, y]) && x.dims() == y.dims() {
        return Ok(rowwise::add(&x.contiguous()?, &y.contiguous()?)?);
    }
    Ok((x + y)?)
}

/// `x / sqrt(mean(x^2) + eps) * weight`.
///
/// # Shapes
/// - `x`: `[.., E]`, `weight`: `[E]`; returns `[.., E]`
pub fn rms_norm(x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor> {
    let op = Norm {
        centred: false,
        eps,
        offset: 0.0,
    };
    if kernels::accept(&[x, weight]) && spans_last_axis(x, weight) {
        return Ok(x.contiguous()?.apply_op2(&weight.contiguous()?, op)?);
    }
    if bf16_norm(x, Some(weight), None) {
        return Ok(rowwise::norm(&x.contiguous()?, op, Some(weight), None)?);
    }
    match cuda_norm(x, op, Some(weight), None)? {
        Some(y) => Ok(y),
        None => composed::rms_norm(x, weight, eps),
    }
}

/// A norm on a CUDA device, where a kernel takes these tensors.
fn cuda_norm(
    x: &Tensor,
    op: Norm,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
) -> Result<Option<Tensor>> {
    let fits = [weight, bias]
        .into_iter()
        .flatten()
        .all(|w| kernels::cuda::accept(&[w]) && spans_last_axis(x, w));
    if !fits || !kernels::cuda::accept(&[x]) {
        return Ok(None);
    }
    Ok(kernels::cuda::norm(x, op, weight, bias)?)
}

/// `x / max(|x|, 1e-12) * sqrt(C) * gamma`, the length taken over the channels, in f32; and SiLU of it
/// with `then_silu`. Wan-Video/Wan2.1 `wan/modules/vae.py` `RMS_norm`.
///
/// # Shapes
/// - `x`: `[B, C, T, H, W]`; `gamma`: `C` values; returns the shape of `x`
pub fn channel_norm(x: &Tensor, gamma: &Tensor, then_silu: bool) -> Result<Tensor> {
    let (_b, c, _t, _h, _w) = x.dims5()?;
    if kernels::without_gradient(&[x, gamma]) {
        let gain = (gamma.flatten_all()? * (c as f64).sqrt())?.to_vec1::<f32>()?;
        let smallest = composed::SMALLEST_SQUARE as f32;
        let x = x.contiguous()?;
        return Ok(kernels::channel_norm::channel_norm(
            &x, &gain, smallest, then_silu,
        )?);
    }
    let y = composed::channel_norm(x, gamma)?;
    if then_silu { super::silu(&y) } else { Ok(y) }
}

/// True if the bf16 kernels can norm `x` with these weights.
fn bf16_norm(x: &Tensor, weight: Option<&Tensor>, bias: Option<&Tensor>) -> bool {
    let fits = |w: Option<&Tensor>| {
        w.is_none_or(|w| kernels::bf16::accept(&[w]) && w.is_contiguous() && spans_last_axis(x, w))
    };
    kernels::bf16::accept(&[x]) && fits(weight) && fits(bias)
}

/// True if f32 `modulation` and bf16 `x` go through the bf16 kernels.
fn modulates_bf16(x: &Tensor, modulation: &Tensor) -> bool {
    kernels::bf16::accept(&[x])
        && kernels::without_gradient(&[modulation])
        && modulates(x, modulation)
}

/// True if `weight` is `[E]` for `x` `[.., E]` with at least one value.
fn spans_last_axis(x: &Tensor, weight: &Tensor) -> bool {
    weight.rank() == 1 && x.dims().last() == weight.dims().last() && x.elem_count() > 0
}

/// True if `modulation` is `[1 or R, 1, E]` for `x` `[R, N, E]` with at least one value.
fn modulates(x: &Tensor, modulation: &Tensor) -> bool {
    let (&[r, _, e], &[rows, 1, width]) = (x.dims(), modulation.dims()) else {
        return false;
    };
    width == e && (rows == r || rows == 1) && x.elem_count() > 0
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn the_fused_norm_over_channels_equals_the_composed_one() -> Result<()> {
        let shape = (2, 5, 3, 7, 31);
        let count = 2 * 5 * 3 * 7 * 31;
        // Some positions are zero in every channel.
        let value = |i: usize| {
            if i % 31 == 4 {
                0.0
            } else {
                (i as f32 * 0.7).sin()
            }
        };
        let values: Vec<f32> = (0..count).map(value).collect();
        let x = Tensor::from_vec(values, shape, &Device::Cpu)?;
        let gamma = Tensor::arange(1.0_f32, 6.0, &Device::Cpu)?.reshape((5, 1, 1, 1))?;
        for then_silu in [false, true] {
            let fused = channel_norm(&x, &gamma, then_silu)?;
            let learnt = Var::from_tensor(&gamma)?;
            let composed = channel_norm(&x, learnt.as_tensor(), then_silu)?;
            let worst = (fused - composed)?.abs()?.max_all()?.to_scalar::<f32>()?;
            assert!(worst < 1e-5, "{worst}");
        }
        Ok(())
    }
}

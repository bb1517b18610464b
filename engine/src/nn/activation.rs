//! Pointwise activations.

use candle_core::Tensor;

use super::composed;
use crate::{
    Result,
    kernels::{self, activation::Activation},
};

/// `x / (1 + exp(-x))`, any shape.
pub fn silu(x: &Tensor) -> Result<Tensor> {
    activate(x, Activation::Silu, composed::silu)
}

/// GELU in its tanh approximation, any shape (Wan's feed-forward and text embedding, UMT5).
pub fn gelu_tanh(x: &Tensor) -> Result<Tensor> {
    activate(x, Activation::GeluTanh, composed::gelu_tanh)
}

/// GELU by the error function, any shape (CLIP and Wan's image embedding).
pub fn gelu_erf(x: &Tensor) -> Result<Tensor> {
    activate(x, Activation::GeluErf, composed::gelu_erf)
}

fn activate(
    x: &Tensor,
    activation: Activation,
    composed: fn(&Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    if kernels::accept(&[x]) {
        return Ok(x.contiguous()?.apply_op1(activation)?);
    }
    if kernels::bf16::accept(&[x]) {
        return Ok(kernels::bf16::rowwise::activate(
            &x.contiguous()?,
            activation,
        )?);
    }
    if kernels::cuda::accept(&[x])
        && let Some(y) = kernels::cuda::activate(x, activation)?
    {
        return Ok(y);
    }
    composed(x)
}

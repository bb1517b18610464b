//! Pointwise activations.

use candle_core::Tensor;

use crate::Result;

/// `x / (1 + exp(-x))`, any shape.
pub fn silu(x: &Tensor) -> Result<Tensor> {
    Ok(x.silu()?)
}

/// GELU in its tanh approximation, any shape (Wan's feed-forward and text embedding, UMT5).
pub fn gelu_tanh(x: &Tensor) -> Result<Tensor> {
    Ok(x.gelu()?)
}

/// GELU by the error function, any shape (CLIP and Wan's image embedding).
pub fn gelu_erf(x: &Tensor) -> Result<Tensor> {
    Ok(x.gelu_erf()?)
}

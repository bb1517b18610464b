//! Affine maps of the last axis.

use candle_core::Tensor;

use super::{Init, Weights};
use crate::Result;

/// `x W^T + b`.
///
/// # Shapes
/// - `x`: `[.., I]`, `weight`: `[O, I]`, `bias`: `[O]`
/// - returns `[.., O]`
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

/// A linear layer with the checkpoint's names `weight` and `bias`.
#[derive(Clone, Debug)]
pub struct Linear {
    /// `[O, I]`.
    pub weight: Tensor,
    /// `[O]`.
    pub bias: Option<Tensor>,
}

impl Linear {
    /// Reads `weight` `[out, in]` and `bias` `[out]`.
    pub fn new(in_features: usize, out_features: usize, weights: &Weights) -> Result<Self> {
        let weight = weights.get(&[out_features, in_features], "weight", Init::Xavier)?;
        let bias = weights.get(&[out_features], "bias", Init::Const(0.0))?;
        Ok(Self {
            weight,
            bias: Some(bias),
        })
    }

    /// Reads `weight` only.
    pub fn without_bias(
        in_features: usize,
        out_features: usize,
        weights: &Weights,
    ) -> Result<Self> {
        let weight = weights.get(&[out_features, in_features], "weight", Init::Xavier)?;
        Ok(Self { weight, bias: None })
    }

    /// # Shapes
    /// - `x`: `[.., I]`; returns `[.., O]`
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        linear(x, &self.weight, self.bias.as_ref())
    }
}

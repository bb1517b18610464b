//! Affine maps of the last axis.

use candle_core::Tensor;

use super::stored::half_linear;
use super::{Init, Weights, composed};
use crate::{Error, Result, kernels};

/// `x W^T + b`.
///
/// Only arguments that a variable leads to receive (and cost) a gradient. On the CPU bf16 weights take
/// `x` of either type: products of bf16 are summed in f32.
///
/// # Shapes
/// - `x`: `[.., I]`, `weight`: `[O, I]`, `bias`: `[O]`
/// - returns `[.., O]`
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (_, in_features) = weight.dims2()?;
    if x.dims().last() != Some(&in_features) {
        let required = format!("[.., {in_features}]");
        return Err(Error::shape("input of a linear map", required, x.dims()));
    }
    if kernels::bf16::accept(&[x, weight, bias.unwrap_or(weight)]) {
        let bias = bias.map(Tensor::contiguous).transpose()?;
        let (x, weight) = (x.contiguous()?, weight.contiguous()?);
        return Ok(kernels::bf16::linear::linear(&x, &weight, bias.as_ref())?);
    }
    if let Some(y) = half_linear(x, weight, bias)? {
        return Ok(y);
    }
    if !kernels::accept(&[x, weight, bias.unwrap_or(weight)]) {
        return composed::linear(x, weight, bias);
    }
    let (x, weight) = (x.contiguous()?, weight.contiguous()?);
    Ok(match bias {
        Some(bias) => x.apply_op3(&weight, &bias.contiguous()?, kernels::linear::Linear)?,
        None => x.apply_op2(&weight, kernels::linear::Linear)?,
    })
}

/// [`linear`] on weights that do not learn: the backward pass stops at `x` even where `weight` and
/// `bias` are variables, as in a frozen base under Decoupled LoRA Control.
///
/// # Shapes
/// - `x`: `[.., I]`, `weight`: `[O, I]`, `bias`: `[O]`
/// - returns `[.., O]`
pub fn frozen_linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    linear(x, &weight.detach(), bias.map(Tensor::detach).as_ref())
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

    /// [`frozen_linear`] with this layer's weights.
    ///
    /// # Shapes
    /// - `x`: `[.., I]`; returns `[.., O]`
    pub fn forward_frozen(&self, x: &Tensor) -> Result<Tensor> {
        frozen_linear(x, &self.weight, self.bias.as_ref())
    }
}

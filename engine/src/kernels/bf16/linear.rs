//! `x W^T + b` in bf16.

use candle_core::{Result, Tensor};

use super::gemm::{Mat, product};
use super::{narrow, narrow_one, read};
use crate::kernels::simd::vectorised;

/// The affine map of the last axis: `x` `[.., I]`, `weight` `[O, I]`, `bias` `[O]` or none.
///
/// Sums, bias included, are f32 and rounded once.
///
/// # Errors
/// Those of candle for shapes that do not fit.
pub(crate) fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (outputs, inputs) = weight.dims2()?;
    let mut shape = x.dims().to_vec();
    match shape.last_mut() {
        Some(last) if *last == inputs => *last = outputs,
        _ => candle_core::bail!("linear: x is {:?}, weight {:?}", x.dims(), weight.dims()),
    }
    let (x_values, weight_values) = (read(x)?, read(weight)?);
    let bias: Option<Vec<f32>> = match bias {
        Some(bias) if bias.elem_count() == outputs => {
            Some(read(bias)?.iter().map(|b| b.to_f32()).collect())
        }
        Some(bias) => candle_core::bail!("linear: {outputs} outputs, bias {:?}", bias.dims()),
        None => None,
    };
    let rows = x_values.len() / inputs.max(1);
    let out = product(
        Mat::new(&x_values, rows, inputs),
        Mat::new(&weight_values, outputs, inputs),
        |col, sums, out| {
            vectorised(
                #[inline(always)]
                || match &bias {
                    Some(bias) => {
                        for ((out, sum), bias) in out.iter_mut().zip(sums).zip(&bias[col..]) {
                            *out = narrow_one(sum + bias);
                        }
                    }
                    None => narrow(sums, out),
                },
            );
        },
    );
    Tensor::from_vec(out, shape, x.device())
}

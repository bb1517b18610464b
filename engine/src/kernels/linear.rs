//! `x W^T + b` with gradients to all three, without transposed copies.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

use super::matmul::{Held, Mat, MatMut, Parallelism, matmul};
use super::rows::{for_rows, par_sum_rows};
use super::tensor_data::{read, tensor_like, values};

/// All threads; `gemm` keeps small products on one.
const ALL: Parallelism = Parallelism::Rayon(0);

/// The affine map of the last axis: `x` `[.., I]`, `weight` `[O, I]`, bias `[O]` or none.
pub(crate) struct Linear;

pub(super) fn forward(
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    dims: (usize, usize),
) -> Vec<f32> {
    let (outputs, inputs) = dims;
    let rows = x.len() / inputs.max(1);
    let mut y = vec![0.0; rows * outputs];
    let held = match bias {
        Some(bias) => {
            for_rows(&mut y, outputs, |_, y| {
                y.chunks_exact_mut(outputs)
                    .for_each(|y| y.copy_from_slice(bias));
            });
            Held::Kept
        }
        None => Held::Dropped,
    };
    let (x, weight) = (
        Mat::new(x, rows, inputs),
        Mat::new(weight, outputs, inputs).t(),
    );
    matmul(
        MatMut::new(&mut y, rows, outputs),
        held,
        x,
        weight,
        1.0,
        ALL,
    );
    y
}

/// Gradients of `x` and of `weight`, each where something upstream wants it.
fn backward(
    x: &Tensor,
    weight: &Tensor,
    grad: &Tensor,
) -> Result<(Option<Tensor>, Option<Tensor>)> {
    let (outputs, inputs) = weight.dims2()?;
    let rows = x.elem_count() / inputs.max(1);
    let grad = read(grad)?;
    let grad = Mat::new(&grad, rows, outputs);
    let mut grad_x = None;
    if x.track_op() {
        let weight = read(weight)?;
        let mut dx = vec![0.0; rows * inputs];
        let dst = MatMut::new(&mut dx, rows, inputs);
        let weight = Mat::new(&weight, outputs, inputs);
        matmul(dst, Held::Dropped, grad, weight, 1.0, ALL);
        grad_x = Some(tensor_like(dx, x)?);
    }
    let mut grad_weight = None;
    if weight.track_op() {
        let x = read(x)?;
        let mut dw = vec![0.0; outputs * inputs];
        let dst = MatMut::new(&mut dw, outputs, inputs);
        matmul(
            dst,
            Held::Dropped,
            grad.t(),
            Mat::new(&x, rows, inputs),
            1.0,
            ALL,
        );
        grad_weight = Some(tensor_like(dw, weight)?);
    }
    Ok((grad_x, grad_weight))
}

fn output_shape(x: &Layout, weight: &Layout) -> Result<(Shape, (usize, usize))> {
    let (outputs, inputs) = weight.shape().dims2()?;
    let mut dims = x.dims().to_vec();
    match dims.last_mut() {
        Some(last) if *last == inputs => *last = outputs,
        _ => candle_core::bail!("linear: x is {:?}, weight {:?}", x.dims(), weight.dims()),
    }
    Ok((Shape::from(dims), (outputs, inputs)))
}

impl CustomOp2 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (shape, dims) = output_shape(x_layout, weight_layout)?;
        let (x, weight) = (values(x, x_layout)?, values(weight, weight_layout)?);
        Ok((CpuStorage::F32(forward(x, weight, None, dims)), shape))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        backward(x, weight, &grad.contiguous()?)
    }
}

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        "linear with bias"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (shape, dims) = output_shape(x_layout, weight_layout)?;
        let (x, weight) = (values(x, x_layout)?, values(weight, weight_layout)?);
        let bias = values(bias, bias_layout)?;
        if bias.len() != dims.0 {
            candle_core::bail!("linear: {} outputs, bias of {}", dims.0, bias.len());
        }
        Ok((CpuStorage::F32(forward(x, weight, Some(bias), dims)), shape))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let (dx, dw) = backward(x, weight, &grad)?;
        let db = if bias.track_op() {
            let sums = par_sum_rows(&read(&grad)?, bias.elem_count());
            Some(tensor_like(sums, bias)?)
        } else {
            None
        };
        Ok((dx, dw, db))
    }
}

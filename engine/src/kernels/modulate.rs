//! The gated residual of a DiT block.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};

use super::rows::{for_rows, for_rows_summing};
use super::simd::vectorised;
use super::tensor_data::{read, values, wanted};

/// `x + gate * y` for `x`, `y` `[R, N, E]` and gate `[1 or R, 1, E]`.
pub(crate) struct GatedAdd;

fn forward(x: &[f32], y: &[f32], gate: &[f32], width: usize) -> Vec<f32> {
    let rows_per_group = (x.len() / gate.len()).max(1);
    let mut out = vec![0.0; x.len()];
    for_rows(&mut out, width, |first, out| {
        for (i, out) in out.chunks_exact_mut(width).enumerate() {
            let row = first + i;
            let (x, y) = (&x[row * width..][..width], &y[row * width..][..width]);
            let gate = &gate[row / rows_per_group * width..][..width];
            vectorised(
                #[inline(always)]
                || {
                    for (((out, x), y), g) in out.iter_mut().zip(x).zip(y).zip(gate) {
                        *out = g.mul_add(*y, *x);
                    }
                },
            );
        }
    });
    out
}

/// Gradients of `y` and of the gate.
fn backward(y: &[f32], gate: &[f32], grad: &[f32], width: usize) -> (Vec<f32>, Vec<f32>) {
    let mut dy = vec![0.0; y.len()];
    let mut dgate = Vec::with_capacity(gate.len());
    let group_len = (y.len() / gate.len()).max(1) * width;
    for (group, dy) in dy.chunks_mut(group_len).enumerate() {
        let gate = &gate[group * width..][..width];
        let sums = for_rows_summing(dy, width, width, |first, dy, dgate| {
            for (i, dy) in dy.chunks_exact_mut(width).enumerate() {
                let start = group * group_len + (first + i) * width;
                let (y, grad) = (&y[start..][..width], &grad[start..][..width]);
                vectorised(
                    #[inline(always)]
                    || {
                        for ((dy, g), gate) in dy.iter_mut().zip(grad).zip(gate) {
                            *dy = g * gate;
                        }
                        for ((dgate, g), y) in dgate.iter_mut().zip(grad).zip(y) {
                            *dgate += g * y;
                        }
                    },
                );
            }
        });
        dgate.extend(sums);
    }
    (dy, dgate)
}

impl CustomOp3 for GatedAdd {
    fn name(&self) -> &'static str {
        "gated add"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        y: &CpuStorage,
        y_layout: &Layout,
        gate: &CpuStorage,
        gate_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let width = gate_layout.dims().last().copied().unwrap_or(0).max(1);
        let (x, y) = (values(x, x_layout)?, values(y, y_layout)?);
        let out = forward(x, y, values(gate, gate_layout)?, width);
        Ok((CpuStorage::F32(out), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        y: &Tensor,
        gate: &Tensor,
        _out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let width = gate.dims().last().copied().unwrap_or(0).max(1);
        let (dy, dgate) = backward(&read(y)?, &read(gate)?, &read(&grad)?, width);
        let dx = x.track_op().then_some(grad);
        Ok((dx, wanted(dy, y)?, wanted(dgate, gate)?))
    }
}

//! What goes row by row: norms, modulation, activations, rotation. Each row is widened to f32, worked
//! on by the f32 kernel of the same name, and rounded once.

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::{narrow, read, widen};
use crate::kernels::activation::Activation;
use crate::kernels::norm::Norm;
use crate::kernels::rope::rotate_head;
use crate::kernels::rows::rows_per_piece;
use crate::kernels::simd::vectorised;
use crate::kernels::tensor_data;

/// Calls `work(row, x, y)` for every row of `width` values.
fn map_rows(
    x: &Tensor,
    width: usize,
    work: impl Fn(usize, &[f32], &mut [f32]) + Sync,
) -> Result<Tensor> {
    let values = read(x)?;
    let values = &*values;
    let mut out = super::zeros(values.len());
    let rows = rows_per_piece(width);
    out.par_chunks_mut(rows * width).enumerate().for_each_init(
        || (vec![0.0; width], vec![0.0; width]),
        |(wide, result), (piece, out)| {
            for (i, out) in out.chunks_exact_mut(width).enumerate() {
                let row = piece * rows + i;
                vectorised(
                    #[inline(always)]
                    || widen(&values[row * width..][..width], wide),
                );
                work(row, wide, result);
                vectorised(
                    #[inline(always)]
                    || narrow(result, out),
                );
            }
        },
    );
    Tensor::from_vec(out, x.shape(), x.device())
}

fn last_dim(x: &Tensor) -> usize {
    x.dims().last().copied().unwrap_or(0).max(1)
}

/// The values of a bf16 weight `[E]`, in f32.
fn wide(weight: &Tensor) -> Result<Vec<f32>> {
    Ok(read(weight)?.iter().map(|w| w.to_f32()).collect())
}

/// Layer or root-mean-square norm; `weight` and `bias` `[E]` in bf16.
pub(crate) fn norm(
    x: &Tensor,
    norm: Norm,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
) -> Result<Tensor> {
    let weight = weight.map(wide).transpose()?.unwrap_or_default();
    let bias = bias.map(wide).transpose()?.unwrap_or_default();
    map_rows(x, last_dim(x), |_, x, y| {
        vectorised(
            #[inline(always)]
            || norm.row(x, &weight, &bias, y),
        );
    })
}

/// A norm with modulation: `scale`, `shift` `[1 or R, 1, E]` in f32 for `x` `[R, N, E]`.
pub(crate) fn modulated(x: &Tensor, norm: Norm, scale: &Tensor, shift: &Tensor) -> Result<Tensor> {
    let width = last_dim(x);
    let (scale, shift) = (tensor_data::read(scale)?, tensor_data::read(shift)?);
    let (scale, shift) = (&*scale, &*shift);
    let rows_per_group = x.elem_count() / scale.len().max(1);
    map_rows(x, width, |row, x, y| {
        let group = row / rows_per_group * width;
        let (scale, shift) = (&scale[group..][..width], &shift[group..][..width]);
        vectorised(
            #[inline(always)]
            || norm.row(x, scale, shift, y),
        );
    })
}

/// `x + gate y`: `gate` `[1 or R, 1, E]` in f32 for `x`, `y` `[R, N, E]`.
pub(crate) fn gated_add(x: &Tensor, y: &Tensor, gate: &Tensor) -> Result<Tensor> {
    let width = last_dim(x);
    let (gate, added) = (tensor_data::read(gate)?, read(y)?);
    let (gate, added) = (&*gate, &*added);
    let rows_per_group = x.elem_count() / gate.len().max(1);
    map_rows(x, width, |row, x, out| {
        let gate = &gate[row / rows_per_group * width..][..width];
        let added = &added[row * width..][..width];
        vectorised(
            #[inline(always)]
            || {
                widen(added, out);
                for ((out, x), gate) in out.iter_mut().zip(x).zip(gate) {
                    *out = gate.mul_add(*out, *x);
                }
            },
        );
    })
}

/// `x + y` of one shape.
pub(crate) fn add(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let width = last_dim(x);
    let added = read(y)?;
    let added = &*added;
    map_rows(x, width, |row, x, out| {
        let added = &added[row * width..][..width];
        vectorised(
            #[inline(always)]
            || {
                widen(added, out);
                out.iter_mut().zip(x).for_each(|(out, x)| *out += x);
            },
        );
    })
}

/// A pointwise function.
pub(crate) fn activate(x: &Tensor, activation: Activation) -> Result<Tensor> {
    map_rows(x, last_dim(x), |_, x, y| activation.values(x, y))
}

/// Rotates `x` `[R, N, A, D]` by angles `cos`, `sin` `[N, D / 2]` in f32.
pub(crate) fn rope(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Tensor> {
    let (_r, n, a, d) = x.dims4()?;
    let (cos, sin) = (tensor_data::read(cos)?, tensor_data::read(sin)?);
    let (cos, sin) = (&*cos, &*sin);
    map_rows(x, a * d, |row, x, y| {
        let angles = row % n * (d / 2)..(row % n + 1) * (d / 2);
        let (cos, sin) = (&cos[angles.clone()], &sin[angles]);
        vectorised(
            #[inline(always)]
            || {
                for (y, x) in y.chunks_exact_mut(d).zip(x.chunks_exact(d)) {
                    rotate_head(x, cos, sin, 1.0, y);
                }
            },
        );
    })
}

//! `x W^T + b` with gradients to all three, without transposed copies.

use std::ops::RangeInclusive;

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

use rayon::prelude::*;

use super::matmul::{Held, Mat, MatMut, Parallelism, matmul};
use super::rows::{block_tiles, for_rows, par_sum_rows};
use super::simd::vectorised;
use super::tensor_data::{read, tensor_like, values};
use super::tile::{self, Left, Panels};

/// All threads; `gemm` keeps small products on one.
const ALL: Parallelism = Parallelism::Rayon(0);

/// The affine map of the last axis: `x` `[.., I]`, `weight` `[O, I]`, bias `[O]` or none.
pub(crate) struct Linear;

/// Columns of a block's sums.
const BLOCK_COLS: usize = 384;
/// Bytes of the weight that are packed at a time.
const PACKED_BYTES: usize = 32 << 20;
/// The summed axis goes in pieces of this length where it is a multiple of it.
const PIECE: usize = 256;
/// Values beside a copied row: rows a power of two apart would share a line of the first-level cache.
const GAP: usize = 16;
/// Products below which packing does not pay.
const SMALL: usize = 1 << 18;

/// Tiles of rows in a block: its part of `x` and its sums stay in the second-level cache.
fn sizes(inputs: usize) -> RangeInclusive<usize> {
    if inputs > 2048 { 2..=4 } else { 4..=8 }
}

/// What a product is added to.
#[derive(Clone, Copy)]
pub(super) enum Onto<'a> {
    Nothing,
    /// A bias `[O]`.
    Bias(&'a [f32]),
    /// What the destination holds.
    Held,
}

pub(super) fn forward(
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    dims: (usize, usize),
) -> Vec<f32> {
    let (outputs, inputs) = dims;
    let mut y = vec![0.0; x.len() / inputs.max(1) * outputs];
    let onto = bias.map_or(Onto::Nothing, Onto::Bias);
    affine(x, weight, dims, (onto, 1.0), &mut y);
    y
}

/// `y = onto + scale x W^T` for `x` `[rows, I]`, `weight` `[O, I]` and `y` `[rows, O]`.
pub(super) fn affine(
    x: &[f32],
    weight: &[f32],
    (outputs, inputs): (usize, usize),
    (onto, scale): (Onto, f32),
    y: &mut [f32],
) {
    let rows = x.len() / inputs.max(1);
    if tile::supported() && rows >= tile::ROWS && rows * inputs * outputs >= SMALL {
        return tiled(x, weight, (outputs, inputs), (onto, scale), y);
    }
    let held = match onto {
        Onto::Bias(bias) => {
            for_rows(y, outputs, |_, y| {
                y.chunks_exact_mut(outputs)
                    .for_each(|y| y.copy_from_slice(bias));
            });
            Held::Kept
        }
        Onto::Nothing => Held::Dropped,
        Onto::Held => Held::Kept,
    };
    let (x, weight) = (
        Mat::new(x, rows, inputs),
        Mat::new(weight, outputs, inputs).t(),
    );
    matmul(MatMut::new(y, rows, outputs), held, x, weight, scale, ALL);
}

/// [`affine`] in register tiles.
fn tiled(
    x: &[f32],
    weight: &[f32],
    (outputs, inputs): (usize, usize),
    (onto, scale): (Onto, f32),
    y: &mut [f32],
) {
    let rows = x.len() / inputs;
    let block_rows = tile::ROWS * block_tiles(rows.div_ceil(tile::ROWS), sizes(inputs));
    let piece = if inputs % PIECE == 0 { PIECE } else { inputs };
    let starts: Vec<usize> = (0..inputs).step_by(piece).collect();
    let chunk = (PACKED_BYTES / 4 / inputs)
        .max(1)
        .next_multiple_of(BLOCK_COLS);
    for first_col in (0..outputs).step_by(chunk) {
        let cols = chunk.min(outputs - first_col);
        let weight = &weight[first_col * inputs..][..cols * inputs];
        let panels = Panels::from_transposed(weight, inputs, [inputs, cols]);
        let at_once = BLOCK_COLS / panels.lanes();
        y.par_chunks_mut(block_rows * outputs)
            .zip(x.par_chunks(block_rows * inputs))
            .for_each_init(
                || (Vec::new(), Vec::new()),
                |(block, sums), (y, x)| {
                    let rows = x.len() / inputs;
                    let left = Left {
                        data: copied(x, inputs, block),
                        stride: inputs + GAP,
                        starts: &starts,
                        len: piece,
                    };
                    sums.resize(tile::whole_tiles(rows) * BLOCK_COLS, 0.0);
                    for first in panels.all().step_by(at_once) {
                        let range = first..(first + at_once).min(panels.all().end);
                        panels.multiply(left, rows, range, (sums, BLOCK_COLS), false);
                        let col = first * panels.lanes();
                        let width = BLOCK_COLS.min(cols - col);
                        for (y, sums) in y.chunks_exact_mut(outputs).zip(sums.chunks(BLOCK_COLS)) {
                            let (at, sums) = (first_col + col, &sums[..width]);
                            finish(&mut y[at..at + width], sums, (onto, scale), at);
                        }
                    }
                },
            );
    }
}

/// Rows of `x` with a gap after each, in whole tiles.
fn copied<'a>(x: &[f32], inputs: usize, block: &'a mut Vec<f32>) -> &'a [f32] {
    let stride = inputs + GAP;
    block.resize(tile::whole_tiles(x.len() / inputs) * stride, 0.0);
    for (to, from) in block.chunks_exact_mut(stride).zip(x.chunks_exact(inputs)) {
        to[..inputs].copy_from_slice(from);
    }
    block
}

/// Part of a row of results, from column `at` on.
fn finish(y: &mut [f32], sums: &[f32], (onto, scale): (Onto, f32), at: usize) {
    vectorised(
        #[inline(always)]
        || match onto {
            Onto::Nothing => {
                for (y, sum) in y.iter_mut().zip(sums) {
                    *y = scale * sum;
                }
            }
            Onto::Bias(bias) => {
                for ((y, sum), bias) in y.iter_mut().zip(sums).zip(&bias[at..]) {
                    *y = scale.mul_add(*sum, *bias);
                }
            }
            Onto::Held => {
                for (y, sum) in y.iter_mut().zip(sums) {
                    *y = scale.mul_add(*sum, *y);
                }
            }
        },
    );
}

/// Bytes that a product holds beside its arguments and its result, with `threads` threads.
pub(crate) fn scratch_bytes((outputs, inputs): (usize, usize), threads: usize) -> u64 {
    if !tile::supported() {
        return 0;
    }
    let rows = tile::ROWS * sizes(inputs).end();
    let packed = (4 * outputs * inputs).min(PACKED_BYTES + 4 * BLOCK_COLS * inputs);
    (packed + 4 * threads * rows * (inputs + GAP + BLOCK_COLS)) as u64
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_and_plain_products_agree_at_every_edge() {
        if !tile::supported() {
            println!("skipped: no AVX-512");
            return;
        }
        let ramp = |count: usize, step: f32| -> Vec<f32> {
            (0..count).map(|i| (i as f32 * step).sin()).collect()
        };
        for (rows, inputs, outputs) in [(1, 1, 1), (13, 40, 17), (200, 512, 97), (25, 3001, 400)] {
            let (x, w) = (ramp(rows * inputs, 0.7), ramp(outputs * inputs, 1.3));
            let bias = ramp(outputs, 0.3);
            for onto in [Onto::Nothing, Onto::Bias(&bias), Onto::Held] {
                let mut ours = vec![0.5; rows * outputs];
                tiled(&x, &w, (outputs, inputs), (onto, 0.25), &mut ours);
                for (i, y) in ours.iter().enumerate() {
                    let (row, col) = (i / outputs, i % outputs);
                    let terms = x[row * inputs..][..inputs].iter().zip(&w[col * inputs..]);
                    let sum: f64 = terms.map(|(x, w)| f64::from(*x) * f64::from(*w)).sum();
                    let start = match onto {
                        Onto::Nothing => 0.0,
                        Onto::Bias(bias) => f64::from(bias[col]),
                        Onto::Held => 0.5,
                    };
                    let error = (f64::from(*y) - start - 0.25 * sum).abs();
                    assert!(
                        error < 1e-5 * (inputs as f64).sqrt(),
                        "{row} {col}: {error}"
                    );
                }
            }
        }
    }
}

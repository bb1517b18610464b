//! Layer and root-mean-square normalisation of the last axis, with affine maps and modulation.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

use super::rows::{for_rows, for_rows_summing};
use super::simd::{sum, sum_pairs, vectorised};
use super::tensor_data::{read, values, wanted};

/// `y = (x - mean) / deviation * (offset + weight) + bias` along the last axis.
///
/// `x` is `[.., E]`. Weight and bias hold `E` values for each of `G` groups of equally many rows:
/// one group for an affine map, one a batch row for modulation, where `offset` is 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Norm {
    /// True for layer norm; false leaves the mean in, as RMS norm does.
    pub(crate) centred: bool,
    /// Added to the variance or mean square.
    pub(crate) eps: f64,
    /// Added to the weight: 1 for `1 + scale`.
    pub(crate) offset: f32,
}

/// The gradient of a row's result and what it is multiplied with.
#[derive(Clone, Copy)]
struct Row<'a> {
    x: &'a [f32],
    grad: &'a [f32],
    weight: &'a [f32],
}

impl Norm {
    /// Mean (0 where it stays in) and inverse deviation of a row.
    #[inline(always)]
    fn moments(&self, x: &[f32]) -> (f32, f32) {
        let scale = 1.0 / x.len() as f32;
        let mean = if self.centred {
            scale
                * sum(
                    x,
                    #[inline(always)]
                    |x| x,
                )
        } else {
            0.0
        };
        let square = sum(
            x,
            #[inline(always)]
            |x| (x - mean) * (x - mean),
        );
        (mean, 1.0 / (scale * square + self.eps as f32).sqrt())
    }

    /// One row: weight and bias `[E]`, or empty.
    #[inline(always)]
    pub(super) fn row(&self, x: &[f32], weight: &[f32], bias: &[f32], y: &mut [f32]) {
        let (mean, inverse) = self.moments(x);
        if weight.is_empty() {
            for (y, x) in y.iter_mut().zip(x) {
                *y = (x - mean) * inverse;
            }
        } else if bias.is_empty() {
            for ((y, x), w) in y.iter_mut().zip(x).zip(weight) {
                *y = (x - mean) * inverse * (self.offset + w);
            }
        } else {
            for (((y, x), w), b) in y.iter_mut().zip(x).zip(weight).zip(bias) {
                *y = ((x - mean) * inverse).mul_add(self.offset + w, *b);
            }
        }
    }

    /// `width` values a row; `weight` and `bias` may be empty.
    fn forward(&self, x: &[f32], weight: &[f32], bias: &[f32], width: usize) -> Vec<f32> {
        let mut y = vec![0.0; x.len()];
        let rows_per_group = rows_per_group(x, weight, width);
        for_rows(&mut y, width, |first, y| {
            for (i, y) in y.chunks_exact_mut(width).enumerate() {
                let row = first + i;
                let x = &x[row * width..][..width];
                let group = row / rows_per_group;
                let (weight, bias) = (of_group(weight, group, width), of_group(bias, group, width));
                vectorised(
                    #[inline(always)]
                    || self.row(x, weight, bias, y),
                );
            }
        });
        y
    }

    /// Writes a row's gradient and adds to `sums`, the gradients of weight `[E]` and bias `[E]`.
    #[inline(always)]
    fn row_backward(&self, row: Row, dx: &mut [f32], sums: &mut [f32]) {
        let (mean, inverse) = self.moments(row.x);
        let share = 1.0 / row.x.len() as f32;
        // dx temporarily holds g = grad * (offset + weight).
        if row.weight.is_empty() {
            dx.copy_from_slice(row.grad);
        } else {
            let (dw, db) = sums.split_at_mut(row.x.len());
            for ((dx, grad), w) in dx.iter_mut().zip(row.grad).zip(row.weight) {
                *dx = grad * (self.offset + w);
            }
            for ((dw, grad), x) in dw.iter_mut().zip(row.grad).zip(row.x) {
                *dw += grad * (x - mean) * inverse;
            }
            for (db, grad) in db.iter_mut().zip(row.grad) {
                *db += grad;
            }
        }
        let along = share
            * sum_pairs(
                dx,
                row.x,
                #[inline(always)]
                |g, x| g * (x - mean) * inverse,
            );
        let level = if self.centred {
            share
                * sum(
                    dx,
                    #[inline(always)]
                    |g| g,
                )
        } else {
            0.0
        };
        for (dx, x) in dx.iter_mut().zip(row.x) {
            *dx = inverse * (*dx - level - (x - mean) * inverse * along);
        }
    }

    /// Gradients of `x`, of the weight `[G, E]` and of the bias `[G, E]` (empty without weight).
    fn backward(
        &self,
        x: &[f32],
        weight: &[f32],
        grad: &[f32],
        width: usize,
    ) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
        let mut dx = vec![0.0; x.len()];
        let (mut dw, mut db) = (Vec::new(), Vec::new());
        let group_len = rows_per_group(x, weight, width) * width;
        let num_sums = if weight.is_empty() { 0 } else { 2 * width };
        for (group, dx) in dx.chunks_mut(group_len).enumerate() {
            let weight = of_group(weight, group, width);
            let sums = for_rows_summing(dx, width, num_sums, |first, dx, sums| {
                for (i, dx) in dx.chunks_exact_mut(width).enumerate() {
                    let start = group * group_len + (first + i) * width;
                    let row = Row {
                        x: &x[start..][..width],
                        grad: &grad[start..][..width],
                        weight,
                    };
                    vectorised(
                        #[inline(always)]
                        || self.row_backward(row, dx, sums),
                    );
                }
            });
            let (w, b) = sums.split_at(sums.len() / 2);
            dw.extend_from_slice(w);
            db.extend_from_slice(b);
        }
        (dx, dw, db)
    }

    fn run(
        &self,
        x: (&CpuStorage, &Layout),
        weight: &[f32],
        bias: &[f32],
    ) -> Result<(CpuStorage, Shape)> {
        let shape = x.1.shape().clone();
        let width = shape.dims().last().copied().unwrap_or(0).max(1);
        if weight.len() % width != 0 || (!bias.is_empty() && bias.len() != weight.len()) {
            candle_core::bail!("norm of width {width}: weight of {}", weight.len());
        }
        let y = self.forward(values(x.0, x.1)?, weight, bias, width);
        Ok((CpuStorage::F32(y), shape))
    }

    fn gradients(&self, x: &Tensor, weight: Option<&Tensor>, grad: &Tensor) -> Result<Gradients> {
        let width = x.dims().last().copied().unwrap_or(0).max(1);
        let grad = grad.contiguous()?;
        let (values, grad) = (read(x)?, read(&grad)?);
        let (dx, dw, db) = match weight {
            Some(weight) => self.backward(&values, &read(weight)?, &grad, width),
            None => self.backward(&values, &[], &grad, width),
        };
        Ok(Gradients { dx, dw, db })
    }
}

struct Gradients {
    dx: Vec<f32>,
    dw: Vec<f32>,
    db: Vec<f32>,
}

fn rows_per_group(x: &[f32], weight: &[f32], width: usize) -> usize {
    let groups = (weight.len() / width).max(1);
    (x.len() / width / groups).max(1)
}

fn of_group(values: &[f32], group: usize, width: usize) -> &[f32] {
    values
        .get(group * width..(group + 1) * width)
        .unwrap_or(&[])
}

impl CustomOp1 for Norm {
    fn name(&self) -> &'static str {
        "norm"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        self.run((x, layout), &[], &[])
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        wanted(self.gradients(x, None, grad)?.dx, x)
    }
}

impl CustomOp2 for Norm {
    fn name(&self) -> &'static str {
        "norm with weight"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.run((x, x_layout), values(weight, weight_layout)?, &[])
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradients = self.gradients(x, Some(weight), grad)?;
        Ok((wanted(gradients.dx, x)?, wanted(gradients.dw, weight)?))
    }
}

impl CustomOp3 for Norm {
    fn name(&self) -> &'static str {
        "norm with weight and bias"
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
        let (weight, bias) = (values(weight, weight_layout)?, values(bias, bias_layout)?);
        self.run((x, x_layout), weight, bias)
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let Gradients { dx, dw, db } = self.gradients(x, Some(weight), grad)?;
        Ok((wanted(dx, x)?, wanted(dw, weight)?, wanted(db, bias)?))
    }
}

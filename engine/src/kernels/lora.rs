//! A frozen linear layer with one low-rank pair a branch, in one pass over the weight.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};

use super::linear::{self, Onto};
use super::matmul::{Held, Mat, MatMut, Parallelism, matmul};
use super::stored_linear::{self, StoredRows};
use super::tensor_data::{read, values, wanted};

/// All threads; `gemm` keeps small products on one.
const ALL: Parallelism = Parallelism::Rayon(0);

/// `W x_m + b + scale * B_m (A_m x_m)` of `x` `[R, N, I]`, rows ordered by branch, with
/// A `[M, K, I]` and B `[M, O, K]`. Neither `weight` nor `bias` learns.
pub(crate) struct LoraLinear {
    pub(crate) weight: Frozen,
    /// `[O]`, contiguous.
    pub(crate) bias: Option<Tensor>,
    /// Factor before B.
    pub(crate) scale: f32,
}

/// The weight under the adapters, `[O, I]`.
pub(crate) enum Frozen {
    /// f32, contiguous.
    Wide(Tensor),
    /// Widened while it is used; has no gradient to `x`.
    Stored(Arc<dyn StoredRows>),
}

/// Sizes of one call.
#[derive(Clone, Copy)]
struct Sizes {
    branches: usize,
    /// Rows of `x` as a matrix, of one branch.
    rows: usize,
    inputs: usize,
    outputs: usize,
    rank: usize,
}

impl Sizes {
    fn of(x: &Shape, a: &Shape, b: &Shape) -> Result<Self> {
        let (batch, tokens, inputs) = x.dims3()?;
        let (branches, rank, a_inputs) = a.dims3()?;
        let (b_branches, outputs, b_rank) = b.dims3()?;
        let agree = branches == b_branches && rank == b_rank && inputs == a_inputs;
        if !agree || branches == 0 || !batch.is_multiple_of(branches) {
            candle_core::bail!("lora: x is {x:?}, A {a:?}, B {b:?}");
        }
        Ok(Self {
            branches,
            rows: batch / branches * tokens,
            inputs,
            outputs,
            rank,
        })
    }

    /// The part of branch `m` in a tensor with `len` values a branch.
    fn part(m: usize, len: usize) -> std::ops::Range<usize> {
        m * len..(m + 1) * len
    }

    fn x<'a>(&self, x: &'a [f32], m: usize) -> Mat<'a> {
        let part = &x[Self::part(m, self.rows * self.inputs)];
        Mat::new(part, self.rows, self.inputs)
    }

    fn y<'a>(&self, y: &'a [f32], m: usize) -> Mat<'a> {
        let part = &y[Self::part(m, self.rows * self.outputs)];
        Mat::new(part, self.rows, self.outputs)
    }

    fn a<'a>(&self, a: &'a [f32], m: usize) -> Mat<'a> {
        let part = &a[Self::part(m, self.rank * self.inputs)];
        Mat::new(part, self.rank, self.inputs)
    }

    fn b<'a>(&self, b: &'a [f32], m: usize) -> Mat<'a> {
        let part = &b[Self::part(m, self.outputs * self.rank)];
        Mat::new(part, self.outputs, self.rank)
    }
}

/// `scale * p q` as a new matrix of `rows` x `cols`.
fn product(p: Mat, q: Mat, (rows, cols): (usize, usize), scale: f32) -> Vec<f32> {
    let mut out = vec![0.0; rows * cols];
    let dst = MatMut::new(&mut out, rows, cols);
    matmul(dst, Held::Dropped, p, q, scale, ALL);
    out
}

impl CustomOp3 for LoraLinear {
    fn name(&self) -> &'static str {
        "linear with adapters"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        a: &CpuStorage,
        a_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let s = Sizes::of(x_layout.shape(), a_layout.shape(), b_layout.shape())?;
        let (x, a, b) = (
            values(x, x_layout)?,
            values(a, a_layout)?,
            values(b, b_layout)?,
        );
        let bias = self.bias.as_ref().map(read).transpose()?;
        let mut y = match &self.weight {
            Frozen::Wide(weight) => {
                let dims = (s.outputs, s.inputs);
                linear::forward(x, &read(weight)?, bias.as_deref(), dims)
            }
            Frozen::Stored(weight) => stored_linear::forward(x, &**weight, bias.as_deref())?,
        };
        for m in 0..s.branches {
            let x = &x[Sizes::part(m, s.rows * s.inputs)];
            let a = &a[Sizes::part(m, s.rank * s.inputs)];
            let low = linear::forward(x, a, None, (s.rank, s.inputs)); // [R/M N, K]
            let b = &b[Sizes::part(m, s.outputs * s.rank)];
            let part = &mut y[Sizes::part(m, s.rows * s.outputs)];
            linear::affine(&low, b, (s.outputs, s.rank), (Onto::Held, self.scale), part);
        }
        let (batch, tokens, _inputs) = x_layout.shape().dims3()?;
        Ok((CpuStorage::F32(y), Shape::from((batch, tokens, s.outputs))))
    }

    fn bwd(
        &self,
        x_tensor: &Tensor,
        a_tensor: &Tensor,
        b_tensor: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let s = Sizes::of(x_tensor.shape(), a_tensor.shape(), b_tensor.shape())?;
        let grad = grad.contiguous()?;
        let (x, a, b) = (read(x_tensor)?, read(a_tensor)?, read(b_tensor)?);
        let Frozen::Wide(weight) = &self.weight else {
            candle_core::bail!("adapters learn on f32 weights only");
        };
        let (grad, weight) = (read(&grad)?, read(weight)?);
        let mut dx = Vec::new();
        if x_tensor.track_op() {
            let rows = s.branches * s.rows;
            let grad = Mat::new(&grad, rows, s.outputs);
            let weight = Mat::new(&weight, s.outputs, s.inputs);
            dx = product(grad, weight, (rows, s.inputs), 1.0);
        }
        let (mut da, mut db) = (Vec::new(), Vec::new());
        for m in 0..s.branches {
            let (x, g) = (s.x(&x, m), s.y(&grad, m));
            let low = product(x, s.a(&a, m).t(), (s.rows, s.rank), 1.0); // [R/M N, K]
            let low = Mat::new(&low, s.rows, s.rank);
            let dlow = product(g, s.b(&b, m), (s.rows, s.rank), self.scale); // [R/M N, K]
            let dlow = Mat::new(&dlow, s.rows, s.rank);
            da.extend(product(dlow.t(), x, (s.rank, s.inputs), 1.0));
            db.extend(product(g.t(), low, (s.outputs, s.rank), self.scale));
            if !dx.is_empty() {
                let part = &mut dx[Sizes::part(m, s.rows * s.inputs)];
                let dst = MatMut::new(part, s.rows, s.inputs);
                matmul(dst, Held::Kept, dlow, s.a(&a, m), 1.0, ALL);
            }
        }
        let dx = if dx.is_empty() {
            None
        } else {
            wanted(dx, x_tensor)?
        };
        Ok((dx, wanted(da, a_tensor)?, wanted(db, b_tensor)?))
    }
}

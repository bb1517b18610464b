//! What is added to a linear layer's weight, in few numbers: low-rank, Hadamard and Kronecker products.
//!
//! A LoRA adds `B A`, a LoHa the entry-wise product of two of those (arXiv 2108.06098), a LoKr a
//! Kronecker product (arXiv 2309.14859). They act on tokens through their factors, so that a base which
//! is streamed or rounded to few bits keeps its own bytes.

use candle_core::{DType, Device, Tensor};

use super::linear;
use crate::Result;

/// Numbers of a whole change that exist at a time while it is evaluated by rows.
const PIECE: usize = 1 << 22;

/// `B A`, with every factor in it.
#[derive(Clone, Debug)]
pub struct LowRank {
    /// `[K, I]`.
    pub a: Tensor,
    /// `[O, K]`.
    pub b: Tensor,
}

/// A Kronecker product of `left` `[O_1, I_1]` and `right` `[O_2, I_2]`: `O = O_1 O_2`, `I = I_1 I_2`.
#[derive(Clone, Debug)]
pub struct Kronecker {
    /// The coarse factor.
    pub left: Tensor,
    /// The fine factor.
    pub right: Tensor,
    /// Factors of the product's rows, `[O]`: `left` and `right` have no place for them.
    pub rows: Option<Tensor>,
    /// Factors of the product's columns, `[I]`.
    pub columns: Option<Tensor>,
}

/// What is added to a weight `[O, I]`.
#[derive(Clone, Debug)]
pub enum WeightDelta {
    /// `B A`.
    LowRank(LowRank),
    /// `(B_1 A_1) * (B_2 A_2)`, entry by entry.
    Hadamard([LowRank; 2]),
    /// A Kronecker product.
    Kronecker(Kronecker),
}

impl LowRank {
    fn to(&self, device: &Device, dtype: DType) -> Result<Self> {
        Ok(Self {
            a: moved(&self.a, device, dtype)?,
            b: moved(&self.b, device, dtype)?,
        })
    }

    /// The rows `from..from + count` of `B A`.
    fn rows(&self, from: usize, count: usize) -> Result<Tensor> {
        Ok(self.b.narrow(0, from, count)?.matmul(&self.a)?)
    }

    fn scaled(&self, rows: Option<&Tensor>, columns: Option<&Tensor>) -> Result<Self> {
        Ok(Self {
            a: scale_columns(&self.a, columns)?,
            b: scale_rows(&self.b, rows)?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        linear(&linear(x, &self.a, None)?, &self.b, None)
    }
}

impl Kronecker {
    fn dims(&self) -> Result<(usize, usize)> {
        let ((o1, i1), (o2, i2)) = (self.left.dims2()?, self.right.dims2()?);
        Ok((o1 * o2, i1 * i2))
    }

    fn scaled(&self, rows: Option<&Tensor>, columns: Option<&Tensor>) -> Result<Self> {
        let times = |old: &Option<Tensor>, new: Option<&Tensor>| -> Result<Option<Tensor>> {
            Ok(match (old, new) {
                (Some(old), Some(new)) => Some((old * new)?),
                (old, new) => old.as_ref().or(new).cloned(),
            })
        };
        Ok(Self {
            rows: times(&self.rows, rows)?,
            columns: times(&self.columns, columns)?,
            ..self.clone()
        })
    }

    fn to(&self, device: &Device, dtype: DType) -> Result<Self> {
        let maybe = |x: &Option<Tensor>| -> Result<Option<Tensor>> {
            x.as_ref().map(|x| moved(x, device, dtype)).transpose()
        };
        Ok(Self {
            left: moved(&self.left, device, dtype)?,
            right: moved(&self.right, device, dtype)?,
            rows: maybe(&self.rows)?,
            columns: maybe(&self.columns)?,
        })
    }

    /// Row `p O_2 + q` is row `p` of `left` with every entry replaced by it times row `q` of `right`.
    fn rows(&self, from: usize, count: usize) -> Result<Tensor> {
        let ((_, i1), (o2, i2)) = (self.left.dims2()?, self.right.dims2()?);
        let (first, last) = (from / o2, (from + count).div_ceil(o2));
        let left = self.left.narrow(0, first, last - first)?;
        let left = left.reshape((last - first, 1, i1, 1))?;
        let whole = left.broadcast_mul(&self.right.reshape((1, o2, 1, i2))?)?;
        let whole = whole.reshape(((last - first) * o2, i1 * i2))?;
        let part = whole.narrow(0, from - first * o2, count)?;
        let rows = self.rows.as_ref().map(|r| r.narrow(0, from, count));
        let part = scale_rows(&part, rows.transpose()?.as_ref())?;
        scale_columns(&part, self.columns.as_ref())
    }

    /// With the last axis of `x` read as a matrix `X` `[I_1, I_2]`, the product is `L X R^T`
    /// `[O_1, O_2]`.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (left, right) = (&self.left, &self.right);
        let ((o1, i1), (o2, i2)) = (left.dims2()?, right.dims2()?);
        let x = scale_columns(x, self.columns.as_ref())?;
        let mut shape = x.dims().to_vec();
        let tokens = x.elem_count() / (i1 * i2);
        let last = shape.len() - 1;
        let turned = |x: &Tensor| -> Result<Tensor> { Ok(x.transpose(1, 2)?.contiguous()?) };
        // Between the factors lie I_1 O_2 or O_1 I_2 numbers a token: the fewer, the better.
        let y = if i1 * o2 <= o1 * i2 {
            let y = linear(&x.reshape((tokens, i1, i2))?, right, None)?; // [N, I_1, O_2]
            turned(&linear(&turned(&y)?, left, None)?)? // [N, O_1, O_2]
        } else {
            let y = linear(&turned(&x.reshape((tokens, i1, i2))?)?, left, None)?; // [N, I_2, O_1]
            linear(&turned(&y)?, right, None)? // [N, O_1, O_2]
        };
        shape[last] = o1 * o2;
        scale_columns(&y.reshape(shape)?, self.rows.as_ref())
    }
}

impl WeightDelta {
    /// `(O, I)`.
    ///
    /// # Errors
    /// Those of the tensor library, for factors that are no matrices.
    pub fn dims(&self) -> Result<(usize, usize)> {
        match self {
            Self::LowRank(pair) | Self::Hadamard([pair, _]) => Ok((pair.b.dim(0)?, pair.a.dim(1)?)),
            Self::Kronecker(product) => product.dims(),
        }
    }

    /// The same change with its rows `[O]` and columns `[I]` multiplied.
    ///
    /// # Errors
    /// Those of the tensor library.
    pub fn scaled(&self, rows: Option<&Tensor>, columns: Option<&Tensor>) -> Result<Self> {
        Ok(match self {
            Self::LowRank(pair) => Self::LowRank(pair.scaled(rows, columns)?),
            Self::Hadamard([first, second]) => {
                Self::Hadamard([first.scaled(rows, columns)?, second.clone()])
            }
            Self::Kronecker(product) => Self::Kronecker(product.scaled(rows, columns)?),
        })
    }

    /// The rows `from..from + count` of the change, `[count, I]`.
    ///
    /// # Errors
    /// Those of the tensor library.
    pub fn rows(&self, from: usize, count: usize) -> Result<Tensor> {
        match self {
            Self::LowRank(pair) => pair.rows(from, count),
            Self::Hadamard(pairs) => hadamard_rows(pairs, from, count),
            Self::Kronecker(product) => product.rows(from, count),
        }
    }

    /// What the change adds to the layer's output.
    ///
    /// # Shapes
    /// - `x`: `[.., I]`; returns `[.., O]`
    ///
    /// # Errors
    /// Those of the tensor library.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::LowRank(pair) => pair.forward(x),
            Self::Hadamard(pairs) => hadamard(pairs, x, self.dims()?),
            Self::Kronecker(product) => product.forward(x),
        }
    }

    /// Type of the factors.
    pub(super) fn dtype(&self) -> DType {
        match self {
            Self::LowRank(pair) | Self::Hadamard([pair, _]) => pair.a.dtype(),
            Self::Kronecker(product) => product.left.dtype(),
        }
    }

    pub(super) fn to(&self, device: &Device, dtype: DType) -> Result<Self> {
        Ok(match self {
            Self::LowRank(pair) => Self::LowRank(pair.to(device, dtype)?),
            Self::Hadamard([first, second]) => {
                Self::Hadamard([first.to(device, dtype)?, second.to(device, dtype)?])
            }
            Self::Kronecker(product) => Self::Kronecker(product.to(device, dtype)?),
        })
    }
}

/// An entry-wise product of two low-rank matrices is one of the product of their ranks, whose factors
/// are quickly made. Where that rank is too large, blocks of the matrix itself are cheaper.
fn hadamard(pairs: &[LowRank; 2], x: &Tensor, (outputs, inputs): (usize, usize)) -> Result<Tensor> {
    let [first, second] = pairs;
    let (k1, k2) = (first.a.dim(0)?, second.a.dim(0)?);
    if k1 * k2 * (outputs + inputs) <= outputs * inputs {
        let a = first.a.reshape((k1, 1, inputs))?;
        let a = a.broadcast_mul(&second.a.reshape((1, k2, inputs))?)?;
        let b = first.b.reshape((outputs, k1, 1))?;
        let b = b.broadcast_mul(&second.b.reshape((outputs, 1, k2))?)?;
        let pair = LowRank {
            a: a.reshape((k1 * k2, inputs))?,
            b: b.reshape((outputs, k1 * k2))?,
        };
        return pair.forward(x);
    }
    let pieces = pieces(outputs, inputs)
        .map(|(from, count)| linear(x, &hadamard_rows(pairs, from, count)?, None));
    let pieces: Vec<Tensor> = pieces.collect::<Result<_>>()?;
    Ok(Tensor::cat(&pieces, x.rank() - 1)?)
}

fn hadamard_rows([first, second]: &[LowRank; 2], from: usize, count: usize) -> Result<Tensor> {
    Ok((first.rows(from, count)? * second.rows(from, count)?)?)
}

/// Runs of rows, `(first, count)`, of at most [`PIECE`] numbers or one row.
pub(super) fn pieces(outputs: usize, inputs: usize) -> impl Iterator<Item = (usize, usize)> {
    let step = (PIECE / inputs.max(1)).max(1);
    (0..outputs)
        .step_by(step)
        .map(move |from| (from, step.min(outputs - from)))
}

pub(super) fn moved(x: &Tensor, device: &Device, dtype: DType) -> Result<Tensor> {
    Ok(x.to_device(device)?.to_dtype(dtype)?.contiguous()?)
}

/// Every row of a matrix times its own factor.
pub(super) fn scale_rows(x: &Tensor, rows: Option<&Tensor>) -> Result<Tensor> {
    Ok(match rows {
        Some(rows) => x.broadcast_mul(&rows.unsqueeze(1)?)?,
        None => x.clone(),
    })
}

/// Every entry of the last axis times its own factor.
pub(super) fn scale_columns(x: &Tensor, columns: Option<&Tensor>) -> Result<Tensor> {
    Ok(match columns {
        Some(columns) => x.broadcast_mul(columns)?,
        None => x.clone(),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::nn::Init;

    pub(in crate::nn) fn random(shape: &[usize], seed: u64) -> Result<Tensor> {
        let values = Init::Normal(1.0).values(shape, shape.iter().product(), seed);
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
    }

    fn pair(rank: usize, (outputs, inputs): (usize, usize), seed: u64) -> Result<LowRank> {
        Ok(LowRank {
            a: random(&[rank, inputs], seed)?,
            b: random(&[outputs, rank], seed + 1)?,
        })
    }

    fn rows(x: &Tensor) -> Result<Vec<Vec<f32>>> {
        Ok(x.to_vec2()?)
    }

    pub(in crate::nn) fn close(a: &Tensor, b: &Tensor) -> Result<bool> {
        let scale = b.abs()?.max_all()?.to_scalar::<f32>()?;
        Ok((a - b)?.abs()?.max_all()?.to_scalar::<f32>()? < 1e-5 * scale)
    }

    /// The products by their definitions, entry by entry.
    fn defined(delta: &WeightDelta) -> Result<Tensor> {
        let (outputs, inputs) = delta.dims()?;
        let times = |pair: &LowRank| -> Result<Vec<Vec<f32>>> { rows(&pair.b.matmul(&pair.a)?) };
        let entry: Box<dyn Fn(usize, usize) -> f32> = match delta {
            WeightDelta::LowRank(pair) => {
                let m = times(pair)?;
                Box::new(move |o, i| m[o][i])
            }
            WeightDelta::Hadamard([first, second]) => {
                let (m, n) = (times(first)?, times(second)?);
                Box::new(move |o, i| m[o][i] * n[o][i])
            }
            WeightDelta::Kronecker(product) => {
                let (m, n) = (rows(&product.left)?, rows(&product.right)?);
                let (o2, i2) = product.right.dims2()?;
                Box::new(move |o, i| m[o / o2][i / i2] * n[o % o2][i % i2])
            }
        };
        let values: Vec<f32> = (0..outputs * inputs)
            .map(|at| entry(at / inputs, at % inputs))
            .collect();
        Ok(Tensor::from_vec(values, (outputs, inputs), &Device::Cpu)?)
    }

    pub(in crate::nn) fn deltas() -> Result<Vec<WeightDelta>> {
        let dims = (12, 20);
        let kronecker = |left: [usize; 2], right: [usize; 2]| -> Result<WeightDelta> {
            Ok(WeightDelta::Kronecker(Kronecker {
                left: random(&left, 11)?,
                right: random(&right, 12)?,
                rows: None,
                columns: None,
            }))
        };
        Ok(vec![
            WeightDelta::LowRank(pair(3, dims, 1)?),
            // Through the product of the ranks, and through the matrix.
            WeightDelta::Hadamard([pair(2, dims, 3)?, pair(3, dims, 5)?]),
            WeightDelta::Hadamard([pair(5, dims, 7)?, pair(4, dims, 9)?]),
            // With the fine factor first, and with the coarse one.
            kronecker([6, 2], [2, 10])?,
            kronecker([2, 10], [6, 2])?,
        ])
    }

    #[test]
    fn products_act_on_tokens_as_their_matrices_do() -> Result<()> {
        let x = random(&[2, 7, 20], 20)?;
        let (by_row, by_column) = (random(&[12], 21)?, random(&[20], 22)?);
        for delta in deltas()? {
            let whole = defined(&delta)?;
            assert!(close(&delta.rows(0, 12)?, &whole)?, "{delta:?}");
            assert!(close(&delta.rows(3, 6)?, &whole.narrow(0, 3, 6)?)?);
            assert!(close(&delta.forward(&x)?, &linear(&x, &whole, None)?)?);
            let scaled = delta
                .scaled(Some(&by_row), None)?
                .scaled(None, Some(&by_column))?;
            let whole = whole
                .broadcast_mul(&by_row.unsqueeze(1)?)?
                .broadcast_mul(&by_column)?;
            assert!(close(&scaled.rows(3, 6)?, &whole.narrow(0, 3, 6)?)?);
            assert!(close(&scaled.forward(&x)?, &linear(&x, &whole, None)?)?);
        }
        Ok(())
    }

    #[test]
    fn pieces_cover_every_row_once() {
        for (outputs, inputs) in [(0, 5), (7, 5), (3, PIECE * 2), (10, PIECE / 3), (9, PIECE)] {
            let runs: Vec<_> = pieces(outputs, inputs).collect();
            let ends = runs.iter().scan(0, |at, (from, count)| {
                assert_eq!(from, at);
                *at += count;
                Some(*at)
            });
            assert_eq!(ends.last().unwrap_or(0), outputs);
            assert!(
                runs.iter()
                    .all(|(_, count)| *count == 1 || count * inputs <= PIECE)
            );
        }
    }
}

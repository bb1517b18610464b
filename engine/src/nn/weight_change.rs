//! Changes of a linear layer's weight in few numbers, evaluated without ever being a whole matrix.
//!
//! A LoRA adds `B A`, a LoHa the entry-wise product of two of those (arXiv 2108.06098), a LoKr a
//! Kronecker product (arXiv 2309.14859), and a DoRA scales rows or columns on top of it (arXiv
//! 2402.09353). All of them act on tokens through their factors, so that a base which is streamed or
//! rounded to few bits keeps its own bytes.

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use super::linear;
use crate::{Error, Result};

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

/// What is added to a weight `[O, I]`.
#[derive(Clone, Debug)]
pub enum WeightDelta {
    /// `B A`.
    LowRank(LowRank),
    /// `(B_1 A_1) * (B_2 A_2)`, entry by entry.
    Hadamard([LowRank; 2]),
    /// The Kronecker product of `left` `[O_1, I_1]` and `right` `[O_2, I_2]`; `O = O_1 O_2` and
    /// `I = I_1 I_2`. It has no place for scales among its factors.
    Kronecker {
        /// The coarse factor.
        left: Tensor,
        /// The fine factor.
        right: Tensor,
        /// Factors of the product's rows, `[O]`.
        rows: Option<Tensor>,
        /// Factors of the product's columns, `[I]`.
        columns: Option<Tensor>,
    },
}

/// All that happens to a weight: `W + rows * W + W * columns + sum of the deltas`.
#[derive(Clone, Debug, Default)]
pub struct WeightChange {
    /// `[O]`, what DoRAs add to the factor 1 of every row.
    pub rows: Option<Tensor>,
    /// `[I]`, what DoRAs add to the factor 1 of every column.
    pub columns: Option<Tensor>,
    /// What is added.
    pub deltas: Vec<WeightDelta>,
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

impl WeightDelta {
    /// `(O, I)`.
    ///
    /// # Errors
    /// Those of the tensor library, for factors that are no matrices.
    pub fn dims(&self) -> Result<(usize, usize)> {
        Ok(match self {
            Self::LowRank(pair) | Self::Hadamard([pair, _]) => (pair.b.dim(0)?, pair.a.dim(1)?),
            Self::Kronecker { left, right, .. } => {
                let ((o1, i1), (o2, i2)) = (left.dims2()?, right.dims2()?);
                (o1 * o2, i1 * i2)
            }
        })
    }

    /// The same change with its rows `[O]` and columns `[I]` multiplied.
    ///
    /// # Errors
    /// Those of the tensor library.
    pub fn scaled(&self, rows: Option<&Tensor>, columns: Option<&Tensor>) -> Result<Self> {
        let times = |old: &Option<Tensor>, new: Option<&Tensor>| -> Result<Option<Tensor>> {
            Ok(match (old, new) {
                (Some(old), Some(new)) => Some((old * new)?),
                (old, new) => old.as_ref().or(new).cloned(),
            })
        };
        Ok(match self {
            Self::LowRank(pair) => Self::LowRank(pair.scaled(rows, columns)?),
            Self::Hadamard([first, second]) => {
                Self::Hadamard([first.scaled(rows, columns)?, second.clone()])
            }
            Self::Kronecker {
                left,
                right,
                rows: old_rows,
                columns: old_columns,
            } => Self::Kronecker {
                left: left.clone(),
                right: right.clone(),
                rows: times(old_rows, rows)?,
                columns: times(old_columns, columns)?,
            },
        })
    }

    /// The rows `from..from + count` of the change, `[count, I]`.
    ///
    /// # Errors
    /// Those of the tensor library.
    pub fn rows(&self, from: usize, count: usize) -> Result<Tensor> {
        match self {
            Self::LowRank(pair) => pair.rows(from, count),
            Self::Hadamard([first, second]) => {
                Ok((first.rows(from, count)? * second.rows(from, count)?)?)
            }
            Self::Kronecker {
                left,
                right,
                rows,
                columns,
            } => {
                // Row `p O_2 + q` is row `p` of `left` with every entry replaced by it times row `q`.
                let ((_, i1), (o2, i2)) = (left.dims2()?, right.dims2()?);
                let (first, last) = (from / o2, (from + count).div_ceil(o2));
                let left = left.narrow(0, first, last - first)?;
                let left = left.reshape((last - first, 1, i1, 1))?;
                let whole = left.broadcast_mul(&right.reshape((1, o2, 1, i2))?)?;
                let whole = whole.reshape(((last - first) * o2, i1 * i2))?;
                let part = whole.narrow(0, from - first * o2, count)?;
                let rows = rows
                    .as_ref()
                    .map(|r| r.narrow(0, from, count))
                    .transpose()?;
                scale_columns(&scale_rows(&part, rows.as_ref())?, columns.as_ref())
            }
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
            Self::Kronecker {
                left,
                right,
                rows,
                columns,
            } => {
                let x = scale_columns(x, columns.as_ref())?;
                scale_columns(&kronecker(left, right, &x)?, rows.as_ref())
            }
        }
    }

    fn to(&self, device: &Device, dtype: DType) -> Result<Self> {
        let maybe = |x: &Option<Tensor>| -> Result<Option<Tensor>> {
            x.as_ref().map(|x| moved(x, device, dtype)).transpose()
        };
        Ok(match self {
            Self::LowRank(pair) => Self::LowRank(pair.to(device, dtype)?),
            Self::Hadamard([first, second]) => {
                Self::Hadamard([first.to(device, dtype)?, second.to(device, dtype)?])
            }
            Self::Kronecker {
                left,
                right,
                rows,
                columns,
            } => Self::Kronecker {
                left: moved(left, device, dtype)?,
                right: moved(right, device, dtype)?,
                rows: maybe(rows)?,
                columns: maybe(columns)?,
            },
        })
    }
}

/// An entry-wise product of two low-rank matrices is one of the product of their ranks, whose factors
/// are quickly made. Where that rank is too large, blocks of the matrix itself are cheaper.
fn hadamard(
    [first, second]: &[LowRank; 2],
    x: &Tensor,
    (outputs, inputs): (usize, usize),
) -> Result<Tensor> {
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
    let pieces = pieces(outputs, inputs).map(|(from, count)| {
        let rows = (first.rows(from, count)? * second.rows(from, count)?)?;
        linear(x, &rows, None)
    });
    let pieces: Vec<Tensor> = pieces.collect::<Result<_>>()?;
    Ok(Tensor::cat(&pieces, x.rank() - 1)?)
}

/// With the last axis of `x` read as a matrix `X` `[I_1, I_2]`, the product is `L X R^T` `[O_1, O_2]`.
fn kronecker(left: &Tensor, right: &Tensor, x: &Tensor) -> Result<Tensor> {
    let ((o1, i1), (o2, i2)) = (left.dims2()?, right.dims2()?);
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
    Ok(y.reshape(shape)?)
}

impl WeightChange {
    /// True if nothing is changed.
    pub fn is_none(&self) -> bool {
        self.deltas.is_empty() && !self.scales()
    }

    /// True if the weight itself is multiplied.
    pub fn scales(&self) -> bool {
        self.rows.is_some() || self.columns.is_some()
    }

    /// Adds another change of the same weight. The order does not matter: every change is one of the
    /// weight as it was.
    ///
    /// # Errors
    /// Those of the tensor library.
    pub fn add(&mut self, other: Self) -> Result<()> {
        for (mine, theirs) in [
            (&mut self.rows, other.rows),
            (&mut self.columns, other.columns),
        ] {
            *mine = match (mine.take(), theirs) {
                (Some(mine), Some(theirs)) => Some((mine + theirs)?),
                (mine, theirs) => mine.or(theirs),
            };
        }
        self.deltas.extend(other.deltas);
        Ok(())
    }

    /// The changed weight.
    ///
    /// # Shapes
    /// - `weight`: `[O, ..]` in f32, further axes counting as columns; returns the same
    ///
    /// # Errors
    /// Those of the tensor library.
    pub fn merged(&self, weight: &Tensor) -> Result<Tensor> {
        let outputs = weight.dim(0)?;
        let here = self.to(weight.device(), DType::F32)?;
        let whole = weight.reshape((outputs, ()))?;
        let mut changed = whole.clone();
        if let Some(rows) = &here.rows {
            changed = (changed + scale_rows(&whole, Some(rows))?)?;
        }
        if let Some(columns) = &here.columns {
            changed = (changed + scale_columns(&whole, Some(columns))?)?;
        }
        for delta in &here.deltas {
            changed = (changed + delta.rows(0, outputs)?)?;
        }
        Ok(changed.reshape(weight.shape())?)
    }

    /// The change as a layer holds it: on its device, deltas in its type, scales in f32, all low-rank
    /// pairs in one.
    ///
    /// # Errors
    /// Those of the tensor library; [`Error::Shape`] unless it is a change of `[O, I]`.
    pub fn for_layer(&self, dims: (usize, usize), device: &Device, dtype: DType) -> Result<Self> {
        let mut ours = self.to(device, dtype)?;
        let fits = |x: &Option<Tensor>, len| x.as_ref().is_none_or(|x| x.dims() == [len]);
        let mut misfit = !fits(&ours.rows, dims.0) || !fits(&ours.columns, dims.1);
        for delta in &ours.deltas {
            misfit |= delta.dims()? != dims;
        }
        if misfit {
            let required = format!("[{}, {}]", dims.0, dims.1);
            return Err(Error::shape("a change of a layer", required, "another"));
        }
        let (mut a, mut b, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for delta in ours.deltas {
            match delta {
                WeightDelta::LowRank(pair) => {
                    a.push(pair.a);
                    b.push(pair.b);
                }
                other => others.push(other),
            }
        }
        if !a.is_empty() {
            let (a, b) = (Tensor::cat(&a, 0)?, Tensor::cat(&b, 1)?.contiguous()?);
            others.insert(0, WeightDelta::LowRank(LowRank { a, b }));
        }
        ours.deltas = others;
        Ok(ours)
    }

    fn to(&self, device: &Device, dtype: DType) -> Result<Self> {
        let maybe = |x: &Option<Tensor>| -> Result<Option<Tensor>> {
            x.as_ref().map(|x| moved(x, device, DType::F32)).transpose()
        };
        let deltas = self.deltas.iter().map(|delta| delta.to(device, dtype));
        Ok(Self {
            rows: maybe(&self.rows)?,
            columns: maybe(&self.columns)?,
            deltas: deltas.collect::<Result<_>>()?,
        })
    }

    /// The product with the weight under the factors of its rows and columns, no deltas, no bias, in
    /// the type of `x`.
    ///
    /// # Shapes
    /// - `x`: `[.., I]`; `product`: `x` to `x W^T`; returns `[.., O]`
    ///
    /// # Errors
    /// Those of `product` and the tensor library.
    pub fn scaled_product(
        &self,
        x: &Tensor,
        product: impl Fn(&Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        // In f32: a factor near 1 has only eight bits in bf16, the same for a whole row.
        let wide = |y: &Tensor| -> Result<Tensor> { Ok(y.to_dtype(DType::F32)?) };
        let times = |y: &Tensor, factors: &Tensor| scale_columns(&wide(y)?, Some(factors));
        let narrow = |y: Tensor| -> Result<Tensor> { Ok(y.to_dtype(x.dtype())?) };
        match (&self.rows, &self.columns) {
            (None, None) => product(x),
            (Some(rows), None) => narrow(times(&product(x)?, &(rows + 1.0)?)?),
            (None, Some(columns)) => product(&narrow(times(x, &(columns + 1.0)?)?)?),
            (Some(rows), Some(columns)) => {
                let by_rows = times(&product(x)?, &(rows + 1.0)?)?;
                let by_columns = product(&narrow(times(x, columns)?)?)?;
                narrow((by_rows + wide(&by_columns)?)?)
            }
        }
    }

    /// `y` and what the deltas add to it.
    ///
    /// # Shapes
    /// - `y`: `[.., O]`, `x`: `[.., I]`; returns `[.., O]` in the type of `y`
    ///
    /// # Errors
    /// Those of the tensor library.
    pub fn add_deltas(&self, y: Tensor, x: &Tensor) -> Result<Tensor> {
        self.deltas.iter().try_fold(y, |y, delta| {
            let x = x.to_dtype(delta.dtype())?;
            Ok((&y + delta.forward(&x)?.to_dtype(y.dtype())?)?)
        })
    }

    /// Factors `[O]` or `[I]` that bring the rows or columns of `weight` plus the deltas to given
    /// lengths, the magnitudes of a DoRA.
    ///
    /// # Shapes
    /// - `weight`: `[O, ..]` in f32 on the CPU, like the deltas; `magnitudes`: `[O]` of rows, or of columns, one for every run of
    ///   as many columns as an input channel has
    ///
    /// # Errors
    /// Those of the tensor library.
    pub fn to_magnitudes(
        &self,
        weight: &Tensor,
        magnitudes: &Tensor,
        of_rows: bool,
    ) -> Result<Tensor> {
        let outputs = weight.dim(0)?;
        let weight = weight.reshape((outputs, ()))?;
        let inputs = weight.dim(1)?;
        let magnitudes: Vec<f32> = magnitudes.flatten_all()?.to_vec1()?;
        // Columns that share a magnitude: those of one input channel.
        let run = if of_rows {
            1
        } else {
            inputs / magnitudes.len()
        };
        let mut squares = vec![0.0; magnitudes.len()];
        for (from, count) in pieces(outputs, inputs) {
            let mut rows = weight.narrow(0, from, count)?;
            for delta in &self.deltas {
                rows = (rows + delta.rows(from, count)?)?;
            }
            let values: Vec<f32> = rows.flatten_all()?.to_vec1()?;
            if of_rows {
                let rows = values.par_chunks(inputs);
                let rows = rows.zip(squares.par_iter_mut().skip(from).take(count));
                rows.for_each(|(row, square)| *square = row.iter().map(|v| square_of(*v)).sum());
            } else {
                let channels = squares.par_iter_mut().enumerate();
                channels.for_each(|(channel, square)| {
                    for row in values.chunks_exact(inputs) {
                        let of_channel = row.iter().skip(channel * run).take(run);
                        *square += of_channel.map(|v| square_of(*v)).sum::<f64>();
                    }
                });
            }
        }
        let factor = |(magnitude, square): (&f32, &f64)| match square.sqrt() {
            // What is nothing has no direction and stays.
            0.0 => 1.0,
            length => (f64::from(*magnitude) / length) as f32,
        };
        let factors = magnitudes.iter().zip(&squares).map(factor);
        let factors: Vec<f32> = factors.flat_map(|f| std::iter::repeat_n(f, run)).collect();
        Ok(Tensor::new(factors, &Device::Cpu)?)
    }
}

impl WeightDelta {
    fn dtype(&self) -> DType {
        match self {
            Self::LowRank(pair) | Self::Hadamard([pair, _]) => pair.a.dtype(),
            Self::Kronecker { left, .. } => left.dtype(),
        }
    }
}

/// Runs of rows, `(first, count)`, of at most [`PIECE`] numbers or one row.
fn pieces(outputs: usize, inputs: usize) -> impl Iterator<Item = (usize, usize)> {
    let step = (PIECE / inputs.max(1)).max(1);
    (0..outputs)
        .step_by(step)
        .map(move |from| (from, step.min(outputs - from)))
}

fn moved(x: &Tensor, device: &Device, dtype: DType) -> Result<Tensor> {
    Ok(x.to_device(device)?.to_dtype(dtype)?.contiguous()?)
}

fn square_of(value: f32) -> f64 {
    f64::from(value) * f64::from(value)
}

/// Every row of a matrix times its own factor.
fn scale_rows(x: &Tensor, rows: Option<&Tensor>) -> Result<Tensor> {
    Ok(match rows {
        Some(rows) => x.broadcast_mul(&rows.unsqueeze(1)?)?,
        None => x.clone(),
    })
}

/// Every entry of the last axis times its own factor.
fn scale_columns(x: &Tensor, columns: Option<&Tensor>) -> Result<Tensor> {
    Ok(match columns {
        Some(columns) => x.broadcast_mul(columns)?,
        None => x.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Init;

    fn random(shape: &[usize], seed: u64) -> Result<Tensor> {
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

    fn close(a: &Tensor, b: &Tensor) -> Result<bool> {
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
            WeightDelta::Kronecker { left, right, .. } => {
                let (m, n) = (rows(left)?, rows(right)?);
                let (o2, i2) = right.dims2()?;
                Box::new(move |o, i| m[o / o2][i / i2] * n[o % o2][i % i2])
            }
        };
        let values: Vec<f32> = (0..outputs * inputs)
            .map(|at| entry(at / inputs, at % inputs))
            .collect();
        Ok(Tensor::from_vec(values, (outputs, inputs), &Device::Cpu)?)
    }

    fn deltas() -> Result<Vec<WeightDelta>> {
        let dims = (12, 20);
        let kronecker = |left: [usize; 2], right: [usize; 2]| -> Result<WeightDelta> {
            Ok(WeightDelta::Kronecker {
                left: random(&left, 11)?,
                right: random(&right, 12)?,
                rows: None,
                columns: None,
            })
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
    fn scales_and_deltas_act_on_tokens_as_in_the_weight() -> Result<()> {
        let (weight, x) = (random(&[12, 20], 1)?, random(&[2, 7, 20], 2)?);
        let (by_row, by_column) = (random(&[12], 21)?, random(&[20], 22)?);
        for (rows, columns) in [(true, false), (false, true), (true, true), (false, false)] {
            let mut change = WeightChange::default();
            for delta in deltas()? {
                let one = WeightChange {
                    rows: rows.then(|| by_row.clone()),
                    columns: columns.then(|| by_column.clone()),
                    deltas: vec![delta],
                };
                change.add(one)?;
            }
            let expected = linear(&x, &change.merged(&weight)?, None)?;
            let held = change.for_layer((12, 20), &Device::Cpu, DType::F32)?;
            assert_eq!(held.deltas.len(), 5);
            let y = held.scaled_product(&x, |x| linear(x, &weight, None))?;
            assert!(close(&held.add_deltas(y, &x)?, &expected)?);
        }
        assert!(WeightChange::default().is_none());
        Ok(())
    }

    #[test]
    fn magnitudes_are_the_lengths_of_rows_or_of_channels() -> Result<()> {
        let weight = random(&[12, 5, 4], 1)?;
        let change = WeightChange {
            deltas: deltas()?,
            ..WeightChange::default()
        };
        let changed = change.merged(&weight)?;
        for of_rows in [true, false] {
            let magnitudes = random(&[if of_rows { 12 } else { 5 }], 3)?.abs()?;
            let factors = change.to_magnitudes(&weight, &magnitudes, of_rows)?;
            let lengths = if of_rows {
                let scaled = changed
                    .reshape((12, 20))?
                    .broadcast_mul(&factors.unsqueeze(1)?)?;
                scaled.sqr()?.sum(1)?.sqrt()?
            } else {
                let scaled = changed.reshape((12, 20))?.broadcast_mul(&factors)?;
                scaled.reshape((12, 5, 4))?.sqr()?.sum((0, 2))?.sqrt()?
            };
            assert!(close(&lengths, &magnitudes)?, "rows {of_rows}");
        }
        // A row of nothing stays as it is.
        let none = WeightChange::default();
        let factors = none.to_magnitudes(&weight.zeros_like()?, &random(&[12], 4)?, true)?;
        assert!(
            factors
                .to_vec1::<f32>()?
                .iter()
                .all(|factor| *factor == 1.0)
        );
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

    #[test]
    fn a_change_of_another_weight_is_refused() -> Result<()> {
        let change = WeightChange {
            deltas: deltas()?,
            ..WeightChange::default()
        };
        for dims in [(12, 21), (13, 20)] {
            assert!(change.for_layer(dims, &Device::Cpu, DType::F32).is_err());
        }
        let rows = WeightChange {
            rows: Some(random(&[11], 1)?),
            ..WeightChange::default()
        };
        assert!(rows.for_layer((12, 20), &Device::Cpu, DType::F32).is_err());
        Ok(())
    }
}

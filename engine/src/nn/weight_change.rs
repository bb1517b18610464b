//! All that happens to a linear layer's weight: what is added to it, and factors of its rows and columns.
//!
//! A DoRA (arXiv 2402.09353) brings the rows or columns of the changed weight to lengths of its own.

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use super::weight_delta::{moved, pieces, scale_columns, scale_rows};
use super::{LowRank, WeightDelta};
use crate::{Error, Result};

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
            let dims = ours
                .deltas
                .iter()
                .map(WeightDelta::dims)
                .collect::<Result<Vec<_>>>()?;
            let scales = [&ours.rows, &ours.columns].map(|x| x.as_ref().map(Tensor::elem_count));
            return Err(Error::shape(
                "a change of a layer",
                required,
                (dims, scales),
            ));
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
    /// - `weight`: `[O, ..]` in f32 on the CPU, like the deltas
    /// - `magnitudes`: `[O]` of rows, or one for every run of as many columns as an input channel has
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

fn square_of(value: f32) -> f64 {
    f64::from(value) * f64::from(value)
}

#[cfg(test)]
mod tests {
    use super::super::linear;
    use super::super::weight_delta::tests::{close, deltas, random};
    use super::*;

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

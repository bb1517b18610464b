//! Updates of variables in place: running averages and the step of AdamW.

use candle_core::{CpuStorage, Error, InplaceOp2, InplaceOp3, Layout, Result, Tensor};
use rayon::prelude::*;

use super::rows::rows_per_piece;
use super::simd::{sum, vectorised};
use super::tensor_data::{read, values};

/// What a running average is taken of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Power {
    /// The values.
    One,
    /// Their squares.
    Two,
}

/// `average = keep * average + (1 - keep) * (scale * x)^power`.
pub(crate) struct Blend {
    /// Share of the old average.
    pub(crate) keep: f32,
    /// Factor of the values.
    pub(crate) scale: f32,
    /// Values or squares.
    pub(crate) power: Power,
}

/// `p = keep * p - rate * m / (root_correction * sqrt(v) + eps)`.
pub(crate) struct Descend {
    /// One minus decay times learning rate.
    pub(crate) keep: f32,
    /// Learning rate with the first moment's bias correction.
    pub(crate) rate: f32,
    /// `1 / sqrt(1 - beta2^t)`.
    pub(crate) root_correction: f32,
    /// Guards the division.
    pub(crate) eps: f32,
}

impl InplaceOp2 for Blend {
    fn name(&self) -> &'static str {
        "blend"
    }

    fn cpu_fwd(
        &self,
        average: &mut CpuStorage,
        average_layout: &Layout,
        x: &CpuStorage,
        x_layout: &Layout,
    ) -> Result<()> {
        let x = values(x, x_layout)?;
        let piece = rows_per_piece(1);
        values_mut(average, average_layout)?
            .par_chunks_mut(piece)
            .zip(x.par_chunks(piece))
            .for_each(|(average, x)| {
                vectorised(
                    #[inline(always)]
                    || self.blend(average, x),
                );
            });
        Ok(())
    }
}

impl Blend {
    #[inline(always)]
    fn blend(&self, average: &mut [f32], x: &[f32]) {
        let rest = 1.0 - self.keep;
        for (a, x) in average.iter_mut().zip(x) {
            let x = self.scale * x;
            let x = if self.power == Power::Two { x * x } else { x };
            *a = self.keep * *a + rest * x;
        }
    }
}

impl InplaceOp3 for Descend {
    fn name(&self) -> &'static str {
        "descend"
    }

    fn cpu_fwd(
        &self,
        p: &mut CpuStorage,
        p_layout: &Layout,
        m: &CpuStorage,
        m_layout: &Layout,
        v: &CpuStorage,
        v_layout: &Layout,
    ) -> Result<()> {
        let (m, v) = (values(m, m_layout)?, values(v, v_layout)?);
        let piece = rows_per_piece(1);
        values_mut(p, p_layout)?
            .par_chunks_mut(piece)
            .zip(m.par_chunks(piece))
            .zip(v.par_chunks(piece))
            .for_each(|((p, m), v)| {
                vectorised(
                    #[inline(always)]
                    || self.descend(p, m, v),
                );
            });
        Ok(())
    }
}

impl Descend {
    #[inline(always)]
    fn descend(&self, p: &mut [f32], m: &[f32], v: &[f32]) {
        for ((p, m), v) in p.iter_mut().zip(m).zip(v) {
            *p = self.keep * *p - self.rate * m / (self.root_correction * v.sqrt() + self.eps);
        }
    }
}

/// Sum of the squares of a contiguous f32 tensor in main memory.
pub(crate) fn sum_of_squares(x: &Tensor) -> Result<f64> {
    let x = read(x)?;
    let partial: Vec<f32> = x
        .par_chunks(rows_per_piece(1))
        .map(|x| {
            vectorised(
                #[inline(always)]
                || sum(x, |x| x * x),
            )
        })
        .collect();
    Ok(partial.into_iter().map(f64::from).sum())
}

fn values_mut<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&mut values[start..end]),
        _ => Err(Error::msg("an update in place needs contiguous f32 values")),
    }
}

//! Rotation of interleaved pairs by a token's angles.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::rows::for_rows;
use super::simd::vectorised;
use super::tensor_data::{read, tensor_like, values};

/// Rotates `(x[2i], x[2i+1])` of `x` `[R, N, A, D]`; the gradient is rotated back.
pub(crate) struct Rope {
    /// `[N, D / 2]`.
    pub(crate) cos: Tensor,
    /// `[N, D / 2]`.
    pub(crate) sin: Tensor,
}

impl Rope {
    /// `direction` is 1 forwards and -1 back.
    fn rotate(
        &self,
        x: &[f32],
        dims: (usize, usize, usize, usize),
        direction: f32,
    ) -> Result<Vec<f32>> {
        let (_, n, a, d) = dims;
        let (cos, sin) = (read(&self.cos)?, read(&self.sin)?);
        if cos.len() != n * d / 2 || sin.len() != n * d / 2 {
            candle_core::bail!("rope of {n} tokens of width {d}: table of {}", cos.len());
        }
        let (cos, sin) = (&*cos, &*sin);
        let mut y = vec![0.0; x.len()];
        for_rows(&mut y, a * d, |first, y| {
            for (i, y) in y.chunks_exact_mut(a * d).enumerate() {
                let token = (first + i) % n;
                let cos = &cos[token * d / 2..][..d / 2];
                let sin = &sin[token * d / 2..][..d / 2];
                let x = &x[(first + i) * a * d..][..a * d];
                vectorised(
                    #[inline(always)]
                    || {
                        for (y, x) in y.chunks_exact_mut(d).zip(x.chunks_exact(d)) {
                            rotate_head(x, cos, sin, direction, y);
                        }
                    },
                );
            }
        });
        Ok(y)
    }
}

/// Rotates the pairs of one head by `direction` times its angles.
#[inline(always)]
pub(super) fn rotate_head(x: &[f32], cos: &[f32], sin: &[f32], direction: f32, y: &mut [f32]) {
    let (xs, _) = x.as_chunks::<2>();
    let (ys, _) = y.as_chunks_mut::<2>();
    for (((y, x), c), s) in ys.iter_mut().zip(xs).zip(cos).zip(sin) {
        let s = direction * s;
        *y = [x[0] * c - x[1] * s, x[0] * s + x[1] * c];
    }
}

impl CustomOp1 for Rope {
    fn name(&self) -> &'static str {
        "rope"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let shape = layout.shape();
        let y = self.rotate(values(x, layout)?, shape.dims4()?, 1.0)?;
        Ok((CpuStorage::F32(y), shape.clone()))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let dx = self.rotate(&read(&grad)?, x.dims4()?, -1.0)?;
        Ok(Some(tensor_like(dx, x)?))
    }
}

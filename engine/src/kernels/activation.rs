//! Pointwise activations with vectorised exponentials.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::rows::for_rows;
use super::simd::{erfc, exp, sigmoid, vectorised};
use super::tensor_data::{read, tensor_like, values};

/// A pointwise function of any shape.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Activation {
    /// `x sigmoid(x)`.
    Silu,
    /// `x sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3))`, which is GELU's tanh approximation.
    GeluTanh,
    /// `x (1 + erf(x / sqrt(2))) / 2`.
    GeluErf,
}

/// `2 sqrt(2 / pi)`.
const GELU_SLOPE: f32 = 1.595_769_1;
const GELU_CUBE: f32 = 0.044_715;

impl Activation {
    #[inline(always)]
    fn value(self, x: f32) -> f32 {
        match self {
            Self::Silu => x * sigmoid(x),
            Self::GeluTanh => x * sigmoid(GELU_SLOPE * (GELU_CUBE * x * x).mul_add(x, x)),
            Self::GeluErf => x * gauss(x),
        }
    }

    #[inline(always)]
    fn slope(self, x: f32) -> f32 {
        match self {
            Self::Silu => {
                let s = sigmoid(x);
                s * x.mul_add(1.0 - s, 1.0)
            }
            Self::GeluTanh => {
                let s = sigmoid(GELU_SLOPE * (GELU_CUBE * x * x).mul_add(x, x));
                let inner = GELU_SLOPE * (3.0 * GELU_CUBE * x).mul_add(x, 1.0);
                s * (x * inner).mul_add(1.0 - s, 1.0)
            }
            Self::GeluErf => {
                let density = 0.398_942_28 * exp(-0.5 * x * x);
                x.mul_add(density, gauss(x))
            }
        }
    }

    /// `y = f(x)`; the match is outside the loop so that each loop vectorises.
    pub(super) fn values(self, x: &[f32], y: &mut [f32]) {
        match self {
            Self::Silu => map(
                x,
                y,
                #[inline(always)]
                |x| Self::Silu.value(x),
            ),
            Self::GeluTanh => map(
                x,
                y,
                #[inline(always)]
                |x| Self::GeluTanh.value(x),
            ),
            Self::GeluErf => map(
                x,
                y,
                #[inline(always)]
                |x| Self::GeluErf.value(x),
            ),
        }
    }

    /// `dx = f'(x)`.
    fn slopes(self, x: &[f32], dx: &mut [f32]) {
        match self {
            Self::Silu => map(
                x,
                dx,
                #[inline(always)]
                |x| Self::Silu.slope(x),
            ),
            Self::GeluTanh => map(
                x,
                dx,
                #[inline(always)]
                |x| Self::GeluTanh.slope(x),
            ),
            Self::GeluErf => map(
                x,
                dx,
                #[inline(always)]
                |x| Self::GeluErf.slope(x),
            ),
        }
    }
}

impl CustomOp1 for Activation {
    fn name(&self) -> &'static str {
        "activation"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = values(x, layout)?;
        let mut y = vec![0.0; x.len()];
        for_rows(&mut y, 1, |first, y| {
            self.values(&x[first..first + y.len()], y);
        });
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let mut dx = vec![0.0; x.elem_count()];
        {
            let (x, grad) = (read(x)?, read(&grad)?);
            let (x, grad) = (&*x, &*grad);
            for_rows(&mut dx, 1, |first, dx| {
                self.slopes(&x[first..first + dx.len()], dx);
                dx.iter_mut()
                    .zip(&grad[first..])
                    .for_each(|(dx, grad)| *dx *= grad);
            });
        }
        Ok(Some(tensor_like(dx, x)?))
    }
}

/// The normal distribution function.
#[inline(always)]
fn gauss(x: f32) -> f32 {
    0.5 * erfc(-std::f32::consts::FRAC_1_SQRT_2 * x)
}

fn map(x: &[f32], y: &mut [f32], f: impl Fn(f32) -> f32) {
    vectorised(
        #[inline(always)]
        || {
            for (y, x) in y.iter_mut().zip(x) {
                *y = f(*x);
            }
        },
    );
}

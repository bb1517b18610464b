//! Features from one branch to the other and back.

use candle_core::Tensor;

use crate::nn::{Init, Linear, Weights};
use crate::{Error, Result};

/// `x_rgb + L(x_xyz)` and `x_xyz + L'(x_rgb)`: One4D (arXiv 2511.18922) eq. (9).
#[derive(Clone, Debug)]
pub struct ControlLink {
    rgb_from_xyz: Linear,
    xyz_from_rgb: Linear,
}

impl ControlLink {
    /// Reads `rgb_from_xyz` and `xyz_from_rgb`, each `weight` `[E, E]` and, where the file has one,
    /// `bias` `[E]`. Weights start at zero, so a fresh link leaves both branches as they were.
    pub fn new(width: usize, weights: &Weights) -> Result<Self> {
        let linear = |name: &str| -> Result<Linear> {
            let weights = weights.pp(name);
            let bias = match weights.shape("bias") {
                Some(_) => Some(weights.get(&[width], "bias", Init::Const(0.0))?),
                None => None,
            };
            Ok(Linear {
                weight: weights.get(&[width, width], "weight", Init::Const(0.0))?,
                bias,
            })
        };
        Ok(Self {
            rgb_from_xyz: linear("rgb_from_xyz")?,
            xyz_from_rgb: linear("xyz_from_rgb")?,
        })
    }

    /// Exchanges features; both branches are read before either is written.
    ///
    /// # Shapes
    /// - `x`: `[2 R, N, E]`, RGB rows first, then XYZ rows; returns the same
    ///
    /// # Errors
    /// [`Error::Shape`] for an odd number of rows.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (rows, _tokens, _width) = x.dims3()?;
        if rows % 2 != 0 {
            return Err(Error::shape(
                "rows of both branches",
                "an even number",
                rows,
            ));
        }
        let (rgb, xyz) = (x.narrow(0, 0, rows / 2)?, x.narrow(0, rows / 2, rows / 2)?);
        let send = |link: &Linear, from: &Tensor| -> Result<Tensor> {
            let from = from.to_dtype(link.weight.dtype())?;
            Ok(link.forward(&from)?.to_dtype(x.dtype())?)
        };
        let message = Tensor::cat(
            &[
                send(&self.rgb_from_xyz, &xyz)?,
                send(&self.xyz_from_rgb, &rgb)?,
            ],
            0,
        )?; // [2 R, N, E]
        Ok((x + message)?)
    }
}

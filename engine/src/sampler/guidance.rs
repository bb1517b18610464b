//! Classifier-free guidance.

use candle_core::Tensor;

use crate::{Error, Result};

/// `v_uncond + g (v_cond - v_uncond)`; a single row is returned as it is.
///
/// # Shapes
/// - `velocity`: `[R, C, T', H', W']`, conditional row first, `R` 1 or 2
/// - returns `[1, C, T', H', W']`
///
/// # Errors
/// [`Error::Shape`] for another number of rows.
pub fn guided(velocity: &Tensor, scale: f64) -> Result<Tensor> {
    let (rows, ..) = velocity.dims5()?;
    match rows {
        1 => Ok(velocity.clone()),
        2 => {
            let (cond, uncond) = (velocity.narrow(0, 0, 1)?, velocity.narrow(0, 1, 1)?);
            Ok(((cond - &uncond)?.affine(scale, 0.0)? + uncond)?)
        }
        rows => Err(Error::shape("guidance", "1 or 2 rows of velocities", rows)),
    }
}

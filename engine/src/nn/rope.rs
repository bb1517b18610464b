//! Rotary position embedding over three axes, interleaved pairs.

use candle_core::{DType, Device, Tensor};

use crate::Result;

/// Cosines and sines of every token.
#[derive(Clone, Debug)]
pub struct RopeTable {
    /// `[N, D / 2]`, f32.
    pub cos: Tensor,
    /// `[N, D / 2]`, f32.
    pub sin: Tensor,
}

impl RopeTable {
    /// The table of a grid of `t * h * w` tokens, w fastest.
    ///
    /// `D / 2` complex numbers split into t, h, w as `D/2 - 2 * (D/6)`, `D/6`, `D/6`; each axis has
    /// its own denominator. Built in f64: Wan-Video/Wan2.1 `wan/modules/model.py` `rope_params`.
    ///
    /// # Shapes
    /// - `grid`: tokens along t, h, w; `head_dim`: `D`, even
    pub fn grid(grid: [usize; 3], head_dim: usize, theta: f64, device: &Device) -> Result<Self> {
        let spatial = head_dim / 6;
        let splits = [head_dim / 2 - 2 * spatial, spatial, spatial];
        let frequencies: Vec<Vec<f64>> = splits
            .iter()
            .map(|&n| (0..n).map(|i| theta.powf(-(i as f64) / n as f64)).collect())
            .collect();
        let tokens: usize = grid.iter().product();
        let mut angles = Vec::with_capacity(tokens * head_dim / 2);
        for t in 0..grid[0] {
            for h in 0..grid[1] {
                for w in 0..grid[2] {
                    for (position, axis) in [t, h, w].into_iter().zip(&frequencies) {
                        angles.extend(axis.iter().map(|f| position as f64 * f));
                    }
                }
            }
        }
        let table = |f: fn(f64) -> f64| -> Result<Tensor> {
            let values: Vec<f32> = angles.iter().map(|&a| f(a) as f32).collect();
            Ok(Tensor::from_vec(values, (tokens, head_dim / 2), device)?)
        };
        Ok(Self {
            cos: table(f64::cos)?,
            sin: table(f64::sin)?,
        })
    }
}

/// Rotates interleaved pairs `(x[2i], x[2i+1])` of every head by the token's angles, in f32.
///
/// # Shapes
/// - `x`: `[R, N, A, D]`; returns `[R, N, A, D]`
pub fn apply_rope(x: &Tensor, table: &RopeTable) -> Result<Tensor> {
    let (r, n, a, d) = x.dims4()?;
    let pairs = x.to_dtype(DType::F32)?.reshape((r, n, a, d / 2, 2))?; // [R, N, A, D/2, 2]
    let (re, im) = (pairs.narrow(4, 0, 1)?, pairs.narrow(4, 1, 1)?);
    let cos = table.cos.reshape((1, n, 1, d / 2, 1))?;
    let sin = table.sin.reshape((1, n, 1, d / 2, 1))?;
    let rotated_re = (re.broadcast_mul(&cos)? - im.broadcast_mul(&sin)?)?;
    let rotated_im = (re.broadcast_mul(&sin)? + im.broadcast_mul(&cos)?)?;
    let rotated = Tensor::cat(&[rotated_re, rotated_im], 4)?; // [R, N, A, D/2, 2]
    Ok(rotated.reshape((r, n, a, d))?.to_dtype(x.dtype())?)
}

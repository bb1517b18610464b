//! Rotary position embedding over three axes, interleaved pairs.

use candle_core::{Device, Tensor};

use super::composed;
use crate::{
    Error, Result,
    kernels::{self, rope::Rope},
};

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
    let (_r, n, _a, d) = x.dims4()?;
    if table.cos.dims() != [n, d / 2] || table.sin.dims() != [n, d / 2] {
        let required = format!("[{n}, {}]", d / 2);
        return Err(Error::shape("rope table", required, table.cos.dims()));
    }
    if kernels::bf16::accept(&[x]) && kernels::without_gradient(&[&table.cos, &table.sin]) {
        let (cos, sin) = (table.cos.contiguous()?, table.sin.contiguous()?);
        return Ok(kernels::bf16::rowwise::rope(&x.contiguous()?, &cos, &sin)?);
    }
    if kernels::cuda::accept(&[x, &table.cos, &table.sin])
        && let Some(y) = kernels::cuda::rope(x, &table.cos, &table.sin)?
    {
        return Ok(y);
    }
    if !kernels::accept(&[x, &table.cos, &table.sin]) {
        return composed::apply_rope(x, table);
    }
    let op = Rope {
        cos: table.cos.contiguous()?,
        sin: table.sin.contiguous()?,
    };
    Ok(x.contiguous()?.apply_op1(op)?)
}

//! Convolution over time and space that never sees the future.
//!
//! The whole clip at once and the clip in pieces give the same result as long as each piece is told
//! the frames before it, which is what [`super::FrameCache`] keeps.

use candle_core::Tensor;

use super::{FrameCache, Init, Weights, composed};
use crate::{Error, Result, kernels};

/// Causal convolution with stride 1 that keeps the size of its input.
///
/// `y[t] = b + sum_d w[d] * x[t + d - (kt - 1)]`; space is padded with zeros on all sides, time on
/// the left only, by `past` as far as it reaches and by zeros before that. Kernel and semantics:
/// Wan-Video/Wan2.1 `wan/modules/vae.py` `CausalConv3d`.
///
/// # Shapes
/// - `x`: `[B, C, T, H, W]`
/// - `weight`: `[O, C, kt, k, k]`, `k` odd; `bias`: `[O]`
/// - `past`: `[B, C, P, H, W]`, the frames just before `x`, oldest first; of them the last `kt - 1`
///   are used
/// - returns `[B, O, T, H, W]`
///
/// # Errors
/// [`Error::Shape`] for a kernel that is not square or not odd in space.
pub fn causal_conv3d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    past: Option<&Tensor>,
) -> Result<Tensor> {
    let (b, c, _t, h, w) = x.dims5()?;
    let (_o, _c, kt, kh, kw) = weight.dims5()?;
    if kh != kw || kh % 2 == 0 {
        let required = "an odd square in space";
        return Err(Error::shape("convolution kernel", required, weight.dims()));
    }
    let arguments = [x, weight, bias.unwrap_or(x), past.unwrap_or(x)];
    if kernels::cuda::accept(&arguments)
        && let Some(y) = kernels::cuda::causal_conv3d(x, weight, bias, past)?
    {
        return Ok(y);
    }
    if !kernels::accept(&arguments) {
        return composed::causal_conv3d(x, weight, bias, past);
    }
    let mut op = kernels::causal_conv3d::CausalConv3d {
        leading: 0,
        past: None,
        scale: 1,
    };
    let mut x = x.contiguous()?;
    if let Some(past) = past {
        let known = past.dim(2)?.min(kt - 1);
        if past.track_op() {
            // An op has three arguments, so a past that learns travels in front of `x`.
            let past = past.narrow(2, past.dim(2)? - known, known)?;
            x = Tensor::cat(&[&past, &x], 2)?;
            op.leading = known;
        } else if past.dims() == [b, c, past.dim(2)?, h, w] {
            op.past = Some(past.contiguous()?);
        } else {
            let required = format!("[{b}, {c}, any, {h}, {w}]");
            return Err(Error::shape("past frames", required, past.dims()));
        }
    }
    let weight = weight.contiguous()?;
    Ok(match bias {
        Some(bias) => x.apply_op3(&weight, &bias.contiguous()?, op)?,
        None => x.apply_op2(&weight, op)?,
    })
}

/// A convolution of single frames after each pixel has become a square of `scale` x `scale`.
///
/// The enlarged picture never exists where no gradient is wanted.
///
/// # Shapes
/// - `x`: `[B, C, T, H, W]`; `weight`: `[O, C, 1, k, k]`, `k` odd; `bias`: `[O]`
/// - returns `[B, O, T, scale H, scale W]`
///
/// # Errors
/// As [`causal_conv3d`].
pub fn enlarging_conv(x: &Tensor, weight: &Tensor, bias: &Tensor, scale: usize) -> Result<Tensor> {
    if kernels::without_gradient(&[x, weight, bias]) && weight.dim(3)? % 2 == 1 {
        let op = kernels::causal_conv3d::CausalConv3d {
            leading: 0,
            past: None,
            scale,
        };
        let (weight, bias) = (weight.contiguous()?, bias.contiguous()?);
        return Ok(x.contiguous()?.apply_op3(&weight, &bias, op)?);
    }
    let (b, c, t, h, w) = x.dims5()?;
    let pixels = x.contiguous()?.reshape((b * c * t, h, 1, w, 1))?;
    let pixels = pixels.broadcast_as((b * c * t, h, scale, w, scale))?;
    let pixels = pixels.contiguous()?;
    let pixels = pixels.reshape((b, c, t, scale * h, scale * w))?; // [B, C, T, scale H, scale W]
    causal_conv3d(&pixels, weight, Some(bias), None)
}

/// A causal convolution with the checkpoint's names `weight` and `bias`.
#[derive(Clone, Debug)]
pub struct CausalConv3d {
    /// Name of the weight, which no other layer has: the layer's key in the cache.
    path: String,
    /// `[O, C, kt, k, k]`.
    weight: Tensor,
    /// `[O]`.
    bias: Tensor,
}

impl CausalConv3d {
    /// Reads `weight` `[out, in, kt, kh, kw]` and `bias` `[out]`; `kernel` is `[kt, kh, kw]`.
    pub fn new(
        in_channels: usize,
        out_channels: usize,
        kernel: [usize; 3],
        weights: &Weights,
    ) -> Result<Self> {
        let [kt, kh, kw] = kernel;
        let shape = [out_channels, in_channels, kt, kh, kw];
        Ok(Self {
            path: weights.path("weight"),
            weight: weights.get(&shape, "weight", Init::Kaiming)?,
            bias: weights.get(&[out_channels], "bias", Init::Const(0.0))?,
        })
    }

    /// The layer's key in the cache.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Convolves one piece of a clip and remembers its last frames for the next piece.
    ///
    /// # Shapes
    /// - `x`: `[B, C, T, H, W]`; returns `[B, O, T, H, W]`
    pub fn forward(&self, x: &Tensor, cache: &mut FrameCache) -> Result<Tensor> {
        let past = cache.past(&self.path);
        let y = causal_conv3d(x, &self.weight, Some(&self.bias), past)?;
        cache.push(&self.path, x, self.weight.dim(2)? - 1)?;
        Ok(y)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    fn ramp(shape: &[usize], step: f32) -> Result<Tensor> {
        let count: usize = shape.iter().product();
        let values: Vec<f32> = (0..count)
            .map(|i| ((i as f32 * step).sin() * 3.0).fract())
            .collect();
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
    }

    /// The definition, one product at a time.
    fn by_definition(x: &Tensor, weight: &Tensor) -> Result<Vec<f32>> {
        let (_, c, t, h, w) = x.dims5()?;
        let (o, _, kt, k, _) = weight.dims5()?;
        let (xs, ws) = (x.flatten_all()?.to_vec1::<f32>()?, weight.flatten_all()?);
        let ws = ws.to_vec1::<f32>()?;
        let mut out = Vec::new();
        for (oc, ti, hi, wi) in indices([o, t, h, w]) {
            let mut sum = 0.0;
            for (ci, dt, dh, dw) in indices([c, kt, k, k]) {
                let (Some(st), Some(sh), Some(sw)) = (
                    (ti + dt).checked_sub(kt - 1),
                    (hi + dh).checked_sub(k / 2).filter(|&i| i < h),
                    (wi + dw).checked_sub(k / 2).filter(|&i| i < w),
                ) else {
                    continue;
                };
                let tap = ws[((((oc * c) + ci) * kt + dt) * k + dh) * k + dw];
                sum += tap * xs[((ci * t + st) * h + sh) * w + sw];
            }
            out.push(sum);
        }
        Ok(out)
    }

    fn indices(n: [usize; 4]) -> impl Iterator<Item = (usize, usize, usize, usize)> {
        (0..n.iter().product()).map(move |i: usize| {
            let (i, d) = (i / n[3], i % n[3]);
            let (i, c) = (i / n[2], i % n[2]);
            (i / n[1], i % n[1], c, d)
        })
    }

    #[test]
    fn equals_its_definition() -> Result<()> {
        for kernel in [[3, 3, 3], [3, 1, 1], [1, 3, 3], [1, 1, 1]] {
            let x = ramp(&[1, 2, 4, 3, 5], 0.7)?;
            let weight = ramp(&[3, 2, kernel[0], kernel[1], kernel[2]], 1.3)?;
            let y = causal_conv3d(&x, &weight, None, None)?;
            let expected = by_definition(&x, &weight)?;
            for (a, b) in y.flatten_all()?.to_vec1::<f32>()?.iter().zip(&expected) {
                assert!((a - b).abs() < 1e-5, "{a} {b} with kernel {kernel:?}");
            }
        }
        Ok(())
    }

    #[test]
    fn enlarging_without_a_gradient_equals_enlarging_with_one() -> Result<()> {
        let x = ramp(&[2, 5, 2, 3, 4], 0.7)?;
        let (weight, bias) = (ramp(&[3, 5, 1, 3, 3], 1.3)?, ramp(&[3], 0.4)?);
        let fused = enlarging_conv(&x, &weight, &bias, 2)?;
        let learnt = candle_core::Var::from_tensor(&weight)?;
        let composed = enlarging_conv(&x, learnt.as_tensor(), &bias, 2)?;
        assert_eq!(fused.dims(), [2, 3, 2, 6, 8]);
        let worst = (fused - composed)?.abs()?.max_all()?.to_scalar::<f32>()?;
        assert!(worst < 1e-5, "{worst}");
        Ok(())
    }

    #[test]
    fn pieces_of_any_length_equal_the_whole() -> Result<()> {
        let x = ramp(&[2, 3, 9, 4, 4], 0.31)?;
        let map = [
            ("conv.weight".to_owned(), ramp(&[2, 3, 3, 3, 3], 0.9)?),
            ("conv.bias".to_owned(), ramp(&[2], 0.4)?),
        ];
        let weights = Weights::from_tensors(map.into(), "test", DType::F32, &Device::Cpu);
        let conv = CausalConv3d::new(3, 2, [3, 3, 3], &weights.pp("conv"))?;
        let whole = conv.forward(&x, &mut FrameCache::default())?;
        for plan in [[1, 4, 4], [1, 1, 7], [3, 2, 4], [8, 1, 0]] {
            let (mut cache, mut start, mut pieces) = (FrameCache::default(), 0, Vec::new());
            for frames in plan.into_iter().filter(|&n| n > 0) {
                pieces.push(conv.forward(&x.narrow(2, start, frames)?, &mut cache)?);
                start += frames;
            }
            let difference = (Tensor::cat(&pieces, 2)? - &whole)?.abs()?.max_all()?;
            assert!(difference.to_scalar::<f32>()? < 1e-5, "{plan:?}");
        }
        Ok(())
    }
}

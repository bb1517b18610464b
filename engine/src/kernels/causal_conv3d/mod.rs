//! Causal convolution over time and space as matrix products of shifted views.
//!
//! The clip is laid out once with channels last and a border of zeros. There, what one row of a
//! kernel sees at consecutive positions is one matrix with overlapping rows: row `i` starts `C`
//! values after row `i - 1` and is `k C` long. A convolution is a sum of `kt k` such products, with
//! nothing gathered; the two gradients are the same sum with the kernel mirrored, and its transpose.

mod correlate;
mod padded;

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use self::correlate::{Kernel, correlate};
use self::padded::{Frames, Padded, Place};
use super::matmul::{Held, MatMut, Parallelism, matmul};
use super::simd::{sum, vectorised};
use super::tensor_data::{read, tensor_like, values, wanted};

/// Side of the squares in which layouts are exchanged.
const SQUARE: usize = 16;

/// Convolution of `x` `[B, C, L + T, H, W]` by `weight` `[O, C, kt, k, k]` and a bias `[O]` or none.
///
/// The result is `[B, O, T, H, W]`. Frames before `x` are `past` and zeros before those.
pub(crate) struct CausalConv3d {
    /// `L`: frames of `x` that count as past.
    pub(crate) leading: usize,
    /// `[B, C, P, H, W]`; gets no gradient.
    pub(crate) past: Option<Tensor>,
    /// Side of the square that each pixel of `x` becomes before it is convolved; gradients take 1 only.
    pub(crate) scale: usize,
}

#[derive(Clone, Copy)]
struct Dims {
    b: usize,
    c: usize,
    o: usize,
    /// Frames of the result.
    t: usize,
    /// Of the result, as `w`.
    h: usize,
    w: usize,
    kt: usize,
    k: usize,
}

/// Gradient of the weight, `[O, C, kt, k, k]`; `grad` has `leading` empty frames before it.
fn weight_gradient(x: &Padded, grad: &Padded, leading: usize, dims: Dims) -> Vec<f32> {
    let Dims {
        b,
        c,
        o,
        t,
        h,
        w,
        kt,
        k,
    } = dims;
    let positions = x.positions(h, w);
    let row_len = k * c * o;
    let mut rows = vec![0.0; kt * k * row_len]; // [kt, k, k * C, O]
    for (i, row) in rows.chunks_exact_mut(row_len).enumerate() {
        let (dt, dh) = (i / k, i % k);
        for (batch, frame) in (0..b).flat_map(|b| (0..t).map(move |t| (b, t))) {
            let seen = x.view([batch, frame + dt, dh, 0], positions, k);
            // The border between the rows of `grad` is zero and cancels what wraps around.
            let grad = grad.view([batch, leading + frame, k / 2, k / 2], positions, 1);
            let dst = MatMut::new(row, k * c, o);
            matmul(dst, Held::Kept, seen.t(), grad, 1.0, Parallelism::Rayon(0));
        }
    }
    let mut weight = vec![0.0; rows.len()];
    weight
        .par_chunks_mut(c * kt * k * k)
        .enumerate()
        .for_each(|(o_i, weight)| {
            for (i, weight) in weight.iter_mut().enumerate() {
                let (c_i, tap) = (i / (kt * k * k), i % (kt * k * k));
                *weight = rows[(tap * c + c_i) * o + o_i];
            }
        });
    weight
}

/// Gradient of the bias from that of the result, `[B, O, T, H, W]`.
fn bias_gradient(grad: &[f32], dims: Dims) -> Vec<f32> {
    let plane = dims.t * dims.h * dims.w;
    let of_channel = |o: usize| {
        (0..dims.b)
            .map(|b| {
                let grad = &grad[(b * dims.o + o) * plane..][..plane];
                vectorised(
                    #[inline(always)]
                    || {
                        sum(
                            grad,
                            #[inline(always)]
                            |g| g,
                        )
                    },
                )
            })
            .sum()
    };
    (0..dims.o).into_par_iter().map(of_channel).collect()
}

impl CausalConv3d {
    fn dims(&self, x: &[usize], weight: &[usize]) -> Result<Dims> {
        let (&[b, c, frames, h, w], &[o, channels, kt, k, k_w]) = (x, weight) else {
            candle_core::bail!("causal_conv3d: x is {x:?}, weight {weight:?}");
        };
        let empty = [b, c, 0, h, w];
        let past = self.past.as_ref().map_or(&empty[..], Tensor::dims);
        let &[past_b, past_c, _, past_h, past_w] = past else {
            candle_core::bail!("causal_conv3d: past is {past:?}");
        };
        let sound = channels == c
            && k == k_w
            && k % 2 == 1
            && kt > 0
            && [past_b, past_c, past_h, past_w] == [b, c, h, w]
            && self.leading < kt
            && self.leading <= frames
            && o * c * h * w > 0;
        if !sound {
            candle_core::bail!("causal_conv3d: x is {x:?}, past {past:?}, weight {weight:?}");
        }
        let t = frames - self.leading;
        Ok(Dims {
            b,
            c,
            o,
            t,
            h: self.scale * h,
            w: self.scale * w,
            kt,
            k,
        })
    }

    /// The past and `x` with channels last, ready for the forward kernel.
    fn padded(&self, x: &[f32], dims: Dims) -> Result<Padded> {
        let Dims {
            b,
            c,
            t,
            h,
            w,
            kt,
            k,
            ..
        } = dims;
        let now = Frames {
            data: x,
            frames: self.leading + t,
            skip: 0,
        };
        let size = [b, c, h / self.scale, w / self.scale];
        let place = |front| Place {
            around: [front, 0],
            border: k / 2,
            scale: self.scale,
        };
        let Some(past) = &self.past else {
            let front = kt - 1 - self.leading;
            return Ok(Padded::new(&[now], size, place(front)));
        };
        let frames = past.dim(2)?;
        let used = frames.min(kt - 1 - self.leading);
        let front = kt - 1 - self.leading - used;
        let past = read(past)?;
        let past = Frames {
            data: &past,
            frames,
            skip: frames - used,
        };
        Ok(Padded::new(&[past, now], size, place(front)))
    }

    fn run(
        &self,
        x: (&CpuStorage, &Layout),
        weight: (&CpuStorage, &Layout),
        bias: &[f32],
    ) -> Result<(CpuStorage, Shape)> {
        let dims = self.dims(x.1.dims(), weight.1.dims())?;
        if !bias.is_empty() && bias.len() != dims.o {
            candle_core::bail!("causal_conv3d: {} outputs, bias of {}", dims.o, bias.len());
        }
        let padded = self.padded(values(x.0, x.1)?, dims)?;
        let kernel = Kernel::forward(values(weight.0, weight.1)?, dims);
        let shape = Shape::from((dims.b, dims.o, dims.t, dims.h, dims.w));
        let mut out = vec![0.0; shape.elem_count()];
        correlate(&padded, &kernel, bias, &mut out);
        Ok((CpuStorage::F32(out), shape))
    }

    /// Gradients of `x` and of `weight`, each where something upstream wants it.
    fn gradients(
        &self,
        x: &Tensor,
        weight: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        if self.scale != 1 {
            candle_core::bail!("causal_conv3d: an enlarging convolution has no gradient");
        }
        let dims = self.dims(x.dims(), weight.dims())?;
        let Dims {
            b,
            o,
            t,
            h,
            w,
            kt,
            k,
            ..
        } = dims;
        let grad = read(grad)?;
        let frames = Frames {
            data: &grad,
            frames: t,
            skip: 0,
        };
        let place = Place {
            around: [self.leading, kt - 1],
            border: k / 2,
            scale: 1,
        };
        let grad = Padded::new(&[frames], [b, o, h, w], place);
        let mut dx = None;
        if x.track_op() {
            let kernel = Kernel::mirrored(&read(weight)?, dims);
            let mut out = vec![0.0; x.elem_count()];
            correlate(&grad, &kernel, &[], &mut out);
            dx = Some(tensor_like(out, x)?);
        }
        let mut dw = None;
        if weight.track_op() {
            let padded = self.padded(&read(x)?, dims)?;
            let values = weight_gradient(&padded, &grad, self.leading, dims);
            dw = Some(tensor_like(values, weight)?);
        }
        Ok((dx, dw))
    }
}

impl CustomOp2 for CausalConv3d {
    fn name(&self) -> &'static str {
        "causal convolution"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.run((x, x_layout), (weight, weight_layout), &[])
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        self.gradients(x, weight, &grad.contiguous()?)
    }
}

impl CustomOp3 for CausalConv3d {
    fn name(&self) -> &'static str {
        "causal convolution with bias"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let bias = values(bias, bias_layout)?;
        self.run((x, x_layout), (weight, weight_layout), bias)
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let (dx, dw) = self.gradients(x, weight, &grad)?;
        let dims = self.dims(x.dims(), weight.dims())?;
        let db = bias_gradient(&read(&grad)?, dims);
        Ok((dx, dw, wanted(db, bias)?))
    }
}

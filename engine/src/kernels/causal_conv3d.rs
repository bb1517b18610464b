//! Causal convolution over time and space as matrix products of shifted views.
//!
//! The clip is laid out once with channels last and a border of zeros. There, what one row of a
//! kernel sees at consecutive positions is one matrix with overlapping rows: row `i` starts `C`
//! values after row `i - 1` and is `k C` long. A convolution is a sum of `kt k` such products, with
//! nothing gathered; the two gradients are the same sum with the kernel mirrored, and its transpose.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::matmul::{Held, Mat, MatMut, Parallelism, matmul};
use super::simd::{sum, vectorised};
use super::tensor_data::{read, tensor_like, values, wanted};

/// Positions of one tile: its results stay in the second-level cache.
const POSITIONS: usize = 384;
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
}

#[derive(Clone, Copy)]
struct Dims {
    b: usize,
    c: usize,
    o: usize,
    /// Frames of the result.
    t: usize,
    h: usize,
    w: usize,
    kt: usize,
    k: usize,
}

/// Frames `[B, C, T, H, W]`, of which the first `skip` are left out.
struct Frames<'a> {
    data: &'a [f32],
    frames: usize,
    skip: usize,
}

/// A clip with channels last and a border of zeros: `[B, t, h, w, c]`.
struct Padded {
    data: Vec<f32>,
    t: usize,
    h: usize,
    w: usize,
    c: usize,
}

impl Padded {
    /// `parts` one after the other, after `front` and before `back` empty frames.
    ///
    /// `size` is `B, c, H, W`; each side of a frame gets `border` zeros.
    fn new(parts: &[Frames], size: [usize; 4], [front, back]: [usize; 2], border: usize) -> Self {
        let [b, c, h, w] = size;
        let sources: Vec<(usize, usize)> = parts
            .iter()
            .enumerate()
            .flat_map(|(i, part)| (part.skip..part.frames).map(move |frame| (i, frame)))
            .collect();
        let mut padded = Self {
            data: Vec::new(),
            t: front + sources.len() + back,
            h: h + 2 * border,
            w: w + 2 * border,
            c,
        };
        padded.data = vec![0.0; b * padded.t * padded.h * padded.w * c];
        let (frames, rows) = (padded.t, padded.h);
        let row_len = (padded.w * c).max(1);
        padded
            .data
            .par_chunks_mut(row_len)
            .enumerate()
            .for_each(|(i, out)| {
                let (batch, frame, row) = (i / rows / frames, i / rows % frames, i % rows);
                let source = frame.checked_sub(front).and_then(|f| sources.get(f));
                let row = row.checked_sub(border).filter(|&row| row < h);
                if let (Some(&(part, frame)), Some(row)) = (source, row) {
                    let part = &parts[part];
                    let first = ((batch * c * part.frames + frame) * h + row) * w;
                    let inner = &mut out[border * c..];
                    let channel_stride = part.frames * h * w;
                    exchange(&part.data[first..], channel_stride, inner, [c, w]);
                }
            });
        padded
    }

    /// Where position `(t, h, w)` of clip `b` starts.
    fn offset(&self, [b, t, h, w]: [usize; 4]) -> usize {
        (((b * self.t + t) * self.h + h) * self.w + w) * self.c
    }

    /// What `k` neighbours along a row hold at `positions` consecutive positions from `start`.
    fn view(&self, start: [usize; 4], positions: usize, k: usize) -> Mat<'_> {
        let data = &self.data[self.offset(start)..];
        Mat::strided(data, positions, k * self.c, self.c)
    }

    /// Positions from the first of a row of the result to the last, `rows` further down.
    fn positions(&self, rows: usize, width: usize) -> usize {
        (rows - 1) * self.w + width
    }
}

/// `out[j][i] = planes[i][j]` for `i` below `channels` and `j` below `width`.
fn exchange(planes: &[f32], stride: usize, out: &mut [f32], [channels, width]: [usize; 2]) {
    for j0 in (0..width).step_by(SQUARE) {
        for i0 in (0..channels).step_by(SQUARE) {
            let i1 = (i0 + SQUARE).min(channels);
            for j in j0..(j0 + SQUARE).min(width) {
                let out = &mut out[j * channels + i0..j * channels + i1];
                for (i, out) in (i0..i1).zip(out) {
                    *out = planes[i * stride + j];
                }
            }
        }
    }
}

/// A kernel as factors of the matrix products: `[kt, k, k * c, o]`.
struct Kernel {
    data: Vec<f32>,
    kt: usize,
    k: usize,
    c: usize,
    o: usize,
}

impl Kernel {
    /// From `weight` `[O, C, kt, k, k]`.
    fn forward(weight: &[f32], dims: Dims) -> Self {
        let Dims { c, o, kt, k, .. } = dims;
        Self::build([kt, k, c, o], |[dt, dh, dw], c_i, o_i| {
            weight[(((o_i * c + c_i) * kt + dt) * k + dh) * k + dw]
        })
    }

    /// From `weight` `[O, C, kt, k, k]`, mirrored, and from `O` channels to `C`.
    fn mirrored(weight: &[f32], dims: Dims) -> Self {
        let Dims { c, o, kt, k, .. } = dims;
        Self::build([kt, k, o, c], |[dt, dh, dw], o_i, c_i| {
            let (dt, dh, dw) = (kt - 1 - dt, k - 1 - dh, k - 1 - dw);
            weight[(((o_i * c + c_i) * kt + dt) * k + dh) * k + dw]
        })
    }

    fn build(
        [kt, k, c, o]: [usize; 4],
        tap: impl Fn([usize; 3], usize, usize) -> f32 + Sync,
    ) -> Self {
        let mut data = vec![0.0; kt * k * k * c * o];
        data.par_chunks_mut(o.max(1))
            .enumerate()
            .for_each(|(i, out)| {
                let (row, c_i) = (i / c, i % c);
                let taps = [row / k / k, row / k % k, row % k];
                for (o_i, out) in out.iter_mut().enumerate() {
                    *out = tap(taps, c_i, o_i);
                }
            });
        Self { data, kt, k, c, o }
    }

    /// The factor of kernel row `(dt, dh)`.
    fn row(&self, dt: usize, dh: usize) -> Mat<'_> {
        let len = self.k * self.c * self.o;
        let data = &self.data[(dt * self.k + dh) * len..][..len];
        Mat::new(data, self.k * self.c, self.o)
    }
}

/// Slides `kernel` over `x` and writes `[B, O, T, H, W]`, as many positions as fit.
fn correlate(x: &Padded, kernel: &Kernel, bias: &[f32], out: &mut [f32]) {
    let (t, h, w) = (x.t + 1 - kernel.kt, x.h + 1 - kernel.k, x.w + 1 - kernel.k);
    let rows = (POSITIONS / x.w).clamp(1, h.max(1));
    let tiles = h.div_ceil(rows);
    // The slices of the result that belong to one tile: rows of one frame in every channel.
    let batches = out.len() / (kernel.o * t * h * w).max(1);
    let mut pieces: Vec<Vec<&mut [f32]>> = Vec::new();
    pieces.resize_with(batches * t * tiles, || Vec::with_capacity(kernel.o));
    for (i, frame) in out.chunks_mut((h * w).max(1)).enumerate() {
        let (batch, frame_index) = (i / (kernel.o * t), i % t);
        for (tile, piece) in frame.chunks_mut(rows * w).enumerate() {
            pieces[(batch * t + frame_index) * tiles + tile].push(piece);
        }
    }
    pieces
        .into_par_iter()
        .enumerate()
        .for_each_init(Vec::new, |sums, (i, mut channels)| {
            let (frame, first_row) = (i / tiles, i % tiles * rows);
            let rows = rows.min(h - first_row);
            let positions = x.positions(rows, w);
            sums.resize(positions * kernel.o, 0.0);
            let mut held = Held::Dropped;
            for (dt, dh) in (0..kernel.kt).flat_map(|dt| (0..kernel.k).map(move |dh| (dt, dh))) {
                let start = [frame / t, frame % t + dt, first_row + dh, 0];
                let view = x.view(start, positions, kernel.k);
                let dst = MatMut::new(&mut sums[..positions * kernel.o], positions, kernel.o);
                matmul(dst, held, view, kernel.row(dt, dh), 1.0, Parallelism::None);
                held = Held::Kept;
            }
            for row in 0..rows {
                let sums = &sums[row * x.w * kernel.o..][..w * kernel.o];
                scatter(sums, bias, row * w, &mut channels);
            }
        });
}

/// Adds the bias to one row of results `[W, O]` and writes it to its place in every channel.
fn scatter(sums: &[f32], bias: &[f32], first: usize, channels: &mut [&mut [f32]]) {
    let o = channels.len();
    let width = sums.len() / o.max(1);
    for w0 in (0..width).step_by(SQUARE) {
        let w1 = (w0 + SQUARE).min(width);
        for (i, channel) in channels.iter_mut().enumerate() {
            let bias = bias.get(i).copied().unwrap_or(0.0);
            for (w, out) in (w0..w1).zip(&mut channel[first + w0..first + w1]) {
                *out = sums[w * o + i] + bias;
            }
        }
    }
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
            h,
            w,
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
        let (size, border) = ([b, c, h, w], k / 2);
        let Some(past) = &self.past else {
            let front = kt - 1 - self.leading;
            return Ok(Padded::new(&[now], size, [front, 0], border));
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
        Ok(Padded::new(&[past, now], size, [front, 0], border))
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
        let grad = Padded::new(&[frames], [b, o, h, w], [self.leading, kt - 1], k / 2);
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

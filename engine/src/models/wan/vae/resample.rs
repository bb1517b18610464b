//! Halving and doubling of space and time between the codec's levels.
//!
//! The first frame of a clip passes through time untouched, alone in its latent; what follows is
//! halved or doubled in pairs. Wan-Video/Wan2.1 `wan/modules/vae.py` `Resample` states this through
//! its cache; here it holds for a first piece of any length.

use candle_core::{D, Tensor};

use crate::Result;
use crate::nn::{CausalConv3d, FrameCache, Init, Weights, enlarging_conv};

/// A 3 x 3 convolution of single frames.
struct FrameConv {
    /// `[O, C, 3, 3]`.
    weight: Tensor,
    /// `[O]`.
    bias: Tensor,
}

impl FrameConv {
    fn new(input: usize, output: usize, weights: &Weights) -> Result<Self> {
        let weights = weights.pp("resample.1");
        Ok(Self {
            weight: weights.get(&[output, input, 3, 3], "weight", Init::Kaiming)?,
            bias: weights.get(&[output], "bias", Init::Const(0.0))?,
        })
    }
}

/// Halves space and, where it has a convolution over time, time.
pub(super) struct Downsample {
    space: FrameConv,
    time: Option<HalveTime>,
}

impl Downsample {
    pub(super) fn new(channels: usize, halves_time: bool, weights: &Weights) -> Result<Self> {
        let time = if halves_time {
            Some(HalveTime::new(channels, &weights.pp("time_conv"))?)
        } else {
            None
        };
        Ok(Self {
            space: FrameConv::new(channels, channels, weights)?,
            time,
        })
    }

    /// # Shapes
    /// - `x`: `[B, C, T, H, W]`; returns `[B, C, T'', H / 2, W / 2]`, `T'' = T`, or, with time,
    ///   `T / 2` and for the first piece `(T - 1) / 2 + 1`
    pub(super) fn forward(&self, x: &Tensor, cache: &mut FrameCache) -> Result<Tensor> {
        let (b, c, t, h, w) = x.dims5()?;
        let frames = x.transpose(1, 2)?.contiguous()?.reshape((b * t, c, h, w))?;
        // Zeros on the right and at the bottom only.
        let frames = frames.pad_with_zeros(D::Minus1, 0, 1)?;
        let frames = frames.pad_with_zeros(D::Minus2, 0, 1)?;
        let y = frames.conv2d(&self.space.weight, 0, 2, 1, 1)?; // [B T, C, H / 2, W / 2]
        let y = y.broadcast_add(&self.space.bias.reshape((1, c, 1, 1))?)?;
        let (_, _, h, w) = y.dims4()?;
        let y = y.reshape((b, t, c, h, w))?.transpose(1, 2)?.contiguous()?; // [B, C, T, H / 2, W / 2]
        match &self.time {
            Some(time) => time.forward(&y, cache),
            None => Ok(y),
        }
    }
}

/// A convolution of three frames with stride two and no padding.
struct HalveTime {
    path: String,
    /// `[C, C, 3, 1, 1]`.
    weight: Tensor,
    /// `[C]`.
    bias: Tensor,
}

impl HalveTime {
    fn new(channels: usize, weights: &Weights) -> Result<Self> {
        Ok(Self {
            path: weights.path("weight"),
            weight: weights.get(&[channels, channels, 3, 1, 1], "weight", Init::Kaiming)?,
            bias: weights.get(&[channels], "bias", Init::Const(0.0))?,
        })
    }

    /// The first frame as it is, then one frame out of each pair and the frame before it.
    fn forward(&self, x: &Tensor, cache: &mut FrameCache) -> Result<Tensor> {
        let past = cache.past(&self.path).cloned();
        cache.push(&self.path, x, 1)?;
        let Some(past) = past else {
            let first = x.narrow(2, 0, 1)?;
            return match x.dim(2)? {
                1 => Ok(first),
                _ => Ok(Tensor::cat(&[&first, &self.halve(x)?], 2)?),
            };
        };
        self.halve(&Tensor::cat(&[&past, x], 2)?)
    }

    /// # Shapes
    /// - `x`: `[B, C, 2 K + 1, H, W]`; returns `[B, C, K, H, W]`
    fn halve(&self, x: &Tensor) -> Result<Tensor> {
        let (b, c, t, h, w) = x.dims5()?;
        let pairs = t / 2;
        let every_second = |start: usize, which: usize| -> Result<Tensor> {
            let frames = x.narrow(2, start, 2 * pairs)?.contiguous()?;
            let frames = frames.reshape((b, c, pairs, 2, h * w))?;
            Ok(frames.narrow(3, which, 1)?.reshape((b, c, pairs * h * w))?) // [B, C, K H W]
        };
        // Tap d of output k sees frame 2 k + d.
        let taps = [
            every_second(0, 0)?,
            every_second(0, 1)?,
            every_second(1, 1)?,
        ];
        let taps = Tensor::cat(&taps, 1)?; // [B, 3 C, K H W]
        let kernel = self.weight.reshape((c, c, 3))?.transpose(1, 2)?; // [C, 3, C]
        let kernel = kernel.reshape((1, c, 3 * c))?;
        let y = kernel.broadcast_matmul(&taps)?; // [B, C, K H W]
        let y = y.broadcast_add(&self.bias.reshape((1, c, 1))?)?;
        Ok(y.reshape((b, c, pairs, h, w))?)
    }
}

/// Doubles space, halves the channels and, where it has a convolution over time, doubles time.
pub(super) struct Upsample {
    space: FrameConv,
    time: Option<CausalConv3d>,
}

impl Upsample {
    pub(super) fn new(channels: usize, doubles_time: bool, weights: &Weights) -> Result<Self> {
        let kernel = [3, 1, 1];
        let time = if doubles_time {
            let weights = weights.pp("time_conv");
            Some(CausalConv3d::new(channels, 2 * channels, kernel, &weights)?)
        } else {
            None
        };
        Ok(Self {
            space: FrameConv::new(channels, channels / 2, weights)?,
            time,
        })
    }

    /// # Shapes
    /// - `x`: `[B, C, T, H, W]`; returns `[B, C / 2, T'', 2 H, 2 W]`, `T'' = T`, or, with time, `2 T`
    ///   and for the first piece `2 (T - 1) + 1`
    pub(super) fn forward(&self, x: &Tensor, cache: &mut FrameCache) -> Result<Tensor> {
        let x = match &self.time {
            Some(conv) => double_time(x, conv, cache)?,
            None => x.clone(),
        };
        let kernel = self.space.weight.unsqueeze(2)?; // [C / 2, C, 1, 3, 3]
        enlarging_conv(&x, &kernel, &self.space.bias, 2) // [B, C / 2, T'', 2 H, 2 W]
    }
}

/// The clip's first frame as it is, then two frames for one; the first never enters the convolution.
fn double_time(x: &Tensor, conv: &CausalConv3d, cache: &mut FrameCache) -> Result<Tensor> {
    if cache.has_started(conv.path()) {
        return double(x, conv, cache);
    }
    cache.start(conv.path());
    let (first, rest) = (x.narrow(2, 0, 1)?, x.dim(2)? - 1);
    if rest == 0 {
        return Ok(first);
    }
    let doubled = double(&x.narrow(2, 1, rest)?, conv, cache)?;
    Ok(Tensor::cat(&[&first, &doubled], 2)?)
}

/// # Shapes
/// - `x`: `[B, C, T, H, W]`; returns `[B, C, 2 T, H, W]`
fn double(x: &Tensor, conv: &CausalConv3d, cache: &mut FrameCache) -> Result<Tensor> {
    let (b, c, t, h, w) = x.dims5()?;
    let y = conv.forward(x, cache)?; // [B, 2 C, T, H, W]
    // The first half of the channels is the even frame of a pair, the second half the odd one.
    let pairs = y.reshape((b, 2, c, t, h * w))?.permute((0, 2, 3, 1, 4))?; // [B, C, T, 2, H W]
    Ok(pairs.contiguous()?.reshape((b, c, 2 * t, h, w))?)
}

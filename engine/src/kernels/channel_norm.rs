//! The codec's norm over the channels of every position, SiLU included, in one pass; forward only.

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::simd::{sigmoid, vectorised};
use super::tensor_data::{read, tensor_like};

/// Positions of a piece: its values in all channels stay in the second-level cache.
const POSITIONS: usize = 256;

/// `x / max(|x|, sqrt(smallest)) * gain`, the length over the channels, and SiLU of it with `silu`.
///
/// # Shapes
/// - `x`: `[B, C, ..]`; `gain`: one value a channel; returns the shape of `x`
pub(crate) fn channel_norm(x: &Tensor, gain: &[f32], smallest: f32, silu: bool) -> Result<Tensor> {
    let &[_, channels, ..] = x.dims() else {
        candle_core::bail!("channel_norm: x is {:?}", x.dims());
    };
    if gain.len() != channels {
        candle_core::bail!("channel_norm: {channels} channels, gain of {}", gain.len());
    }
    let values = read(x)?;
    let values = &*values;
    let mut out = vec![0.0; values.len()];
    let plane = values.len() / (x.dims()[0] * channels).max(1);
    let tiles = plane.div_ceil(POSITIONS);
    // The slices of the result that belong to one piece: the same positions in every channel.
    let mut pieces: Vec<Vec<&mut [f32]>> = Vec::new();
    pieces.resize_with(x.dims()[0] * tiles, || Vec::with_capacity(channels));
    for (i, plane) in out.chunks_mut(plane.max(1)).enumerate() {
        for (tile, part) in plane.chunks_mut(POSITIONS).enumerate() {
            pieces[i / channels * tiles + tile].push(part);
        }
    }
    pieces
        .into_par_iter()
        .enumerate()
        .for_each(|(i, mut parts)| {
            let (batch, first) = (i / tiles, i % tiles * POSITIONS);
            let row = |channel: usize, len: usize| {
                &values[(batch * channels + channel) * plane + first..][..len]
            };
            let mut scale = [0.0_f32; POSITIONS];
            let scale = &mut scale[..parts[0].len()];
            vectorised(
                #[inline(always)]
                || {
                    for channel in 0..channels {
                        for (s, x) in scale.iter_mut().zip(row(channel, parts[0].len())) {
                            *s = x.mul_add(*x, *s);
                        }
                    }
                    for s in scale.iter_mut() {
                        let square = if *s > smallest { *s } else { smallest };
                        *s = 1.0 / square.sqrt();
                    }
                    for (channel, out) in parts.iter_mut().enumerate() {
                        let gain = gain[channel];
                        let x = row(channel, out.len());
                        for ((out, x), s) in out.iter_mut().zip(x).zip(scale.iter()) {
                            let y = x * s * gain;
                            *out = if silu { y * sigmoid(y) } else { y };
                        }
                    }
                },
            );
        });
    tensor_like(out, x)
}

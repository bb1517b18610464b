//! The launch of a causal convolution.

use super::{Element, Launch, arguments, grid};

/// Sizes of a causal convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// `B`.
    pub batch: usize,
    /// `C`.
    pub channels: usize,
    /// `O`.
    pub outputs: usize,
    /// `T`, `H`, `W`.
    pub size: [usize; 3],
    /// `P`, frames before `x`.
    pub past_frames: usize,
    /// `kt` and `k`.
    pub taps: [usize; 2],
}

/// A convolution, all of one type; slots `x`, past, weight, bias, result; past and bias may be empty.
pub fn causal_conv3d(shape: &ConvShape, element: Element) -> Option<Launch> {
    let ConvShape {
        batch,
        channels,
        outputs,
        size: [t, h, w],
        past_frames,
        taps: [taps_t, taps],
    } = *shape;
    // Outputs and positions of a tile; terms of the sum that are held at a time.
    let (tile, shared) = match element {
        Element::F32 => ([64, 64], 16 * (64 + 1 + 64) * 4),
        Element::Bf16 | Element::F16 => ([64, 128], (64 * (32 + 8) + 32 * (128 + 8)) * 2),
    };
    let positions = t.checked_mul(h)?.checked_mul(w)?;
    let counted = [channels, outputs, t, h, w, past_frames, taps_t, taps]
        .into_iter()
        .all(|n| n < 1 << 30);
    if !counted || taps % 2 == 0 || taps_t == 0 || channels == 0 {
        return None;
    }
    Some(Launch {
        source: "causal_conv3d",
        kernel: format!("causal_conv3d_{}", element.name()),
        grid: grid([
            positions.div_ceil(tile[1]),
            outputs.div_ceil(tile[0]),
            batch,
        ])?,
        threads: 256,
        shared_bytes: shared,
        arguments: arguments(5, &[channels, outputs, t, h, w, past_frames, taps_t, taps])?,
    })
}

//! Folding of the frame mask to the latent grid.

use candle_core::{Device, Tensor};

use crate::{Error, Result};

/// Latent frames `T' = (F - 1) / 4 + 1` of a clip.
///
/// # Errors
/// [`Error::Shape`] if `F` is no `4k + 1`.
pub fn latent_frames(num_frames: usize) -> Result<usize> {
    if num_frames % 4 == 1 {
        Ok((num_frames - 1) / 4 + 1)
    } else {
        Err(Error::shape("frames of a clip", "4k + 1", num_frames))
    }
}

/// Folds which frames are known into four channels a latent frame, 1 = known.
///
/// Frame 0 counts four times, then every four frames become the channels of one latent frame:
/// Wan-Video/Wan2.1 `wan/image2video.py`. Known frame `k > 0` thus sets channel `(k - 1) % 4` of
/// latent frame `1 + (k - 1) / 4`, and frame 0 all channels of latent frame 0.
///
/// # Shapes
/// - `known`: `[F]`, `F = 4k + 1`; `sides`: `H'`, `W'`; returns `[1, 4, T', H', W']`, f32
///
/// # Errors
/// [`Error::Shape`] if `F` is no `4k + 1`.
pub fn fold_mask(known: &[bool], sides: [usize; 2], device: &Device) -> Result<Tensor> {
    let frames = latent_frames(known.len())?;
    let first = known.first().copied().unwrap_or(false);
    let repeated: Vec<f32> = std::iter::repeat_n(first, 3)
        .chain(known.iter().copied())
        .map(|known| f32::from(u8::from(known)))
        .collect();
    let grouped = Tensor::from_vec(repeated, (frames, 4), device)?; // [T', 4]
    let folded = grouped.t()?.reshape((1, 4, frames, 1, 1))?; // [1, 4, T', 1, 1]
    Ok(folded
        .broadcast_as((1, 4, frames, sides[0], sides[1]))?
        .contiguous()?) // [1, 4, T', H', W']
}

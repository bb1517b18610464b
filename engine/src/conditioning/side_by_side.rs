//! Conditioning of 4DNeX: the first image beside a slope map, encoded as one wide clip.

use candle_core::Tensor;

use super::frames::Conditioning;
use super::mask::fold_mask;
use crate::job::JobCtx;
use crate::models::one4d::four_d_nex::{SLOPE_MASK, slope_map};
use crate::models::{VideoVae, XyzCondition};
use crate::{Error, Result};

/// Encodes a first image, on the left, and the slope map, on the right, followed by grey frames. The
/// codec sees both as one picture, as in training.
///
/// # Shapes
/// - `image`: `[1, 3, 1, H, W]` sRGB in `[-1, 1]`; `num_frames`: `F = 4k + 1`
///
/// # Errors
/// [`Error::Shape`] for another shape or number of frames; those of the codec.
pub fn encode_side_by_side(
    codec: &dyn VideoVae,
    image: &Tensor,
    num_frames: usize,
    ctx: &JobCtx,
) -> Result<(Conditioning, XyzCondition)> {
    let (batch, channels, one, height, width) = image.dims5()?;
    if [batch, channels, one] != [1, 3, 1] {
        return Err(Error::shape("first image", "[1, 3, 1, H, W]", image.dims()));
    }
    let slopes = slope_map(height, width, image.device())?.to_dtype(image.dtype())?;
    let first = Tensor::cat(&[image, &slopes], 4)?; // [1, 3, 1, H, 2 W]
    let video = first.pad_with_zeros(2, 0, num_frames.saturating_sub(1))?;
    let latents = codec.encode(&video, ctx)?; // [1, C, T', H', 2 W']
    let (_b, _c, _t, h, wide) = latents.dims5()?;
    let half = wide / 2;
    let mut known = vec![false; num_frames];
    known[..1.min(num_frames)].fill(true);
    let mask = fold_mask(&known, [h, half], image.device())?;
    let part = |start: usize| latents.narrow(4, start, half)?.contiguous();
    let xyz = XyzCondition {
        mask: (&mask * SLOPE_MASK)?,
        condition: part(half)?,
    };
    let rgb = Conditioning {
        mask,
        condition: part(0)?,
    };
    Ok((rgb, xyz))
}

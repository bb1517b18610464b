//! Encoding of the observed frames.

use candle_core::{DType, Tensor};

use super::mask::{fold_mask, latent_frames};
use crate::job::JobCtx;
use crate::models::VideoVae;
use crate::{Error, Result};

/// What the observed frames become for the denoiser.
#[derive(Clone, Debug)]
pub struct Conditioning {
    /// `[B, 4, T', H', W']`: folded mask, 1 = known.
    pub mask: Tensor,
    /// `[B, C, T', H', W']`: latents of the known frames, exact zeros where nothing is known.
    pub condition: Tensor,
}

/// Encodes the known frames of one clip and folds their mask.
///
/// `z_c = E(m x)`, unknown frames mid grey; but where nothing is known exact zeros, not an encoded
/// grey clip: aigc-apps/VideoX-Fun `videox_fun/pipeline/pipeline_wan_fun_inpaint.py`.
///
/// # Shapes
/// - `video`: `[1, 3, F, H, W]` sRGB in `[-1, 1]`, `F = 4k + 1`; unknown frames are ignored
/// - `known`: `[F]`
///
/// # Errors
/// [`Error::Shape`] if `F` is no `4k + 1` or `known` has another length; those of the codec.
pub fn encode_known_frames(
    codec: &dyn VideoVae,
    video: &Tensor,
    known: &[bool],
    ctx: &JobCtx,
) -> Result<Conditioning> {
    encode_known_rows(codec, video, &[known], ctx)
}

/// [`encode_known_frames`] for a batch of clips with a mask each.
///
/// # Shapes
/// - `video`: `[B, 3, F, H, W]`; `known`: `B` times `[F]`
pub fn encode_known_rows(
    codec: &dyn VideoVae,
    video: &Tensor,
    known: &[&[bool]],
    ctx: &JobCtx,
) -> Result<Conditioning> {
    let (batch, _rgb, num_frames, _height, _width) = video.dims5()?;
    latent_frames(num_frames)?;
    if known.len() != batch || known.iter().any(|row| row.len() != num_frames) {
        let actual: Vec<usize> = known.iter().map(|row| row.len()).collect();
        let required = format!("{batch} rows of {num_frames} frames");
        return Err(Error::shape("known frames", required, actual));
    }
    let flags: Vec<f32> = known
        .concat()
        .into_iter()
        .map(|k| f32::from(u8::from(k)))
        .collect();
    let flags = Tensor::from_vec(flags, (batch, 1, num_frames, 1, 1), video.device())?;
    let flags = flags.to_dtype(video.dtype())?;
    let latents = codec.encode(&known_only(video, &flags)?, ctx)?; // [B, C, T', H', W']
    let (_b, _c, _t, height, width) = latents.dims5()?;

    let any: Vec<u8> = known
        .iter()
        .map(|row| u8::from(row.contains(&true)))
        .collect();
    let any = Tensor::from_vec(any, (batch, 1, 1, 1, 1), video.device())?;
    let any = any.broadcast_as(latents.shape())?;
    let masks = known
        .iter()
        .map(|row| fold_mask(row, [height, width], video.device()))
        .collect::<Result<Vec<_>>>()?;
    Ok(Conditioning {
        mask: Tensor::cat(&masks, 0)?.to_dtype(DType::F32)?, // [B, 4, T', H', W']
        condition: any.where_cond(&latents, &latents.zeros_like()?)?, // [B, C, T', H', W']
    })
}

/// Known frames in place, all others exactly 0, whatever stood there.
fn known_only(video: &Tensor, flags: &Tensor) -> Result<Tensor> {
    let chosen = flags.broadcast_as(video.shape())?.ne(0.0)?;
    Ok(chosen.where_cond(video, &video.zeros_like()?)?)
}

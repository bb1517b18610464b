//! The linear patch codec of One4D-mini: principal components of space-time blocks.
//!
//! The first frame alone, then groups of 4 frames, each cut into blocks of 8 x 8 pixels; a block is
//! projected on the principal components of RGB and pointmap blocks together and each component is
//! divided by its deviation, but by no less than a share of the largest one, so that faint detail
//! stays faint. Decoding is the transpose, so `decode(encode(x))` is the orthogonal projection.
//! Latents have the shape that the Wan VAE gives, and zero pixels (mid-grey) are zero latents.
//!
//! ```text
//! z_k = <b_k, x> / s_k        x' = sum_k s_k z_k b_k        <b_i, b_j> = delta_ij
//! ```

mod eigen;
mod fit;

pub use fit::LinearCodecFit;

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};

use super::VideoVae;
use crate::atomic_file;
use crate::job::JobCtx;
use crate::nn::{Init, Weights};
use crate::{Error, Result};

/// Side of a block in pixels.
pub const BLOCK: usize = 8;
/// Frames of a group.
pub const GROUP: usize = 4;

/// Components of one kind of block.
#[derive(Clone, Debug)]
struct Basis {
    /// `[C, 3 t 8 8]`, orthonormal rows; `t` is 1 or 4.
    rows: Tensor,
    /// `[C]`, positive.
    scale: Tensor,
}

/// A codec that is one matrix for first frames and one for groups of four.
#[derive(Clone, Debug)]
pub struct LinearCodec {
    first: Basis,
    group: Basis,
    channels: usize,
}

/// Values of a block of `frames` frames.
const fn block_len(frames: usize) -> usize {
    3 * frames * BLOCK * BLOCK
}

impl Basis {
    fn load(channels: usize, frames: usize, weights: &Weights) -> Result<Self> {
        Ok(Self {
            rows: weights.get(&[channels, block_len(frames)], "basis", Init::Const(0.0))?,
            scale: weights.get(&[channels], "scale", Init::Const(1.0))?,
        })
    }

    /// # Shapes
    /// - `video`: `[B, 3, t n, H, W]`; returns `[B, C, n, H', W']`
    fn encode(&self, video: &Tensor, frames: usize) -> Result<Tensor> {
        let (b, c, t, height, width) = video.dims5()?;
        let (n, h, w) = (t / frames, height / BLOCK, width / BLOCK);
        let blocks = video
            .reshape(vec![b, c, n, frames, h, BLOCK, w, BLOCK])?
            .permute(vec![0, 2, 4, 6, 1, 3, 5, 7])? // [B, n, H', W', 3, t, 8, 8]
            .reshape((b * n * h * w, block_len(frames)))?;
        let matrix = self.rows.broadcast_div(&self.scale.unsqueeze(1)?)?;
        let latents = blocks.matmul(&matrix.t()?)?; // [B n H' W', C]
        Ok(latents
            .reshape((b, n, h, w, ()))?
            .permute((0, 4, 1, 2, 3))?
            .contiguous()?) // [B, C, n, H', W']
    }

    /// # Shapes
    /// - `latents`: `[B, C, n, H', W']`; returns `[B, 3, t n, H, W]`
    fn decode(&self, latents: &Tensor, frames: usize) -> Result<Tensor> {
        let (b, channels, n, h, w) = latents.dims5()?;
        let rows = latents
            .permute((0, 2, 3, 4, 1))? // [B, n, H', W', C]
            .reshape((b * n * h * w, channels))?;
        let matrix = self.rows.broadcast_mul(&self.scale.unsqueeze(1)?)?;
        let blocks = rows.contiguous()?.matmul(&matrix)?; // [B n H' W', 3 t 8 8]
        Ok(blocks
            .reshape(vec![b, n, h, w, 3, frames, BLOCK, BLOCK])?
            .permute(vec![0, 4, 1, 5, 2, 6, 3, 7])? // [B, 3, n, t, H', 8, W', 8]
            .reshape((b, 3, n * frames, h * BLOCK, w * BLOCK))?)
    }
}

impl LinearCodec {
    /// Reads the codec; the caller ends loading with [`Weights::finish`].
    ///
    /// # Errors
    /// [`Error::Invalid`] if the number of channels cannot be read from the source.
    pub fn from_weights(weights: &Weights) -> Result<Self> {
        let shape = weights.shape("first.basis");
        let channels = shape.and_then(|s| s.first().copied()).ok_or_else(|| {
            Error::invalid("linear codec", "the source has no tensor `first.basis`")
        })?;
        Ok(Self {
            first: Basis::load(channels, 1, &weights.pp("first"))?,
            group: Basis::load(channels, GROUP, &weights.pp("group"))?,
            channels,
        })
    }

    /// Reads the codec's file, whole.
    ///
    /// # Errors
    /// [`Error::Weights`] naming what is missing or unexpected.
    pub fn load(path: &Path, device: &Device) -> Result<Self> {
        let weights = Weights::from_files(&[path], DType::F32, device)?;
        let codec = Self::from_weights(&weights)
            .map_err(|error| Error::weights(path, error.to_string()))?;
        weights.finish()?;
        Ok(codec)
    }

    /// Writes the codec's file in f32: `{first,group}.{basis,scale}`.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file.
    pub fn save(&self, path: &Path) -> Result<()> {
        let tensors = [("first", &self.first), ("group", &self.group)]
            .into_iter()
            .flat_map(|(name, basis)| {
                [
                    (format!("{name}.basis"), basis.rows.clone()),
                    (format!("{name}.scale"), basis.scale.clone()),
                ]
            })
            .collect::<Vec<_>>();
        let info = HashMap::from([("format".to_owned(), "one4d linear codec 1".to_owned())]);
        let bytes = safetensors::serialize(tensors, Some(info))
            .map_err(|error| Error::format(path, error.to_string()))?;
        atomic_file::write(path, &bytes)
    }

    /// Deviation that each latent channel was divided by, of group blocks: its weight in pixels.
    ///
    /// # Shapes
    /// - returns `[C]`
    pub fn group_scale(&self) -> &Tensor {
        &self.group.scale
    }

    /// The same as [`Self::group_scale`] for blocks of the first frame.
    pub fn first_scale(&self) -> &Tensor {
        &self.first.scale
    }

    /// Encodes each frame's share of its group: latents are the sum of the shares of their frames.
    ///
    /// The codec is linear, so the latents of a clip with only some frames observed are the sum of
    /// those frames' shares.
    ///
    /// # Shapes
    /// - `video`: `[B, 3, T, H, W]`, `T % 4 == 1`; returns `[B, C, T, H', W']`
    ///
    /// # Errors
    /// [`Error::Shape`] if the clip does not fit the blocks.
    pub fn encode_shares(&self, video: &Tensor) -> Result<Tensor> {
        let (b, c, t, h, w) = check_video(video)?;
        let first = self.first.encode(&video.narrow(2, 0, 1)?, 1)?; // [B, C, 1, H', W']
        if t == 1 {
            return Ok(first);
        }
        let groups = (t - 1) / GROUP;
        let frames = video
            .narrow(2, 1, t - 1)?
            .reshape(vec![b, c, groups, GROUP, h, w])?; // [B, 3, n, 4, H, W]
        let shares = (0..GROUP)
            .map(|place| {
                let frame = frames.narrow(3, place, 1)?.reshape((b, c, groups, h, w))?;
                self.part(place)?.encode(&frame, 1)
            })
            .collect::<Result<Vec<_>>>()?;
        let rest = Tensor::stack(&shares, 3)?; // [B, C, n, 4, H', W']
        let (h, w) = (h / BLOCK, w / BLOCK);
        let rest = rest.reshape((b, self.channels, t - 1, h, w))?;
        Ok(Tensor::cat(&[first, rest], 2)?) // [B, C, T, H', W']
    }

    /// The part of the group basis that reads the frame at `place` of its group.
    fn part(&self, place: usize) -> Result<Basis> {
        let rows = self
            .group
            .rows
            .reshape((self.channels, 3, GROUP, BLOCK * BLOCK))?
            .narrow(2, place, 1)?
            .reshape((self.channels, block_len(1)))?;
        Ok(Basis {
            rows,
            scale: self.group.scale.clone(),
        })
    }
}

/// Sides of a clip that fits the blocks.
fn check_video(video: &Tensor) -> Result<(usize, usize, usize, usize, usize)> {
    let dims = video.dims5()?;
    let (_b, c, t, h, w) = dims;
    if c != 3 || t % GROUP != 1 || h % BLOCK != 0 || w % BLOCK != 0 || h * w == 0 {
        return Err(Error::shape(
            "video for the linear codec",
            "[B, 3, 4k + 1, 8h, 8w]",
            video.dims(),
        ));
    }
    Ok(dims)
}

impl VideoVae for LinearCodec {
    fn latent_channels(&self) -> usize {
        self.channels
    }

    fn encode(&self, video: &Tensor, ctx: &JobCtx) -> Result<Tensor> {
        let (_b, _c, t, _h, _w) = check_video(video)?;
        ctx.check()?;
        let video = video.to_dtype(DType::F32)?;
        let first = self.first.encode(&video.narrow(2, 0, 1)?, 1)?;
        if t == 1 {
            return Ok(first);
        }
        let rest = self.group.encode(&video.narrow(2, 1, t - 1)?, GROUP)?;
        Ok(Tensor::cat(&[first, rest], 2)?) // [B, C, T', H', W']
    }

    fn decode(&self, latents: &Tensor, ctx: &JobCtx) -> Result<Tensor> {
        let (_b, channels, t, _h, _w) = latents.dims5()?;
        if channels != self.channels || t == 0 {
            let required = format!("[B, {}, T', H', W']", self.channels);
            return Err(Error::shape(
                "latents of the linear codec",
                required,
                latents.dims(),
            ));
        }
        ctx.check()?;
        let latents = latents.to_dtype(DType::F32)?;
        let first = self.first.decode(&latents.narrow(2, 0, 1)?, 1)?;
        let video = if t == 1 {
            first
        } else {
            let rest = self.group.decode(&latents.narrow(2, 1, t - 1)?, GROUP)?;
            Tensor::cat(&[first, rest], 2)? // [B, 3, T, H, W]
        };
        Ok(video.clamp(-1.0, 1.0)?)
    }
}

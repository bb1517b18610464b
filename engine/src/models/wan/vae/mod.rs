//! The causal video codec of Wan 2.1 ("Wan2.1 VAE").
//!
//! Wan2.1 (arXiv 2503.20314), section 4.1; Wan-Video/Wan2.1 `wan/modules/vae.py`. The first frame
//! has a latent of its own, then four frames share one; space shrinks by eight. A clip may pass in
//! pieces of any length: caches of trailing frames make streaming equal to the whole.

mod block;
mod config;
mod decoder;
mod encoder;
mod keys;
mod resample;
mod stats;
mod tiles;

pub use config::WanVaeConfig;
pub use stats::{LatentStats, WAN_LATENT_MEAN, WAN_LATENT_STD};
pub use tiles::Tiling;

use candle_core::{DType, Tensor};

use crate::job::JobCtx;
use crate::models::VideoVae;
use crate::nn::{CausalConv3d, FrameCache, Weights};
use crate::{Error, Result};

use decoder::Decoder;
use encoder::Encoder;
use tiles::Mosaic;

/// What one activation at full resolution may take in a piece, in bytes; a few of them live at once.
const PIECE_BYTES: usize = 128 << 20;

/// Gaussian posterior of a clip, in the codec's own scale.
#[derive(Clone, Debug)]
pub struct Posterior {
    /// `[B, C, T', H', W']`.
    pub mean: Tensor,
    /// `[B, C, T', H', W']`: logarithm of the variance.
    pub log_variance: Tensor,
}

/// The codec.
pub struct WanVae {
    config: WanVaeConfig,
    encoder: Encoder,
    /// After the encoder: the official `conv1`.
    quant: CausalConv3d,
    /// Before the decoder: the official `conv2`.
    post_quant: CausalConv3d,
    decoder: Decoder,
    stats: LatentStats,
    dtype: DType,
    /// Longest side of what goes through at a time, in latent cells; larger pictures go in tiles.
    tile: Option<usize>,
}

impl WanVae {
    /// Reads the codec under the official or the diffusers names, or starts a fresh one.
    ///
    /// The caller ends loading with [`Weights::finish`].
    ///
    /// # Errors
    /// [`Error::Invalid`] for a configuration that is not this network.
    pub fn new(config: &WanVaeConfig, weights: &Weights) -> Result<Self> {
        config.check()?;
        let weights = keys::official_names(weights, config.num_res_blocks);
        let (z, point) = (config.z_dim, [1, 1, 1]);
        let (mean, std) = (&config.latents_mean, &config.latents_std);
        Ok(Self {
            encoder: Encoder::new(config, &weights.pp("encoder"))?,
            quant: CausalConv3d::new(2 * z, 2 * z, point, &weights.pp("conv1"))?,
            post_quant: CausalConv3d::new(z, z, point, &weights.pp("conv2"))?,
            decoder: Decoder::new(config, &weights.pp("decoder"))?,
            stats: LatentStats::new(mean, std, weights.device())?,
            dtype: weights.dtype(),
            tile: None,
            config: config.clone(),
        })
    }

    /// The same codec, through which pictures with a longer side than `tile` latent cells go in tiles
    /// of that side; with `None` none does. What a tile takes is counted in [`crate::plan`].
    #[must_use]
    pub fn with_tile(self, tile: Option<usize>) -> Self {
        Self { tile, ..self }
    }

    /// How a clip is cut, if it must be.
    fn tiling(&self, sides: [usize; 2]) -> Option<Tiling> {
        let tiling = Tiling::of(self.tile?);
        (sides[0].max(sides[1]) > tiling.tile).then_some(tiling)
    }

    /// [`Self::decode_raw`] tile by tile.
    ///
    /// # Shapes
    /// - `latents`: `[B, C, T', H', W']`; returns `[B, 3, T, H, W]` in f32
    ///
    /// # Errors
    /// As [`Self::decode_raw`].
    pub fn decode_tiled(&self, latents: &Tensor, tiling: Tiling, ctx: &JobCtx) -> Result<Tensor> {
        let (b, _c, t, h, w) = latents.dims5()?;
        let space = self.config.spatial_factor();
        let frames = self.config.temporal_factor() * t.saturating_sub(1) + 1;
        let shape = [b, self.config.out_channels, frames, h * space, w * space];
        let mut mosaic = Mosaic::new(shape, space, tiling);
        for tile in tiling.tiles([h, w]) {
            let part = tile.cut(latents, 1)?;
            let (_, _, _, rows, columns) = part.dims5()?;
            let per_piece = self.latents_per_piece(b, rows * space, columns * space);
            mosaic.add(&tile, &self.decode_raw(&part, per_piece, ctx)?)?;
        }
        mosaic.finish(latents.device())
    }

    /// The mean of [`Self::posterior`] tile by tile.
    ///
    /// # Shapes
    /// - `video`: `[B, 3, T, H, W]`; returns `[B, C, T', H', W']` in f32
    ///
    /// # Errors
    /// As [`Self::posterior`].
    pub fn encode_tiled(&self, video: &Tensor, tiling: Tiling, ctx: &JobCtx) -> Result<Tensor> {
        let latents = self.check_video(video)?;
        let (b, _c, _t, h, w) = video.dims5()?;
        let space = self.config.spatial_factor();
        let shape = [b, self.config.z_dim, latents, h / space, w / space];
        let mut mosaic = Mosaic::new(shape, 1, tiling);
        for tile in tiling.tiles([h / space, w / space]) {
            let part = tile.cut(video, space)?;
            let (_, _, _, rows, columns) = part.dims5()?;
            let per_piece = self.latents_per_piece(b, rows, columns);
            mosaic.add(&tile, &self.posterior(&part, per_piece, ctx)?.mean)?;
        }
        mosaic.finish(video.device())
    }

    /// The shape of the codec.
    pub fn config(&self) -> &WanVaeConfig {
        &self.config
    }

    /// Between the codec's own scale and the one that models see.
    pub fn stats(&self) -> &LatentStats {
        &self.stats
    }

    /// Encodes a clip to its posterior, in pieces of `latents_per_piece` latent frames.
    ///
    /// The result does not depend on the pieces. Differentiable.
    ///
    /// # Shapes
    /// - `video`: `[B, 3, T, H, W]` in `[-1, 1]`, `T % 4 == 1`, `H`, `W` multiples of 8
    /// - returns `[B, C, T', H', W']` in f32
    ///
    /// # Errors
    /// [`Error::Shape`] for sides that do not fit; [`Error::Cancelled`] between pieces.
    pub fn posterior(
        &self,
        video: &Tensor,
        latents_per_piece: usize,
        ctx: &JobCtx,
    ) -> Result<Posterior> {
        let latents = self.check_video(video)?;
        let video = video.to_dtype(self.dtype)?;
        let factor = self.config.temporal_factor();
        let frame = |latent: usize| match latent {
            0 => 0,
            n => 1 + factor * (n - 1),
        };
        let mut cache = FrameCache::default();
        let pieces = pieces(latents, latents_per_piece)
            .map(|(from, to)| {
                ctx.check()?;
                let piece = video.narrow(2, frame(from), frame(to) - frame(from))?;
                let moments = self.encoder.forward(&piece, &mut cache)?;
                self.quant.forward(&moments, &mut cache)
            })
            .collect::<Result<Vec<_>>>()?;
        let moments = Tensor::cat(&pieces, 2)?.to_dtype(DType::F32)?; // [B, 2 C, T', H', W']
        let half = |i: usize| moments.narrow(1, i * self.config.z_dim, self.config.z_dim);
        Ok(Posterior {
            mean: half(0)?,
            log_variance: half(1)?,
        })
    }

    /// Decodes latents in the codec's own scale, in pieces of `latents_per_piece` latent frames.
    ///
    /// The result does not depend on the pieces, and is not clamped. Differentiable.
    ///
    /// # Shapes
    /// - `latents`: `[B, C, T', H', W']`; returns `[B, 3, T, H, W]` in f32
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of channels; [`Error::Cancelled`] between pieces.
    pub fn decode_raw(
        &self,
        latents: &Tensor,
        latents_per_piece: usize,
        ctx: &JobCtx,
    ) -> Result<Tensor> {
        let (_b, c, t, _h, _w) = latents.dims5()?;
        if c != self.config.z_dim || t == 0 {
            let required = format!("[B, {}, T', H', W'] with T' > 0", self.config.z_dim);
            return Err(Error::shape("latents", required, latents.dims()));
        }
        let latents = latents.to_dtype(self.dtype)?;
        let mut cache = FrameCache::default();
        let pieces = pieces(t, latents_per_piece)
            .map(|(from, to)| {
                ctx.check()?;
                let piece = latents.narrow(2, from, to - from)?;
                let piece = self.post_quant.forward(&piece, &mut cache)?;
                Ok(self
                    .decoder
                    .forward(&piece, &mut cache)?
                    .to_dtype(DType::F32)?)
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Tensor::cat(&pieces, 2)?)
    }

    /// Latent frames a piece: one at large sizes, more where that keeps matrices from being tiny.
    fn latents_per_piece(&self, batch: usize, height: usize, width: usize) -> usize {
        let channels = self
            .config
            .base_dim
            .max(self.config.decoder_base_dim.unwrap_or(0));
        let values = batch * channels * self.config.temporal_factor() * height * width;
        (PIECE_BYTES / (values * self.dtype.size_in_bytes()).max(1)).max(1)
    }

    /// Latent frames of a clip.
    fn check_video(&self, video: &Tensor) -> Result<usize> {
        let (_b, c, t, h, w) = video.dims5()?;
        let (time, space) = (self.config.temporal_factor(), self.config.spatial_factor());
        let fits = c == self.config.in_channels
            && t % time == 1 % time
            && t > 0
            && h > 0
            && w > 0
            && h % space == 0
            && w % space == 0;
        if !fits {
            let channels = self.config.in_channels;
            let required = format!(
                "[B, {channels}, {time} k + 1, {space} m, {space} n] with at least one frame"
            );
            return Err(Error::shape("video", required, video.dims()));
        }
        Ok((t - 1) / time + 1)
    }
}

impl VideoVae for WanVae {
    fn latent_channels(&self) -> usize {
        self.config.z_dim
    }

    fn encode(&self, video: &Tensor, ctx: &JobCtx) -> Result<Tensor> {
        let (b, _c, _t, h, w) = video.dims5()?;
        let space = self.config.spatial_factor();
        let mean = match self.tiling([h / space, w / space]) {
            Some(tiling) => self.encode_tiled(video, tiling, ctx)?,
            None => {
                let per_piece = self.latents_per_piece(b, h, w);
                self.posterior(video, per_piece, ctx)?.mean
            }
        };
        self.stats.normalise(&mean)
    }

    fn decode(&self, latents: &Tensor, ctx: &JobCtx) -> Result<Tensor> {
        let (b, _c, _t, h, w) = latents.dims5()?;
        let space = self.config.spatial_factor();
        let raw = self.stats.denormalise(latents)?;
        let video = match self.tiling([h, w]) {
            Some(tiling) => self.decode_tiled(&raw, tiling, ctx)?,
            None => {
                let per_piece = self.latents_per_piece(b, h * space, w * space);
                self.decode_raw(&raw, per_piece, ctx)?
            }
        };
        Ok(video.clamp(-1.0, 1.0)?)
    }
}

/// Ranges of at most `size` that cover `0..count`.
fn pieces(count: usize, size: usize) -> impl Iterator<Item = (usize, usize)> {
    let size = size.max(1);
    let starts = (0..count).step_by(size);
    starts.map(move |from| (from, (from + size).min(count)))
}

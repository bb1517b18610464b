//! Shape of the codec.

use serde::{Deserialize, Serialize};

use super::stats::{WAN_LATENT_MEAN, WAN_LATENT_STD};
use crate::models::limits::Sizes;
use crate::{Error, Result};

/// Configuration of the Wan codec, with the keys of diffusers' `AutoencoderKLWan`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WanVaeConfig {
    /// Channels of the encoder at full resolution.
    pub base_dim: usize,
    /// Channels of the decoder at full resolution; the encoder's where absent.
    pub decoder_base_dim: Option<usize>,
    /// Channels `C` of the latents.
    pub z_dim: usize,
    /// Multiples of the base channels, one a level; between two levels space is halved.
    pub dim_mult: Vec<usize>,
    /// Residual blocks of a level in the encoder; the decoder has one more.
    pub num_res_blocks: usize,
    /// Scales with attention outside the middle; none in any known checkpoint.
    pub attn_scales: Vec<f64>,
    /// Whether time is halved too, from one level to the next. (Spelled so in the checkpoints.)
    #[serde(rename = "temperal_downsample")]
    pub temporal_downsample: Vec<bool>,
    /// Channels of the video.
    pub in_channels: usize,
    /// Channels of the decoded video.
    pub out_channels: usize,
    /// Mean of each latent channel.
    pub latents_mean: Vec<f64>,
    /// Deviation of each latent channel.
    pub latents_std: Vec<f64>,
    /// The residual layout of the Wan 2.2 codec; not this network.
    pub is_residual: bool,
    /// The pixel patches of the Wan 2.2 codec; not this network.
    pub patch_size: Option<usize>,
}

impl Default for WanVaeConfig {
    fn default() -> Self {
        Self::wan21()
    }
}

impl WanVaeConfig {
    /// The codec of all Wan 2.1 models: `Wan2.1_VAE`.
    pub fn wan21() -> Self {
        Self {
            base_dim: 96,
            decoder_base_dim: None,
            z_dim: 16,
            dim_mult: vec![1, 2, 4, 4],
            num_res_blocks: 2,
            attn_scales: Vec::new(),
            temporal_downsample: vec![false, true, true],
            in_channels: 3,
            out_channels: 3,
            latents_mean: WAN_LATENT_MEAN.to_vec(),
            latents_std: WAN_LATENT_STD.to_vec(),
            is_residual: false,
            patch_size: None,
        }
    }

    /// Some twenty thousand parameters, for tests.
    pub fn tiny() -> Self {
        Self {
            base_dim: 4,
            z_dim: 4,
            dim_mult: vec![1, 2, 2, 2],
            num_res_blocks: 1,
            latents_mean: vec![0.1, -0.2, 0.0, 0.3],
            latents_std: vec![1.5, 0.8, 1.0, 2.0],
            ..Self::wan21()
        }
    }

    /// Pixels along a side behind one latent.
    pub fn spatial_factor(&self) -> usize {
        1 << self.dim_mult.len().saturating_sub(1)
    }

    /// Frames behind one latent after the first.
    pub fn temporal_factor(&self) -> usize {
        1 << self.halvings().filter(|&halves| halves).count()
    }

    /// Whether time is halved between the levels, from the finest on.
    pub(super) fn halvings(&self) -> impl DoubleEndedIterator<Item = bool> {
        let transitions = self.dim_mult.len().saturating_sub(1);
        let flags = self.temporal_downsample.iter().copied();
        flags.take(transitions)
    }

    /// Checks what the network can be built from.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the key that is not supported.
    pub fn check(&self) -> Result<()> {
        let widest = self.dim_mult.iter().copied().max().unwrap_or(1);
        Sizes {
            network: "codec",
            sizes: &[
                ("base_dim", self.base_dim.saturating_mul(widest)),
                (
                    "decoder_base_dim",
                    self.decoder_base_dim.unwrap_or(0).saturating_mul(widest),
                ),
                ("z_dim", self.z_dim),
                ("in_channels", self.in_channels),
                ("out_channels", self.out_channels),
            ],
            layers: &[],
            factors: &[
                ("dim_mult", self.dim_mult.len()),
                ("num_res_blocks", self.num_res_blocks),
            ],
        }
        .check()?;
        let transitions = self.dim_mult.len().saturating_sub(1);
        let scale_exists =
            |scale: &f64| (0..=transitions).any(|i| *scale == 0.5_f64.powi(i as i32));
        let sizes = [
            self.base_dim,
            self.z_dim,
            self.in_channels,
            self.out_channels,
        ];
        let decoder_dim = self.decoder_base_dim.unwrap_or(self.base_dim);
        let halved = self.dim_mult.iter().skip(1).map(|mult| mult * decoder_dim);
        let rules = [
            (
                !self.is_residual,
                "is_residual: the Wan 2.2 codec is another network",
            ),
            (
                self.patch_size.is_none(),
                "patch_size: the Wan 2.2 codec is another network",
            ),
            (
                !self.attn_scales.iter().any(scale_exists),
                "attn_scales: attention outside the middle",
            ),
            (
                !self.dim_mult.is_empty() && !self.dim_mult.contains(&0),
                "dim_mult: needs positive levels",
            ),
            (
                !sizes.contains(&0) && decoder_dim > 0,
                "base_dim, z_dim and channels must be positive",
            ),
            (
                halved.clone().all(|channels| channels % 2 == 0),
                "decoder_base_dim: channels above the finest level are halved and must be even",
            ),
            (
                self.temporal_downsample.len() >= transitions,
                "temperal_downsample: needs a flag for each step between levels",
            ),
            (
                self.latents_mean.len() == self.z_dim && self.latents_std.len() == self.z_dim,
                "latents_mean and latents_std: need one value a latent channel",
            ),
            (
                self.latents_std.iter().all(|std| *std > 0.0),
                "latents_std: must be positive",
            ),
        ];
        match rules.into_iter().find(|(holds, _)| !holds) {
            Some((_, rule)) => Err(Error::invalid("codec configuration", rule)),
            None => Ok(()),
        }
    }
}

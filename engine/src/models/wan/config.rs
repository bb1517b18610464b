//! Shapes of the Wan diffusion transformer.

use serde::{Deserialize, Serialize};

/// Configuration of a Wan DiT: Wan-Video/Wan2.1 `wan/configs`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WanConfig {
    /// Width `E`.
    pub dim: usize,
    /// Feed-forward width.
    pub ffn_dim: usize,
    /// Attention heads.
    pub num_heads: usize,
    /// Blocks.
    pub num_layers: usize,
    /// Input channels: noisy latents, 4 of the mask, condition latents (16 for text to video).
    pub in_dim: usize,
    /// Output channels.
    pub out_dim: usize,
    /// Width of the sinusoidal time vector.
    pub freq_dim: usize,
    /// Width of the text rows.
    pub text_dim: usize,
    /// Length of the padded text.
    pub text_len: usize,
    /// Epsilon of the norms.
    pub eps: f64,
    /// Width of the image tokens; `None` for a model without image path.
    pub image_dim: Option<usize>,
}

impl Default for WanConfig {
    fn default() -> Self {
        Self::fun_inp_14b()
    }
}

impl WanConfig {
    /// Wan2.1-Fun-V1.1-14B-InP, the base of One4D.
    pub fn fun_inp_14b() -> Self {
        Self {
            dim: 5120,
            ffn_dim: 13824,
            num_heads: 40,
            num_layers: 40,
            in_dim: 36,
            out_dim: 16,
            freq_dim: 256,
            text_dim: 4096,
            text_len: 512,
            eps: 1e-6,
            image_dim: Some(1280),
        }
    }

    /// Wan2.1-Fun-V1.1-1.3B-InP.
    pub fn fun_inp_1_3b() -> Self {
        Self {
            dim: 1536,
            ffn_dim: 8960,
            num_heads: 12,
            num_layers: 30,
            ..Self::fun_inp_14b()
        }
    }

    /// Wan2.1-T2V-14B.
    pub fn t2v_14b() -> Self {
        Self {
            in_dim: 16,
            image_dim: None,
            ..Self::fun_inp_14b()
        }
    }

    /// Wan2.1-T2V-1.3B.
    pub fn t2v_1_3b() -> Self {
        Self {
            in_dim: 16,
            image_dim: None,
            ..Self::fun_inp_1_3b()
        }
    }

    /// A few thousand parameters, for tests.
    pub fn tiny() -> Self {
        Self {
            dim: 48,
            ffn_dim: 96,
            num_heads: 4,
            num_layers: 2,
            in_dim: 12,
            out_dim: 4,
            freq_dim: 32,
            text_dim: 24,
            text_len: 16,
            eps: 1e-6,
            image_dim: None,
        }
    }
}

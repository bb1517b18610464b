//! Shapes of the Wan diffusion transformer.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::models::limits::Sizes;
use crate::models::reference_config::ReferenceConfig;
use crate::{Error, Result};

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
    /// Length of the learned table added to the image tokens (first and last frame models).
    pub image_len: Option<usize>,
    /// Patch along t, h, w.
    pub patch: [usize; 3],
    /// Normalises queries and keys over the full width.
    pub qk_norm: bool,
    /// Affine norm before the cross attention.
    pub cross_attn_norm: bool,
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
            image_len: None,
            patch: [1, 2, 2],
            qk_norm: true,
            cross_attn_norm: true,
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
            ..Self::fun_inp_14b()
        }
    }

    /// Width `D` of a head.
    pub fn head_dim(&self) -> usize {
        self.dim / self.num_heads.max(1)
    }

    /// Channels `C` of the latents behind `in_dim = C + 4 + C`; `None` for a model without
    /// conditioning channels.
    pub fn conditioned_channels(&self) -> Option<usize> {
        (self.in_dim == 2 * self.out_dim + 4).then_some(self.out_dim)
    }

    /// Reads a `config.json` of the official (`WanModel`) or the diffusers (`WanTransformer3DModel`)
    /// layout. Unknown keys are ignored, absent ones take the reference's defaults.
    ///
    /// # Errors
    /// [`Error::Invalid`] for values of the wrong type or an impossible shape.
    pub fn from_reference(json: &Value) -> Result<Self> {
        let config = if json.get("num_attention_heads").is_some() {
            Self::from_diffusers(json)?
        } else {
            Self::from_official(json)?
        };
        config.validate()?;
        Ok(config)
    }

    fn from_official(json: &Value) -> Result<Self> {
        let base = Self::fun_inp_14b();
        let keys = ReferenceConfig::new("Wan", json);
        let kind = keys.text("model_type");
        let has_image = matches!(kind, Some("i2v" | "flf2v"));
        Ok(Self {
            dim: keys.count("dim", 2048)?,
            ffn_dim: keys.count("ffn_dim", 8192)?,
            num_heads: keys.count("num_heads", 16)?,
            num_layers: keys.count("num_layers", 32)?,
            in_dim: keys.count("in_dim", 16)?,
            out_dim: keys.count("out_dim", 16)?,
            freq_dim: keys.count("freq_dim", base.freq_dim)?,
            text_dim: keys.count("text_dim", base.text_dim)?,
            text_len: keys.count("text_len", base.text_len)?,
            eps: keys.number("eps", base.eps)?,
            image_dim: has_image.then_some(1280),
            image_len: (kind == Some("flf2v")).then_some(514),
            patch: patch(json)?,
            qk_norm: json.get("qk_norm").and_then(Value::as_bool) != Some(false),
            cross_attn_norm: json.get("cross_attn_norm").and_then(Value::as_bool) != Some(false),
        })
    }

    fn from_diffusers(json: &Value) -> Result<Self> {
        let base = Self::fun_inp_14b();
        let keys = ReferenceConfig::new("Wan", json);
        let num_heads = keys.count("num_attention_heads", 40)?;
        let in_dim = keys.count("in_channels", 16)?;
        Ok(Self {
            dim: num_heads.saturating_mul(keys.count("attention_head_dim", 128)?),
            ffn_dim: keys.count("ffn_dim", base.ffn_dim)?,
            num_heads,
            num_layers: keys.count("num_layers", base.num_layers)?,
            in_dim,
            out_dim: keys.count("out_channels", in_dim)?,
            freq_dim: keys.count("freq_dim", base.freq_dim)?,
            text_dim: keys.count("text_dim", base.text_dim)?,
            text_len: base.text_len,
            eps: keys.number("eps", base.eps)?,
            image_dim: keys.optional_count("image_dim")?,
            image_len: keys.optional_count("pos_embed_seq_len")?,
            patch: patch(json)?,
            qk_norm: true,
            cross_attn_norm: json.get("cross_attn_norm").and_then(Value::as_bool) != Some(false),
        })
    }

    /// Checks what the layers rely on.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the rule that is broken.
    pub fn validate(&self) -> Result<()> {
        let [t, h, w] = self.patch;
        let sizes = Sizes {
            network: "Wan",
            sizes: &[
                ("dim", self.dim),
                ("ffn_dim", self.ffn_dim),
                ("in_dim", self.in_dim),
                ("out_dim", self.out_dim),
                ("freq_dim", self.freq_dim),
                ("text_dim", self.text_dim),
                ("text_len", self.text_len),
                ("image_dim", self.image_dim.unwrap_or(0)),
                ("image_len", self.image_len.unwrap_or(0)),
            ],
            layers: &[("num_layers", self.num_layers)],
            factors: &[("patch_size", t), ("patch_size", h), ("patch_size", w)],
        };
        sizes.check()?;
        let head_dim = self.head_dim();
        let rules = [
            (
                self.num_heads > 0 && self.dim == head_dim * self.num_heads,
                "dim must be a multiple of num_heads",
            ),
            (
                head_dim >= 6 && head_dim.is_multiple_of(2),
                "the width of a head must be even and at least 6",
            ),
            (
                self.freq_dim >= 2 && self.freq_dim.is_multiple_of(2),
                "freq_dim must be even and at least 2",
            ),
            (
                [self.ffn_dim, self.in_dim, self.out_dim, self.text_dim]
                    .iter()
                    .all(|n| *n > 0)
                    && self.patch.iter().all(|n| *n > 0),
                "widths, channels and patch must be positive",
            ),
        ];
        match rules.into_iter().find(|(holds, _)| !holds) {
            Some((_, rule)) => Err(Error::invalid("Wan configuration", rule)),
            None => Ok(()),
        }
    }
}

fn patch(json: &Value) -> Result<[usize; 3]> {
    match json.get("patch_size") {
        None | Some(Value::Null) => Ok([1, 2, 2]),
        Some(value) => serde_json::from_value(value.clone())
            .map_err(|e| Error::invalid("Wan configuration `patch_size`", e.to_string())),
    }
}

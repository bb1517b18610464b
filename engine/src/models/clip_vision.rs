//! The visual tower of CLIP ViT-H/14, whose penultimate tokens condition the DiT on an image.
//!
//! Learning Transferable Visual Models (arXiv 2103.00020), OpenCLIP's XLM-RoBERTa ViT-H/14. Names are
//! those of Wan-Video/Wan2.1 `wan/modules/clip.py`; Hugging Face's are read through [`HUGGING_FACE`].

use candle_core::Tensor;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::limits::Sizes;
use super::names::NameTable;
use super::reference_config::ReferenceConfig;
use crate::nn::{Init, Linear, Weights, attention, gelu_erf, layer_norm, linear};
use crate::{Error, Result};

/// Our names and those of transformers' `CLIPVisionModel`, which files up to version 4 put below
/// `vision_model`.
pub const HUGGING_FACE: NameTable = NameTable {
    block_prefix: ("transformer.", "encoder.layers."),
    block: &[
        ("norm1", "layer_norm1"),
        ("attn.q", "self_attn.q_proj"),
        ("attn.k", "self_attn.k_proj"),
        ("attn.v", "self_attn.v_proj"),
        ("attn.proj", "self_attn.out_proj"),
        ("norm2", "layer_norm2"),
        ("mlp.0", "mlp.fc1"),
        ("mlp.2", "mlp.fc2"),
    ],
    globals: &[
        ("patch_embedding", "embeddings.patch_embedding"),
        ("cls_embedding", "embeddings.class_embedding"),
        ("pos_embedding", "embeddings.position_embedding.weight"),
        // Spelt so in the reference.
        ("pre_norm", "pre_layrnorm"),
    ],
};

/// Mean of the colours that CLIP was trained with, RGB in 0..1.
pub const MEAN: [f64; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
/// Their standard deviation.
pub const STD: [f64; 3] = [0.268_629_54, 0.261_302_58, 0.275_777_11];

/// Shape of the tower.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClipVisionConfig {
    /// Side of the image, pixels.
    pub image_size: usize,
    /// Side of a patch, pixels.
    pub patch_size: usize,
    /// Width `E`.
    pub dim: usize,
    /// Feed-forward width.
    pub ffn_dim: usize,
    /// Heads.
    pub num_heads: usize,
    /// Layers, of which the last is never run.
    pub num_layers: usize,
    /// Epsilon of the norms.
    pub eps: f64,
}

impl Default for ClipVisionConfig {
    fn default() -> Self {
        Self::vit_h_14()
    }
}

impl ClipVisionConfig {
    /// The tower of Wan 2.1.
    pub fn vit_h_14() -> Self {
        Self {
            image_size: 224,
            patch_size: 14,
            dim: 1280,
            ffn_dim: 5120,
            num_heads: 16,
            num_layers: 32,
            eps: 1e-5,
        }
    }

    /// Reads transformers' `config.json` of a `CLIPVisionModel`; absent keys take its defaults.
    ///
    /// # Errors
    /// [`Error::Invalid`] if a key is no whole number or the activation is not the exact GELU.
    pub fn from_reference(json: &Value) -> Result<Self> {
        let keys = ReferenceConfig::new("CLIP", json);
        // The reference's own default is the sigmoid form, which OpenCLIP's ViT-H does not use.
        let activation = keys.text("hidden_act");
        if activation != Some("gelu") {
            let reason = format!("only the exact `gelu` is known, got {activation:?}");
            return Err(keys.refuse("hidden_act", &reason));
        }
        let config = Self {
            image_size: keys.count("image_size", 224)?,
            patch_size: keys.count("patch_size", 32)?,
            dim: keys.count("hidden_size", 768)?,
            ffn_dim: keys.count("intermediate_size", 3072)?,
            num_heads: keys.count("num_attention_heads", 12)?,
            num_layers: keys.count("num_hidden_layers", 12)?,
            eps: keys.number("layer_norm_eps", 1e-5)?,
        };
        config.validate()?;
        Ok(config)
    }

    /// Checks what the layers rely on.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the key that is out of bounds, or what does not divide.
    pub fn validate(&self) -> Result<()> {
        let sizes = Sizes {
            network: "CLIP",
            sizes: &[
                ("hidden_size", self.dim),
                ("intermediate_size", self.ffn_dim),
            ],
            layers: &[
                ("num_hidden_layers", self.num_layers),
                ("image_size", self.image_size),
            ],
            factors: &[],
        };
        sizes.check()?;
        let whole = |n: usize, by: usize| by > 0 && n > 0 && n.is_multiple_of(by);
        if whole(self.image_size, self.patch_size) && whole(self.dim, self.num_heads) {
            return Ok(());
        }
        Err(Error::invalid(
            "CLIP configuration",
            "patches must divide the image and heads the width",
        ))
    }

    /// Tokens of an image: its patches and the class token before them.
    pub fn num_tokens(&self) -> usize {
        let side = self.image_size / self.patch_size;
        side * side + 1
    }
}

/// Weight and bias of a layer norm.
struct Norm([Tensor; 2]);

impl Norm {
    fn new(dim: usize, weights: &Weights) -> Result<Self> {
        Ok(Self([
            weights.get(&[dim], "weight", Init::Const(1.0))?,
            weights.get(&[dim], "bias", Init::Const(0.0))?,
        ]))
    }

    fn forward(&self, x: &Tensor, eps: f64) -> Result<Tensor> {
        let [weight, bias] = &self.0;
        layer_norm(x, eps, Some((weight, bias)))
    }
}

struct Block {
    norm1: Norm,
    /// Queries, keys and values, stacked.
    qkv: Linear,
    proj: Linear,
    norm2: Norm,
    fc1: Linear,
    fc2: Linear,
}

impl Block {
    fn new(cfg: &ClipVisionConfig, weights: &Weights) -> Result<Self> {
        let (dim, attn) = (cfg.dim, weights.pp("attn"));
        let qkv = if attn.shape("q.weight").is_some() {
            let [q, k, v] = ["q", "k", "v"].map(|name| Linear::new(dim, dim, &attn.pp(name)));
            let parts = [q?, k?, v?];
            let biases: Vec<&Tensor> = parts.iter().filter_map(|p| p.bias.as_ref()).collect();
            Linear {
                weight: Tensor::cat(&parts.each_ref().map(|p| &p.weight), 0)?,
                bias: Some(Tensor::cat(&biases, 0)?),
            }
        } else {
            Linear::new(dim, 3 * dim, &attn.pp("to_qkv"))?
        };
        Ok(Self {
            norm1: Norm::new(dim, &weights.pp("norm1"))?,
            qkv,
            proj: Linear::new(dim, dim, &attn.pp("proj"))?,
            norm2: Norm::new(dim, &weights.pp("norm2"))?,
            fc1: Linear::new(dim, cfg.ffn_dim, &weights.pp("mlp.0"))?,
            fc2: Linear::new(cfg.ffn_dim, dim, &weights.pp("mlp.2"))?,
        })
    }

    /// # Shapes
    /// - `x`: `[B, N, E]`
    fn forward(&self, x: &Tensor, cfg: &ClipVisionConfig) -> Result<Tensor> {
        let (batch, tokens, dim) = x.dims3()?;
        let head_dim = dim / cfg.num_heads;
        let stacked = self.qkv.forward(&self.norm1.forward(x, cfg.eps)?)?;
        let part = |index: usize| -> Result<Tensor> {
            let part = stacked.narrow(2, index * dim, dim)?.contiguous()?;
            Ok(part.reshape((batch, tokens, cfg.num_heads, head_dim))?)
        };
        let scale = (head_dim as f64).powf(-0.5);
        let mixed = attention(&part(0)?, &part(1)?, &part(2)?, scale, None)?;
        let x = (x + self.proj.forward(&mixed.flatten_from(2)?)?)?;
        let hidden = gelu_erf(&self.fc1.forward(&self.norm2.forward(&x, cfg.eps)?)?)?;
        Ok((&x + self.fc2.forward(&hidden)?)?)
    }
}

/// The visual tower up to its penultimate layer.
pub struct ClipVision {
    cfg: ClipVisionConfig,
    /// `[E, 3 P P]`
    patch: Tensor,
    class_token: Tensor,
    positions: Tensor,
    pre_norm: Norm,
    blocks: Vec<Block>,
}

impl ClipVision {
    /// Reads the tower under the official names (with or without the text tower beside it) or under
    /// Hugging Face's. The last block, the norm after it and the text tower are left unread.
    ///
    /// # Errors
    /// As [`ClipVisionConfig::validate`]; problems of single tensors are noted for [`Weights::finish`].
    pub fn from_weights(cfg: &ClipVisionConfig, weights: &Weights) -> Result<Self> {
        cfg.validate()?;
        let holds = |place: &Weights, name: &str| place.shape(name).is_some();
        let below = weights.pp("vision_model");
        let theirs = [&below, weights]
            .into_iter()
            .find(|place| holds(place, "embeddings.class_embedding"));
        let place = match theirs {
            Some(place) => place.renamed(|name| HUGGING_FACE.theirs(name)),
            None if holds(weights, "visual.cls_embedding") => weights.pp("visual"),
            None => weights.clone(),
        };
        let hugging_face = theirs.is_some();
        let (dim, side, tokens) = (cfg.dim, cfg.patch_size, cfg.num_tokens());
        let flat = |name: &str, count: usize| -> Result<Tensor> {
            // [1, 1, E] and [1, N, E] in the official layout, [E] and [N, E] in the other.
            let shape: Vec<usize> = match (hugging_face, count) {
                (true, 1) => vec![dim],
                (true, _) => vec![count, dim],
                (false, _) => vec![1, count, dim],
            };
            let tensor = place.get(&shape, name, Init::Normal((dim as f64).powf(-0.5)))?;
            Ok(tensor.reshape((1, count, dim))?)
        };
        let patch =
            place
                .pp("patch_embedding")
                .get(&[dim, 3, side, side], "weight", Init::Xavier)?;
        let used = cfg.num_layers.saturating_sub(1);
        let tower = Self {
            patch: patch.reshape((dim, 3 * side * side))?,
            class_token: flat("cls_embedding", 1)?,
            positions: flat("pos_embedding", tokens)?,
            pre_norm: Norm::new(dim, &place.pp("pre_norm"))?,
            blocks: (0..used)
                .map(|index| Block::new(cfg, &place.pp(format!("transformer.{index}"))))
                .collect::<Result<_>>()?,
            cfg: cfg.clone(),
        };
        skip_unused(weights, used);
        Ok(tower)
    }

    /// The shape of the tower.
    pub fn config(&self) -> &ClipVisionConfig {
        &self.cfg
    }

    /// Tokens after the last but one block, class token first, without a final norm
    /// (Hugging Face's `hidden_states[-2]`).
    ///
    /// # Shapes
    /// - `pixels`: `[B, 3, S, S]`, normalised by [`MEAN`] and [`STD`]; returns `[B, N, E]`
    ///
    /// # Errors
    /// [`Error::Shape`] for another size of image.
    pub fn forward(&self, pixels: &Tensor) -> Result<Tensor> {
        let cfg = &self.cfg;
        let (side, dim) = (cfg.patch_size, cfg.dim);
        let grid = cfg.image_size / side;
        let (batch, channels, height, width) = pixels.dims4()?;
        if [channels, height, width] != [3, cfg.image_size, cfg.image_size] {
            let required = format!("[B, 3, {0}, {0}]", cfg.image_size);
            return Err(Error::shape("image of CLIP", required, pixels.dims()));
        }
        let patches = pixels
            .reshape(&[batch, 3, grid, side, grid, side])?
            .permute([0, 2, 4, 1, 3, 5])?
            .reshape((batch, grid * grid, 3 * side * side))?; // [B, N - 1, 3 P P]
        let patches = linear(&patches, &self.patch, None)?;
        let class_token = self.class_token.expand((batch, 1, dim))?;
        let tokens = Tensor::cat(&[&class_token, &patches], 1)?; // [B, N, E]
        let tokens = tokens.broadcast_add(&self.positions)?;
        let mut tokens = self.pre_norm.forward(&tokens, cfg.eps)?;
        for block in &self.blocks {
            tokens = block.forward(&tokens, cfg)?;
        }
        Ok(tokens)
    }
}

/// Accepts what files hold beyond the tower's first `used` blocks: the last block, the norm and the
/// projection after it, the text tower.
fn skip_unused(weights: &Weights, used: usize) {
    let unused = [
        format!("transformer.{used}."),
        format!("encoder.layers.{used}."),
        "post_norm.".to_owned(),
        "post_layernorm.".to_owned(),
        "embeddings.position_ids".to_owned(),
        "textual.".to_owned(),
        "log_scale".to_owned(),
        "visual_projection.".to_owned(),
        "head".to_owned(),
    ];
    for name in weights.names() {
        let local = ["vision_model.", "visual."]
            .into_iter()
            .find_map(|prefix| name.strip_prefix(prefix))
            .unwrap_or(&name);
        if unused.iter().any(|start| local.starts_with(start.as_str())) {
            weights.skip(&name);
        }
    }
}

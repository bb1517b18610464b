//! The UMT5 text encoder.
//!
//! UMT5 (arXiv 2304.09151): T5's encoder with a relative position bias of its own in every layer,
//! no scaling of the scores, RMS norms, a gated feed-forward and no biases. Names are those of
//! Wan-Video/Wan2.1 `wan/modules/t5.py`; Hugging Face's are read through [`HUGGING_FACE`].

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::limits::Sizes;
use super::names::NameTable;
use super::reference_config::ReferenceConfig;
use crate::Result;
use crate::nn::{Init, Layers, Linear, Weights, attention, gelu_tanh, rms_norm};

/// Our names and those of transformers' `UMT5EncoderModel`.
pub const HUGGING_FACE: NameTable = NameTable {
    block_prefix: ("blocks.", "encoder.block."),
    block: &[
        ("norm1", "layer.0.layer_norm"),
        ("attn.q", "layer.0.SelfAttention.q"),
        ("attn.k", "layer.0.SelfAttention.k"),
        ("attn.v", "layer.0.SelfAttention.v"),
        ("attn.o", "layer.0.SelfAttention.o"),
        (
            "pos_embedding.embedding",
            "layer.0.SelfAttention.relative_attention_bias",
        ),
        ("norm2", "layer.1.layer_norm"),
        ("ffn.gate.0", "layer.1.DenseReluDense.wi_0"),
        ("ffn.fc1", "layer.1.DenseReluDense.wi_1"),
        ("ffn.fc2", "layer.1.DenseReluDense.wo"),
    ],
    globals: &[
        ("token_embedding", "shared"),
        ("norm", "encoder.final_layer_norm"),
    ],
};

/// Our names and those of llama.cpp's `t5encoder` GGUF files.
pub const GGUF: NameTable = NameTable {
    block_prefix: ("blocks.", "enc.blk."),
    block: &[
        ("norm1", "attn_norm"),
        ("attn.q", "attn_q"),
        ("attn.k", "attn_k"),
        ("attn.v", "attn_v"),
        ("attn.o", "attn_o"),
        ("pos_embedding.embedding", "attn_rel_b"),
        ("norm2", "ffn_norm"),
        ("ffn.gate.0", "ffn_gate"),
        ("ffn.fc1", "ffn_up"),
        ("ffn.fc2", "ffn_down"),
    ],
    globals: &[
        ("token_embedding", "token_embd"),
        ("norm", "enc.output_norm"),
    ],
};

/// Shape of the encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Umt5Config {
    /// Tokens in the vocabulary.
    pub vocab_size: usize,
    /// Width `E`.
    pub dim: usize,
    /// Feed-forward width.
    pub ffn_dim: usize,
    /// Heads `A`.
    pub num_heads: usize,
    /// Width `D` of a head; `A D` need not be `E`.
    pub head_dim: usize,
    /// Layers.
    pub num_layers: usize,
    /// Buckets of relative positions, both directions together.
    pub num_buckets: usize,
    /// Distance from which on all positions share the last bucket.
    pub max_distance: usize,
    /// Epsilon of the norms.
    pub eps: f64,
}

impl Default for Umt5Config {
    fn default() -> Self {
        Self::xxl()
    }
}

impl Umt5Config {
    /// The encoder of Wan 2.1.
    pub fn xxl() -> Self {
        Self {
            vocab_size: 256_384,
            dim: 4096,
            ffn_dim: 10_240,
            num_heads: 64,
            head_dim: 64,
            num_layers: 24,
            num_buckets: 32,
            max_distance: 128,
            eps: 1e-6,
        }
    }

    /// Reads transformers' `config.json` of a `UMT5EncoderModel`; absent keys take its defaults.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] if a key is no whole number, or the feed-forward is not the gated one.
    pub fn from_reference(json: &Value) -> Result<Self> {
        let keys = ReferenceConfig::new("UMT5", json);
        if let Some(kind) = keys
            .text("feed_forward_proj")
            .filter(|kind| *kind != "gated-gelu")
        {
            let reason = format!("only gated-gelu is UMT5's, got {kind}");
            return Err(keys.refuse("feed_forward_proj", &reason));
        }
        Ok(Self {
            vocab_size: keys.count("vocab_size", 250_112)?,
            dim: keys.count("d_model", 512)?,
            ffn_dim: keys.count("d_ff", 1024)?,
            num_heads: keys.count("num_heads", 6)?,
            head_dim: keys.count("d_kv", 64)?,
            num_layers: keys.count("num_layers", 8)?,
            num_buckets: keys.count("relative_attention_num_buckets", 32)?,
            max_distance: keys.count("relative_attention_max_distance", 128)?,
            eps: keys.number("layer_norm_epsilon", 1e-6)?,
        })
    }

    /// Checks what the layers rely on.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] naming the key that is out of bounds.
    pub fn validate(&self) -> Result<()> {
        let sizes = Sizes {
            network: "UMT5",
            sizes: &[
                ("vocab_size", self.vocab_size),
                ("d_model", self.dim),
                ("d_ff", self.ffn_dim),
                ("num_heads", self.num_heads),
                ("d_kv", self.head_dim),
                (
                    "num_heads x d_kv",
                    self.num_heads.saturating_mul(self.head_dim),
                ),
                ("relative_attention_num_buckets", self.num_buckets),
            ],
            layers: &[("num_layers", self.num_layers)],
            factors: &[],
        };
        sizes.check()
    }
}

/// Bucket of a relative position `key - query`: exact up to a quarter of the buckets, then
/// logarithmic, one half of the buckets a direction.
fn bucket(relative: i64, num_buckets: usize, max_distance: usize) -> u32 {
    let half = (num_buckets / 2).max(1);
    let exact = (half / 2).max(1);
    let distance = relative.unsigned_abs() as usize;
    let side = if relative > 0 { half } else { 0 };
    let offset = if distance < exact {
        distance
    } else {
        let ratio =
            (distance as f32 / exact as f32).ln() / (max_distance as f32 / exact as f32).ln();
        (exact + (ratio * (half - exact) as f32) as usize).min(half - 1)
    };
    (side + offset) as u32
}

struct Layer {
    norm1: Tensor,
    qkvo: [Linear; 4],
    position: Tensor,
    norm2: Tensor,
    gate: Linear,
    fc1: Linear,
    fc2: Linear,
}

impl Layer {
    fn new(cfg: &Umt5Config, weights: &Weights) -> Result<Self> {
        let (dim, inner) = (cfg.dim, cfg.num_heads * cfg.head_dim);
        let norm = |name: &str| weights.pp(name).get(&[dim], "weight", Init::Const(1.0));
        let linear = |name: &str, input: usize, output: usize, fan: usize| -> Result<Linear> {
            let init = Init::Normal((fan.max(1) as f64).powf(-0.5));
            let weight = weights.pp(name).get(&[output, input], "weight", init)?;
            Ok(Linear { weight, bias: None })
        };
        let table = [cfg.num_buckets, cfg.num_heads];
        let position = weights.pp("pos_embedding.embedding").get(
            &table,
            "weight",
            Init::Normal((dim as f64).powf(-0.5)),
        )?;
        Ok(Self {
            norm1: norm("norm1")?,
            qkvo: [
                linear("attn.q", dim, inner, dim * cfg.head_dim)?,
                linear("attn.k", dim, inner, dim)?,
                linear("attn.v", dim, inner, dim)?,
                linear("attn.o", inner, dim, inner)?,
            ],
            position,
            norm2: norm("norm2")?,
            gate: linear("ffn.gate.0", dim, cfg.ffn_dim, dim)?,
            fc1: linear("ffn.fc1", dim, cfg.ffn_dim, dim)?,
            fc2: linear("ffn.fc2", cfg.ffn_dim, dim, cfg.ffn_dim)?,
        })
    }

    /// # Shapes
    /// - `x`: `[R, S, E]`; `buckets`: `[S S]`; `hidden`: `[R, 1, 1, S]`, added to the scores
    fn forward(
        &self,
        x: &Tensor,
        buckets: &Tensor,
        hidden: &Tensor,
        cfg: &Umt5Config,
    ) -> Result<Tensor> {
        let (rows, len, _width) = x.dims3()?;
        let normed = rms_norm(x, &self.norm1, cfg.eps)?;
        let heads = |layer: &Linear| -> Result<Tensor> {
            let y = layer.forward(&normed)?;
            Ok(y.reshape((rows, len, cfg.num_heads, cfg.head_dim))?) // [R, S, A, D]
        };
        let [q, k, v, o] = &self.qkvo;
        let bias = self.position.index_select(buckets, 0)?; // [S S, A]
        let bias = bias.t()?.reshape((1, cfg.num_heads, len, len))?; // [1, A, S, S]
        let bias = bias.broadcast_add(hidden)?; // [R, A, S, S]
        let mixed = attention(&heads(q)?, &heads(k)?, &heads(v)?, 1.0, Some(&bias))?;
        let x = (x + o.forward(&mixed.flatten_from(2)?)?)?;
        let normed = rms_norm(&x, &self.norm2, cfg.eps)?;
        let gated = (self.fc1.forward(&normed)? * gelu_tanh(&self.gate.forward(&normed)?)?)?;
        Ok((&x + self.fc2.forward(&gated)?)?)
    }
}

/// The table of token embeddings `[V, E]`.
enum Embedding {
    Held(Tensor),
    /// In a file of which only the rows of a text are read.
    InFile(Weights),
}

impl Embedding {
    const NAME: &str = "weight";

    fn new(cfg: &Umt5Config, weights: &Weights) -> Result<Self> {
        let shape = [cfg.vocab_size, cfg.dim];
        if !weights.is_streamed() {
            return Ok(Self::Held(weights.get(
                &shape,
                Self::NAME,
                Init::Normal(1.0),
            )?));
        }
        weights
            .unread()
            .get(&shape, Self::NAME, Init::Normal(1.0))?;
        Ok(Self::InFile(weights.clone()))
    }

    /// # Shapes
    /// - `ids`: `[R, S]`; returns `[R, S, E]`
    fn forward(&self, cfg: &Umt5Config, ids: &Tensor) -> Result<Tensor> {
        let (rows, len) = ids.dims2()?;
        let ids = ids.flatten_all()?;
        let table = match self {
            Self::Held(table) => table.index_select(&ids, 0)?,
            Self::InFile(weights) => weights.rows(
                [cfg.vocab_size, cfg.dim],
                Self::NAME,
                &ids.to_vec1::<u32>()?,
            )?,
        };
        Ok(table.reshape((rows, len, cfg.dim))?) // [R, S, E]
    }
}

/// The encoder.
pub struct Umt5Encoder {
    cfg: Umt5Config,
    embedding: Embedding,
    layers: Layers<Layer>,
    norm: Tensor,
}

impl Umt5Encoder {
    /// Reads the encoder under the official, Hugging Face's or llama.cpp's names, or starts a fresh one.
    /// At a streamed place its layers are looked up now and read for each text, two in memory at a time.
    ///
    /// # Errors
    /// As [`Umt5Config::validate`].
    pub fn from_weights(cfg: &Umt5Config, weights: &Weights) -> Result<Self> {
        cfg.validate()?;
        let weights = if weights.shape("enc.output_norm.weight").is_some() {
            weights.renamed(|name| GGUF.theirs(name))
        } else if weights.shape("encoder.final_layer_norm.weight").is_some() {
            // The embedding table is tied; some files hold it under the encoder's name only.
            let has_shared = weights.shape("shared.weight").is_some();
            weights.renamed(move |name| match name {
                "token_embedding.weight" if !has_shared => "encoder.embed_tokens.weight".into(),
                _ => HUGGING_FACE.theirs(name),
            })
        } else {
            weights.clone()
        };
        weights.skip("encoder.embed_tokens.weight"); // tied to the shared table
        Ok(Self {
            embedding: Embedding::new(cfg, &weights.pp("token_embedding"))?,
            layers: Self::layers_of(cfg, &weights)?,
            norm: weights
                .pp("norm")
                .get(&[cfg.dim], "weight", Init::Const(1.0))?,
            cfg: cfg.clone(),
        })
    }

    fn layers_of(cfg: &Umt5Config, weights: &Weights) -> Result<Layers<Layer>> {
        let layer = |cfg: &Umt5Config, weights: &Weights, index: usize| {
            Layer::new(cfg, &weights.pp(format!("blocks.{index}")))
        };
        if !weights.is_streamed() {
            let layers = (0..cfg.num_layers).map(|index| layer(cfg, weights, index));
            return Ok(Layers::resident(layers.collect::<Result<_>>()?));
        }
        let unread = weights.unread();
        for index in 0..cfg.num_layers {
            layer(cfg, &unread, index)?;
        }
        let (cfg, weights) = (cfg.clone(), weights.clone());
        let (count, device) = (cfg.num_layers, weights.device().clone());
        Ok(Layers::streamed(
            count,
            &device,
            Arc::new(move |index| layer(&cfg, &weights, index)),
        ))
    }

    /// The shape of the encoder.
    pub fn config(&self) -> &Umt5Config {
        &self.cfg
    }

    /// The device of the weights.
    pub fn device(&self) -> &Device {
        self.norm.device()
    }

    /// Encodes token ids; tokens whose mask is 0 are not attended to. Their own rows hold values
    /// without meaning, as in the reference.
    ///
    /// # Shapes
    /// - `ids`: `[R, S]`, u32; `mask`: `[R, S]`, 1 = a token, 0 = padding, any type
    /// - returns `[R, S, E]`
    pub fn forward(&self, ids: &Tensor, mask: &Tensor) -> Result<Tensor> {
        let (rows, len) = ids.dims2()?;
        let dtype = self.norm.dtype();
        let mut x = self.embedding.forward(&self.cfg, ids)?; // [R, S, E]
        let padding = mask.to_dtype(DType::F32)?.affine(-1.0, 1.0)?; // 1 = padding
        let lowest = f64::from(f32::MIN) / 2.0; // half, so that adding a bias cannot overflow
        let hidden = (padding * lowest)?
            .to_dtype(dtype)?
            .reshape((rows, 1, 1, len))?; // [R, 1, 1, S]
        let buckets = self.buckets(len)?;
        self.layers.for_each(|_, layer| {
            x = layer.forward(&x, &buckets, &hidden, &self.cfg)?;
            Ok(())
        })?;
        rms_norm(&x, &self.norm, self.cfg.eps)
    }

    /// Encodes token ids; rows past the true length are exactly zero, as the DiT expects them.
    ///
    /// # Shapes
    /// - as [`Self::forward`]
    pub fn encode_ids(&self, ids: &Tensor, mask: &Tensor) -> Result<Tensor> {
        let encoded = self.forward(ids, mask)?;
        let mask = mask.to_dtype(encoded.dtype())?.unsqueeze(2)?; // [R, S, 1]
        Ok(encoded.broadcast_mul(&mask)?)
    }

    /// `[S S]`, query slowest.
    fn buckets(&self, len: usize) -> Result<Tensor> {
        let (count, far) = (self.cfg.num_buckets, self.cfg.max_distance);
        let len = len as i64;
        let buckets: Vec<u32> = (0..len)
            .flat_map(|query| (0..len).map(move |key| bucket(key - query, count, far)))
            .collect();
        Ok(Tensor::new(buckets, self.device())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_have_the_reference_values() {
        let expected = [
            (-200, 15),
            (-64, 14),
            (-20, 10),
            (-8, 8),
            (-7, 7),
            (0, 0),
            (1, 17),
            (7, 23),
            (8, 24),
            (20, 26),
            (64, 30),
            (128, 31),
        ];
        for (relative, value) in expected {
            assert_eq!(bucket(relative, 32, 128), value, "{relative}");
        }
    }
}

//! One block of the Wan DiT: modulated self attention, cross attention, modulated feed-forward.
//!
//! Wan-Video/Wan2.1 `wan/modules/model.py` `WanAttentionBlock`.

use candle_core::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::config::WanConfig;
use super::dit::TokenContext;
use crate::Result;
use crate::nn::{
    Init, LoraLinear, RopeTable, WeightChange, Weights, add, apply_rope, attention, gated_add,
    gelu_tanh, layer_norm, modulated_layer_norm, rms_norm,
};

/// Which linear layers of a block carry adapters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdapterTargets {
    /// All of them.
    #[default]
    All,
    /// Queries, keys, values and outputs of both attentions; not those of the image tokens.
    Attention,
}

impl AdapterTargets {
    fn include(self, layer: &str) -> bool {
        match self {
            Self::All => true,
            Self::Attention => !layer.starts_with("ffn.") && !layer.ends_with("_img"),
        }
    }
}

/// The adapters that are put on the linear layers of every block.
#[derive(Clone, Copy, Debug)]
pub struct AdapterPlan {
    /// Which layers.
    pub targets: AdapterTargets,
    /// Names of the branches, in the order of their rows.
    pub branches: &'static [&'static str],
    /// Rank `K`.
    pub rank: usize,
    /// Factor before `B A`: alpha / rank.
    pub scale: f64,
}

/// A root mean square norm of queries or keys, over all heads at once.
struct QkNorm {
    weight: Option<Tensor>,
    eps: f64,
}

impl QkNorm {
    fn new(cfg: &WanConfig, weights: &Weights) -> Result<Self> {
        let weight = if cfg.qk_norm {
            Some(weights.get(&[cfg.dim], "weight", Init::Const(1.0))?)
        } else {
            None
        };
        let eps = cfg.eps;
        Ok(Self { weight, eps })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match &self.weight {
            Some(weight) => rms_norm(x, weight, self.eps),
            None => Ok(x.clone()),
        }
    }
}

/// Splits `[R, N, E]` into `[R, N, A, D]`.
fn split_heads(x: &Tensor, heads: usize) -> Result<Tensor> {
    let (rows, tokens, width) = x.dims3()?;
    Ok(x.reshape((rows, tokens, heads, width / heads))?) // [R, N, A, D]
}

fn attend(q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor> {
    let (_rows, _tokens, _heads, head_dim) = q.dims4()?;
    let mixed = attention(q, k, v, 1.0 / (head_dim as f64).sqrt(), None)?; // [R, N, A, D]
    Ok(mixed.flatten_from(2)?) // [R, N, E]
}

struct SelfAttention {
    q: LoraLinear,
    k: LoraLinear,
    v: LoraLinear,
    o: LoraLinear,
    norm_q: QkNorm,
    norm_k: QkNorm,
    heads: usize,
}

impl SelfAttention {
    fn new(cfg: &WanConfig, weights: &Weights) -> Result<Self> {
        let square = |name: &str| LoraLinear::new(cfg.dim, cfg.dim, &weights.pp(name));
        Ok(Self {
            q: square("q")?,
            k: square("k")?,
            v: square("v")?,
            o: square("o")?,
            norm_q: QkNorm::new(cfg, &weights.pp("norm_q"))?,
            norm_k: QkNorm::new(cfg, &weights.pp("norm_k"))?,
            heads: cfg.num_heads,
        })
    }

    fn forward(&self, x: &Tensor, rope: &RopeTable) -> Result<Tensor> {
        let turned = |layer: &LoraLinear, norm: &QkNorm| -> Result<Tensor> {
            let y = norm.forward(&layer.forward(x)?)?;
            apply_rope(&split_heads(&y, self.heads)?, rope)
        };
        // Queries, keys and values are gone before the output layer runs.
        let mixed = {
            let (q, k) = (
                turned(&self.q, &self.norm_q)?,
                turned(&self.k, &self.norm_k)?,
            );
            attend(&q, &k, &split_heads(&self.v.forward(x)?, self.heads)?)?
        };
        self.o.forward(&mixed)
    }
}

/// Keys and values of the image tokens, attended to by the same queries as the text.
struct ImageKeys {
    k: LoraLinear,
    v: LoraLinear,
    norm_k: QkNorm,
}

struct CrossAttention {
    q: LoraLinear,
    k: LoraLinear,
    v: LoraLinear,
    o: LoraLinear,
    norm_q: QkNorm,
    norm_k: QkNorm,
    image: Option<ImageKeys>,
    heads: usize,
}

impl CrossAttention {
    fn new(cfg: &WanConfig, weights: &Weights) -> Result<Self> {
        let square = |name: &str| LoraLinear::new(cfg.dim, cfg.dim, &weights.pp(name));
        let image = match cfg.image_dim {
            Some(_) => Some(ImageKeys {
                k: square("k_img")?,
                v: square("v_img")?,
                norm_k: QkNorm::new(cfg, &weights.pp("norm_k_img"))?,
            }),
            None => None,
        };
        Ok(Self {
            q: square("q")?,
            k: square("k")?,
            v: square("v")?,
            o: square("o")?,
            norm_q: QkNorm::new(cfg, &weights.pp("norm_q"))?,
            norm_k: QkNorm::new(cfg, &weights.pp("norm_k"))?,
            image,
            heads: cfg.num_heads,
        })
    }

    /// Two softmaxes, one over the text and one over the image; their results are added.
    fn forward(&self, x: Tensor, context: &TokenContext) -> Result<Tensor> {
        let q = split_heads(&self.norm_q.forward(&self.q.forward(&x)?)?, self.heads)?;
        drop(x);
        let seen = |k: &LoraLinear, v: &LoraLinear, norm: &QkNorm, tokens: &Tensor| {
            let k = split_heads(&norm.forward(&k.forward(tokens)?)?, self.heads)?;
            let v = split_heads(&v.forward(tokens)?, self.heads)?;
            attend(&q, &k, &v)
        };
        let text = seen(&self.k, &self.v, &self.norm_k, &context.text)?;
        let image = match (&self.image, &context.image) {
            (Some(keys), Some(image)) => Some(seen(&keys.k, &keys.v, &keys.norm_k, image)?),
            _ => None,
        };
        drop(q);
        let mixed = match image {
            Some(image) => add(&text, &image)?,
            None => text,
        };
        self.o.forward(&mixed)
    }
}

struct FeedForward {
    up: LoraLinear,
    down: LoraLinear,
    /// Tokens that pass at a time; `None` for all.
    piece: Option<usize>,
}

impl FeedForward {
    fn new(cfg: &WanConfig, weights: &Weights) -> Result<Self> {
        Ok(Self {
            up: LoraLinear::new(cfg.dim, cfg.ffn_dim, &weights.pp("0"))?,
            down: LoraLinear::new(cfg.ffn_dim, cfg.dim, &weights.pp("2"))?,
            piece: None,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (_rows, tokens, _width) = x.dims3()?;
        let piece = self.piece.unwrap_or(tokens).max(1);
        if piece >= tokens {
            return self.whole(x);
        }
        let pieces = (0..tokens)
            .step_by(piece)
            .map(|start| self.whole(&x.narrow(1, start, piece.min(tokens - start))?))
            .collect::<Result<Vec<_>>>()?;
        Ok(Tensor::cat(&pieces, 1)?) // [R, N, E]
    }

    fn whole(&self, x: &Tensor) -> Result<Tensor> {
        let hidden = {
            let up = self.up.forward(x)?; // [R, N, F]
            gelu_tanh(&up)?
        };
        self.down.forward(&hidden)
    }
}

/// One block.
pub struct WanBlock {
    modulation: Tensor,
    self_attn: SelfAttention,
    norm3: Option<(Tensor, Tensor)>,
    cross_attn: CrossAttention,
    ffn: FeedForward,
    eps: f64,
}

impl WanBlock {
    /// Reads the tensors of `blocks.N`.
    pub fn new(cfg: &WanConfig, weights: &Weights) -> Result<Self> {
        let deviation = 1.0 / (cfg.dim as f64).sqrt();
        // Modulation and gates are sums of small numbers with one: f32, whatever the weights are.
        let modulation = weights.in_dtype(DType::F32).get(
            &[1, 6, cfg.dim],
            "modulation",
            Init::Normal(deviation),
        )?;
        let norm3 = if cfg.cross_attn_norm {
            let weights = weights.pp("norm3");
            Some((
                weights.get(&[cfg.dim], "weight", Init::Const(1.0))?,
                weights.get(&[cfg.dim], "bias", Init::Const(0.0))?,
            ))
        } else {
            None
        };
        Ok(Self {
            modulation,
            self_attn: SelfAttention::new(cfg, &weights.pp("self_attn"))?,
            norm3,
            cross_attn: CrossAttention::new(cfg, &weights.pp("cross_attn"))?,
            ffn: FeedForward::new(cfg, &weights.pp("ffn"))?,
            eps: cfg.eps,
        })
    }

    /// Puts adapters on the linear layers of the plan; `weights` is the place of this block in their file.
    pub fn attach(&mut self, plan: &AdapterPlan, weights: &Weights) -> Result<()> {
        for (name, layer) in self.linears_mut() {
            if plan.targets.include(name) {
                layer.attach(plan.branches, plan.rank, plan.scale, &weights.pp(name))?;
            }
        }
        Ok(())
    }

    /// Sets the changes beside this block's linear layers that `change_of` has by their names.
    pub(super) fn put_beside<'a>(
        &mut self,
        change_of: impl Fn(&str) -> Option<&'a WeightChange>,
    ) -> Result<()> {
        for (name, layer) in self.linears_mut() {
            if let Some(change) = change_of(name) {
                layer.put_beside(change)?;
            }
        }
        Ok(())
    }

    /// Lets this many tokens at a time through the feed-forward, whose hidden layer is the widest
    /// thing of a block; `None` for all.
    pub(super) fn limit_hidden(&mut self, tokens: Option<usize>) {
        self.ffn.piece = tokens;
    }

    /// Every linear layer by name: ten, twelve with an image path.
    fn linears_mut(&mut self) -> Vec<(&'static str, &mut LoraLinear)> {
        let (own, cross) = (&mut self.self_attn, &mut self.cross_attn);
        let mut layers = vec![
            ("self_attn.q", &mut own.q),
            ("self_attn.k", &mut own.k),
            ("self_attn.v", &mut own.v),
            ("self_attn.o", &mut own.o),
            ("cross_attn.q", &mut cross.q),
            ("cross_attn.k", &mut cross.k),
            ("cross_attn.v", &mut cross.v),
            ("cross_attn.o", &mut cross.o),
            ("ffn.0", &mut self.ffn.up),
            ("ffn.2", &mut self.ffn.down),
        ];
        if let Some(image) = &mut cross.image {
            layers.push(("cross_attn.k_img", &mut image.k));
            layers.push(("cross_attn.v_img", &mut image.v));
        }
        layers
    }

    /// # Shapes
    /// - `x`: `[R, N, E]`; `time`: `[1 or R, 6, E]` in f32, the projected time
    /// - `rope`: `N` tokens; returns `[R, N, E]`
    pub fn forward(
        &self,
        x: &Tensor,
        time: &Tensor,
        context: &TokenContext,
        rope: &RopeTable,
    ) -> Result<Tensor> {
        let (_rows, _tokens, _width) = x.dims3()?;
        let modulation = self.modulation.broadcast_add(time)?; // [1 or R, 6, E]
        let part = |index: usize| modulation.narrow(1, index, 1); // [1 or R, 1, E]

        // What a step needs ends with the step: at full size each of these is a gigabyte.
        let x = {
            let normed = modulated_layer_norm(x, &part(0)?, &part(1)?, self.eps)?;
            let mixed = self.self_attn.forward(&normed, rope)?;
            drop(normed);
            gated_add(x, &mixed, &part(2)?)?
        };
        let x = {
            let affine = self.norm3.as_ref().map(|(weight, bias)| (weight, bias));
            let normed = match affine {
                Some(affine) => layer_norm(&x, self.eps, Some(affine))?,
                None => x.clone(),
            };
            add(&x, &self.cross_attn.forward(normed, context)?)?
        };
        let hidden = {
            let normed = modulated_layer_norm(&x, &part(3)?, &part(4)?, self.eps)?;
            self.ffn.forward(&normed)?
        };
        gated_add(&x, &hidden, &part(5)?)
    }
}

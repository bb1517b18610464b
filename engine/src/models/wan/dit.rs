//! The Wan diffusion transformer: latents, time, text and image to a velocity.
//!
//! Wan2.1 (arXiv 2503.20314); Wan-Video/Wan2.1 `wan/modules/model.py`. Velocity = noise - data.

use std::sync::Arc;

use candle_core::{DType, Tensor};

use super::block::{AdapterPlan, WanBlock};
use super::config::WanConfig;
use super::keys;
use super::lora::LoraStack;
use crate::nn::{
    Init, Layers, Linear, RopeTable, ShapeStore, Weights, gelu_erf, gelu_tanh, layer_norm, linear,
    modulated_layer_norm, patch_grid, patchify, silu, sinusoid, unpatchify,
};
use crate::{Error, Result};

/// Base of the rotary frequencies.
const ROPE_THETA: f64 = 10_000.0;
/// Epsilon of the image embedding's norms: torch's default, not the configuration's.
const IMAGE_NORM_EPS: f64 = 1e-5;
/// Deviation of the time and text embeddings of a fresh network, as in the reference.
const EMBEDDING_DEVIATION: f64 = 0.02;

/// A convolution whose kernel is its stride: a linear map of patches.
#[derive(Clone, Debug)]
pub struct PatchEmbedding {
    /// `[E, C, pt, ph, pw]`.
    pub weight: Tensor,
    /// `[E]`.
    pub bias: Tensor,
}

impl PatchEmbedding {
    /// Reads `weight` and `bias` for `channels` input channels.
    pub fn new(cfg: &WanConfig, channels: usize, weights: &Weights) -> Result<Self> {
        let [pt, ph, pw] = cfg.patch;
        let shape = [cfg.dim, channels, pt, ph, pw];
        Ok(Self {
            weight: weights.get(&shape, "weight", Init::Xavier)?,
            bias: weights.get(&[cfg.dim], "bias", Init::Const(0.0))?,
        })
    }

    /// # Shapes
    /// - `x`: `[R, C, T', H', W']`; returns `[R, N, E]`
    ///
    /// # Errors
    /// [`Error::Shape`] if the channels or the sides do not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (_rows, channels, _t, _h, _w) = x.dims5()?;
        let (_width, expected, pt, ph, pw) = self.weight.dims5()?;
        if channels != expected {
            let required = format!("{expected} channels");
            return Err(Error::shape(
                "input of the patch embedding",
                required,
                channels,
            ));
        }
        let patches = patchify(&x.to_dtype(self.weight.dtype())?, [pt, ph, pw])?; // [R, N, C pt ph pw]
        linear(&patches, &self.weight.flatten_from(1)?, Some(&self.bias))
    }
}

/// The time of every row, embedded.
#[derive(Clone, Debug)]
pub struct TimeEmbedding {
    /// `[R, E]`, f32: modulates the head.
    pub vector: Tensor,
    /// `[R, 6, E]`, f32: modulates the blocks.
    pub projection: Tensor,
}

impl TimeEmbedding {
    /// Repeats the rows until there are `rows` of them. A single row stays one: it broadcasts.
    ///
    /// # Errors
    /// [`Error::Shape`] if `rows` is no multiple of the present number.
    pub fn for_rows(self, rows: usize) -> Result<Self> {
        if self.vector.dim(0)? == 1 {
            return Ok(self);
        }
        Ok(Self {
            vector: repeat_rows(&self.vector, rows)?,
            projection: repeat_rows(&self.projection, rows)?,
        })
    }
}

/// `x` again and again, until it has `rows` rows: `[r, ..]` to `[rows, ..]`.
///
/// # Errors
/// [`Error::Shape`] if `rows` is no multiple of the present number.
pub fn repeat_rows(x: &Tensor, rows: usize) -> Result<Tensor> {
    let present = x.dim(0)?;
    if present == 0 || !rows.is_multiple_of(present) {
        let required = format!("a divisor of {rows} rows");
        return Err(Error::shape("rows of the batch", required, present));
    }
    match rows / present {
        1 => Ok(x.clone()),
        times => Ok(Tensor::cat(&vec![x; times], 0)?),
    }
}

/// What the cross attention sees.
#[derive(Clone, Debug)]
pub struct TokenContext {
    /// `[R, S, E]`.
    pub text: Tensor,
    /// `[R, 257, E]`, for models with an image path.
    pub image: Option<Tensor>,
}

impl TokenContext {
    /// Repeats the rows until there are `rows` of them, in the same order.
    ///
    /// # Errors
    /// [`Error::Shape`] if `rows` is no multiple of the present number.
    pub fn for_rows(self, rows: usize) -> Result<Self> {
        Ok(Self {
            text: repeat_rows(&self.text, rows)?,
            image: self.image.map(|x| repeat_rows(&x, rows)).transpose()?,
        })
    }
}

/// Image tokens of the vision tower to the width of the network.
struct ImageEmbedding {
    position: Option<Tensor>,
    norm_in: (Tensor, Tensor),
    up: Linear,
    down: Linear,
    norm_out: (Tensor, Tensor),
}

impl ImageEmbedding {
    fn new(image_dim: usize, cfg: &WanConfig, weights: &Weights) -> Result<Self> {
        let position = match cfg.image_len {
            Some(len) => Some(weights.get(&[1, len, image_dim], "emb_pos", Init::Const(0.0))?),
            None => None,
        };
        let weights = weights.pp("proj");
        let norm = |name: &str, width: usize| -> Result<(Tensor, Tensor)> {
            let weights = weights.pp(name);
            let scale = weights.get(&[width], "weight", Init::Const(1.0))?;
            Ok((scale, weights.get(&[width], "bias", Init::Const(0.0))?))
        };
        Ok(Self {
            position,
            norm_in: norm("0", image_dim)?,
            up: Linear::new(image_dim, image_dim, &weights.pp("1"))?,
            down: Linear::new(image_dim, cfg.dim, &weights.pp("3"))?,
            norm_out: norm("4", cfg.dim)?,
        })
    }

    fn forward(&self, tokens: &Tensor) -> Result<Tensor> {
        let tokens = tokens.to_dtype(self.up.weight.dtype())?;
        let tokens = match &self.position {
            Some(table) => {
                let (_one, len, width) = table.dims3()?;
                tokens.reshape(((), len, width))?.broadcast_add(table)?
            }
            None => tokens,
        };
        let affine = |norm: &'_ (Tensor, Tensor), x: &Tensor| {
            layer_norm(x, IMAGE_NORM_EPS, Some((&norm.0, &norm.1)))
        };
        let hidden = gelu_erf(&self.up.forward(&affine(&self.norm_in, &tokens)?)?)?;
        affine(&self.norm_out, &self.down.forward(&hidden)?)
    }
}

/// The output layer: a norm modulated by the time, then patches.
#[derive(Clone, Debug)]
pub struct Head {
    modulation: Tensor,
    proj: Linear,
    eps: f64,
}

impl Head {
    fn new(cfg: &WanConfig, weights: &Weights) -> Result<Self> {
        let deviation = 1.0 / (cfg.dim as f64).sqrt();
        let modulation = weights.in_dtype(DType::F32).get(
            &[1, 2, cfg.dim],
            "modulation",
            Init::Normal(deviation),
        )?;
        let width = cfg.out_dim * cfg.patch.iter().product::<usize>();
        Ok(Self {
            modulation,
            proj: linear_from(cfg.dim, width, Init::Const(0.0), &weights.pp("head"))?,
            eps: cfg.eps,
        })
    }

    /// The last linear map.
    pub fn projection(&self) -> &Linear {
        &self.proj
    }

    /// The modulated norm before [`Self::projection`].
    ///
    /// # Shapes
    /// - `x`: `[R, N, E]`; `time`: `[1 or R, E]`; returns `[R, N, E]`
    pub fn normed(&self, x: &Tensor, time: &Tensor) -> Result<Tensor> {
        let (_rows, _tokens, _width) = x.dims3()?;
        let modulation = self.modulation.broadcast_add(&time.unsqueeze(1)?)?; // [1 or R, 2, E]
        let (shift, scale) = (modulation.narrow(1, 0, 1)?, modulation.narrow(1, 1, 1)?);
        modulated_layer_norm(x, &shift, &scale, self.eps)
    }
}

/// A linear layer with another start than Xavier's.
fn linear_from(input: usize, output: usize, init: Init, weights: &Weights) -> Result<Linear> {
    Ok(Linear {
        weight: weights.get(&[output, input], "weight", init)?,
        bias: Some(weights.get(&[output], "bias", Init::Const(0.0))?),
    })
}

/// The network.
pub struct WanDit {
    cfg: WanConfig,
    patch: PatchEmbedding,
    text: [Linear; 2],
    time: [Linear; 2],
    time_projection: Linear,
    image: Option<ImageEmbedding>,
    blocks: Layers<WanBlock>,
    head: Head,
}

impl WanDit {
    /// Reads the network under the official or the diffusers names, or starts a fresh one.
    ///
    /// The caller ends loading with [`Weights::finish`], which reports what was missing or left.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the configuration is impossible.
    pub fn from_weights(cfg: &WanConfig, weights: &Weights) -> Result<Self> {
        cfg.validate()?;
        let weights = keys::official_names(weights);
        // The time path decides all modulation: f32, it is small.
        let precise = weights.in_dtype(DType::F32);
        let small = Init::Normal(EMBEDDING_DEVIATION);
        let (dim, text, time) = (
            cfg.dim,
            weights.pp("text_embedding"),
            precise.pp("time_embedding"),
        );
        let image = match cfg.image_dim {
            Some(width) => Some(ImageEmbedding::new(width, cfg, &weights.pp("img_emb"))?),
            None => None,
        };
        let blocks = Self::blocks_of(cfg, &weights)?;
        Ok(Self {
            patch: PatchEmbedding::new(cfg, cfg.in_dim, &weights.pp("patch_embedding"))?,
            text: [
                linear_from(cfg.text_dim, dim, small, &text.pp("0"))?,
                linear_from(dim, dim, small, &text.pp("2"))?,
            ],
            time: [
                linear_from(cfg.freq_dim, dim, small, &time.pp("0"))?,
                linear_from(dim, dim, small, &time.pp("2"))?,
            ],
            time_projection: Linear::new(dim, 6 * dim, &precise.pp("time_projection.1"))?,
            image,
            blocks,
            head: Head::new(cfg, &weights.pp("head"))?,
            cfg: cfg.clone(),
        })
    }

    /// All blocks in memory; or, at a streamed place, looked up now and read whenever they are needed.
    fn blocks_of(cfg: &WanConfig, weights: &Weights) -> Result<Layers<WanBlock>> {
        let block = |cfg: &WanConfig, weights: &Weights, index: usize| {
            let place = weights.pp(format!("blocks.{index}"));
            place.skip("attn2.norm_added_q.weight"); // some conversions carry it
            WanBlock::new(cfg, &place)
        };
        if !weights.is_streamed() {
            let blocks = (0..cfg.num_layers).map(|index| block(cfg, weights, index));
            return Ok(Layers::resident(blocks.collect::<Result<_>>()?));
        }
        let unread = weights.unread();
        for index in 0..cfg.num_layers {
            block(cfg, &unread, index)?;
        }
        let (cfg, weights) = (cfg.clone(), weights.clone());
        let (count, device) = (cfg.num_layers, weights.device().clone());
        let build = move |index| block(&cfg, &weights, index);
        Ok(Layers::streamed(count, &device, Arc::new(build)))
    }

    /// The shape of the network.
    pub fn config(&self) -> &WanConfig {
        &self.cfg
    }

    /// Type of the tokens.
    pub fn dtype(&self) -> DType {
        self.patch.weight.dtype()
    }

    /// The blocks, in order.
    pub fn blocks(&self) -> &Layers<WanBlock> {
        &self.blocks
    }

    /// Lets this many tokens of every row at a time through the feed-forward of each block; `None`
    /// for all. The result is the same up to rounding.
    ///
    /// # Errors
    /// None of its own.
    pub fn limit_hidden(&mut self, tokens: Option<usize>) -> Result<()> {
        self.blocks.change(move |_, block| {
            block.limit_hidden(tokens);
            Ok(())
        })
    }

    /// The embedding of the input.
    pub fn patch_embedding(&self) -> &PatchEmbedding {
        &self.patch
    }

    /// The output layer.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Puts adapters on every linear layer of every block and freezes those layers.
    ///
    /// `weights` is the root of an adapter file: `blocks.{i}.{module}.lora_A.{branch}.weight`.
    pub fn attach(&mut self, plan: &AdapterPlan, weights: &Weights) -> Result<()> {
        let place = |weights: &Weights, index: usize| weights.pp(format!("blocks.{index}"));
        if self.blocks.is_streamed() {
            // Now only names and shapes are looked up, on a block that takes no memory.
            let dry = Weights::dry(&ShapeStore::default(), self.dtype(), weights.device());
            let (mut block, unread) = (WanBlock::new(&self.cfg, &dry)?, weights.unread());
            for index in 0..self.blocks.len() {
                block.attach(plan, &place(&unread, index))?;
            }
        }
        let (plan, weights) = (*plan, weights.clone());
        self.blocks
            .change(move |index, block| block.attach(&plan, &place(&weights, index)))
    }

    /// Puts a stack's changes beside the linear layers of the blocks; they act on every row.
    ///
    /// # Errors
    /// [`Error::Shape`] if a change does not fit.
    pub fn put_beside(&mut self, stack: &Arc<LoraStack>) -> Result<()> {
        let stack = Arc::clone(stack);
        self.blocks.change(move |index, block| {
            block.put_beside(|name| stack.change_of(&format!("blocks.{index}.{name}")))
        })
    }

    /// Tokens along t, h, w of latents `[.., T', H', W']`.
    pub fn token_grid(&self, sides: [usize; 3]) -> Result<[usize; 3]> {
        patch_grid(sides, self.cfg.patch)
    }

    /// Rotary angles of a grid of tokens.
    pub fn rope(&self, grid: [usize; 3]) -> Result<RopeTable> {
        RopeTable::grid(
            grid,
            self.cfg.head_dim(),
            ROPE_THETA,
            self.patch.weight.device(),
        )
    }

    /// Embeds one time a row, `1000 * sigma`.
    pub fn embed_time(&self, times: &[f64]) -> Result<TimeEmbedding> {
        let vector = sinusoid(times, self.cfg.freq_dim, self.patch.weight.device())?; // [R, F]
        let hidden = silu(&self.time[0].forward(&vector)?)?;
        let vector = self.time[1].forward(&hidden)?; // [R, E]
        let projection = self.time_projection.forward(&silu(&vector)?)?; // [R, 6 E]
        let projection = projection.reshape((times.len(), 6, self.cfg.dim))?; // [R, 6, E]
        Ok(TimeEmbedding { vector, projection })
    }

    /// Embeds text and image tokens. Padded rows of the text are zeros on entry and are attended to
    /// like all others.
    ///
    /// # Shapes
    /// - `text`: `[R, S, text_dim]`; `image`: `[R, 257, image_dim]`
    ///
    /// # Errors
    /// [`Error::Shape`] if the text has another width; [`Error::Invalid`] if image tokens are given
    /// to a network without image path.
    pub fn embed_context(&self, text: &Tensor, image: Option<&Tensor>) -> Result<TokenContext> {
        let (_rows, _len, width) = text.dims3()?;
        if width != self.cfg.text_dim {
            let required = format!("width {}", self.cfg.text_dim);
            return Err(Error::shape("text", required, text.dims()));
        }
        let text = text.to_dtype(self.text[0].weight.dtype())?;
        let hidden = gelu_tanh(&self.text[0].forward(&text)?)?;
        let text = self.text[1].forward(&hidden)?; // [R, S, E]
        let image = match (&self.image, image) {
            (Some(embedding), Some(tokens)) => Some(embedding.forward(tokens)?), // [R, 257, E]
            (None, Some(_)) => {
                return Err(Error::invalid(
                    "image tokens",
                    "this model has no image path",
                ));
            }
            (_, None) => None,
        };
        Ok(TokenContext { text, image })
    }

    /// The base network alone.
    ///
    /// # Shapes
    /// - `x`: `[R, in_dim, T', H', W']`: noisy latents, mask, condition
    /// - `times`: `1000 * sigma`, one for all rows or `R`
    /// - `text`: `[1 or R, S, text_dim]`; `image`: `[1 or R, 257, image_dim]`; without image tokens
    ///   the image path is left out
    /// - returns `[R, out_dim, T', H', W']` in f32, the velocity (noise - data)
    ///
    /// # Errors
    /// [`Error::Shape`] if anything does not fit.
    pub fn forward(
        &self,
        x: &Tensor,
        times: &[f64],
        text: &Tensor,
        image: Option<&Tensor>,
    ) -> Result<Tensor> {
        let (rows, _channels, t, h, w) = x.dims5()?;
        if times.len() != 1 && times.len() != rows {
            return Err(Error::shape("times", format!("1 or {rows}"), times.len()));
        }
        let grid = self.token_grid([t, h, w])?;
        let rope = self.rope(grid)?;
        let time = self.embed_time(times)?;
        let context = self.embed_context(text, image)?.for_rows(rows)?;
        let mut tokens = self.patch.forward(x)?; // [R, N, E]
        self.blocks.for_each(|_, block| {
            tokens = block.forward(&tokens, &time.projection, &context, &rope)?;
            Ok(())
        })?;
        let normed = self.head.normed(&tokens, &time.vector)?;
        self.to_latents(&self.head.proj.forward(&normed)?, grid)
    }

    /// Puts the head's patches together, in f32.
    ///
    /// # Shapes
    /// - `patches`: `[R, N, pt ph pw C]`; returns `[R, C, T', H', W']`
    pub fn to_latents(&self, patches: &Tensor, grid: [usize; 3]) -> Result<Tensor> {
        Ok(unpatchify(patches, grid, self.cfg.patch)?.to_dtype(DType::F32)?)
    }
}

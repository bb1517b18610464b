//! The denoiser: two coupled branches over one frozen base.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::adapter_file::AdapterFile;
use super::channel::Channel;
use super::config::{AdapterConfig, Coupling, DenoiserSpec};
use super::decoupled::Decoupled;
use super::prediction::Prediction;
use super::spatial::{Spatial, shared_rope};
use crate::models::wan::{
    AdapterPlan, LoraStack, TimeEmbedding, TokenContext, WanConfig, WanDit, repeat_rows,
};
use crate::models::{Denoiser, DenoiserInputs, StepCache, Velocities};
use crate::nn::{RopeTable, Weights};
use crate::{Error, Result};

/// Image tokens of a model with an image path, where its configuration names no other length.
const IMAGE_TOKENS: usize = 257;

enum Parts {
    Decoupled(Decoupled),
    Channel(Channel),
    Spatial(Spatial),
}

/// A Wan DiT with adapters, predicting the velocities of RGB and XYZ latents together.
pub struct One4d {
    base: WanDit,
    config: AdapterConfig,
    parts: Parts,
    prediction: Prediction,
}

/// What every block is given beside the tokens.
struct BlockInputs {
    time: TimeEmbedding,
    context: TokenContext,
    rope: RopeTable,
}

impl One4d {
    /// Reads a base and its adapters, or starts fresh adapters on it.
    ///
    /// `base` should hold values, not variables: it does not learn. The caller ends loading with
    /// [`Weights::finish`] on both.
    ///
    /// # Errors
    /// [`Error::Invalid`] if base and adapters do not go together.
    pub fn from_weights(
        cfg: &WanConfig,
        config: &AdapterConfig,
        base: &Weights,
        adapters: &Weights,
    ) -> Result<Self> {
        config.validate(cfg)?;
        let mut base = WanDit::from_weights(cfg, base)?;
        let plan = AdapterPlan {
            targets: config.targets,
            branches: config.coupling.branches(),
            rank: config.rank,
            scale: config.scale(),
        };
        base.attach(&plan, adapters)?;
        let parts = match config.coupling {
            Coupling::Decoupled => Parts::Decoupled(Decoupled::new(&base, config, adapters)?),
            Coupling::Channel => Parts::Channel(Channel::new(&base, adapters)?),
            Coupling::Spatial => Parts::Spatial(Spatial::new(&base, adapters)?),
        };
        Ok(Self {
            base,
            config: config.clone(),
            parts,
            prediction: Prediction::default(),
        })
    }

    /// The same network with outputs of another meaning, which [`Denoiser::velocities`] translates.
    pub fn with_prediction(self, prediction: Prediction) -> Self {
        Self { prediction, ..self }
    }

    /// Loads a bundle's denoiser whole: the base from `base`, the adapters from their file.
    ///
    /// # Errors
    /// [`Error::Weights`] naming every tensor that is missing, unexpected or misshapen, or if the
    /// file's coupling is not the bundle's.
    pub fn load(
        spec: &DenoiserSpec,
        base: &Weights,
        adapters: &Path,
        device: &Device,
    ) -> Result<Self> {
        let file = AdapterFile::open(adapters, base.dtype(), device)?;
        let config = file.config(&spec.config, spec.adapter_scale)?;
        if config.coupling != spec.coupling {
            let reason = format!(
                "the adapters are {:?}, the manifest says {:?}",
                config.coupling, spec.coupling
            );
            return Err(Error::weights(adapters, reason));
        }
        let model = Self::from_weights(&spec.config, &config, base, &file.weights)?;
        base.finish()?;
        file.weights.finish()?;
        Ok(model.with_prediction(spec.prediction))
    }

    /// Puts a stack's changes beside the frozen layers: both branches see them.
    ///
    /// # Errors
    /// [`Error::Shape`] if a change does not fit.
    pub fn put_beside(&mut self, stack: &Arc<LoraStack>) -> Result<()> {
        self.base.put_beside(stack)
    }

    /// See [`WanDit::limit_hidden`].
    ///
    /// # Errors
    /// As there.
    pub fn limit_hidden(&mut self, tokens: Option<usize>) -> Result<()> {
        self.base.limit_hidden(tokens)
    }

    /// Shape of the adapters.
    pub fn adapter_config(&self) -> &AdapterConfig {
        &self.config
    }

    /// The network under the adapters.
    pub fn base(&self) -> &WanDit {
        &self.base
    }

    /// Outputs of both branches, velocities unless the model predicts otherwise; has a gradient to
    /// the adapters.
    ///
    /// # Shapes
    /// - `rgb`, `xyz`: `[B, C, T', H', W']`, noisy latents
    /// - `sigmas`: noise levels in `(0, 1]`, one for all or `B`
    /// - `inputs`: rows 1 or `B` of mask and condition; `R` rows of text, a multiple of `B`
    /// - returns velocities `[R, C, T', H', W']` in f32; row `r` is latent `r % B` with text `r`
    ///
    /// # Errors
    /// [`Error::Shape`] if anything does not fit.
    pub fn forward(
        &self,
        rgb: &Tensor,
        xyz: &Tensor,
        sigmas: &[f64],
        inputs: &DenoiserInputs,
    ) -> Result<Velocities> {
        self.forward_with([rgb, xyz], sigmas, inputs, None)
    }

    /// [`Self::forward`], reusing what `cache` keeps where there is one.
    fn forward_with(
        &self,
        [rgb, xyz]: [&Tensor; 2],
        sigmas: &[f64],
        inputs: &DenoiserInputs,
        cache: Option<&mut StepCache>,
    ) -> Result<Velocities> {
        let (batch, channels, t, h, w) = rgb.dims5()?;
        if xyz.dims() != rgb.dims() || channels != self.base.config().out_dim {
            let required = format!("[{batch}, {}, {t}, {h}, {w}]", self.base.config().out_dim);
            return Err(Error::shape(
                "latents of both branches",
                required,
                (rgb.dims(), xyz.dims()),
            ));
        }
        if sigmas.len() != 1 && sigmas.len() != batch {
            let required = format!("1 or {batch} noise levels");
            return Err(Error::shape("noise levels", required, sigmas.len()));
        }
        let rows = inputs.text.dim(0)?.max(batch);
        let grid = self.base.token_grid([t, h, w])?;
        let conditioned = Self::conditioned(rgb, &inputs.mask, &inputs.condition)?;
        let xyz = match &inputs.xyz {
            Some(own) => &Self::conditioned(xyz, &own.mask, &own.condition)?,
            None => xyz,
        };
        if inputs.xyz.is_some() && self.config.coupling != Coupling::Spatial {
            let reason = "only halves side by side take a condition of the XYZ half";
            return Err(Error::invalid("condition of the XYZ half", reason));
        }
        let (tokens, rope) = self.enter(&conditioned, xyz, rows, self.base.rope(grid)?)?;
        let given = self.block_inputs(sigmas, inputs, tokens.dim(0)?, rope)?;
        let count = self.base.blocks().len();
        let exit = |tokens: &Tensor| self.exit(tokens, &given.time, grid);
        let Some(cache) = cache else {
            return exit(&self.blocks(tokens, 0..count, &given)?);
        };
        let first = self.blocks(tokens.clone(), 0..1, &given)?;
        let rest = |tokens| self.blocks(tokens, 1..count, &given);
        cache.step(tokens, first, rest, exit)
    }

    /// Latents of both branches to tokens: twice the rows, the same rows or twice the tokens, by
    /// the coupling.
    fn enter(
        &self,
        conditioned: &Tensor,
        xyz: &Tensor,
        rows: usize,
        rope: RopeTable,
    ) -> Result<(Tensor, RopeTable)> {
        match &self.parts {
            Parts::Decoupled(parts) => {
                let (rgb, xyz) = parts.embed(&self.base, conditioned, xyz)?;
                let both = [repeat_rows(&rgb, rows)?, repeat_rows(&xyz, rows)?];
                Ok((Tensor::cat(&both, 0)?, rope)) // [2 R, N, E]
            }
            Parts::Channel(parts) => {
                let joint = parts.embed(&self.base, conditioned, xyz)?;
                Ok((repeat_rows(&joint, rows)?, rope)) // [R, N, E]
            }
            Parts::Spatial(parts) => {
                let joint = parts.embed(&self.base, conditioned, xyz)?;
                Ok((repeat_rows(&joint, rows)?, shared_rope(&rope)?)) // [R, 2 N, E]
            }
        }
    }

    /// Tokens to the velocities of both branches.
    fn exit(&self, tokens: &Tensor, time: &TimeEmbedding, grid: [usize; 3]) -> Result<Velocities> {
        let head = self.base.head();
        let normed = head.normed(tokens, &time.vector)?;
        let (patches, axis) = match &self.parts {
            Parts::Decoupled(parts) => (parts.project(&self.base, &normed)?, 0),
            Parts::Channel(parts) => (parts.project(&normed)?, 1),
            Parts::Spatial(_) => {
                // Tokens of one half after the other: rows of their own before they are put in place.
                let halves = normed.chunk(2, 1)?;
                (head.projection().forward(&Tensor::cat(&halves, 0)?)?, 0)
            }
        };
        let latents = self.base.to_latents(&patches, grid)?;
        let half = latents.dim(axis)? / 2;
        Ok(Velocities {
            rgb: latents.narrow(axis, 0, half)?.contiguous()?,
            xyz: latents.narrow(axis, half, half)?.contiguous()?,
        })
    }

    /// Noisy latents, mask and condition on channels, as the base was trained: `[B, in_dim, T', H', W']`.
    fn conditioned(noisy: &Tensor, mask: &Tensor, condition: &Tensor) -> Result<Tensor> {
        let batch = noisy.dim(0)?;
        let part = |x: &Tensor| repeat_rows(&x.to_dtype(noisy.dtype())?, batch);
        let (mask, condition) = (part(mask)?, part(condition)?);
        let same_grid = |x: &Tensor| x.dims().get(2..) == noisy.dims().get(2..);
        if !(same_grid(&mask) && same_grid(&condition)) {
            let actual = (mask.dims(), condition.dims());
            let required = format!("the latents' grid {:?}", noisy.dims());
            return Err(Error::shape("mask and condition", required, actual));
        }
        Ok(Tensor::cat(&[noisy, &mask, &condition], 1)?)
    }

    fn block_inputs(
        &self,
        sigmas: &[f64],
        inputs: &DenoiserInputs,
        rows: usize,
        rope: RopeTable,
    ) -> Result<BlockInputs> {
        let cfg = self.base.config();
        let times: Vec<f64> = sigmas.iter().map(|sigma| 1000.0 * sigma).collect();
        // No reference image means zeros before the image embedding, as the base was trained.
        let no_image = match (cfg.image_dim, &inputs.image) {
            (Some(width), None) => {
                let shape = (1, cfg.image_len.unwrap_or(IMAGE_TOKENS), width);
                Some(Tensor::zeros(shape, DType::F32, inputs.text.device())?)
            }
            _ => None,
        };
        let image = inputs.image.as_ref().or(no_image.as_ref());
        Ok(BlockInputs {
            time: self.base.embed_time(&times)?.for_rows(rows)?,
            context: self
                .base
                .embed_context(&inputs.text, image)?
                .for_rows(rows)?,
            rope,
        })
    }

    fn blocks(
        &self,
        mut tokens: Tensor,
        range: Range<usize>,
        given: &BlockInputs,
    ) -> Result<Tensor> {
        self.base.blocks().for_range(range, |index, block| {
            let projection = &given.time.projection;
            tokens = block.forward(&tokens, projection, &given.context, &given.rope)?;
            if let Parts::Decoupled(parts) = &self.parts {
                tokens = parts.link(index, tokens.clone())?;
            }
            Ok(())
        })?;
        Ok(tokens)
    }
}

impl One4d {
    /// Outputs as velocities, whatever the model predicts.
    fn velocities_of(
        &self,
        outputs: Velocities,
        [rgb, xyz]: [&Tensor; 2],
        sigma: f64,
    ) -> Result<Velocities> {
        Ok(Velocities {
            rgb: self.prediction.velocity(rgb, outputs.rgb, sigma)?,
            xyz: self.prediction.velocity(xyz, outputs.xyz, sigma)?,
        })
    }
}

impl Denoiser for One4d {
    fn velocities(
        &self,
        rgb: &Tensor,
        xyz: &Tensor,
        sigma: f64,
        inputs: &DenoiserInputs,
    ) -> Result<Velocities> {
        let outputs = self.forward(rgb, xyz, &[sigma], inputs)?;
        self.velocities_of(outputs, [rgb, xyz], sigma)
    }

    fn velocities_reusing(
        &self,
        rgb: &Tensor,
        xyz: &Tensor,
        sigma: f64,
        inputs: &DenoiserInputs,
        cache: &mut StepCache,
    ) -> Result<Velocities> {
        let outputs = self.forward_with([rgb, xyz], &[sigma], inputs, Some(cache))?;
        self.velocities_of(outputs, [rgb, xyz], sigma)
    }
}

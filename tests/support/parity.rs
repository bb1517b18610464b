//! Parity with the public reference implementations: reads a case folder, computes, compares.
//!
//! A case is what `tests/parity/generate.py` and `generate_files.py` write: `config.json` as the
//! reference library saves it, `weights.safetensors` (or `weights.gguf`, or shards with
//! `weights.safetensors.index.json`) with its key names, `io.safetensors` with `in.*` and `out.*`.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use candle_core::{DType, Device, Tensor};
use one4d_engine::job::JobCtx;
use one4d_engine::models::clip_vision::{ClipVision, ClipVisionConfig};
use one4d_engine::models::one4d::{AdapterFile, One4d};
use one4d_engine::models::umt5::{Umt5Config, Umt5Encoder};
use one4d_engine::models::umt5_text::Umt5Tokenizer;
use one4d_engine::models::wan::vae::{WanVae, WanVaeConfig};
use one4d_engine::models::wan::{LoraPlacement, LoraStack, TokenContext, WanConfig, WanDit};
use one4d_engine::models::{DenoiserInputs, XyzCondition};
use one4d_engine::nn::Weights;
use one4d_engine::sampler::{Euler, FlowMatchEulerConfig, Schedule, Solver, UniPc, UniPcConfig};
use serde_json::Value;

use crate::parity_pipeline::PipelineCase;

/// Largest relative error of an output.
pub const TOLERANCE: f64 = 1e-4;

/// Rows that the reference takes for text whatever their number, when there is an image path.
const REFERENCE_TEXT_ROWS: usize = 512;

/// One compared output.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// Name without the prefix `out.`.
    pub output: String,
    /// `|a - b| / |b|` in L2 norms, `b` the reference.
    pub relative_error: f64,
}

impl Comparison {
    /// True within [`TOLERANCE`]; not for NaN.
    pub fn passes(&self) -> bool {
        self.relative_error <= TOLERANCE
    }
}

/// A case folder, read.
pub struct Case {
    /// Name of the reference's class.
    pub class_name: String,
    folder: PathBuf,
    config: Value,
    io: HashMap<String, Tensor>,
}

/// Computed outputs by name.
pub(crate) type Outputs = BTreeMap<&'static str, Tensor>;

impl Case {
    /// Reads configuration, inputs and outputs; weights are read when the case runs.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("config.json");
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let config: Value =
            serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        let class = config.get("_class_name").and_then(Value::as_str);
        let class = class.or_else(|| config.pointer("/architectures/0")?.as_str());
        let class_name = class
            .with_context(|| format!("{}: no `_class_name`", path.display()))?
            .to_owned();
        let path = folder.join("io.safetensors");
        let io = candle_core::safetensors::load(&path, &Device::Cpu)
            .with_context(|| path.display().to_string())?;
        Ok(Self {
            class_name,
            folder: folder.to_owned(),
            config,
            io,
        })
    }

    /// Computes all outputs and compares them.
    pub fn run(&self) -> Result<Vec<Comparison>> {
        let outputs = match self.class_name.as_str() {
            "WanTransformer3DModel" => self.transformer(),
            "AutoencoderKLWan" => self.vae(),
            "UMT5EncoderModel" => self.umt5(),
            "FourDNexTransformer" => self.four_d_nex(),
            "WanImageToVideoPipeline" | "WanPipeline" | "SideBySidePipeline" => self.pipeline(),
            "T5TokenizerFast" => self.tokenizer(),
            "CLIPVisionModel" | "CLIPVisionModelWithProjection" => self.clip_vision(),
            "FlowMatchEulerDiscreteScheduler" => self.euler(),
            "UniPCMultistepScheduler" => self.unipc(),
            other => bail!("unknown class name `{other}`"),
        }?;
        let mut expected: Vec<_> = self
            .io
            .iter()
            .filter_map(|(name, tensor)| Some((name.strip_prefix("out.")?, tensor)))
            .collect();
        expected.sort_by_key(|&(name, _)| name);
        ensure!(!expected.is_empty(), "io.safetensors has no `out.*`");
        expected
            .into_iter()
            .map(|(name, reference)| {
                let ours = outputs
                    .get(name)
                    .with_context(|| format!("nothing computes `out.{name}`"))?;
                let relative_error = relative_error(ours, reference)
                    .with_context(|| format!("comparing `out.{name}`"))?;
                Ok(Comparison {
                    output: name.to_owned(),
                    relative_error,
                })
            })
            .collect()
    }

    fn input(&self, name: &str) -> Result<&Tensor> {
        let found = self.io.get(&format!("in.{name}"));
        found.with_context(|| format!("io.safetensors has no `in.{name}`"))
    }

    fn optional_input(&self, name: &str) -> Option<&Tensor> {
        self.io.get(&format!("in.{name}"))
    }

    fn weights(&self) -> Result<Weights> {
        let names = [
            "weights.safetensors",
            "weights.safetensors.index.json",
            "weights.gguf",
        ];
        let mut paths = names.iter().map(|name| self.folder.join(name));
        let path = paths.find(|path| path.is_file());
        let path = path.with_context(|| format!("none of {} is there", names.join(", ")))?;
        Ok(Weights::open(&path, DType::F32, &Device::Cpu)?)
    }

    fn transformer(&self) -> Result<Outputs> {
        let config = WanConfig::from_reference(&self.config)?;
        let weights = self.weights()?;
        let loras = Arc::new(LoraStack::open(
            &self.loras()?,
            &weights,
            &JobCtx::silent(),
        )?);
        let merged = loras.applied(&weights, LoraPlacement::Merged);
        let dit = WanDit::from_weights(&config, &merged)?;
        merged.finish()?;
        let outputs = self.through(&dit, &config)?;
        if loras.is_empty() {
            return Ok([("sample", outputs)].into());
        }
        // Beside the layers the files must act as they do inside the weights.
        let rest = loras.applied(&weights, LoraPlacement::Beside);
        let mut dit = WanDit::from_weights(&config, &rest)?;
        dit.put_beside(&loras)?;
        let beside = self.through(&dit, &config)?;
        let error = relative_error(&beside, &outputs)?;
        ensure!(error < TOLERANCE, "beside and merged differ by {error}");
        Ok([("sample", outputs)].into())
    }

    /// LoRA files of the case with their strengths.
    fn loras(&self) -> Result<Vec<(PathBuf, f64)>> {
        let listed = self.config.get("loras").and_then(Value::as_array);
        let listed = listed.into_iter().flatten().map(|lora| {
            let file = lora.get(0).and_then(Value::as_str);
            let strength = lora.get(1).and_then(Value::as_f64);
            let pair = file
                .zip(strength)
                .context("`loras` lists files and strengths")?;
            Ok((self.folder.join(pair.0), pair.1))
        });
        listed.collect()
    }

    fn through(&self, dit: &WanDit, config: &WanConfig) -> Result<Tensor> {
        let x = self.input("hidden_states")?.to_dtype(DType::F32)?;
        let (rows, _channels, t, h, w) = x.dims5()?;
        let times = self.input("timestep")?.to_dtype(DType::F64)?;
        ensure!(
            times.rank() <= 1,
            "one timestep a row is supported, got {:?}",
            times.dims()
        );
        let text = self.input("encoder_hidden_states")?;
        let image = self.optional_input("encoder_hidden_states_image");
        let context = reference_split(dit.embed_context(text, image)?, config)?;
        let grid = dit.token_grid([t, h, w])?;
        let rope = dit.rope(grid)?;
        let time = dit.embed_time(&times.flatten_all()?.to_vec1::<f64>()?)?;
        let context = context.for_rows(rows)?;
        let mut tokens = dit.patch_embedding().forward(&x)?;
        dit.blocks().for_each(|_, block| {
            tokens = block.forward(&tokens, &time.projection, &context, &rope)?;
            Ok(())
        })?;
        let normed = dit.head().normed(&tokens, &time.vector)?;
        let patches = dit.head().projection().forward(&normed)?;
        Ok(dit.to_latents(&patches, grid)?)
    }

    fn vae(&self) -> Result<Outputs> {
        let config: WanVaeConfig = serde_json::from_value(self.config.clone())?;
        let weights = self.weights()?;
        let vae = WanVae::new(&config, &weights)?;
        weights.finish()?;
        let ctx = JobCtx::silent();
        let mut outputs = Outputs::new();
        if let Some(video) = self.optional_input("video") {
            outputs.insert("latents_mean", vae.posterior(video, 1, &ctx)?.mean);
        }
        if let Some(latents) = self.optional_input("latents") {
            let video = vae.decode_raw(latents, 1, &ctx)?;
            outputs.insert("video", video.clamp(-1.0, 1.0)?); // the reference clamps
        }
        Ok(outputs)
    }

    fn umt5(&self) -> Result<Outputs> {
        let config = Umt5Config::from_reference(&self.config)?;
        let weights = self.weights()?;
        let encoder = Umt5Encoder::from_weights(&config, &weights)?;
        weights.finish()?;
        let ids = self.input("input_ids")?.to_dtype(DType::U32)?;
        let mask = match self.optional_input("attention_mask") {
            Some(mask) => mask.to_dtype(DType::F32)?,
            None => Tensor::ones(ids.dims(), DType::F32, &Device::Cpu)?,
        };
        Ok([("last_hidden_state", encoder.forward(&ids, &mask)?)].into())
    }

    /// Halves side by side in width, as 4DNeX has them; channels are noisy latents, mask, condition.
    fn four_d_nex(&self) -> Result<Outputs> {
        let config = WanConfig::from_reference(&self.config)?;
        let weights = self.weights()?;
        let path = self.folder.join("adapters.safetensors");
        let file = AdapterFile::open(&path, DType::F32, &Device::Cpu)?;
        let scale = self.config.get("lora_scale").and_then(Value::as_f64);
        let adapters = file.config(&config, scale)?;
        let model = One4d::from_weights(&config, &adapters, &weights, &file.weights)?;
        weights.finish()?;
        file.weights.finish()?;
        let x = self.input("hidden_states")?.to_dtype(DType::F32)?;
        let channels = config.out_dim;
        let half = |side: usize| -> Result<[Tensor; 3]> {
            let width = x.dim(4)? / 2;
            let half = x.narrow(4, side * width, width)?;
            let part = |start, len| half.narrow(1, start, len)?.contiguous();
            Ok([
                part(0, channels)?,
                part(channels, 4)?,
                part(channels + 4, channels)?,
            ])
        };
        let ([rgb, mask, condition], [xyz, xyz_mask, slopes]) = (half(0)?, half(1)?);
        let inputs = DenoiserInputs {
            text: self.input("encoder_hidden_states")?.clone(),
            mask,
            condition,
            image: self.optional_input("encoder_hidden_states_image").cloned(),
            xyz: Some(XyzCondition {
                mask: xyz_mask,
                condition: slopes,
            }),
        };
        let time = self.input("timestep")?.to_dtype(DType::F64)?;
        let sigmas: Vec<f64> = time.flatten_all()?.to_vec1::<f64>()?;
        let sigmas: Vec<f64> = sigmas.iter().map(|time| time / 1000.0).collect();
        let outputs = model.forward(&rgb, &xyz, &sigmas, &inputs)?;
        Ok([("sample", Tensor::cat(&[outputs.rgb, outputs.xyz], 4)?)].into())
    }

    fn pipeline(&self) -> Result<Outputs> {
        PipelineCase {
            folder: &self.folder,
            config: &self.config,
            io: &self.io,
        }
        .run()
    }

    /// Ids of `texts`, padded with 0 to `max_length`.
    fn tokenizer(&self) -> Result<Outputs> {
        let length = self.config.get("max_length").and_then(Value::as_u64);
        let length = usize::try_from(length.context("config.json has no `max_length`")?)?;
        let texts = self.config.get("texts").and_then(Value::as_array);
        let texts = texts.context("config.json has no `texts`")?;
        let path = self.folder.join("tokenizer.json");
        let tokenizer = Umt5Tokenizer::load(&path, length)?;
        let (mut ids, mut mask) = (Vec::new(), Vec::new());
        for text in texts {
            let row = tokenizer.ids(text.as_str().context("`texts` holds more than texts")?)?;
            let padding = length - row.len();
            mask.extend((0..length).map(|at| u32::from(at < row.len())));
            ids.extend(row.into_iter().chain(std::iter::repeat_n(0, padding)));
        }
        let shape = (texts.len(), length);
        let tensor = |values| Tensor::from_vec(values, shape, &Device::Cpu);
        Ok([
            ("input_ids", tensor(ids)?),
            ("attention_mask", tensor(mask)?),
        ]
        .into())
    }

    fn clip_vision(&self) -> Result<Outputs> {
        let config = ClipVisionConfig::from_reference(&self.config)?;
        let weights = self.weights()?;
        let tower = ClipVision::from_weights(&config, &weights)?;
        weights.finish()?;
        let pixels = self.input("pixel_values")?.to_dtype(DType::F32)?;
        // `hidden_states[-2]` of the reference.
        let tokens = tower.forward(&pixels)?;
        Ok([
            ("penultimate_hidden_state", tokens.clone()),
            ("hidden_states", tokens),
        ]
        .into())
    }

    fn euler(&self) -> Result<Outputs> {
        let config: FlowMatchEulerConfig = serde_json::from_value(self.config.clone())?;
        let schedule = config.schedule(self.steps()?, self.mu())?;
        self.integrate(&schedule, Euler::new(schedule.clone()))
    }

    fn unipc(&self) -> Result<Outputs> {
        let config: UniPcConfig = serde_json::from_value(self.config.clone())?;
        let schedule = config.schedule(self.steps()?, self.mu())?;
        self.integrate(&schedule, UniPc::new(schedule.clone(), config.settings()?)?)
    }

    fn steps(&self) -> Result<usize> {
        match self.config.get("steps").and_then(Value::as_u64) {
            Some(steps) => Ok(usize::try_from(steps)?),
            None => Ok(self.input("model_outputs")?.dim(0)?),
        }
    }

    fn mu(&self) -> Option<f64> {
        self.config.get("mu").and_then(Value::as_f64)
    }

    fn integrate(&self, schedule: &Schedule, mut solver: impl Solver) -> Result<Outputs> {
        let velocities = self.input("model_outputs")?.to_dtype(DType::F32)?;
        let (rows, steps) = (velocities.dim(0)?, schedule.steps());
        ensure!(rows == steps, "{steps} steps, but {rows} model outputs");
        let mut x = self.input("sample")?.to_dtype(DType::F32)?;
        for step in 0..steps {
            x = solver.step(&x, &velocities.get(step)?)?;
        }
        let values = |values: &[f64]| Tensor::new(values, &Device::Cpu);
        Ok([
            ("sample", x),
            ("sigmas", values(&schedule.sigmas)?),
            ("timesteps", values(&schedule.timesteps)?),
        ]
        .into())
    }
}

/// Image and text rows as the reference divides them: it joins them and takes the last 512 for text,
/// by a slice that counts from the end where there are fewer.
fn reference_split(context: TokenContext, config: &WanConfig) -> Result<TokenContext> {
    if config.image_dim.is_none() {
        return Ok(context);
    }
    let joined = match &context.image {
        Some(image) => Tensor::cat(&[image, &context.text], 1)?,
        None => context.text,
    };
    let rows = joined.dim(1)?;
    let image_rows = match rows.checked_sub(REFERENCE_TEXT_ROWS) {
        Some(image_rows) => image_rows,
        None => (2 * rows).saturating_sub(REFERENCE_TEXT_ROWS),
    };
    let part = |start: usize, len: usize| joined.narrow(1, start, len)?.contiguous();
    Ok(TokenContext {
        text: part(image_rows, rows - image_rows)?,
        image: match image_rows {
            0 => None,
            n => Some(part(0, n)?),
        },
    })
}

/// `|ours - reference| / |reference|` in L2 norms, in f64.
pub fn relative_error(ours: &Tensor, reference: &Tensor) -> Result<f64> {
    ensure!(
        ours.dims() == reference.dims(),
        "shape {:?}, the reference has {:?}",
        ours.dims(),
        reference.dims()
    );
    let norm = |x: &Tensor| -> Result<f64> { Ok(x.sqr()?.sum_all()?.to_scalar::<f64>()?.sqrt()) };
    let reference = reference.to_dtype(DType::F64)?;
    let difference = norm(&(ours.to_dtype(DType::F64)? - &reference)?)?;
    let size = norm(&reference)?;
    if size == 0.0 && difference == 0.0 {
        return Ok(0.0);
    }
    Ok(difference / size)
}

/// The case folders among `folder` and the folders in it, in name order.
pub fn cases_in(folder: &Path) -> Result<Vec<PathBuf>> {
    if folder.join("config.json").is_file() {
        return Ok(vec![folder.to_owned()]);
    }
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut cases = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.join("config.json").is_file() {
            cases.push(path);
        }
    }
    cases.sort();
    ensure!(
        !cases.is_empty(),
        "{}: no config.json here or one level below",
        folder.display()
    );
    Ok(cases)
}

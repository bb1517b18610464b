//! Whole pipelines against diffusers': picture, noise and embedded prompts to latents and frames, by
//! the engine's own conditioning, sampler, denoiser and codec.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use candle_core::{DType, Device, Tensor};
use image::RgbImage;
use one4d_engine::conditioning::{encode_known_frames, encode_side_by_side};
use one4d_engine::job::JobCtx;
use one4d_engine::models::clip_image::{ClipView, clip_pixels};
use one4d_engine::models::clip_vision::{ClipVision, ClipVisionConfig};
use one4d_engine::models::one4d::four_d_nex::restore_xyz;
use one4d_engine::models::one4d::{AdapterConfig, AdapterFile, Coupling, One4d, XyzInput};
use one4d_engine::models::wan::vae::{WanVae, WanVaeConfig};
use one4d_engine::models::wan::{WanConfig, WanDit};
use one4d_engine::models::{
    Denoiser, DenoiserInputs, Velocities, VideoVae as _, XyzCondition, pillow,
};
use one4d_engine::nn::{ParamStore, Weights};
use one4d_engine::sampler::{
    Euler, FlowMatchEulerConfig, Latents, Schedule, Solver, UniPc, UniPcConfig, integrate,
};
use serde_json::Value;

use crate::parity::Outputs;

const CPU: &Device = &Device::Cpu;

/// A case of a whole pipeline.
pub(crate) struct PipelineCase<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) config: &'a Value,
    pub(crate) io: &'a HashMap<String, Tensor>,
}

/// A base without condition channels, as a denoiser: its XYZ half stands still.
struct Plain(WanDit);

impl Denoiser for Plain {
    fn velocities(
        &self,
        rgb: &Tensor,
        _xyz: &Tensor,
        sigma: f64,
        inputs: &DenoiserInputs,
    ) -> one4d_engine::Result<Velocities> {
        let rows = vec![rgb; inputs.text.dim(0)?];
        let rgb = Tensor::cat(&rows, 0)?;
        let rgb = self
            .0
            .forward(&rgb, &[1000.0 * sigma], &inputs.text, None)?;
        let xyz = rgb.zeros_like()?;
        Ok(Velocities { rgb, xyz })
    }
}

impl PipelineCase<'_> {
    /// First step, final latents and frames, and what the picture becomes on the way.
    pub(crate) fn run(&self) -> Result<Outputs> {
        let ctx = JobCtx::silent();
        let mut outputs = Outputs::new();
        let vae_config: WanVaeConfig = serde_json::from_value(self.part("vae")?.clone())?;
        let weights = self.weights("vae")?;
        let vae = WanVae::new(&vae_config, &weights)?;
        weights.finish()?;
        let is_wide = self.class()? == "SideBySidePipeline";
        let noise = self.noise(is_wide)?;
        let denoiser = self.denoiser()?;
        let inputs = self.inputs(&vae, &noise, &mut outputs)?;
        let guidance = self.number("guidance_scale")?;
        let joined = |latents: &Latents| -> Result<Tensor> {
            Ok(if is_wide {
                Tensor::cat(&[&latents.rgb, &latents.xyz], 4)?
            } else {
                latents.rgb.clone()
            })
        };
        let solver = self.solver()?;
        let latents = integrate(
            &*denoiser,
            &noise,
            &inputs,
            (solver, guidance),
            &ctx,
            &mut |_, _| Ok(()),
        )?;
        outputs.insert("latents", joined(&latents)?);
        let (schedule, mut solver) = self.solver()?;
        let first = denoiser.velocities(
            &noise.rgb,
            &noise.xyz,
            schedule.timesteps[0] / 1000.0,
            &inputs,
        )?;
        let velocity = Latents {
            rgb: one4d_engine::sampler::guided(&first.rgb, guidance)?,
            xyz: one4d_engine::sampler::guided(&first.xyz, guidance)?,
        };
        let after = solver.step(&joined(&noise)?, &joined(&velocity)?)?;
        outputs.insert("first_step", after);
        let restored = Latents {
            xyz: restore_xyz(&latents.xyz)?,
            ..latents
        };
        outputs.insert("video", vae.decode(&joined(&restored)?, &ctx)?);
        Ok(outputs)
    }

    fn class(&self) -> Result<&str> {
        let class = self.config.get("_class_name").and_then(Value::as_str);
        class.context("no `_class_name`")
    }

    fn part(&self, name: &str) -> Result<&Value> {
        let part = self.config.get(name);
        part.with_context(|| format!("config.json has no `{name}`"))
    }

    fn number(&self, name: &str) -> Result<f64> {
        let number = self.part(name)?.as_f64();
        number.with_context(|| format!("`{name}` is no number"))
    }

    fn count(&self, name: &str) -> Result<usize> {
        Ok(self.number(name)? as usize)
    }

    fn input(&self, name: &str) -> Result<&Tensor> {
        let found = self.io.get(&format!("in.{name}"));
        found.with_context(|| format!("io.safetensors has no `in.{name}`"))
    }

    fn weights(&self, part: &str) -> Result<Weights> {
        let path = self.folder.join(format!("{part}.safetensors"));
        Ok(Weights::from_files(&[path], DType::F32, CPU)?)
    }

    fn noise(&self, is_wide: bool) -> Result<Latents> {
        let noise = self.input("latents")?.to_dtype(DType::F32)?;
        if !is_wide {
            let xyz = noise.zeros_like()?;
            return Ok(Latents { rgb: noise, xyz });
        }
        let half = noise.dim(4)? / 2;
        let part = |start| noise.narrow(4, start, half)?.contiguous();
        Ok(Latents {
            rgb: part(0)?,
            xyz: part(half)?,
        })
    }

    fn solver(&self) -> Result<(Schedule, Box<dyn Solver>)> {
        let config = self.part("scheduler")?.clone();
        let steps = self.count("num_inference_steps")?;
        let class = config.get("_class_name").and_then(Value::as_str);
        match class.unwrap_or_default() {
            "UniPCMultistepScheduler" => {
                let config: UniPcConfig = serde_json::from_value(config)?;
                let schedule = config.schedule(steps, None)?;
                let solver = UniPc::new(schedule.clone(), config.settings()?)?;
                Ok((schedule, Box::new(solver)))
            }
            "FlowMatchEulerDiscreteScheduler" => {
                let config: FlowMatchEulerConfig = serde_json::from_value(config)?;
                let schedule = config.schedule(steps, None)?;
                Ok((schedule.clone(), Box::new(Euler::new(schedule))))
            }
            other => bail!("unknown scheduler `{other}`"),
        }
    }

    /// A base with condition channels runs as the RGB branch under adapters that do nothing yet, as in
    /// a user's pipeline.
    fn denoiser(&self) -> Result<Box<dyn Denoiser>> {
        let config = WanConfig::from_reference(self.part("transformer")?)?;
        let base = self.weights("transformer")?;
        if self.class()? == "SideBySidePipeline" {
            let path = self.folder.join("adapters.safetensors");
            let file = AdapterFile::open(&path, DType::F32, CPU)?;
            let adapters = file.config(&config, Some(self.number("lora_scale")?))?;
            let model = One4d::from_weights(&config, &adapters, &base, &file.weights)?;
            base.finish()?;
            file.weights.finish()?;
            return Ok(Box::new(model));
        }
        if config.conditioned_channels().is_none() {
            let dit = WanDit::from_weights(&config, &base)?;
            base.finish()?;
            return Ok(Box::new(Plain(dit)));
        }
        let adapters = AdapterConfig {
            xyz_input: XyzInput::Shared,
            ..AdapterConfig::new(Coupling::Decoupled, 2, config.num_layers)
        };
        let fresh = Weights::fresh(&ParamStore::default(), 1, DType::F32, CPU);
        let model = One4d::from_weights(&config, &adapters, &base, &fresh)?;
        base.finish()?;
        Ok(Box::new(model))
    }

    /// The picture, brought to the clip's size.
    fn picture(&self, outputs: &mut Outputs) -> Result<Option<RgbImage>> {
        let Some(pixels) = self.io.get("in.image") else {
            return Ok(None);
        };
        let (height, width, _rgb) = pixels.dims3()?;
        let values = pixels.flatten_all()?.to_vec1::<u8>()?;
        let picture = RgbImage::from_raw(width as u32, height as u32, values);
        let picture = picture.context("`in.image` is not [H, W, 3]")?;
        let (height, width) = (self.count("height")?, self.count("width")?);
        let resized = pillow::bicubic(&picture, width as u32, height as u32);
        let values: Vec<f32> = resized.as_raw().iter().map(|v| f32::from(*v)).collect();
        outputs.insert(
            "resized",
            Tensor::from_vec(values, (height, width, 3), CPU)?,
        );
        Ok(Some(resized))
    }

    fn inputs(
        &self,
        vae: &WanVae,
        noise: &Latents,
        outputs: &mut Outputs,
    ) -> Result<DenoiserInputs> {
        let ctx = JobCtx::silent();
        let mut rows = vec![self.input("prompt_embeds")?];
        if self.number("guidance_scale")? != 1.0 {
            rows.push(self.input("negative_prompt_embeds")?);
        }
        let text = Tensor::cat(&rows, 0)?;
        let Some(picture) = self.picture(outputs)? else {
            let (batch, _channels, t, h, w) = noise.rgb.dims5()?;
            return Ok(DenoiserInputs {
                text,
                mask: Tensor::zeros((batch, 4, t, h, w), DType::F32, CPU)?,
                condition: noise.rgb.zeros_like()?,
                image: None,
                xyz: None,
            });
        };
        let tokens = self.image_tokens(&picture, outputs)?;
        let image = Tensor::cat(&vec![tokens; rows.len()], 0)?;
        let frames = self.count("num_frames")?;
        let first = first_frame(&picture)?;
        let (placed, xyz): (_, Option<XyzCondition>) = if self.class()? == "SideBySidePipeline" {
            let (rgb, xyz) = encode_side_by_side(vae, &first, frames, &ctx)?;
            (rgb, Some(xyz))
        } else {
            let video = first.pad_with_zeros(2, 0, frames - 1)?;
            let mut known = vec![false; frames];
            known[0] = true;
            (encode_known_frames(vae, &video, &known, &ctx)?, None)
        };
        Ok(DenoiserInputs {
            text,
            mask: placed.mask,
            condition: placed.condition,
            image: Some(image),
            xyz,
        })
    }

    fn image_tokens(&self, picture: &RgbImage, outputs: &mut Outputs) -> Result<Tensor> {
        let config = ClipVisionConfig::from_reference(self.part("image_encoder")?)?;
        let weights = self.weights("image_encoder")?;
        let tower = ClipVision::from_weights(&config, &weights)?;
        weights.finish()?;
        let pixels = clip_pixels(picture, config.image_size, ClipView::Middle, CPU)?;
        outputs.insert("pixel_values", pixels.clone());
        Ok(tower.forward(&pixels)?)
    }
}

/// `[1, 3, 1, H, W]` in `[-1, 1]`.
fn first_frame(picture: &RgbImage) -> Result<Tensor> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let values: Vec<f32> = picture
        .as_raw()
        .iter()
        .map(|v| f32::from(*v) / 127.5 - 1.0)
        .collect();
    let picture = Tensor::from_vec(values, (height, width, 3), CPU)?;
    Ok(picture
        .permute((2, 0, 1))?
        .contiguous()?
        .reshape((1, 3, 1, height, width))?)
}

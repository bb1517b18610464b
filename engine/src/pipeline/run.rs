//! From a request to a scene: media, condition, text, sample, decode, optimise.

use candle_core::{DType, Device, Tensor};

use super::centring::{Centring, Pictured, flags, reanchor};
use super::observe::{ClipSize, Fitting, ObservedClip, observe, one_image_only};
use super::{Model, Request, Settled, Stopwatch, windows};
use crate::conditioning;
use crate::job::{JobCtx, Preview, Stage};
use crate::models::clip_image::ClipView;
use crate::models::one4d::{ConditioningKind, four_d_nex};
use crate::models::{DenoiserInputs, StepCacheReport};
use crate::postopt::{self, JoinReport, PointmapClip, SolveOptions};
use crate::sampler::{self, Latents, Reusing, SamplerSettings};
use crate::scene::{Plane, Points, ScaleTag, Scene4d, SceneMeta};
use crate::{Error, Result};

/// Pointmap coordinates beyond this lie on the wall of the normalisation box and are not fitted.
const CLIPPED: f32 = 0.98;
/// Pixels along a side of one latent.
const CODEC_STRIDE_PX: usize = 8;

/// A generated scene.
pub struct Generated {
    /// The scene.
    pub scene: Scene4d,
    /// What was settled before the run.
    pub settled: Settled,
    /// How the windows of a long clip met; empty for a clip of one.
    pub joins: Vec<JoinReport>,
}

/// Runs every stage but loading and saving.
///
/// # Errors
/// The stage's own; [`Error::NonFinite`] if the model diverged; [`Error::Cancelled`].
pub fn generate(
    model: &Model,
    request: &Request,
    watch: &mut Stopwatch,
    ctx: &JobCtx,
) -> Result<Generated> {
    let settled = Settled::of(request, model)?;
    let clip = observe(&request.observed, fitting(model, settled), ctx)?;
    watch.lap(Stage::Media);
    let (scene, joins) = if settled.frames > model.manifest.frames {
        windows::generate(model, request, settled, &clip, watch, ctx)?
    } else {
        let scene = generate_from(model, request, settled, &clip, watch, ctx)?;
        (scene, Vec::new())
    };
    Ok(Generated {
        scene,
        settled,
        joins,
    })
}

/// How the model wants to be given frames.
fn fitting(model: &Model, settled: Settled) -> Fitting {
    let manifest = &model.manifest;
    match manifest.denoiser.conditioning {
        ConditioningKind::Unified => Fitting::Crop(ClipSize {
            frames: settled.frames,
            height: manifest.height,
            width: manifest.width,
        }),
        ConditioningKind::SideBySide => Fitting::Stretch {
            frames: settled.frames,
            area_px: manifest.height * manifest.width,
            multiple: CODEC_STRIDE_PX * manifest.denoiser.config.patch[2],
        },
    }
}

/// Runs the stages after media; the harness of `eval` enters here with frames of its own.
///
/// # Errors
/// As [`generate`].
pub fn generate_from(
    model: &Model,
    request: &Request,
    settled: Settled,
    clip: &ObservedClip,
    watch: &mut Stopwatch,
    ctx: &JobCtx,
) -> Result<Scene4d> {
    let latents = draw(model, request, settled, clip, watch, ctx)?;
    develop(model, request, settled, (clip, &latents), watch, ctx)
}

/// The first half, up to the latents of both branches.
pub(super) fn draw(
    model: &Model,
    request: &Request,
    settled: Settled,
    clip: &ObservedClip,
    watch: &mut Stopwatch,
    ctx: &JobCtx,
) -> Result<Latents> {
    let inputs = inputs(model, request, settled, clip, watch, ctx)?;
    let (latents, reused) = sample(model, settled, &inputs, ctx)?;
    watch.lap(Stage::Sample);
    watch.note_reuse(reused);
    Ok(latents)
}

/// The second half, from latents to the scene.
pub(super) fn develop(
    model: &Model,
    request: &Request,
    settled: Settled,
    (clip, latents): (&ObservedClip, &Latents),
    watch: &mut Stopwatch,
    ctx: &JobCtx,
) -> Result<Scene4d> {
    let (rgb, xyz) = decode(model, latents, ctx)?;
    watch.lap(Stage::Decode);
    let scene = build_scene(model, request, settled, clip, (&rgb, &xyz), ctx)?;
    watch.lap(Stage::Optimise);
    Ok(scene)
}

/// Latents of both branches to frames and points, `[1, 3, T, H, W]`.
fn decode(model: &Model, latents: &Latents, ctx: &JobCtx) -> Result<(Tensor, Tensor)> {
    ctx.step(Stage::Decode, 0, 2)?;
    let (rgb, xyz) = match model.manifest.denoiser.conditioning {
        ConditioningKind::Unified => {
            let rgb = model.codec.decode(&latents.rgb, ctx)?;
            ctx.step(Stage::Decode, 1, 2)?;
            (rgb, model.codec.decode(&latents.xyz, ctx)?)
        }
        ConditioningKind::SideBySide => {
            let xyz = four_d_nex::restore_xyz(&latents.xyz)?;
            let wide = model
                .codec
                .decode(&Tensor::cat(&[&latents.rgb, &xyz], 4)?, ctx)?;
            let half = wide.dim(4)? / 2;
            let part = |start| wide.narrow(4, start, half)?.contiguous();
            (part(0)?, part(half)?)
        }
    };
    ctx.step(Stage::Decode, 2, 2)?;
    Ok((
        finite(rgb, "the RGB branch")?,
        finite(xyz, "the XYZ branch")?,
    ))
}

/// Mask, condition latents and text rows: everything the denoiser is given beside noise.
fn inputs(
    model: &Model,
    request: &Request,
    settled: Settled,
    clip: &ObservedClip,
    watch: &mut Stopwatch,
    ctx: &JobCtx,
) -> Result<DenoiserInputs> {
    ctx.step(Stage::Condition, 0, 1)?;
    let video = Tensor::from_vec(
        clip.planar(),
        (1, 3, clip.num_frames, clip.height, clip.width),
        &model.device,
    )?;
    let kind = model.manifest.denoiser.conditioning;
    let (placed, xyz) = match kind {
        ConditioningKind::Unified => {
            let known = clip.known();
            let placed = conditioning::encode_known_frames(&*model.codec, &video, &known, ctx)?;
            (placed, None)
        }
        ConditioningKind::SideBySide => {
            if clip.frames.iter().map(|(at, _)| *at).ne([0]) {
                return Err(one_image_only());
            }
            let image = video.narrow(2, 0, 1)?; // [1, 3, 1, H, W]
            let frames = clip.num_frames;
            let (rgb, xyz) = conditioning::encode_side_by_side(&*model.codec, &image, frames, ctx)?;
            (rgb, Some(xyz))
        }
    };
    ctx.step(Stage::Condition, 1, 1)?;
    watch.lap(Stage::Condition);
    ctx.step(Stage::Text, 0, 1)?;
    let prompt = match kind {
        ConditioningKind::Unified => request.prompt.clone(),
        ConditioningKind::SideBySide => request.prompt.clone() + four_d_nex::PROMPT_SUFFIX,
    };
    let mut rows = vec![model.text.encode(&prompt)?];
    if settled.guidance != 1.0 {
        rows.push(model.text.encode(&request.negative_prompt)?);
    }
    let image = image_tokens(model, clip, rows.len())?;
    ctx.step(Stage::Text, 1, 1)?;
    watch.lap(Stage::Text);
    Ok(DenoiserInputs {
        text: Tensor::cat(&rows, 0)?, // [R, S, E]
        mask: placed.mask,
        condition: placed.condition,
        image,
        xyz,
    })
}

/// Image tokens of the first observed frame, one row a guidance half: `[R, N, E]`.
fn image_tokens(model: &Model, clip: &ObservedClip, rows: usize) -> Result<Option<Tensor>> {
    let (Some(tower), Some((_, rgb))) = (&model.image, clip.frames.first()) else {
        return Ok(None);
    };
    let (width, height) = (clip.width as u32, clip.height as u32);
    let view = match model.manifest.denoiser.conditioning {
        ConditioningKind::Unified => ClipView::Squashed,
        ConditioningKind::SideBySide => ClipView::Middle,
    };
    let picture = image::RgbImage::from_raw(width, height, rgb.clone())
        .ok_or_else(|| Error::shape("observed frame", format!("{width} x {height}"), rgb.len()))?;
    let tokens = tower.encode(&picture, view)?;
    Ok(Some(Tensor::cat(&vec![tokens; rows], 0)?))
}

/// Integrates both branches from noise, showing a frame of every step's guess; and what was reused.
fn sample(
    model: &Model,
    settled: Settled,
    inputs: &DenoiserInputs,
    ctx: &JobCtx,
) -> Result<(Latents, Option<StepCacheReport>)> {
    let (batch, channels, frames, height, width) = inputs.condition.dims5()?;
    let shape = [batch, channels, frames, height, width];
    let noise = sampler::draw_noise(settled.seed, shape, &model.device)?;
    let settings = SamplerSettings {
        solver: settled.solver,
        steps: settled.steps,
        shift: settled.shift,
        guidance: settled.guidance,
    };
    let mut show = |step: usize, guess: &Latents| -> Result<()> {
        let frame = model.codec.preview(&guess.rgb, ctx)?; // [1, 3, 1, H, W]
        let (_, _, _, height, width) = frame.dims5()?;
        ctx.preview(Preview {
            step,
            width,
            height,
            rgb: to_srgb(&frame)?,
        });
        Ok(())
    };
    if settled.step_cache == 0.0 {
        let denoiser = &*model.denoiser;
        let latents = sampler::sample(denoiser, &noise, inputs, &settings, ctx, &mut show)?;
        return Ok((latents, None));
    }
    let reusing = Reusing::new(&*model.denoiser, settled.step_cache, settled.steps);
    let latents = sampler::sample(&reusing, &noise, inputs, &settings, ctx, &mut show)?;
    Ok((latents, Some(reusing.report())))
}

/// Solves the cameras and puts everything into a scene.
fn build_scene(
    model: &Model,
    request: &Request,
    settled: Settled,
    clip: &ObservedClip,
    (rgb, xyz): (&Tensor, &Tensor),
    ctx: &JobCtx,
) -> Result<Scene4d> {
    let (_, _, num_frames, height, width) = rgb.dims5()?;
    let mut points = interleaved(xyz)?;
    let valid = postopt::box_validity(&points, CLIPPED);
    let frames = to_srgb(rgb)?;
    let centring = match model.manifest.denoiser.conditioning {
        ConditioningKind::Unified => Centring::Common,
        ConditioningKind::SideBySide => {
            let seen = Pictured {
                rgb: frames.clone(),
                valid: valid.clone(),
                size: [num_frames, height, width],
            };
            reanchor(seen, &mut points, ctx)?
        }
    };
    let solution = postopt::solve(
        &PointmapClip {
            points: &points,
            valid: Some(&valid),
            confidence: None,
            frames: num_frames,
            height,
            width,
        },
        &SolveOptions::default(),
        ctx,
    )?;
    let scene = Scene4d {
        num_frames,
        height,
        width,
        rgb: Plane::new(frames),
        points: Points::F32(Plane::new(solution.points)),
        valid: Plane::new(solution.valid),
        confidence: None,
        depth: Some(Plane::new(solution.depth)),
        cameras: Some(solution.cameras.into()),
        scene_flow: None,
        dynamic: None,
        meta: SceneMeta {
            title: title(request),
            fps: model.manifest.fps,
            scale: ScaleTag::UpToScale,
            prompt: Some(request.prompt.clone()).filter(|prompt| !prompt.is_empty()),
            seed: Some(request.seed),
            model: Some(model.manifest.name.clone()),
            model_hash: Some(model.hash.clone()),
            settings: serde_json::json!({ "request": request, "settled": settled }),
            flags: flags(centring, solution.flags),
            observed: clip.frames.iter().map(|(at, _)| *at).collect(),
        },
    };
    scene.check()?;
    Ok(scene)
}

/// A title for people: the prompt's beginning, or what was observed.
fn title(request: &Request) -> String {
    const LONGEST: usize = 60;
    let prompt = request.prompt.trim();
    if prompt.is_empty() {
        return match &request.observed {
            super::Observed::Nothing => "Untitled scene".to_owned(),
            super::Observed::Frames(frames) => frames
                .first()
                .and_then(|frame| frame.path.file_stem())
                .map_or_else(
                    || "Untitled scene".to_owned(),
                    |n| n.to_string_lossy().into_owned(),
                ),
            super::Observed::Video(path) => path.file_stem().map_or_else(
                || "Untitled scene".to_owned(),
                |n| n.to_string_lossy().into_owned(),
            ),
        };
    }
    let mut title: String = prompt.chars().take(LONGEST).collect();
    if prompt.chars().count() > LONGEST {
        title.push('…');
    }
    title
}

/// Refuses a result with more than 1 % of non-finite values and replaces fewer by 0.
fn finite(tensor: Tensor, stage: &str) -> Result<Tensor> {
    let total = tensor.elem_count();
    let shape = tensor.dims().to_vec();
    let mut values = tensor
        .to_device(&Device::Cpu)?
        .flatten_all()?
        .to_vec1::<f32>()?;
    let count = values.iter().filter(|v| !v.is_finite()).count();
    if count * 100 > total {
        return Err(Error::NonFinite {
            stage: stage.to_owned(),
            count,
            total,
        });
    }
    for value in values.iter_mut().filter(|v| !v.is_finite()) {
        *value = 0.0;
    }
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
}

/// `[1, 3, T, H, W]` to `[T, H, W, 3]`.
fn interleaved(video: &Tensor) -> Result<Vec<f32>> {
    let last = video.squeeze(0)?.permute((1, 2, 3, 0))?; // [T, H, W, 3]
    Ok(last.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
}

/// `[1, 3, T, H, W]` in `[-1, 1]` to `[T, H, W, 3]` sRGB bytes.
fn to_srgb(video: &Tensor) -> Result<Vec<u8>> {
    let values = interleaved(video)?;
    let byte = |v: f32| ((v.clamp(-1.0, 1.0) + 1.0) * 127.5).round() as u8;
    Ok(values.into_iter().map(byte).collect())
}

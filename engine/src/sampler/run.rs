//! The loop from noise to latents.

use candle_core::{DType, Tensor};

use super::NUM_TRAIN_TIMESTEPS;
use super::{Euler, Schedule, Solver, UniPc, UniPcConfig, UniPcSettings, guided};
use crate::job::{JobCtx, Stage};
use crate::models::{Denoiser, DenoiserInputs};
use crate::{Error, Result};

/// Latents of both branches.
#[derive(Clone, Debug)]
pub struct Latents {
    /// `[1, C, T', H', W']`: latents of the frames.
    pub rgb: Tensor,
    /// `[1, C, T', H', W']`: latents of the pointmaps.
    pub xyz: Tensor,
}

/// Which integrator runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SolverKind {
    /// Euler on [`Schedule::euler`].
    #[default]
    Euler,
    /// UniPC of order 2 on [`Schedule::unipc`].
    #[serde(rename = "unipc")]
    UniPc,
    /// UniPC as diffusers' pipelines of Wan run it, with their nodes and a clock of whole numbers:
    /// that of 4DNeX.
    #[serde(rename = "diffusers_unipc")]
    DiffusersUniPc,
}

impl SolverKind {
    /// The solver with its schedule.
    ///
    /// # Errors
    /// [`Error::Invalid`] for no steps or a shift that is not positive.
    pub fn build(self, steps: usize, shift: f64) -> Result<(Schedule, Box<dyn Solver>)> {
        match self {
            Self::Euler => {
                let schedule = Schedule::euler(steps, shift)?;
                Ok((schedule.clone(), Box::new(Euler::new(schedule))))
            }
            Self::UniPc => {
                let schedule = Schedule::unipc(steps, shift)?;
                let solver = UniPc::new(schedule.clone(), UniPcSettings::default())?;
                Ok((schedule, Box::new(solver)))
            }
            Self::DiffusersUniPc => {
                let config = UniPcConfig::flow(shift);
                let schedule = config.schedule(steps, None)?;
                let solver = UniPc::new(schedule.clone(), config.settings()?)?;
                Ok((schedule, Box::new(solver)))
            }
        }
    }
}

/// How a run samples.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SamplerSettings {
    /// The integrator.
    pub solver: SolverKind,
    /// Steps, at least 1.
    pub steps: usize,
    /// Time shift of the schedule, above 0.
    pub shift: f64,
    /// Guidance scale; at 1 the unconditional half is not computed.
    pub guidance: f64,
}

/// Integrates the flow from `noise` to the latents of both branches.
///
/// Each step asks the denoiser once for all rows. `preview` is called after each step with the
/// number of steps done and the latents that the model expects at the end, `x0 = x - sigma v`.
///
/// # Shapes
/// - `noise`: `[1, C, T', H', W']` a branch, f32
/// - `inputs`: one row of text for the conditional half and, where `guidance` is not 1, a second one
/// - returns `[1, C, T', H', W']` a branch, f32
///
/// # Errors
/// [`Error::Cancelled`] within one step; [`Error::NonFinite`] if the model produced NaN or infinity;
/// [`Error::Invalid`] for settings that do not exist or rows that are missing.
pub fn sample(
    denoiser: &dyn Denoiser,
    noise: &Latents,
    inputs: &DenoiserInputs,
    settings: &SamplerSettings,
    ctx: &JobCtx,
    preview: &mut dyn FnMut(usize, &Latents) -> Result<()>,
) -> Result<Latents> {
    let solver = settings.solver.build(settings.steps, settings.shift)?;
    integrate(
        denoiser,
        noise,
        inputs,
        (solver, settings.guidance),
        ctx,
        preview,
    )
}

/// [`sample`] with a solver on a schedule of its own, and a guidance scale.
///
/// The denoiser is told the schedule's clock, which in some references is cut to whole numbers;
/// latents move by its noise levels.
///
/// # Errors
/// As [`sample`].
pub fn integrate(
    denoiser: &dyn Denoiser,
    noise: &Latents,
    inputs: &DenoiserInputs,
    (solver, guidance): ((Schedule, Box<dyn Solver>), f64),
    ctx: &JobCtx,
    preview: &mut dyn FnMut(usize, &Latents) -> Result<()>,
) -> Result<Latents> {
    let (schedule, mut solver) = solver;
    let inputs = rows_for(inputs, guidance)?;
    let mut x = stack(noise)?; // [2, C, T', H', W']
    let nodes = schedule.sigmas.iter().zip(&schedule.timesteps);
    for (step, (&sigma, &time)) in nodes.enumerate() {
        ctx.step(Stage::Sample, step, schedule.steps())?;
        let now = split(&x)?;
        let clock = time / NUM_TRAIN_TIMESTEPS;
        let velocities = denoiser.velocities(&now.rgb, &now.xyz, clock, &inputs)?;
        let velocity = stack(&Latents {
            rgb: guided(&velocities.rgb, guidance)?,
            xyz: guided(&velocities.xyz, guidance)?,
        })?;
        let expected = (&x - (&velocity * sigma)?)?;
        x = solver.step(&x, &velocity)?;
        check_finite(&x)?;
        preview(step + 1, &split(&expected)?)?;
    }
    ctx.step(Stage::Sample, schedule.steps(), schedule.steps())?;
    split(&x)
}

/// The rows that this guidance scale needs: one at scale 1, else two.
fn rows_for(inputs: &DenoiserInputs, scale: f64) -> Result<DenoiserInputs> {
    if !scale.is_finite() {
        let reason = format!("must be a finite number, is {scale}");
        return Err(Error::invalid("guidance", reason));
    }
    let rows = if scale == 1.0 { 1 } else { 2 };
    let available = inputs.text.dim(0)?;
    if available < rows {
        let reason = format!("scale {scale} needs {rows} rows of text, there is {available}");
        return Err(Error::invalid("guidance", reason));
    }
    let image = match &inputs.image {
        Some(image) => Some(image.narrow(0, 0, rows.min(image.dim(0)?))?),
        None => None,
    };
    Ok(DenoiserInputs {
        text: inputs.text.narrow(0, 0, rows)?,
        image,
        ..inputs.clone()
    })
}

/// Both branches as rows of one tensor, so that one solver carries both.
fn stack(latents: &Latents) -> Result<Tensor> {
    let f32 = |x: &Tensor| x.to_dtype(DType::F32);
    Ok(Tensor::cat(&[f32(&latents.rgb)?, f32(&latents.xyz)?], 0)?) // [2, C, T', H', W']
}

fn split(x: &Tensor) -> Result<Latents> {
    Ok(Latents {
        rgb: x.narrow(0, 0, 1)?, // [1, C, T', H', W']
        xyz: x.narrow(0, 1, 1)?,
    })
}

fn check_finite(x: &Tensor) -> Result<()> {
    // A sum is finite unless a term is not; only then is it worth looking at every value.
    if x.sum_all()?.to_scalar::<f32>()?.is_finite() {
        return Ok(());
    }
    let values = x.flatten_all()?.to_vec1::<f32>()?;
    match values.iter().filter(|value| !value.is_finite()).count() {
        0 => Ok(()),
        count => Err(Error::NonFinite {
            stage: Stage::Sample.label().to_owned(),
            count,
            total: values.len(),
        }),
    }
}

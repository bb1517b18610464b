//! Sampling: what the solvers must integrate exactly, and how fast the others converge.

use candle_core::{Device, Tensor};
use one4d_engine::Result;
use one4d_engine::job::{CancelToken, JobCtx, JobSink, Progress};
use one4d_engine::models::{Denoiser, DenoiserInputs, Velocities};
use one4d_engine::sampler::{
    Euler, Latents, SamplerSettings, Schedule, Solver, SolverKind, UniPc, UniPcSettings,
    draw_noise, sample,
};

const SHAPE: [usize; 5] = [1, 2, 3, 2, 4];

/// A field whose velocity towards the data is known: `v = noise - data`, whatever the sample.
struct Straight {
    rgb: Tensor,
    xyz: Tensor,
}

impl Denoiser for Straight {
    fn velocities(
        &self,
        _rgb: &Tensor,
        _xyz: &Tensor,
        _sigma: f64,
        _inputs: &DenoiserInputs,
    ) -> Result<Velocities> {
        Ok(Velocities {
            rgb: self.rgb.clone(),
            xyz: self.xyz.clone(),
        })
    }
}

/// Velocity that depends on the row of text: `x + mean of the row's text`.
struct TextField;

impl Denoiser for TextField {
    fn velocities(
        &self,
        rgb: &Tensor,
        xyz: &Tensor,
        _sigma: f64,
        inputs: &DenoiserInputs,
    ) -> Result<Velocities> {
        let rows = inputs.text.dim(0)?;
        let text = inputs.text.mean((1, 2))?.reshape((rows, 1, 1, 1, 1))?;
        Ok(Velocities {
            rgb: rgb.broadcast_add(&text)?,
            xyz: xyz.broadcast_add(&text)?,
        })
    }
}

fn inputs(rows: usize) -> Result<DenoiserInputs> {
    let cpu = Device::Cpu;
    let text: Vec<f32> = (0..rows * 6).map(|i| (i as f32 * 1.7).sin()).collect();
    let [_, c, t, h, w] = SHAPE;
    Ok(DenoiserInputs {
        text: Tensor::from_vec(text, (rows, 3, 2), &cpu)?,
        mask: Tensor::zeros((1, 4, t, h, w), candle_core::DType::F32, &cpu)?,
        condition: Tensor::zeros((1, c, t, h, w), candle_core::DType::F32, &cpu)?,
        image: None,
        xyz: None,
    })
}

fn settings(solver: SolverKind, steps: usize, guidance: f64) -> SamplerSettings {
    SamplerSettings {
        solver,
        steps,
        shift: 3.0,
        guidance,
    }
}

fn run(
    denoiser: &dyn Denoiser,
    noise: &Latents,
    rows: usize,
    with: &SamplerSettings,
) -> Result<Latents> {
    let ctx = JobCtx::silent();
    sample(denoiser, noise, &inputs(rows)?, with, &ctx, &mut |_, _| {
        Ok(())
    })
}

fn max_difference(a: &Tensor, b: &Tensor) -> Result<f32> {
    Ok((a - b)?.abs()?.max_all()?.to_scalar()?)
}

#[test]
fn constant_velocity_is_integrated_exactly_at_any_step_count() -> Result<()> {
    let noise = draw_noise(1, SHAPE, &Device::Cpu)?;
    let data = draw_noise(2, SHAPE, &Device::Cpu)?;
    let field = Straight {
        rgb: (&noise.rgb - &data.rgb)?,
        xyz: (&noise.xyz - &data.xyz)?,
    };
    for solver in [
        SolverKind::Euler,
        SolverKind::UniPc,
        SolverKind::DiffusersUniPc,
    ] {
        for steps in [1, 2, 3, 7, 20] {
            // UniPC starts below 1, so its start is a mixture on the same straight line.
            let first = match solver {
                SolverKind::Euler => 1.0,
                _ => solver.build(steps, 3.0)?.0.sigmas[0],
            };
            let start = Latents {
                rgb: (&data.rgb + (&field.rgb * first)?)?,
                xyz: (&data.xyz + (&field.xyz * first)?)?,
            };
            let end = run(&field, &start, 1, &settings(solver, steps, 1.0))?;
            for (a, b) in [(&end.rgb, &data.rgb), (&end.xyz, &data.xyz)] {
                let error = max_difference(a, b)?;
                assert!(error < 2e-5, "{solver:?} with {steps} steps: {error}");
            }
        }
    }
    Ok(())
}

/// Error at `sigma = 0.1` of `dx/dsigma = x`, whose solution is `x e^(sigma - 1)`.
fn linear_field_error(steps: usize, mut solver: impl Solver, sigmas: &[f64]) -> Result<f64> {
    let mut x = Tensor::new(&[1.0_f64], &Device::Cpu)?;
    for _ in 0..steps {
        x = solver.step(&x, &x)?;
    }
    let exact = (sigmas[steps] - sigmas[0]).exp();
    Ok((x.to_vec1::<f64>()?[0] - exact).abs())
}

fn line(steps: usize) -> Schedule {
    let sigma = |i: usize| 0.9 - 0.8 * i as f64 / steps as f64;
    Schedule {
        sigmas: (0..=steps).map(sigma).collect(),
        timesteps: (0..steps).map(|i| 1000.0 * sigma(i)).collect(),
    }
}

#[test]
fn euler_converges_with_order_one_and_unipc_with_its_order() -> Result<()> {
    let order = |error: &dyn Fn(usize) -> Result<f64>| -> Result<f64> {
        Ok((error(32)? / error(64)?).log2())
    };
    let euler = order(&|n| linear_field_error(n, Euler::new(line(n)), &line(n).sigmas))?;
    assert!((0.9..1.1).contains(&euler), "Euler: {euler}");
    for p in [1, 2, 3] {
        let measured = order(&|n| {
            let settings = UniPcSettings {
                order: p,
                lower_order_final: false,
                ..UniPcSettings::default()
            };
            linear_field_error(n, UniPc::new(line(n), settings)?, &line(n).sigmas)
        })?;
        // The corrector raises the order of a predictor of order p by up to one.
        assert!(measured > p as f64 - 0.2, "UniPC of order {p}: {measured}");
    }
    Ok(())
}

#[test]
fn same_seed_gives_the_same_clip_and_another_seed_another() -> Result<()> {
    let clip = |seed: u64| -> Result<Vec<f32>> {
        let noise = draw_noise(seed, SHAPE, &Device::Cpu)?;
        let end = run(&TextField, &noise, 2, &settings(SolverKind::UniPc, 5, 4.0))?;
        Ok(Tensor::cat(&[end.rgb, end.xyz], 0)?
            .flatten_all()?
            .to_vec1()?)
    };
    assert_eq!(clip(7)?, clip(7)?);
    assert_ne!(clip(7)?, clip(8)?);
    Ok(())
}

#[test]
fn noise_is_unit_normal_and_differs_between_branches() -> Result<()> {
    let noise = draw_noise(3, [1, 16, 5, 20, 20], &Device::Cpu)?;
    for x in [&noise.rgb, &noise.xyz] {
        let mean = x.mean_all()?.to_scalar::<f32>()?;
        let square = x.sqr()?.mean_all()?.to_scalar::<f32>()?;
        assert!(
            mean.abs() < 0.02 && (square - 1.0).abs() < 0.03,
            "{mean} {square}"
        );
    }
    assert!(max_difference(&noise.rgb, &noise.xyz)? > 0.1);
    Ok(())
}

#[test]
fn guidance_of_one_equals_the_conditional_half_alone() -> Result<()> {
    let noise = draw_noise(5, SHAPE, &Device::Cpu)?;
    let off = run(&TextField, &noise, 2, &settings(SolverKind::Euler, 6, 1.0))?;
    let alone = run(&TextField, &noise, 1, &settings(SolverKind::Euler, 6, 1.0))?;
    assert_eq!(max_difference(&off.rgb, &alone.rgb)?, 0.0);
    let on = run(&TextField, &noise, 2, &settings(SolverKind::Euler, 6, 3.0))?;
    assert!(max_difference(&off.rgb, &on.rgb)? > 1e-3);
    let missing = run(&TextField, &noise, 1, &settings(SolverKind::Euler, 6, 3.0));
    assert!(missing.is_err(), "guidance without an unconditional row");
    Ok(())
}

#[test]
fn values_that_are_not_finite_end_the_run_by_name() -> Result<()> {
    let noise = draw_noise(5, SHAPE, &Device::Cpu)?;
    let broken = Straight {
        rgb: (&noise.rgb * f64::NAN)?,
        xyz: noise.xyz.clone(),
    };
    let end = run(&broken, &noise, 1, &settings(SolverKind::Euler, 3, 1.0));
    let message = end.err().map(|e| e.to_string()).unwrap_or_default();
    assert!(message.contains("48 non-finite values of 96"), "{message}");
    Ok(())
}

struct CancelAt(CancelToken, usize);

impl JobSink for CancelAt {
    fn progress(&self, progress: Progress) {
        if progress.done == self.1 {
            self.0.cancel();
        }
    }
}

#[test]
fn cancelling_stops_within_one_step() -> Result<()> {
    let token = CancelToken::default();
    let ctx = JobCtx::new(token.clone(), std::sync::Arc::new(CancelAt(token, 2)));
    let noise = draw_noise(5, SHAPE, &Device::Cpu)?;
    let mut steps = 0;
    let with = settings(SolverKind::Euler, 10, 1.0);
    let end = sample(
        &TextField,
        &noise,
        &inputs(1)?,
        &with,
        &ctx,
        &mut |done, _| {
            steps = done;
            Ok(())
        },
    );
    assert!(end.is_err_and(|e| e.is_cancelled()));
    assert_eq!(steps, 3, "the step under way ends, no further one begins");
    Ok(())
}

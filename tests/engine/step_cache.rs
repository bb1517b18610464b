//! The step cache: off is off, what is reused is counted, and its error is measured.

use candle_core::{DType, Device, Tensor};
use one4d_engine::Result;
use one4d_engine::job::JobCtx;
use one4d_engine::models::one4d::{AdapterConfig, Coupling, One4d};
use one4d_engine::models::wan::WanConfig;
use one4d_engine::models::{Denoiser, DenoiserInputs, StepCacheReport, Velocities};
use one4d_engine::nn::{ParamStore, Weights};
use one4d_engine::sampler::{Latents, Reusing, SamplerSettings, SolverKind, draw_noise, sample};
use one4d_tests::draw;

const STEPS: usize = 12;
const SHAPE: [usize; 5] = [1, 4, 2, 4, 6];

/// A tiny denoiser with random weights, adapters and links: everything acts.
fn denoiser() -> Result<(One4d, DenoiserInputs)> {
    let cfg = WanConfig {
        in_dim: 12,
        out_dim: SHAPE[1],
        num_layers: 4,
        ..WanConfig::tiny()
    };
    let config = AdapterConfig::new(Coupling::Decoupled, 4, cfg.num_layers);
    let stirred = |seed: u64, build: &dyn Fn(&Weights)| -> Result<Weights> {
        let store = ParamStore::default();
        build(&Weights::fresh(&store, seed, DType::F32, &Device::Cpu));
        let mut tensors = std::collections::HashMap::new();
        for (name, var) in store.vars() {
            let noise = draw::normal(0.05, var.dims());
            tensors.insert(name, (var.as_detached_tensor() + noise)?);
        }
        Ok(Weights::from_tensors(
            tensors,
            "tiny",
            DType::F32,
            &Device::Cpu,
        ))
    };
    let base = stirred(1, &|fresh| {
        one4d_engine::models::wan::WanDit::from_weights(&cfg, fresh).unwrap();
    })?;
    let adapters = stirred(2, &|fresh| {
        One4d::from_weights(&cfg, &config, &base, fresh).unwrap();
    })?;
    let model = One4d::from_weights(&cfg, &config, &base, &adapters)?;
    let [_, c, t, h, w] = SHAPE;
    let inputs = DenoiserInputs {
        text: draw::normal(1.0, &[2, 5, cfg.text_dim]),
        mask: draw::normal(1.0, &[1, 4, t, h, w]),
        condition: draw::normal(1.0, &[1, c, t, h, w]),
        image: None,
        xyz: None,
    };
    Ok((model, inputs))
}

fn run(denoiser: &dyn Denoiser, inputs: &DenoiserInputs) -> Result<Latents> {
    let settings = SamplerSettings {
        solver: SolverKind::Euler,
        steps: STEPS,
        shift: 3.0,
        guidance: 2.0,
    };
    let noise = draw_noise(5, SHAPE, &Device::Cpu)?;
    let ctx = JobCtx::silent();
    sample(
        denoiser,
        &noise,
        inputs,
        &settings,
        &ctx,
        &mut |_, _| Ok(()),
    )
}

fn cached(
    denoiser: &dyn Denoiser,
    inputs: &DenoiserInputs,
    threshold: f64,
) -> Result<(Latents, StepCacheReport)> {
    let reusing = Reusing::new(denoiser, threshold, STEPS);
    let latents = run(&reusing, inputs)?;
    Ok((latents, reusing.report()))
}

fn error(a: &Latents, b: &Latents) -> Result<f32> {
    let square = |a: &Tensor, b: &Tensor| (a - b)?.sqr()?.sum_all()?.to_scalar::<f32>();
    Ok((square(&a.rgb, &b.rgb)? + square(&a.xyz, &b.xyz)?).sqrt())
}

fn bits(latents: &Latents) -> Result<Vec<u32>> {
    let both = Tensor::cat(&[&latents.rgb, &latents.xyz], 0)?.flatten_all()?;
    Ok(both
        .to_vec1::<f32>()?
        .into_iter()
        .map(f32::to_bits)
        .collect())
}

#[test]
fn a_cache_that_never_reuses_changes_no_bit() -> Result<()> {
    let (model, inputs) = denoiser()?;
    let truth = run(&model, &inputs)?;
    let (latents, report) = cached(&model, &inputs, 0.0)?;
    assert_eq!(bits(&latents)?, bits(&truth)?);
    assert_eq!((report.computed, report.reused), (STEPS, 0));
    // Every whole step but the first was compared with what reuse would have given.
    assert_eq!(report.checks, STEPS - 1);
    assert!(report.largest_error > 0.0 && report.mean_error <= report.largest_error);
    Ok(())
}

#[test]
fn a_larger_threshold_reuses_more_and_errs_more() -> Result<()> {
    let (model, inputs) = denoiser()?;
    let truth = run(&model, &inputs)?;
    let mut before = (0, 0.0);
    for threshold in [0.05, 0.2, 1e9] {
        let (latents, report) = cached(&model, &inputs, threshold)?;
        let off = error(&latents, &truth)?;
        println!("{threshold}: {report:?}, off {off}");
        assert_eq!(report.computed + report.reused, STEPS);
        assert!(
            report.reused > before.0,
            "{threshold} reuses {}",
            report.reused
        );
        assert!(off > before.1, "{threshold} is off by {off}");
        assert!(report.largest_change < threshold);
        assert!(report.checks > 0 && report.largest_error > 0.0);
        before = (report.reused, off);
    }
    // Without a bound all but the first and the last are reused.
    assert_eq!(before.0, STEPS - 2);
    Ok(())
}

/// A denoiser without blocks: always the same velocity.
struct Still(Velocities);

impl Denoiser for Still {
    fn velocities(
        &self,
        _rgb: &Tensor,
        _xyz: &Tensor,
        _sigma: f64,
        _inputs: &DenoiserInputs,
    ) -> Result<Velocities> {
        Ok(self.0.clone())
    }
}

#[test]
fn a_network_that_keeps_nothing_is_computed_at_every_step() -> Result<()> {
    let (_, inputs) = denoiser()?;
    let velocity = draw::normal(1.0, &[2, SHAPE[1], SHAPE[2], SHAPE[3], SHAPE[4]]);
    let still = Still(Velocities {
        rgb: velocity.clone(),
        xyz: velocity,
    });
    let (latents, report) = cached(&still, &inputs, 0.5)?;
    assert_eq!(bits(&latents)?, bits(&run(&still, &inputs)?)?);
    assert_eq!(
        (report.computed, report.reused, report.checks),
        (STEPS, 0, 0)
    );
    Ok(())
}

#[test]
fn reports_of_windows_add_up() {
    let window = |computed, checks, mean_error, largest_error| StepCacheReport {
        threshold: 0.1,
        computed,
        reused: 10 - computed,
        largest_change: 0.01 * computed as f64,
        checks,
        mean_error,
        largest_error,
    };
    let both = window(4, 3, 0.02, 0.03).with(window(8, 1, 0.06, 0.06));
    assert_eq!((both.computed, both.reused, both.checks), (12, 8, 4));
    assert!((both.mean_error - 0.03).abs() < 1e-12);
    assert_eq!((both.largest_change, both.largest_error), (0.08, 0.06));
}

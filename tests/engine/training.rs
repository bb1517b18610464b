//! The trainer: a stopped run goes on as if nothing had happened, only what should learn learns, and
//! the result loads.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;
use std::sync::{Arc, Mutex};

use candle_core::{DType, Device, Tensor};
use one4d_engine::datasets::synthetic::WorldWidth;
use one4d_engine::device::DeviceChoice;
use one4d_engine::job::{CancelToken, JobCtx, JobSink, Progress, Stage};
use one4d_engine::models::byte_text::ByteTextEncoder;
use one4d_engine::models::linear_codec::LinearCodec;
use one4d_engine::models::one4d::{One4d, Prediction, XyzInput};
use one4d_engine::models::{Denoiser as _, DenoiserInputs, TextEncoder as _};
use one4d_engine::nn::Weights;
use one4d_engine::pipeline::BundleManifest;
use one4d_engine::training::{
    CurriculumStep, DataConfig, DataPart, ModelConfig, StageConfig, TrainConfig, averages, run,
    write_bundle,
};
use one4d_tests::bundle::{tiny_codec, tiny_model};
use one4d_tests::draw;

fn stage(steps: u64) -> StageConfig {
    StageConfig {
        steps,
        batch: 2,
        accumulate: 2,
        lr: 3e-3,
        warmup: 2,
        ema: 0.9,
        validate_every: 100,
        checkpoint_every: 100,
        ..StageConfig::default()
    }
}

fn tiny() -> TrainConfig {
    let part = DataPart::world;
    TrainConfig {
        device: DeviceChoice::Cpu,
        frames: 5,
        height: 16,
        width: 32,
        data: DataConfig {
            parts: vec![part(WorldWidth::Narrow, 6), part(WorldWidth::Wide, 4)],
            validation_clips: 3,
            first_seed: 1,
        },
        codec: tiny_codec(8),
        model: ModelConfig {
            xyz_input: XyzInput::OwnHead,
            prediction: Prediction::Clean,
            ..tiny_model()
        },
        base: stage(3),
        dlc: StageConfig {
            curriculum: vec![CurriculumStep {
                from: 0,
                narrow: 1.0,
                ..CurriculumStep::default()
            }],
            ..stage(4)
        },
        ..TrainConfig::default()
    }
}

fn bits(path: &Path) -> Vec<(String, Vec<u32>)> {
    let tensors = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    let mut all: Vec<(String, Vec<u32>)> = tensors
        .into_iter()
        .filter(|(name, _)| name != "opt.step")
        .map(|(name, tensor)| {
            let values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            (name, values.iter().map(|v| v.to_bits()).collect())
        })
        .collect();
    all.sort();
    all
}

/// Cancels the job once training has reached a number of steps.
struct StopAt {
    steps: usize,
    token: CancelToken,
    seen: Mutex<Vec<Progress>>,
}

impl JobSink for StopAt {
    fn progress(&self, progress: Progress) {
        self.seen.lock().unwrap().push(progress);
        if progress.stage == Stage::Train && progress.done >= self.steps {
            self.token.cancel();
        }
    }
}

#[test]
fn a_resumed_run_equals_an_uninterrupted_one() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    let config = tiny();
    let report = run(&config, &whole, None, &JobCtx::silent()).unwrap();
    assert_eq!(report.stages.len(), 2);
    assert!(report.stages.iter().all(|stage| stage.steps == stage.total));

    // Cancelled once a step, over and over, until both stages are done.
    let mut sessions = 0;
    loop {
        let token = CancelToken::default();
        let sink = StopAt {
            steps: sessions % 4 + 1,
            token: token.clone(),
            seen: Mutex::default(),
        };
        let result = run(&config, &parts, None, &JobCtx::new(token, Arc::new(sink)));
        sessions += 1;
        match result {
            Ok(_) => break,
            Err(error) => assert!(error.is_cancelled(), "{error}"),
        }
        assert!(sessions < 20);
    }
    assert!(sessions > 2, "{sessions} sessions");
    for file in ["base.checkpoint.safetensors", "dlc.checkpoint.safetensors"] {
        assert_eq!(bits(&whole.join(file)), bits(&parts.join(file)), "{file}");
    }
    let losses = |run: &Path| {
        let text = std::fs::read_to_string(run.join("dlc.loss.csv")).unwrap();
        let row = |line: &str| {
            line.split(',')
                .skip(3)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        text.lines().map(row).collect::<Vec<_>>()
    };
    assert_eq!(losses(&whole), losses(&parts));
    assert_eq!(losses(&whole).len(), 5);
    assert!(whole.join("dlc.loss.png").exists());
}

#[test]
fn the_base_is_frozen_under_its_adapters_and_every_adapter_learns() {
    let folder = tempfile::tempdir().unwrap();
    let config = tiny();
    run(&config, folder.path(), None, &JobCtx::silent()).unwrap();
    let (_, dlc) = averages(&folder.path().join("dlc.checkpoint.safetensors")).unwrap();
    assert!(dlc.keys().all(|name| name.starts_with("adapters.")));
    let checkpoint = folder.path().join("dlc.checkpoint.safetensors");
    let state = candle_core::safetensors::load(&checkpoint, &Device::Cpu).unwrap();
    let norm = |t: &Tensor| {
        t.sqr()
            .unwrap()
            .sum_all()
            .unwrap()
            .to_scalar::<f32>()
            .unwrap()
    };
    let mut learnt = 0;
    for (name, moment) in state.iter().filter(|(name, _)| name.starts_with("opt.m.")) {
        assert!(norm(moment) > 0.0, "{name} never had a gradient");
        learnt += 1;
    }
    assert_eq!(learnt, dlc.len());

    let open = TrainConfig {
        dlc: StageConfig {
            train_base: true,
            ..config.dlc.clone()
        },
        ..config
    };
    let other = tempfile::tempdir().unwrap();
    run(&open, other.path(), None, &JobCtx::silent()).unwrap();
    let (_, both) = averages(&other.path().join("dlc.checkpoint.safetensors")).unwrap();
    assert!(both.keys().any(|name| name.starts_with("base.")));
    assert!(run(&tiny(), other.path(), None, &JobCtx::silent()).is_err());
}

#[test]
fn the_loss_falls_on_a_few_clips() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = tiny();
    config.base = StageConfig {
        batch: 4,
        accumulate: 1,
        lr: 5e-3,
        ..stage(80)
    };
    config.dlc.steps = 0;
    run(&config, folder.path(), None, &JobCtx::silent()).unwrap();
    let text = std::fs::read_to_string(folder.path().join("base.loss.csv")).unwrap();
    let losses: Vec<f64> = text
        .lines()
        .skip(1)
        .map(|line| line.split(',').nth(3).unwrap().parse().unwrap())
        .collect();
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    let (first, last) = (mean(&losses[..10]), mean(&losses[70..]));
    assert!(last < 0.7 * first, "{first} to {last}");
}

#[test]
fn the_bundle_loads_and_its_velocities_are_finite() {
    let folder = tempfile::tempdir().unwrap();
    let config = tiny();
    let report = run(&config, folder.path(), None, &JobCtx::silent()).unwrap();
    let bundle = report.bundle.unwrap();
    let again = folder.path().join("again");
    write_bundle(&config, folder.path(), &again).unwrap();
    let names = [
        "text.safetensors",
        "base.safetensors",
        "adapters.safetensors",
    ];
    for name in names {
        assert_eq!(
            std::fs::read(bundle.join(name)).unwrap(),
            std::fs::read(again.join(name)).unwrap()
        );
    }
    let manifest = BundleManifest::read(&bundle).unwrap();
    assert_eq!(manifest.trained_steps, 4);
    let device = Device::Cpu;
    LinearCodec::load(&bundle.join("codec.safetensors"), &device).unwrap();
    let text =
        ByteTextEncoder::load(&manifest.text, &bundle.join("text.safetensors"), &device).unwrap();
    let base =
        Weights::from_files(&[bundle.join("base.safetensors")], DType::F32, &device).unwrap();
    let adapters = bundle.join("adapters.safetensors");
    let model = One4d::load(&manifest.denoiser, &base, &adapters, &device).unwrap();
    let noise = draw::normal(1.0, &[1, 8, 2, 2, 4]);
    let inputs = DenoiserInputs {
        text: text.encode("A room with white walls").unwrap(),
        mask: Tensor::zeros((1, 4, 2, 2, 4), DType::F32, &device).unwrap(),
        condition: noise.zeros_like().unwrap(),
        image: None,
        xyz: None,
    };
    let velocities = model.velocities(&noise, &noise, 1.0, &inputs).unwrap();
    for branch in [velocities.rgb, velocities.xyz] {
        let values = branch.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!(values.iter().all(|v| v.is_finite()));
    }
}

#[test]
fn training_goes_on_from_a_bundle() {
    let first = tempfile::tempdir().unwrap();
    let bundle = run(&tiny(), first.path(), None, &JobCtx::silent())
        .unwrap()
        .bundle
        .unwrap();
    let further = |steps, learns| {
        let mut config = tiny();
        config.start_from = Some(bundle.clone());
        config.dlc = StageConfig {
            train_base: learns,
            steps,
            ..config.dlc
        };
        let folder = tempfile::tempdir().unwrap();
        let report = run(&config, folder.path(), None, &JobCtx::silent()).unwrap();
        let written = report.bundle.unwrap();
        let again = write_bundle(&config, folder.path(), &folder.path().join("again")).unwrap();
        let file = |path: &Path, name: &str| std::fs::read(path.join(name)).unwrap();
        assert_eq!(file(&written, "model.json"), file(&again, "model.json"));
        let changed: Vec<&str> = ["codec", "text", "base", "adapters"]
            .into_iter()
            .filter(|part| {
                let name = format!("{part}.safetensors");
                let values =
                    |path: &Path| candle_core::safetensors::load(path.join(&name), &Device::Cpu);
                let (old, new) = (values(&bundle).unwrap(), values(&written).unwrap());
                let differ = |(name, old): (&String, &Tensor)| {
                    let bytes =
                        |t: &Tensor| t.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>();
                    bytes(old).unwrap() != bytes(&new[name]).unwrap()
                };
                assert_eq!(old.len(), new.len());
                old.iter().any(differ)
            })
            .collect();
        (
            BundleManifest::read(&written).unwrap().trained_steps,
            changed,
        )
    };
    assert_eq!(further(0, false), (4, vec![]));
    assert_eq!(further(2, false), (6, vec!["adapters"]));
    assert_eq!(further(2, true), (6, vec!["text", "base", "adapters"]));

    let mut other = tiny();
    other.start_from = Some(bundle.clone());
    other.model.num_layers += 1;
    let folder = tempfile::tempdir().unwrap();
    let error = run(&other, folder.path(), None, &JobCtx::silent()).unwrap_err();
    assert!(error.to_string().contains("missing"), "{error}");
}

#[test]
fn a_cache_made_twice_is_the_same_and_bad_configurations_are_refused() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut config = tiny();
    config.base.steps = 0;
    config.dlc.steps = 0;
    for folder in [&a, &b] {
        run(&config, folder.path(), None, &JobCtx::silent()).unwrap();
    }
    for file in [
        "cache/latents.bin",
        "cache/latents.json",
        "codec.safetensors",
    ] {
        let read = |folder: &tempfile::TempDir| std::fs::read(folder.path().join(file)).unwrap();
        assert_eq!(read(&a), read(&b), "{file}");
    }
    let path = a.path().join("bad.json");
    std::fs::write(&path, r#"{"frames": 6}"#).unwrap();
    assert!(
        TrainConfig::read(&path)
            .unwrap_err()
            .to_string()
            .contains("4k + 1")
    );
    std::fs::write(&path, r#"{"learning_rate": 6}"#).unwrap();
    assert!(
        TrainConfig::read(&path)
            .unwrap_err()
            .to_string()
            .contains("learning_rate")
    );
    std::fs::write(&path, "{}").unwrap();
    assert_eq!(TrainConfig::read(&path).unwrap(), TrainConfig::default());
}

//! A run keeps to its plan: peaks of memory, measured in a process of their own.

use std::process::Command;

use candle_core::{DType, Device};
use one4d_engine::nn::{WeightForm, Weights};
use one4d_engine::plan::{
    self, CodecParts, DitParts, Holding, Machine, ModelParts, Plan, RunShape, TextParts,
};
use one4d_tests::probe::{DecodeJob, ProbeJob, probe_adapters, probe_config, write_probe_model};
use serde_json::Value;

use crate::plan::{FULL, GB, relative, stage};

/// A small model on disk and the plans for one step of it.
struct Probe {
    folder: tempfile::TempDir,
    job: ProbeJob,
    parts: ModelParts,
    run: RunShape,
}

impl Probe {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cfg = probe_config();
        let spec = write_probe_model(folder.path(), &cfg, DType::BF16).unwrap();
        let base =
            Weights::open(&folder.path().join(&spec.base), DType::F32, &Device::Cpu).unwrap();
        let parts = ModelParts {
            name: "probe".to_owned(),
            text: TextParts {
                values: 0,
                layer_values: 0,
                len: cfg.text_len,
                width: cfg.text_dim,
                hidden: 0,
                heads: 0,
                on_demand: false,
            },
            image: None,
            codec: CodecParts {
                values: 0,
                latent_channels: cfg.out_dim,
                base_channels: None,
            },
            dit: DitParts::of_file(&cfg, &probe_adapters(&cfg), &base).unwrap(),
            lora_values: 0,
        };
        let grid = [3, 16, 24];
        let run = RunShape {
            frames: 9,
            height: 8 * grid[1],
            width: 8 * grid[2],
            steps: 1,
            guided: true,
            step_cache: 0.0,
            has_image: false,
        };
        let job = ProbeJob {
            name: "probe".to_owned(),
            spec,
            holding: Holding::default(),
            grid,
            limit_bytes: None,
        };
        Self {
            folder,
            job,
            parts,
            run,
        }
    }

    fn plan(&self, holding: Holding) -> Plan {
        let machine = Machine::cpu(GB, rayon::current_num_threads());
        plan::with_holding(&self.parts, &self.run, &machine, holding)
    }

    /// Peak and velocities of one step; `None` if the process ran out of memory.
    fn measure(&self, holding: Holding, limit_bytes: Option<u64>) -> Option<(u64, Vec<f32>)> {
        let job = ProbeJob {
            holding,
            limit_bytes,
            ..self.job.clone()
        };
        let path = self.folder.path().join("job.json");
        std::fs::write(&path, serde_json::to_vec(&job).unwrap()).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_plan_probe"))
            .arg(&path)
            .output()
            .unwrap();
        if !output.status.success() {
            let message = String::from_utf8_lossy(&output.stderr);
            assert!(message.contains("memory allocation"), "{message}");
            return None;
        }
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let bytes = std::fs::read(self.folder.path().join("probe.f32")).unwrap();
        let (values, _) = bytes.as_chunks::<4>();
        let values = values.iter().map(|&v| f32::from_le_bytes(v)).collect();
        Some((report["peak_bytes"].as_u64().unwrap(), values))
    }
}

fn holding(form: WeightForm, streamed: bool, hidden_tokens: Option<usize>) -> Holding {
    Holding {
        form,
        streamed,
        hidden_tokens,
        codec_tile: None,
    }
}

#[test]
fn a_run_keeps_to_its_plan() {
    let probe = Probe::new();
    let resident = holding(WeightForm::Plain, false, None);
    let (_, truth) = probe.measure(resident, None).unwrap();
    for (case, bound) in [
        (resident, 0.0),
        (holding(WeightForm::Plain, true, None), 0.0),
        (holding(WeightForm::Stored, false, None), 0.03),
        (holding(WeightForm::Q8_0, false, Some(60)), 0.05),
        (holding(WeightForm::Q4K, false, None), 0.4),
    ] {
        let plan = probe.plan(case);
        let expected = stage(&plan, "denoise").bytes();
        let (peak, values) = probe.measure(case, None).unwrap();
        let miss = peak as f64 / expected as f64 - 1.0;
        let error = relative(&values, &truth);
        let line = format!(
            "{case:?}: planned {expected}, held {peak} ({:+.1} %), error {error:.4}",
            100.0 * miss
        );
        println!("{line}");
        assert!(miss.abs() < 0.05, "{line}\n{plan}");
        assert!(error <= bound, "{line}");
    }
}

#[test]
fn under_a_limit_below_its_weights_a_model_runs_by_streaming() {
    let probe = Probe::new();
    let resident = holding(WeightForm::Stored, false, Some(60));
    let streamed = holding(WeightForm::Stored, true, Some(60));
    let limit = stage(&probe.plan(streamed), "denoise").bytes() * 21 / 20;
    let weights = probe.parts.dit.stored.total_bytes;
    assert!(
        limit < weights,
        "{limit} is no limit for {weights} bytes of weights"
    );
    assert!(probe.measure(resident, Some(limit)).is_none());
    let (_, values) = probe.measure(streamed, Some(limit)).unwrap();
    let (_, truth) = probe.measure(resident, None).unwrap();
    assert_eq!(values, truth);
}

#[test]
fn the_codec_keeps_to_its_estimate() {
    let folder = tempfile::tempdir().unwrap();
    let job = DecodeJob {
        base_channels: 16,
        frames: 9,
        height: 192,
        width: 256,
    };
    let path = folder.path().join("job.json");
    std::fs::write(&path, serde_json::to_vec(&job).unwrap()).unwrap();
    let probe = Command::new(env!("CARGO_BIN_EXE_plan_probe"))
        .arg(&path)
        .output()
        .unwrap();
    assert!(
        probe.status.success(),
        "{}",
        String::from_utf8_lossy(&probe.stderr)
    );
    let report: Value = serde_json::from_slice(&probe.stdout).unwrap();
    let peak = report["peak_bytes"].as_u64().unwrap();
    let codec = CodecParts::wan(&job.config()).unwrap();
    let run = RunShape {
        frames: job.frames,
        height: job.height,
        width: job.width,
        ..FULL
    };
    let expected = plan::decode_bytes(&codec, &run, None, 4);
    let miss = peak as f64 / expected as f64 - 1.0;
    println!(
        "codec: planned {expected}, held {peak} ({:+.1} %)",
        100.0 * miss
    );
    assert!(miss.abs() < 0.05, "planned {expected}, held {peak}");
}

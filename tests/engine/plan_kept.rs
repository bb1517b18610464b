//! A run keeps to its plan: peaks of memory, measured in a process of their own.

use std::process::Command;

use candle_core::{DType, Device};
use one4d_engine::nn::{WeightForm, Weights};
use one4d_engine::plan::{
    self, CodecParts, DitParts, Holding, Machine, ModelParts, Plan, RunShape, TextParts,
};
use one4d_tests::probe::{
    DecodeJob, PiecesJob, ProbeJob, ProbeLora, ProbeRun, probe_adapters, probe_config,
    write_probe_lora, write_probe_model,
};
use serde::Serialize;
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
    fn new(dtype: DType) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cfg = probe_config();
        let spec = write_probe_model(folder.path(), &cfg, dtype).unwrap();
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
            lora_files: 0,
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
            loras: Vec::new(),
            grid,
            run: ProbeRun {
                steps: 1,
                guidance: 3.0,
                step_cache: 0.0,
            },
            limit_bytes: None,
        };
        Self {
            folder,
            job,
            parts,
            run,
        }
    }

    /// Another run on the same model.
    fn with_run(mut self, grid: [usize; 3], run: ProbeRun) -> Self {
        self.run = RunShape {
            frames: 4 * (grid[0] - 1) + 1,
            height: 8 * grid[1],
            width: 8 * grid[2],
            steps: run.steps,
            guided: run.guidance != 1.0,
            step_cache: run.step_cache,
            has_image: false,
        };
        (self.job.grid, self.job.run) = (grid, run);
        self
    }

    /// One more LoRA file on the model.
    fn with_lora(mut self, kind: ProbeLora) -> Self {
        let name = format!("lora{}.safetensors", self.job.loras.len());
        let path = self.folder.path().join(&name);
        let values = write_probe_lora(&path, &self.job.spec.config, kind).unwrap();
        self.parts.lora_values += values;
        self.parts.lora_files += 1;
        self.job.loras.push((name, 0.5));
        self
    }

    /// The most that loading and denoising take by the plan.
    fn expected(&self, holding: Holding) -> u64 {
        let plan = self.plan(holding);
        let stages = plan.stages.iter();
        let stages = stages.filter(|stage| ["load", "denoise"].contains(&stage.stage));
        stages.map(plan::StageMemory::bytes).max().unwrap()
    }

    fn plan(&self, holding: Holding) -> Plan {
        let machine = Machine::cpu(GB, rayon::current_num_threads());
        plan::with_holding(&self.parts, &self.run, &machine, holding)
    }

    /// Loads and runs the model in each way and compares its peak with the plan's.
    fn assert_kept(&self, holdings: &[Holding]) {
        for &case in holdings {
            let expected = self.expected(case);
            let (peak, _) = self.measure(case, None).unwrap();
            let miss = peak as f64 / expected as f64 - 1.0;
            let job = &self.job;
            let line = format!(
                "{case:?}, {:?}, {:?}: planned {expected}, held {peak} ({:+.1} %)",
                job.run,
                job.loras,
                100.0 * miss
            );
            assert!(miss.abs() < 0.05, "{line}\n{}", self.plan(case));
        }
    }

    /// Peak and latents of a run; `None` if the process ran out of memory.
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
    let probe = Probe::new(DType::BF16);
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
    let probe = Probe::new(DType::BF16);
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
fn runs_with_lora_files_a_step_cache_and_without_guidance_keep_to_their_plans() {
    let run = |steps, guidance, step_cache| ProbeRun {
        steps,
        guidance,
        step_cache,
    };
    let (wide, long) = ([2, 24, 32], [9, 16, 16]);
    let cached = Probe::new(DType::BF16).with_run(wide, run(2, 3.0, 0.1));
    cached.assert_kept(&[holding(WeightForm::Stored, false, Some(100))]);
    cached
        .with_lora(ProbeLora::Pairs(32))
        .assert_kept(&[holding(WeightForm::Q8_0, false, None)]);
    let unguided = Probe::new(DType::BF16).with_run(long, run(1, 1.0, 0.0));
    let unguided = unguided.with_lora(ProbeLora::Pairs(16));
    unguided.with_lora(ProbeLora::Pairs(64)).assert_kept(&[
        holding(WeightForm::Bf16, true, None),
        holding(WeightForm::Q4K, false, Some(512)),
    ]);
}

#[test]
fn every_kind_of_lora_file_keeps_to_its_plan() {
    let run = ProbeRun {
        steps: 1,
        guidance: 3.0,
        step_cache: 0.0,
    };
    for kind in [
        ProbeLora::Hadamard(4),
        ProbeLora::Hadamard(40),
        ProbeLora::Kronecker(8),
        ProbeLora::Magnitudes(16),
    ] {
        let probe = Probe::new(DType::BF16).with_run([3, 16, 24], run);
        probe.with_lora(kind).assert_kept(&[
            holding(WeightForm::Q8_0, false, None),
            holding(WeightForm::Stored, true, None),
        ]);
    }
}

/// What the probe reports of a job.
fn probed(job: &impl Serialize) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("job.json");
    std::fs::write(&path, serde_json::to_vec(job).unwrap()).unwrap();
    let probe = Command::new(env!("CARGO_BIN_EXE_plan_probe"))
        .arg(&path)
        .output()
        .unwrap();
    assert!(
        probe.status.success(),
        "{}",
        String::from_utf8_lossy(&probe.stderr)
    );
    serde_json::from_slice(&probe.stdout).unwrap()
}

#[test]
fn what_large_pieces_leave_goes_back_to_the_system() {
    let job = PiecesJob {
        pieces: 20,
        piece_bytes: 25 << 20,
    };
    let Some(resident) = probed(&job)["resident_bytes"].as_u64() else {
        return one4d_tests::readers::skip("the system does not tell what a process holds");
    };
    assert!(resident < 64 << 20, "{resident} bytes stay");
}

/// Planned and measured bytes of decoding one clip.
fn decoded(job: &DecodeJob) -> (u64, u64) {
    let report = probed(job);
    let codec = CodecParts::wan(&job.config()).unwrap();
    let run = RunShape {
        frames: job.frames,
        height: job.height,
        width: job.width,
        ..FULL
    };
    let planned = plan::decode_bytes(&codec, &run, job.tile, 4);
    (planned, report["peak_bytes"].as_u64().unwrap())
}

#[test]
fn the_codec_keeps_to_its_estimate() {
    let mut missed = Vec::new();
    for (base_channels, [frames, height, width], tile) in [
        (16, [9, 192, 256], None),
        (8, [1, 256, 320], None),
        (16, [21, 96, 160], None),
        (8, [9, 256, 320], Some(16)),
        (16, [13, 160, 288], Some(16)),
    ] {
        let job = DecodeJob {
            base_channels,
            frames,
            height,
            width,
            tile,
        };
        let (planned, held) = decoded(&job);
        let miss = held as f64 / planned as f64 - 1.0;
        let line = format!(
            "{job:?}: planned {planned}, held {held} ({:+.1} %)",
            100.0 * miss
        );
        println!("{line}");
        missed.extend((miss.abs() >= 0.05).then_some(line));
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

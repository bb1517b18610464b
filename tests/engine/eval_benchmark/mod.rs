//! Tests: whole data sets in their own formats, with errors whose size is known beforehand.

mod agreement;
mod damage;
mod depth;
mod pose;

use std::path::PathBuf;

use one4d_engine::datasets::benchmark::Benchmark;
use one4d_engine::eval::{BenchmarkRequest, Measure, PoseMeasure, TableFiles, run_benchmark};
use one4d_engine::job::JobCtx;
use one4d_engine::metrics::{DepthPreset, PoseAlignment};
use serde_json::Value;

/// A folder with the data set in `data` and the predictions in `pred`.
struct Folders(tempfile::TempDir);

impl Folders {
    fn new() -> Self {
        let folders = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir_all(folders.pred("")).unwrap();
        folders
    }

    fn data(&self, name: &str) -> PathBuf {
        self.0.path().join("data").join(name)
    }

    fn pred(&self, name: &str) -> PathBuf {
        self.0.path().join("pred").join(name)
    }

    fn request(&self, benchmark: Benchmark, measure: Measure) -> BenchmarkRequest {
        BenchmarkRequest {
            benchmark,
            root: self.data(""),
            predictions: self.pred(""),
            sequences: Vec::new(),
            every: 1,
            measure,
            tables: TableFiles::default(),
        }
    }

    fn depth(&self, benchmark: Benchmark, preset: DepthPreset) -> Value {
        measured(&self.request(benchmark, Measure::Depth(preset)))
    }

    fn pose(&self, benchmark: Benchmark) -> Value {
        measured(&self.request(benchmark, pose(PoseAlignment::Sim3)))
    }
}

fn pose(alignment: PoseAlignment) -> Measure {
    Measure::Pose(PoseMeasure {
        alignment,
        max_gap_secs: 0.01,
        quaternion: None,
    })
}

fn measured(request: &BenchmarkRequest) -> Value {
    run_benchmark(request, &JobCtx::silent()).unwrap().report
}

fn row<'a>(report: &'a Value, sequence: &str) -> &'a Value {
    let rows = report["sequences"].as_array().unwrap();
    rows.iter().find(|r| r["sequence"] == sequence).unwrap()
}

#[track_caller]
fn near(found: &Value, expected: f64) {
    let found = found.as_f64().unwrap_or(f64::NAN);
    assert!(
        (found - expected).abs() < 1e-6,
        "{found}, expected {expected}"
    );
}

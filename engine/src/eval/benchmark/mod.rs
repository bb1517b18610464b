//! A method's predictions against a whole data set, beside published figures.
//!
//! [`run_benchmark`] goes through the data set's list, sequence by sequence and frame by frame. What
//! cannot be measured keeps its row with the reason, the mean says "n of m", and the report's
//! `complete` is false. Where predictions are looked for: `prediction`.

mod agreement;
mod clip_motion;
mod clip_prediction;
mod depth;
mod pose;
mod prediction;
mod published;
mod table;

pub use agreement::AgreementRequest;
pub use published::{
    PublishedAgreement, PublishedDepth, PublishedPose, WORLDREEL_AGREEMENT, published_depth,
    published_pose,
};

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::atomic_file;
use crate::datasets::benchmark::Benchmark;
use crate::import::QuaternionOrder;
use crate::job::{JobCtx, Stage};
use crate::metrics::{DepthPreset, PoseAlignment};
use crate::{Error, Result};
use table::{Report, Row, Status};

/// Steps of progress that a sequence counts for.
const STEPS: usize = 100;

/// What to measure where.
#[derive(Clone, Debug)]
pub struct BenchmarkRequest {
    /// The data set.
    pub benchmark: Benchmark,
    /// Where it lies.
    pub root: PathBuf,
    /// Where the predictions lie, one folder or file a sequence.
    pub predictions: PathBuf,
    /// Sequences to measure; empty for the whole list.
    pub sequences: Vec<String>,
    /// Measure every n-th frame of the list, 1 for all.
    pub every: usize,
    /// What to measure.
    pub measure: Measure,
    /// Tables to write.
    pub tables: TableFiles,
}

/// Files that an evaluation writes.
#[derive(Clone, Debug, Default)]
pub struct TableFiles {
    /// Table with one line a sequence.
    pub csv: Option<PathBuf>,
    /// Table for a paper.
    pub latex: Option<PathBuf>,
    /// The whole report.
    pub json: Option<PathBuf>,
}

/// What is measured.
#[derive(Clone, Debug)]
pub enum Measure {
    /// Video depth, by the rules of a published evaluation.
    Depth(DepthPreset),
    /// Camera paths.
    Pose(PoseMeasure),
}

/// How camera paths are compared.
#[derive(Clone, Debug)]
pub struct PoseMeasure {
    /// What is fitted first.
    pub alignment: PoseAlignment,
    /// Largest difference of times that are taken for the same, seconds.
    pub max_gap_secs: f64,
    /// Order of quaternions in the predictions, where it is known.
    pub quaternion: Option<QuaternionOrder>,
}

/// What an evaluation leaves.
#[derive(Clone, Debug)]
pub struct BenchmarkReport {
    /// Files written.
    pub files: Vec<PathBuf>,
    /// `sequences`, `means`, `published`, `measured`, `of`, `complete`, `text` and the settings.
    pub report: Value,
}

/// Measures predictions on a data set and writes the tables that were asked for.
///
/// # Errors
/// [`Error::Invalid`] for a request that makes no sense; [`Error::Io`] and [`Error::Format`] if the
/// data set or the predictions are not there at all, or a table cannot be written;
/// [`Error::Cancelled`] between frames. A sequence that fails is a row and no error.
pub fn run_benchmark(request: &BenchmarkRequest, ctx: &JobCtx) -> Result<BenchmarkReport> {
    check(request.every, [&request.root, &request.predictions])?;
    let report = match &request.measure {
        Measure::Depth(preset) => depth::run(request, *preset, ctx)?,
        Measure::Pose(measure) => pose::run(request, measure, ctx)?,
    };
    written(&report, &request.tables)
}

/// Measures the agreement of predicted clips with others' estimates of them, in depth, cameras and
/// what moves.
///
/// # Errors
/// As [`run_benchmark`].
pub fn run_agreement(request: &AgreementRequest, ctx: &JobCtx) -> Result<BenchmarkReport> {
    check(request.every, [&request.truth, &request.predictions])?;
    agreement::check(request)?;
    written(&agreement::run(request, ctx)?, &request.tables)
}

fn check(every: usize, folders: [&PathBuf; 2]) -> Result<()> {
    if every == 0 {
        return Err(Error::invalid("--every", "must be at least 1"));
    }
    for folder in folders {
        std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))?;
    }
    Ok(())
}

/// Writes the tables that were asked for.
fn written(report: &Report, tables: &TableFiles) -> Result<BenchmarkReport> {
    let value = report.to_json();
    let mut files = Vec::new();
    let pretty = serde_json::to_string_pretty(&value)
        .map_err(|e| Error::invalid("evaluation report", e.to_string()))?;
    for (path, text) in [
        (&tables.csv, report.to_csv()),
        (&tables.latex, report.to_latex()),
        (&tables.json, pretty),
    ] {
        if let Some(path) = path {
            atomic_file::write(path, text.as_bytes())?;
            files.push(path.clone());
        }
    }
    Ok(BenchmarkReport {
        files,
        report: value,
    })
}

/// What became of a sequence.
enum Measured<T> {
    Yes(T),
    /// Not all of it; says what is not there.
    Partly(T, String),
    /// Not there; says what was looked for.
    Missing(String),
}

impl<T> Measured<T> {
    fn map<U>(self, with: impl FnOnce(T) -> U) -> Measured<U> {
        match self {
            Self::Yes(value) => Measured::Yes(with(value)),
            Self::Partly(value, reason) => Measured::Partly(with(value), reason),
            Self::Missing(reason) => Measured::Missing(reason),
        }
    }
}

/// Progress and notes of one sequence.
struct SequenceCtx<'a> {
    job: &'a JobCtx,
    /// Sequences before this one, and all.
    place: (usize, usize),
    notes: Vec<String>,
}

impl SequenceCtx<'_> {
    fn step(&self, done: usize, total: usize) -> Result<()> {
        let share = STEPS * done / total.max(1);
        let (before, all) = self.place;
        self.job
            .step(Stage::Evaluate, before * STEPS + share, all * STEPS)
    }
}

/// One row a sequence; only cancellation ends it early.
fn measure_all(
    sequences: &[String],
    job: &JobCtx,
    mut measure: impl FnMut(&str, &mut SequenceCtx<'_>) -> Result<Measured<Vec<Option<f64>>>>,
) -> Result<Vec<Row>> {
    let mut rows = Vec::with_capacity(sequences.len());
    for (before, sequence) in sequences.iter().enumerate() {
        let mut ctx = SequenceCtx {
            job,
            place: (before, sequences.len()),
            notes: Vec::new(),
        };
        ctx.step(0, 1)?;
        let (status, figures, reason) = match measure(sequence, &mut ctx) {
            Ok(Measured::Yes(figures)) => (Status::Measured, figures, String::new()),
            Ok(Measured::Partly(figures, reason)) => (Status::Partly, figures, reason),
            Ok(Measured::Missing(reason)) => (Status::Missing, Vec::new(), reason),
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            Err(error) => (Status::Failed, Vec::new(), error.to_string()),
        };
        rows.push(Row {
            sequence: sequence.clone(),
            status,
            reason,
            figures,
            notes: ctx.notes,
        });
    }
    job.step(
        Stage::Evaluate,
        sequences.len() * STEPS,
        sequences.len() * STEPS,
    )?;
    Ok(rows)
}

impl BenchmarkRequest {
    /// The sequences that were asked for, under the list's own names.
    fn chosen(&self, list: Vec<String>) -> Result<Vec<String>> {
        if self.sequences.is_empty() {
            return Ok(list);
        }
        let find = |wanted: &String| {
            list.iter()
                .find(|name| self.benchmark.folder_names(name).contains(wanted))
                .cloned()
                .ok_or_else(|| {
                    let reason = format!("`{wanted}` is none of {}", list.join(", "));
                    Error::invalid("--sequence", reason)
                })
        };
        self.sequences.iter().map(find).collect()
    }

    /// Refuses a root that holds none of the sequences: then the folder is the wrong one.
    fn check_root<T>(
        &self,
        sequences: &[String],
        truth: impl Fn(&str) -> Result<Option<T>>,
    ) -> Result<()> {
        let is_there = |sequence: &String| !matches!(truth(sequence), Ok(None));
        if sequences.iter().any(is_there) {
            return Ok(());
        }
        Err(Error::format(
            &self.root,
            format!(
                "holds none of the {} sequences of {} that were asked for; looked for {}",
                sequences.len(),
                self.benchmark.name(),
                self.benchmark.layout()
            ),
        ))
    }

    fn no_truth<T>(&self) -> Measured<T> {
        Measured::Missing(format!(
            "no ground truth under {}: looked for {}",
            self.root.display(),
            self.benchmark.layout()
        ))
    }

    fn no_prediction<T>(&self, names: &[String], forms: &str) -> Measured<T> {
        Measured::Missing(format!(
            "no prediction under {}: looked for {} ({forms})",
            self.predictions.display(),
            names.join(" or ")
        ))
    }
}

/// Pairs of frames `(predicted, true)`: one a frame, of all frames or of every n-th.
fn frame_pairs(
    path: &Path,
    predicted: usize,
    truth: usize,
    every: usize,
) -> Result<Vec<(usize, usize)>> {
    let kept = (0..truth).step_by(every);
    if predicted == truth {
        return Ok(kept.map(|i| (i, i)).collect());
    }
    if predicted == kept.len() {
        return Ok(kept.enumerate().collect());
    }
    let or_fewer = match every {
        1 => "(--every N measures every n-th)".to_owned(),
        n => format!("or {} with --every {n}", kept.len()),
    };
    Err(Error::format(
        path,
        format!("{predicted} frames predicted, the sequence has {truth} {or_fewer}"),
    ))
}

/// What to say of a sequence that is shorter or longer than the published one.
fn frames_note(found: usize, published: Option<usize>) -> Option<String> {
    let published = published.filter(|n| *n != found)?;
    Some(format!(
        "{found} frames of ground truth, the published evaluation has {published}"
    ))
}

//! Does a data set hold together? Points of a frame, carried into a later one, must meet its depth.
//!
//! Wrong axes, a pose read the wrong way round, another unit of depth or half a turn of the world all
//! show as an error of many percent. A camera that hardly moves shows nothing and says so.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::sequence::SourceFrame;
use super::{SequenceReader, TrainingSet};
use crate::geometry::robust::median;
use crate::job::{JobCtx, Stage};
use crate::metrics::Table;
use crate::{Error, Result};

/// Largest median relative error of depth.
const BAR: f64 = 0.02;
/// Pixels of a frame that are carried over, about.
const SAMPLES: usize = 20_000;
/// Median way of a pixel below which a camera tells nothing, as a share of the width.
const MIN_MOTION: f64 = 0.002;
/// Share of the points that must be seen in the later frame.
const MIN_OVERLAP: f64 = 0.05;

/// What to check.
#[derive(Clone, Debug)]
pub struct CheckRequest {
    /// The data set.
    pub set: TrainingSet,
    /// Where it lies.
    pub root: PathBuf,
    /// Frames between the two of a pair, at least 1.
    pub gap: usize,
    /// Pairs of a sequence, spread over it, at least 1.
    pub pairs: usize,
    /// Sequences to check, spread over the list; 0 for all.
    pub sequences: usize,
}

/// The table of a check.
#[derive(Clone, Debug)]
pub struct CheckReport {
    /// `sequences`, `skipped`, `passed`, `of`, `complete` (nothing failed), `text`.
    pub report: Value,
}

/// Pixels of one frame seen in a later one.
#[derive(Default)]
struct Carried {
    /// `|z - d| / d`.
    errors: Vec<f64>,
    /// Way of a pixel in the picture, as a share of the width.
    ways: Vec<f64>,
    /// Points that were carried over.
    points: usize,
}

/// What a sequence shows.
struct Found {
    frames: usize,
    median_error: Option<f64>,
    overlap: f64,
    motion: f64,
}

impl Found {
    fn verdict(&self) -> &'static str {
        let seen = self.median_error.filter(|_| self.overlap >= MIN_OVERLAP);
        match seen {
            None => "no overlap",
            Some(error) if error >= BAR => "fails",
            Some(_) if self.motion < MIN_MOTION => "hardly moves",
            Some(_) => "passes",
        }
    }
}

/// Carries points between frames of every sequence and reports the median relative error of depth.
///
/// # Errors
/// Those of [`TrainingSet::open`]; [`Error::Invalid`] for a request that makes no sense;
/// [`Error::Cancelled`]. A sequence that cannot be read is a row and no error.
pub fn check_sequences(request: &CheckRequest, ctx: &JobCtx) -> Result<CheckReport> {
    if request.gap == 0 || request.pairs == 0 {
        return Err(Error::invalid("--gap, --pairs", "must be at least 1"));
    }
    let reader = request.set.open(&request.root)?;
    let chosen = spread(reader.names().len(), request.sequences);
    let mut table = Table::new(&["sequence", "frames", "error %", "overlap %", "motion %", ""]);
    let (mut rows, mut reasons) = (Vec::new(), Vec::new());
    let mut failed = 0;
    for (done, &index) in chosen.iter().enumerate() {
        ctx.step(Stage::Evaluate, done, chosen.len())?;
        let name = &reader.names()[index];
        let (row, cells) = match check(reader.as_ref(), index, request, ctx) {
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            Err(error) => {
                failed += 1;
                reasons.push(format!("{name}: {error}"));
                let row = json!({
                    "sequence": name, "verdict": "failed", "reason": error.to_string()
                });
                (row, [None, None, None, None, Some("failed".to_owned())])
            }
            Ok(found) => {
                let verdict = found.verdict();
                failed += usize::from(matches!(verdict, "fails" | "no overlap"));
                let percent = |x: f64| Some(format!("{:.2}", x * 100.0));
                let row = json!({
                    "sequence": name,
                    "frames": found.frames,
                    "median_error": found.median_error,
                    "overlap": found.overlap,
                    "motion": found.motion,
                    "verdict": verdict,
                });
                let cells = [
                    Some(found.frames.to_string()),
                    found.median_error.and_then(percent),
                    percent(found.overlap),
                    percent(found.motion),
                    Some(verdict.to_owned()),
                ];
                (row, cells)
            }
        };
        rows.push(row);
        table.rows.push((name.clone(), cells.to_vec()));
    }
    ctx.step(Stage::Evaluate, chosen.len(), chosen.len())?;
    for (name, reason) in reader.skipped() {
        reasons.push(format!("{name} left out: {reason}"));
    }
    let passed = rows.iter().filter(|row| row["verdict"] == "passes").count();
    let text = format!(
        "{}: points of a frame against the depth {} frames later, median relative error, bar {} %\n\n\
         {table}\n{passed} of {} sequences pass, {failed} fail, {} hardly move\n{}",
        request.set.name(),
        request.gap,
        BAR * 100.0,
        rows.len(),
        rows.len() - passed - failed,
        reasons.join("\n"),
    );
    Ok(CheckReport {
        report: json!({
            "dataset": request.set,
            "gap": request.gap,
            "bar": BAR,
            "sequences": rows,
            "skipped": reader.skipped(),
            "passed": passed,
            "of": chosen.len(),
            "complete": failed == 0,
            "text": text,
        }),
    })
}

/// `wanted` of `count` indices, spread evenly; all for 0.
fn spread(count: usize, wanted: usize) -> Vec<usize> {
    let kept = if wanted == 0 {
        count
    } else {
        wanted.min(count)
    };
    (0..kept).map(|i| i * count / kept).collect()
}

fn check(
    reader: &dyn SequenceReader,
    index: usize,
    request: &CheckRequest,
    ctx: &JobCtx,
) -> Result<Found> {
    let sequence = reader.open(index)?;
    let starts = sequence.len().saturating_sub(request.gap);
    if starts == 0 {
        let reason = format!(
            "{} frames, {} needed for a pair",
            sequence.len(),
            request.gap + 1
        );
        return Err(Error::invalid(sequence.name, reason));
    }
    let mut all = Carried::default();
    for first in spread(starts, request.pairs) {
        let frames = sequence.read(&[first, first + request.gap], ctx)?;
        carry(&frames[0], &frames[1], &mut all);
    }
    Ok(Found {
        frames: sequence.len(),
        overlap: all.errors.len() as f64 / all.points.max(1) as f64,
        median_error: median(&mut all.errors),
        motion: median(&mut all.ways).unwrap_or(0.0),
    })
}

/// Carries the standing points of `from` into `into`.
fn carry(from: &SourceFrame, into: &SourceFrame, found: &mut Carried) {
    let stands = |frame: &SourceFrame, at: usize| {
        frame.depth[at].is_finite() && frame.dynamic.as_ref().is_none_or(|d| d[at] == 0)
    };
    let step = (from.depth.len() / SAMPLES).max(1);
    let into_from_world = into.camera.world_from_camera.inverse();
    for at in (0..from.depth.len()).step_by(step) {
        if !stands(from, at) {
            continue;
        }
        found.points += 1;
        let (column, row) = (at % from.width, at / from.width);
        let ray = from.camera.intrinsics.ray(column, row);
        let point = from
            .camera
            .world_from_camera
            .transform(ray * f64::from(from.depth[at]));
        let seen = into_from_world.transform(point);
        let Some(place) = into.camera.intrinsics.project(seen) else {
            continue;
        };
        let is_inside = place.x >= 0.0
            && place.y >= 0.0
            && place.x < into.width as f64
            && place.y < into.height as f64;
        if !is_inside {
            continue;
        }
        let target = place.y as usize * into.width + place.x as usize;
        if !stands(into, target) {
            continue;
        }
        let depth = f64::from(into.depth[target]);
        found.errors.push((seen.z - depth).abs() / depth);
        let way = (place.x - column as f64 - 0.5).hypot(place.y - row as f64 - 0.5);
        found.ways.push(way / into.width as f64);
    }
}

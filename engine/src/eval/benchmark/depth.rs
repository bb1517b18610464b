//! Video depth of a data set under a preset.

use std::path::Path;

use serde_json::json;

use super::prediction::{DepthPrediction, Place, Values};
use super::published::published_depth;
use super::table::{Column, Published, Report, Row, Status};
use super::{BenchmarkRequest, Measured, SequenceCtx, frame_pairs, frames_note, measure_all};
use crate::job::JobCtx;
use crate::metrics::{
    DepthErrors, DepthMap, DepthPreset, DepthSequence, PresetScores, mean_over_sequences,
};
use crate::{Error, Result};

/// Shapes of prediction and truth may differ by this before it is noted.
const SAME_ASPECT: f64 = 0.02;

const fn column(key: &'static str, label: &'static str, decimals: usize) -> Column {
    Column {
        key,
        label,
        latex: None,
        decimals,
        factor: 1.0,
    }
}

const COLUMNS: [Column; 12] = [
    Column {
        latex: Some("AbsRel $\\downarrow$"),
        ..column("abs_rel", "AbsRel", 3)
    },
    Column {
        latex: Some("$\\delta<1.25$ $\\uparrow$"),
        factor: 100.0,
        ..column("delta_1_25", "d<1.25 %", 1)
    },
    Column {
        factor: 100.0,
        ..column("delta_1_25_2", "d<1.25^2 %", 1)
    },
    Column {
        factor: 100.0,
        ..column("delta_1_25_3", "d<1.25^3 %", 1)
    },
    column("sq_rel", "SqRel", 3),
    column("rmse", "RMSE", 3),
    column("log_rmse", "logRMSE", 3),
    column("scale", "scale", 4),
    column("shift", "shift", 4),
    column("frames", "frames", 0),
    column("n", "pixels", 0),
    Column {
        factor: 100.0,
        ..column("coverage", "covered %", 2)
    },
];

/// Measures every sequence and their mean.
pub(super) fn run(request: &BenchmarkRequest, preset: DepthPreset, ctx: &JobCtx) -> Result<Report> {
    let set = request.benchmark;
    let sequences = request.chosen(set.depth_sequences()?)?;
    request.check_root(&sequences, |sequence| {
        set.depth_truth(&request.root, sequence)
    })?;
    let mut errors: Vec<DepthErrors> = Vec::new();
    let rows = measure_all(&sequences, ctx, |sequence, ctx| {
        let measured = sequence_scores(request, preset, sequence, ctx)?;
        Ok(measured.map(|(scores, frames)| {
            errors.push(scores.errors);
            figures(&scores, frames)
        }))
    })?;
    let rule = match preset {
        DepthPreset::Depthcrafter | DepthPreset::Worldreel => "plain mean",
        _ => "mean by pixels",
    };
    let mean = mean_over_sequences(preset, &errors).map(|mean| {
        let mut all = error_figures(&mean);
        all.extend([None, None, total(&rows, 9), Some(mean.pixels as f64), None]);
        (format!("{rule}, {}", Report::count(&rows)), all)
    });
    let (aligner, limits) = (
        preset.aligner(set.depth_set()),
        preset.limits(set.depth_set()),
    );
    let or_none = |limit: Option<f64>| limit.map_or("none".to_owned(), |l| l.to_string());
    let every = match request.every {
        1 => String::new(),
        n => format!(", every {n}th frame"),
    };
    Ok(Report {
        title: format!(
            "depth on {}, preset {} ({aligner}); truth below {}, predictions clipped at {}{every}",
            set.name(),
            preset.name(),
            or_none(limits.max_depth),
            or_none(limits.clip)
        ),
        settings: json!({
            "kind": "depth",
            "dataset": set,
            "preset": preset,
            "aligner": aligner,
            "max_depth": limits.max_depth,
            "clip": limits.clip,
            "every": request.every,
            "rule": rule,
        }),
        columns: &COLUMNS,
        rows,
        means: mean.into_iter().collect(),
        published: published_depth(set)
            .into_iter()
            .map(|row| Published {
                method: row.method,
                figures: vec![row.abs_rel, (row.delta_percent * 10.0).round() / 1000.0],
                source: row.source,
            })
            .collect(),
    })
}

/// Sum of a column over the rows.
fn total(rows: &[Row], column: usize) -> Option<f64> {
    rows.iter()
        .filter(|row| row.status == Status::Measured)
        .map(|row| row.figures[column])
        .sum()
}

fn error_figures(e: &DepthErrors) -> Vec<Option<f64>> {
    let [delta_1, delta_2, delta_3] = e.delta;
    [
        e.abs_rel, delta_1, delta_2, delta_3, e.sq_rel, e.rmse, e.log_rmse,
    ]
    .map(Some)
    .to_vec()
}

fn figures(scores: &PresetScores, frames: usize) -> Vec<Option<f64>> {
    let mut all = error_figures(&scores.errors);
    all.extend(
        [
            scores.scale,
            scores.shift,
            frames as f64,
            scores.errors.pixels as f64,
            scores.coverage,
        ]
        .map(Some),
    );
    all
}

fn sequence_scores(
    request: &BenchmarkRequest,
    preset: DepthPreset,
    sequence: &str,
    ctx: &mut SequenceCtx<'_>,
) -> Result<Measured<(PresetScores, usize)>> {
    let set = request.benchmark;
    let Some(truth) = set.depth_truth(&request.root, sequence)? else {
        return Ok(request.no_truth());
    };
    let names = set.folder_names(sequence);
    let Some(place) = Place::of_depth(&request.predictions, &names) else {
        return Ok(request.no_prediction(&names, "folder, .one4d, .npz, .zip, .pkl or .npy"));
    };
    let prediction = DepthPrediction::open(&place, ctx.job)?;
    let pairs = frame_pairs(
        prediction.path(0),
        prediction.len(),
        truth.frames.len(),
        request.every,
    )?;
    ctx.notes
        .extend(frames_note(truth.frames.len(), truth.published_frames));
    let mut collected = DepthSequence::new(preset, set.depth_set(), preset.limits(set.depth_set()));
    let mut first: Option<[(usize, usize); 2]> = None;
    for (done, &(own, other)) in pairs.iter().enumerate() {
        ctx.step(done, pairs.len())?;
        let predicted = prediction.read(own)?;
        let depth = truth.read(other)?;
        let sizes = [size(&predicted), size(&depth)];
        let expected = *first.get_or_insert(sizes);
        same_size(prediction.path(own), sizes[0], expected[0])?;
        same_size(&truth.frames[other], sizes[1], expected[1])?;
        let predicted = as_measured(predicted, prediction.values, preset)
            .map_err(|reason| Error::format(prediction.path(own), reason))?;
        collected.add(&predicted, &depth)?;
    }
    ctx.notes.extend(first.and_then(stretch_note));
    let scores = collected.scores(ctx.job)?.ok_or_else(|| {
        Error::format(
            prediction.path(0),
            "no pixel has both a finite prediction and valid truth, or the fit has no answer",
        )
    })?;
    if scores.coverage < 1.0 {
        ctx.notes.push(format!(
            "{:.2} % of the pixels with truth have no finite prediction and are not measured",
            (1.0 - scores.coverage) * 100.0
        ));
    }
    Ok(Measured::Yes((scores, pairs.len())))
}

fn size(map: &DepthMap) -> (usize, usize) {
    (map.height, map.width)
}

/// Frames of one sequence have one size.
fn same_size(path: &Path, found: (usize, usize), expected: (usize, usize)) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::format(
        path,
        format!(
            "{} x {} pixels, the frames before have {} x {}",
            found.1, found.0, expected.1, expected.0
        ),
    ))
}

/// What to say of a prediction whose shape is not that of the truth.
fn stretch_note([(own_h, own_w), (h, w)]: [(usize, usize); 2]) -> Option<String> {
    let aspect = |h: usize, w: usize| w as f64 / h as f64;
    let off = (aspect(own_h, own_w) / aspect(h, w) - 1.0).abs();
    (off > SAME_ASPECT).then(|| {
        format!("predictions of {own_w} x {own_h} were stretched to {w} x {h}, another shape")
    })
}

/// Values as the preset measures them.
fn as_measured(
    mut map: DepthMap,
    values: Values,
    preset: DepthPreset,
) -> std::result::Result<DepthMap, String> {
    match (values, preset) {
        (Values::Depth, DepthPreset::Depthcrafter) => {
            for value in &mut map.values {
                *value = if *value > 0.0 {
                    value.recip()
                } else {
                    f32::NAN
                };
            }
            Ok(map)
        }
        (Values::Disparity, preset) if preset != DepthPreset::Depthcrafter => Err(format!(
            "holds disparity of unknown scale and shift, which preset {} cannot measure; use preset \
             depthcrafter",
            preset.name()
        )),
        _ => Ok(map),
    }
}

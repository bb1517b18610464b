//! Agreement of predicted clips with others' estimates of the same clips, as WorldReel measures itself:
//! depth, cameras and what moves, over a folder of sequences.
//!
//! WorldReel (arXiv 2512.07821) compares with ViPE's estimates on SpatialVID and states neither
//! alignment nor definitions. Here depth has one scale a clip, the median of log ratios, errors of
//! cameras are evo's after a similarity, and lengths stand in units of the truth. Its figures on
//! pictures alone (dynamic degree, FVD and the like) need networks of their own and are not here.
//!
//! | figure | needs | what it is |
//! |---|---|---|
//! | `log_rmse`, `delta_1_25` | depth | preset `worldreel` |
//! | `ate`, `rpe_t`, `rpe_r_deg` | cameras | WorldReel's ATE, RTE, RRE |
//! | `path`, `turn_deg` | cameras | length of the predicted path and sum of its turns: a camera that hardly moves errs little |
//! | `moving`, `moving_iou` | masks | share of predicted pixels that move; overlap with the true ones |
//! | `flow_epe` | scene flow | mean error of the motion of truly moving pixels, units of the truth a frame |

use std::path::{Path, PathBuf};

use serde_json::json;

use super::clip_motion::motion_figures;
use super::clip_prediction::Prediction;
use super::prediction::{Place, scene_at};
use super::table::{Column, Published, Report, Row};
use super::{Measured, SequenceCtx, TableFiles, WORLDREEL_AGREEMENT, frame_pairs, measure_all};
use crate::geometry::rotation_angle_rad;
use crate::job::JobCtx;
use crate::metrics::{
    DepthMap, DepthPreset, DepthSequence, DepthSet, PoseAlignment, PresetScores, pose_scores,
};
use crate::scene::Scene4d;
use crate::{Error, Result};

/// Endings of files that hold a whole sequence.
const ENDINGS: [&str; 4] = ["one4d", "npz", "zip", "pkl"];

/// What to measure where.
#[derive(Clone, Debug)]
pub struct AgreementRequest {
    /// Folder of the sequences, one folder or file each: scenes, or what an importer reads.
    pub truth: PathBuf,
    /// Folder of the predictions, under the same names.
    pub predictions: PathBuf,
    /// Sequences to measure; empty for all that lie there.
    pub sequences: Vec<String>,
    /// Measure every n-th frame, 1 for all.
    pub every: usize,
    /// Tables to write.
    pub tables: TableFiles,
}

const fn column(key: &'static str, label: &'static str, decimals: usize) -> Column {
    Column {
        key,
        label,
        latex: None,
        decimals,
        factor: 1.0,
    }
}

const COLUMNS: [Column; 13] = [
    Column {
        latex: Some("log-RMSE $\\downarrow$"),
        ..column("log_rmse", "logRMSE", 3)
    },
    Column {
        latex: Some("$\\delta<1.25$ $\\uparrow$"),
        factor: 100.0,
        ..column("delta_1_25", "d<1.25 %", 1)
    },
    Column {
        latex: Some("ATE $\\downarrow$"),
        ..column("ate", "ATE", 3)
    },
    Column {
        latex: Some("RTE $\\downarrow$"),
        ..column("rpe_t", "RTE", 3)
    },
    Column {
        latex: Some("RRE [$^\\circ$] $\\downarrow$"),
        ..column("rpe_r_deg", "RRE deg", 3)
    },
    Column {
        latex: Some("path"),
        ..column("path", "path", 3)
    },
    Column {
        latex: Some("turn [$^\\circ$]"),
        ..column("turn_deg", "turn deg", 2)
    },
    Column {
        factor: 100.0,
        ..column("moving", "moving %", 1)
    },
    Column {
        factor: 100.0,
        ..column("moving_iou", "IoU %", 1)
    },
    column("flow_epe", "flow EPE", 4),
    column("scale", "scale", 4),
    column("frames", "frames", 0),
    column("n", "pixels", 0),
];
/// The columns that every sequence must have to count as measured.
const REQUIRED: usize = 5;
/// The columns that are added up instead of averaged.
const COUNTED: [usize; 2] = [11, 12];
/// The column that says nothing of several sequences.
const OWN: usize = 10;

/// Measures every sequence and the plain means of the figures.
pub(super) fn run(request: &AgreementRequest, ctx: &JobCtx) -> Result<Report> {
    let sequences = chosen(request)?;
    let rows = measure_all(&sequences, ctx, |sequence, ctx| {
        measured(request, sequence, ctx)
    })?;
    let every = match request.every {
        1 => String::new(),
        n => format!(", every {n}th frame"),
    };
    Ok(Report {
        title: format!(
            "agreement with {}: depth by one scale a clip (median of log ratios), cameras by sim3, \
             lengths in its units{every}",
            request.truth.display()
        ),
        settings: json!({
            "kind": "agreement",
            "truth": request.truth,
            "aligner": DepthPreset::Worldreel.aligner(DepthSet::Other),
            "align": PoseAlignment::Sim3,
            "every": request.every,
            "rule": "plain mean",
        }),
        means: means(&rows),
        columns: &COLUMNS,
        rows,
        published: WORLDREEL_AGREEMENT
            .iter()
            .map(|row| Published {
                method: row.method,
                figures: vec![
                    row.log_rmse,
                    (row.delta_percent * 10.0).round() / 1000.0,
                    row.ate,
                    row.rpe_t,
                    row.rpe_r_deg,
                    row.path,
                    row.turn_deg,
                ],
                source: "WorldReel (arXiv 2512.07821), geometry table: agreement with ViPE on \
                         SpatialVID; its definitions are not published",
            })
            .collect(),
    })
}

/// The sequences under the truth's folder, in the order of their names.
fn chosen(request: &AgreementRequest) -> Result<Vec<String>> {
    let folder = &request.truth;
    let io = |error| Error::io(folder, error);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let ending = path.extension().unwrap_or_default().to_string_lossy();
        let is_whole = ENDINGS.contains(&ending.to_lowercase().as_str());
        let name = if path.is_dir() {
            path.file_name()
        } else {
            path.file_stem().filter(|_| is_whole)
        };
        let name = name.map(|name| name.to_string_lossy().into_owned());
        names.extend(name.filter(|name| !name.starts_with('.')));
    }
    names.sort();
    names.dedup();
    if names.is_empty() {
        let reason = "holds no sequence: one folder or file (.one4d, .npz, .zip, .pkl) each";
        return Err(Error::format(folder, reason));
    }
    if request.sequences.is_empty() {
        return Ok(names);
    }
    match request.sequences.iter().find(|name| !names.contains(name)) {
        None => Ok(request.sequences.clone()),
        Some(unknown) => {
            let reason = format!("`{unknown}` is none of {}", names.join(", "));
            Err(Error::invalid("--sequence", reason))
        }
    }
}

/// Plain means; one of a figure that not every sequence has says of how many it is.
fn means(rows: &[Row]) -> Vec<(String, Vec<Option<f64>>)> {
    let with_figures: Vec<&Row> = rows.iter().filter(|row| !row.figures.is_empty()).collect();
    if with_figures.is_empty() {
        return Vec::new();
    }
    let mut few = Vec::new();
    let figures = (0..COLUMNS.len()).map(|i| {
        let values: Vec<f64> = with_figures
            .iter()
            .filter_map(|row| row.figures[i])
            .collect();
        let sum: f64 = values.iter().sum();
        if COUNTED.contains(&i) {
            return Some(sum);
        }
        if values.len() < with_figures.len() && !values.is_empty() {
            few.push(format!("{} of {}", COLUMNS[i].label, values.len()));
        }
        (i != OWN && !values.is_empty()).then(|| sum / values.len() as f64)
    });
    let figures = figures.collect();
    let mut name = format!("plain mean, {}", Report::count(rows));
    if !few.is_empty() {
        name = format!("{name} ({})", few.join(", "));
    }
    vec![(name, figures)]
}

fn measured(
    request: &AgreementRequest,
    sequence: &str,
    ctx: &mut SequenceCtx<'_>,
) -> Result<Measured<Vec<Option<f64>>>> {
    let names = [sequence.to_owned()];
    let place = Place::of_depth(&request.truth, &names).ok_or_else(|| {
        let reason = format!("{sequence} is not there any more");
        Error::format(&request.truth, reason)
    })?;
    let truth = scene_at(place.path(), ctx.job)?;
    let Some(prediction) = Prediction::find(&request.predictions, &names, ctx)? else {
        return Ok(Measured::Missing(format!(
            "no prediction under {}: looked for {sequence} (folder, .one4d, .npz, .zip, .pkl, .npy or \
             .txt)",
            request.predictions.display()
        )));
    };
    let mut figures = vec![None; COLUMNS.len()];
    let depth = depth_scores(&truth, &place, &prediction, request.every, ctx)?;
    if let Some((scores, frames)) = &depth {
        figures[0] = Some(scores.errors.log_rmse);
        figures[1] = Some(scores.errors.delta[0]);
        figures[OWN] = Some(scores.scale);
        figures[11] = Some(*frames as f64);
        figures[12] = Some(scores.errors.pixels as f64);
    }
    let scale = depth.as_ref().map(|(scores, _)| scores.scale);
    camera_figures(
        &truth,
        &prediction,
        (request.every, scale),
        ctx,
        &mut figures,
    )?;
    let motion = motion_figures(&truth, &prediction, (request.every, scale), ctx)?;
    figures[7..10].copy_from_slice(&motion);
    let lacks: Vec<&str> = (0..REQUIRED)
        .filter(|&i| figures[i].is_none())
        .map(|i| COLUMNS[i].label)
        .collect();
    match lacks.len() {
        0 => Ok(Measured::Yes(figures)),
        REQUIRED => Err(Error::format(
            prediction.place.path(),
            format!("nothing can be measured: {}", ctx.notes.join("; ")),
        )),
        _ => {
            let reason = format!("without {}: {}", lacks.join(", "), ctx.notes.join("; "));
            ctx.notes.clear();
            Ok(Measured::Partly(figures, reason))
        }
    }
}

/// Depth under preset `worldreel`, and the frames measured.
fn depth_scores(
    truth: &Scene4d,
    place: &Place,
    prediction: &Prediction,
    every: usize,
    ctx: &mut SequenceCtx<'_>,
) -> Result<Option<(PresetScores, usize)>> {
    let Some(predicted) = &prediction.depth else {
        return Ok(None);
    };
    if truth.depth.is_none() {
        let path = place.path().display();
        ctx.notes.push(format!("no true depth in {path}"));
        return Ok(None);
    }
    let pairs = frame_pairs(predicted.path(0), predicted.len(), truth.num_frames, every)?;
    let preset = DepthPreset::Worldreel;
    let mut collected = DepthSequence::new(preset, DepthSet::Other, preset.limits(DepthSet::Other));
    for (done, &(own, other)) in pairs.iter().enumerate() {
        ctx.step(done, pairs.len())?;
        let map = predicted.read(own)?;
        if predicted.is_disparity() {
            let reason = "holds disparity of unknown shift, which has no scale in depth";
            return Err(Error::format(predicted.path(own), reason));
        }
        let depth = truth.frame_depth(other).unwrap_or_default();
        collected.add(
            &map,
            &DepthMap {
                height: truth.height,
                width: truth.width,
                values: depth.to_vec(),
            },
        )?;
    }
    let scores = collected.scores(ctx.job)?.ok_or_else(|| {
        let reason = "no pixel has both a finite prediction and valid truth";
        Error::format(predicted.path(0), reason)
    })?;
    if scores.coverage < 1.0 {
        ctx.notes.push(format!(
            "{:.2} % of the pixels with truth have no finite prediction and are not measured",
            (1.0 - scores.coverage) * 100.0
        ));
    }
    Ok(Some((scores, pairs.len())))
}

fn camera_figures(
    truth: &Scene4d,
    prediction: &Prediction,
    (every, depth_scale): (usize, Option<f64>),
    ctx: &mut SequenceCtx<'_>,
    figures: &mut [Option<f64>],
) -> Result<()> {
    let Some(estimate) = &prediction.cameras else {
        return Ok(());
    };
    let Some(cameras) = &truth.cameras else {
        ctx.notes.push("no true cameras".to_owned());
        return Ok(());
    };
    let path = prediction.place.path();
    let pairs = frame_pairs(path, estimate.len(), cameras.len(), every)?;
    let (own, other): (Vec<_>, Vec<_>) = pairs
        .iter()
        .map(|&(i, j)| (estimate[i], cameras[j].world_from_camera))
        .unzip();
    // A camera that stands still has no scale of its own; that of the depth is the next best.
    let scale = depth_scale.unwrap_or(1.0);
    let scores = pose_scores(&own, &other, PoseAlignment::Sim3, scale)
        .ok_or_else(|| Error::format(path, "no pose belongs to a true one"))?;
    if scores.degenerate {
        ctx.notes.push(
            "a camera stands still: no rotation or scale can be fitted; the scale is that of the depth"
                .to_owned(),
        );
    }
    let steps = || own.windows(2).map(|pair| pair[1].relative_to(pair[0]));
    let length: f64 = steps().map(|step| step.translation.length()).sum();
    let turn: f64 = steps().map(|step| rotation_angle_rad(step.rotation)).sum();
    figures[2] = Some(scores.ate.rmse);
    figures[3] = Some(scores.rpe_translation.rmse);
    figures[4] = Some(scores.rpe_rotation_deg.rmse);
    figures[5] = Some(length * scores.scale);
    figures[6] = Some(turn.to_degrees());
    Ok(())
}

/// Refuses to compare a folder with itself.
pub(super) fn check(request: &AgreementRequest) -> Result<()> {
    let is_same = |a: &Path, b: &Path| match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    };
    if is_same(&request.truth, &request.predictions) {
        let reason = "is the same folder as --gt; it would agree with itself";
        return Err(Error::invalid("--pred", reason));
    }
    Ok(())
}

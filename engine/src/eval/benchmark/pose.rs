//! Camera paths of a data set, by evo's definitions.

use serde_json::json;

use super::prediction::{Place, read_cameras};
use super::published::published_pose;
use super::table::{Column, Published, Report};
use super::{
    BenchmarkRequest, Measured, PoseMeasure, SequenceCtx, frame_pairs, frames_note, measure_all,
};
use crate::datasets::benchmark::PoseTruth;
use crate::geometry::WorldFromCamera;
use crate::import::{Stamps, TrajectoryFile};
use crate::job::JobCtx;
use crate::metrics::{PoseAlignment, PoseScores, Trajectory, pose_scores};
use crate::{Error, Result};

const fn column(key: &'static str, label: &'static str, latex: Option<&'static str>) -> Column {
    Column {
        key,
        label,
        latex,
        decimals: 3,
        factor: 1.0,
    }
}

const COLUMNS: [Column; 5] = [
    column("ate", "ATE", Some("ATE $\\downarrow$")),
    column("rpe_t", "RPE-t", Some("RPE-t $\\downarrow$")),
    column(
        "rpe_r_deg",
        "RPE-R deg",
        Some("RPE-R [$^\\circ$] $\\downarrow$"),
    ),
    Column {
        decimals: 4,
        ..column("scale", "scale", None)
    },
    Column {
        decimals: 0,
        ..column("n", "poses", None)
    },
];

/// Measures every sequence and their plain mean.
pub(super) fn run(
    request: &BenchmarkRequest,
    measure: &PoseMeasure,
    ctx: &JobCtx,
) -> Result<Report> {
    let set = request.benchmark;
    let sequences = request.chosen(set.pose_sequences()?)?;
    request.check_root(&sequences, |sequence| {
        set.pose_truth(&request.root, sequence)
    })?;
    let mut all: Vec<PoseScores> = Vec::new();
    let rows = measure_all(&sequences, ctx, |sequence, ctx| {
        let measured = sequence_scores(request, measure, sequence, ctx)?;
        Ok(measured.map(|scores| {
            all.push(scores);
            figures(&scores)
        }))
    })?;
    let mut means = Vec::new();
    let moving: Vec<PoseScores> = all.iter().filter(|s| !s.degenerate).copied().collect();
    if let Some(mean) = mean(&all) {
        means.push((format!("mean, {}", Report::count(&rows)), mean));
    }
    // evo refuses a camera that stands still, and scripts around it skip the sequence.
    if let Some(mean) = mean(&moving).filter(|_| moving.len() < all.len()) {
        let standing = all.len() - moving.len();
        means.push((format!("without {standing} that stand still"), mean));
    }
    let align = json!(measure.alignment);
    let every = match request.every {
        1 => String::new(),
        n => format!(", every {n}th frame"),
    };
    Ok(Report {
        title: format!(
            "cameras on {}, aligned by {}; RMSE, RPE between neighbours, units of the truth{every}",
            set.name(),
            align.as_str().unwrap_or_default()
        ),
        settings: json!({
            "kind": "pose",
            "dataset": set,
            "align": align,
            "max_dt": measure.max_gap_secs,
            "every": request.every,
            "rule": "mean",
        }),
        columns: &COLUMNS,
        rows,
        means,
        published: published_pose(set)
            .into_iter()
            .map(|row| Published {
                method: row.method,
                figures: vec![row.ate, row.rpe_t, row.rpe_r_deg],
                source: row.source,
            })
            .collect(),
    })
}

fn figures(scores: &PoseScores) -> Vec<Option<f64>> {
    let undefined = scores.degenerate && scores.alignment == PoseAlignment::Sim3;
    vec![
        Some(scores.ate.rmse),
        Some(scores.rpe_translation.rmse),
        Some(scores.rpe_rotation_deg.rmse),
        (!undefined).then_some(scores.scale),
        Some(scores.poses as f64),
    ]
}

fn mean(all: &[PoseScores]) -> Option<Vec<Option<f64>>> {
    let n = all.len() as f64;
    let of = |figure: fn(&PoseScores) -> f64| all.iter().map(figure).sum::<f64>();
    (!all.is_empty()).then(|| {
        vec![
            Some(of(|s| s.ate.rmse) / n),
            Some(of(|s| s.rpe_translation.rmse) / n),
            Some(of(|s| s.rpe_rotation_deg.rmse) / n),
            None,
            Some(of(|s| s.poses as f64)),
        ]
    })
}

fn sequence_scores(
    request: &BenchmarkRequest,
    measure: &PoseMeasure,
    sequence: &str,
    ctx: &mut SequenceCtx<'_>,
) -> Result<Measured<PoseScores>> {
    let set = request.benchmark;
    let Some(truth) = set.pose_truth(&request.root, sequence)? else {
        return Ok(request.no_truth());
    };
    let names = set.folder_names(sequence);
    let Some(place) = Place::of_cameras(&request.predictions, &names) else {
        return Ok(request.no_prediction(&names, "folder, .txt, .one4d, .npz, .zip or .pkl"));
    };
    ctx.step(0, 1)?;
    let estimate = read_cameras(&place, &names, measure.quaternion, ctx.job)?;
    ctx.notes.extend(estimate.notes.iter().cloned());
    ctx.notes
        .extend(frames_note(truth.poses.len(), truth.published_frames));
    let path = place.path();
    let pairs = match by_time(&estimate, &truth, measure, request.every) {
        Some(pairs) => {
            ctx.notes.push(format!(
                "{} poses for {} frames: joined by time",
                estimate.trajectory.len(),
                truth.poses.len()
            ));
            pairs
        }
        None => frame_pairs(
            path,
            estimate.trajectory.len(),
            truth.poses.len(),
            request.every,
        )?,
    };
    let (own, other): (Vec<WorldFromCamera>, Vec<WorldFromCamera>) = pairs
        .iter()
        .filter_map(|&(i, j)| Some((estimate.trajectory.poses[i], truth.poses[j]?)))
        .unzip();
    if own.len() < pairs.len() {
        let lost = pairs.len() - own.len();
        ctx.notes.push(format!(
            "{lost} frames have no true camera and are left out"
        ));
    }
    if own.len() < 2 {
        let reason = format!("{} poses belong to true ones, 2 required", own.len());
        return Err(Error::format(path, reason));
    }
    let scores = pose_scores(&own, &other, measure.alignment, 1.0)
        .ok_or_else(|| Error::format(path, "no pose belongs to a true one"))?;
    if scores.degenerate {
        ctx.notes.push(
            "a camera stands still: no rotation or scale can be fitted; first orientations and mean \
             positions were brought together"
                .to_owned(),
        );
    }
    Ok(Measured::Yes(scores))
}

/// Pairs by time, for an estimate with times of its own that has not one pose a frame.
fn by_time(
    estimate: &TrajectoryFile,
    truth: &PoseTruth,
    measure: &PoseMeasure,
    every: usize,
) -> Option<Vec<(usize, usize)>> {
    let times = truth.times_secs.as_ref()?;
    let len = estimate.trajectory.len();
    let one_a_frame = len == times.len() || len == times.len().div_ceil(every);
    if one_a_frame || estimate.stamps != Stamps::Seconds {
        return None;
    }
    let kept: Vec<usize> = (0..times.len()).step_by(every).collect();
    let reference = Trajectory {
        times_secs: kept.iter().map(|&i| times[i]).collect(),
        poses: kept
            .iter()
            .map(|&i| truth.poses[i].unwrap_or(WorldFromCamera::IDENTITY))
            .collect(),
    };
    let pairs = estimate
        .trajectory
        .associate(&reference, measure.max_gap_secs);
    let pairs: Vec<_> = pairs.into_iter().map(|(i, j)| (i, kept[j])).collect();
    (!pairs.is_empty()).then_some(pairs)
}

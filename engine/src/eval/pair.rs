//! One prediction against one ground truth, from files.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::WORLDREEL_AGREEMENT;
use crate::import::{
    Budget, NpyArray, QuaternionOrder, Stamps, TrajectoryFile, read_depth_dpt, read_trajectory,
};
use crate::job::JobCtx;
use crate::metrics::{
    DepthLimits, DepthMap, DepthPreset, DepthSequence, DepthSet, PoseAlignment, PoseScores,
    pose_scores,
};
use crate::{Error, Result};

/// Two camera paths to compare.
#[derive(Clone, Debug)]
pub struct PosePair {
    /// The estimate.
    pub predicted: PathBuf,
    /// The reference.
    pub truth: PathBuf,
    /// What is fitted first.
    pub alignment: PoseAlignment,
    /// Largest difference of times that are taken for the same, seconds.
    pub max_gap_secs: f64,
    /// Order of quaternions in the estimate, where it is known.
    pub quaternion: Option<QuaternionOrder>,
}

/// Compares two camera paths.
///
/// Poses are joined by time, the nearest within the gap. Where one of the files has no times (KITTI,
/// ScanNet and Sintel poses) poses are joined one by one, and both files must have as many. An
/// estimate by frame number takes the times of a reference of its length, as in MonST3R's
/// evaluation.
///
/// # Errors
/// Those of reading; [`Error::Invalid`] if no two poses belong together.
pub fn eval_pose_pair(pair: &PosePair) -> Result<Value> {
    let estimate = read_trajectory(&pair.predicted, pair.quaternion)?;
    let reference = read_trajectory(&pair.truth, None)?;
    let (pairs, joined_by) = associate(pair, &estimate, &reference)?;
    let pick = |file: &TrajectoryFile, of: fn(&(usize, usize)) -> usize| -> Vec<_> {
        pairs
            .iter()
            .map(|pair| file.trajectory.poses[of(pair)])
            .collect()
    };
    let (own, other) = (pick(&estimate, |p| p.0), pick(&reference, |p| p.1));
    let scores = pose_scores(&own, &other, pair.alignment, 1.0).ok_or_else(|| {
        Error::invalid(
            "trajectories",
            format!("no pose of {} has a partner", pair.predicted.display()),
        )
    })?;
    let notes: Vec<&String> = estimate.notes.iter().chain(&reference.notes).collect();
    let mut report = pose_report(&scores);
    report["formats"] = json!([estimate.format, reference.format]);
    report["joined_by"] = json!(joined_by);
    report["notes"] = json!(notes);
    Ok(report)
}

/// The figures of a pose comparison under the keys of the command line.
pub fn pose_report(scores: &PoseScores) -> Value {
    let undefined = scores.degenerate && scores.alignment == PoseAlignment::Sim3;
    let text = format!(
        "ATE {:.6}  RPE-t {:.6}  RPE-R {:.6} deg  scale {}  n {}{}",
        scores.ate.rmse,
        scores.rpe_translation.rmse,
        scores.rpe_rotation_deg.rmse,
        if undefined {
            "undefined".to_owned()
        } else {
            format!("{:.6}", scores.scale)
        },
        scores.poses,
        if scores.degenerate {
            "  (a camera stands still: first orientations and mean positions were brought together)"
        } else {
            ""
        }
    );
    json!({
        "align": scores.alignment,
        "ate": scores.ate.rmse,
        "rpe_t": scores.rpe_translation.rmse,
        "rpe_r_deg": scores.rpe_rotation_deg.rmse,
        "scale": scores.scale,
        "scale_undefined": undefined,
        "degenerate": scores.degenerate,
        "n": scores.poses,
        "statistics": {
            "ate": scores.ate,
            "rpe_t": scores.rpe_translation,
            "rpe_r_deg": scores.rpe_rotation_deg,
        },
        "text": text,
    })
}

fn associate(
    pair: &PosePair,
    estimate: &TrajectoryFile,
    reference: &TrajectoryFile,
) -> Result<(Vec<(usize, usize)>, &'static str)> {
    let (own, other) = (estimate.trajectory.len(), reference.trajectory.len());
    let untimed = [estimate.stamps, reference.stamps].contains(&Stamps::None);
    let takes_times =
        estimate.stamps == Stamps::Counter && reference.stamps == Stamps::Seconds && own == other;
    if !untimed && !takes_times {
        let pairs = estimate
            .trajectory
            .associate(&reference.trajectory, pair.max_gap_secs);
        if pairs.is_empty() {
            return Err(Error::invalid(
                "trajectories",
                format!(
                    "no time of {} lies within {} s of one of {}",
                    pair.predicted.display(),
                    pair.max_gap_secs,
                    pair.truth.display()
                ),
            ));
        }
        return Ok((pairs, "time"));
    }
    if own != other {
        return Err(Error::invalid(
            "trajectories",
            format!(
                "{} has {own} poses and {} has {other}; one of them has no times, so they can only \
                 be joined one by one",
                pair.predicted.display(),
                pair.truth.display()
            ),
        ));
    }
    Ok(((0..own).map(|i| (i, i)).collect(), "order"))
}

/// Two depth files to compare.
#[derive(Clone, Debug)]
pub struct DepthPair {
    /// Predicted depth; disparity for [`DepthPreset::Depthcrafter`].
    pub predicted: PathBuf,
    /// True depth; 0, NaN and infinite are none.
    pub truth: PathBuf,
    /// How to measure.
    pub preset: DepthPreset,
    /// Whose limits the preset applies.
    pub set: DepthSet,
    /// Limits instead of those.
    pub max_depth: Option<f64>,
}

/// Compares two depth files of one frame or of a sequence.
///
/// # Errors
/// Those of reading; [`Error::Shape`] if the numbers of frames differ; [`Error::Invalid`] if no
/// pixel can be measured.
pub fn eval_depth_pair(pair: &DepthPair) -> Result<Value> {
    let budget = Budget::default();
    let predicted = read_depth_maps(&pair.predicted, &budget)?;
    let truth = read_depth_maps(&pair.truth, &budget)?;
    if predicted.len() != truth.len() {
        return Err(Error::shape(
            format!("frames of {}", pair.predicted.display()),
            format!("{} as in {}", truth.len(), pair.truth.display()),
            predicted.len(),
        ));
    }
    let limits = match pair.max_depth {
        Some(max) => DepthLimits {
            max_depth: Some(max),
            clip: Some(max),
        },
        None => pair.preset.limits(pair.set),
    };
    let mut sequence = DepthSequence::new(pair.preset, pair.set, limits);
    for (p, g) in predicted.iter().zip(&truth) {
        sequence.add(p, g)?;
    }
    let scores = sequence.scores(&JobCtx::silent())?.ok_or_else(|| {
        Error::invalid(
            format!("depth of {}", pair.predicted.display()),
            "no pixel has both a finite prediction and valid truth, or the fit has no answer",
        )
    })?;
    let e = scores.errors;
    let aligner = pair.preset.aligner(pair.set);
    let mut report = json!({
        "preset": pair.preset,
        "aligner": aligner,
        "max_depth": limits.max_depth,
        "clip": limits.clip,
        "scale": scores.scale,
        "shift": scores.shift,
        "abs_rel": e.abs_rel,
        "sq_rel": e.sq_rel,
        "rmse": e.rmse,
        "log_rmse": e.log_rmse,
        "delta_1_25": e.delta[0],
        "delta_1_25_2": e.delta[1],
        "delta_1_25_3": e.delta[2],
        "n": e.pixels,
        "frames": truth.len(),
        "coverage": scores.coverage,
        "text": format!(
            "AbsRel {:.4}  delta<1.25 {:.2} %  RMSE {:.4}  log RMSE {:.4}  ({} pixels, {}: {aligner})",
            e.abs_rel, e.delta[0] * 100.0, e.rmse, e.log_rmse, e.pixels, pair.preset.name()
        ),
    });
    if pair.preset == DepthPreset::Worldreel {
        let note = "agreement with ViPE, which is an estimate itself; alignment is not published";
        report["note"] = json!(note);
        report["published"] = json!(WORLDREEL_AGREEMENT);
    }
    Ok(report)
}

/// Reads `.npy` of `[H, W]` or `[T, H, W]` (further dimensions of 1 are dropped), or Sintel `.dpt`.
///
/// # Errors
/// [`Error::Io`] and [`Error::Format`].
pub fn read_depth_maps(path: &Path, budget: &Budget) -> Result<Vec<DepthMap>> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    if path.extension().is_some_and(|e| e == "dpt") {
        let map = read_depth_dpt(&bytes).map_err(|reason| Error::format(path, reason))?;
        return Ok(vec![map]);
    }
    let read = || {
        let array = NpyArray::parse(&bytes)?;
        let size = map_size(&array.shape)?;
        let (frames, height, width) = size;
        let values = array.to_f32(budget)?;
        budget.take("depth maps", values.len(), 4)?;
        let maps = values.chunks_exact(height * width).map(|values| DepthMap {
            height,
            width,
            values: values.to_vec(),
        });
        Ok(maps.take(frames).collect())
    };
    read().map_err(|reason: String| Error::format(path, reason))
}

fn map_size(shape: &[usize]) -> std::result::Result<(usize, usize, usize), String> {
    let mut dims = shape.to_vec();
    while dims.len() > 2 && dims.last() == Some(&1) {
        dims.pop();
    }
    while dims.len() > 3 && dims.first() == Some(&1) {
        dims.remove(0);
    }
    let size = match dims[..] {
        [height, width] => (1, height, width),
        [frames, height, width] => (frames, height, width),
        _ => (0, 0, 0),
    };
    if size.0 == 0 || size.1 == 0 || size.2 == 0 {
        return Err(format!(
            "depth of shape [H, W] or [T, H, W] required, got {shape:?}"
        ));
    }
    Ok(size)
}

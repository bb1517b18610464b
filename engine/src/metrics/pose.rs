//! Camera trajectory errors: absolute (ATE) and relative (RPE), by evo's definitions.

use glam::DVec3;
use serde::{Deserialize, Serialize};

use crate::geometry::robust::median;
use crate::geometry::{
    AlignmentGroup, Similarity, SimilarityFit, WorldFromCamera, rotation_angle_rad,
};

/// What is fitted to the reference before errors are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoseAlignment {
    /// Nothing.
    None,
    /// The first poses are brought together.
    Origin,
    /// Rotation and translation (Umeyama).
    Se3,
    /// Rotation, translation and scale (Umeyama).
    Sim3,
}

/// Statistics of non-negative errors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ErrorStats {
    /// Root mean square.
    pub rmse: f64,
    /// Mean.
    pub mean: f64,
    /// Lower median.
    pub median: f64,
    /// Maximum.
    pub max: f64,
}

impl ErrorStats {
    /// Statistics of `errors`; zero for none.
    pub fn new(mut errors: Vec<f64>) -> Self {
        let n = errors.len().max(1) as f64;
        Self {
            rmse: (errors.iter().map(|e| e * e).sum::<f64>() / n).sqrt(),
            mean: errors.iter().sum::<f64>() / n,
            max: errors.iter().copied().fold(0.0, f64::max),
            median: median(&mut errors).unwrap_or(0.0),
        }
    }
}

/// Errors of a trajectory; lengths in units of the reference, lower is better throughout.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PoseScores {
    /// What was asked to be fitted.
    pub alignment: PoseAlignment,
    /// Scale that was applied to the estimate.
    pub scale: f64,
    /// True if one of the trajectories stands still, so that no rotation or scale could be fitted:
    /// the first orientations and the mean positions were brought together, at the fallback scale.
    pub degenerate: bool,
    /// Poses compared.
    pub poses: usize,
    /// Distance of camera centres after alignment.
    pub ate: ErrorStats,
    /// Translation of `(Q_i^-1 Q_i+1)^-1 (P_i^-1 P_i+1)`, after alignment.
    pub rpe_translation: ErrorStats,
    /// Angle of the same, degrees.
    pub rpe_rotation_deg: ErrorStats,
}

/// Errors of `estimate` against `reference`, pose by pose.
///
/// ATE is `|p_i' - q_i|` and RPE is taken over neighbours, both on the aligned estimate
/// `p' = c R p + t` (MichaelGrupp/evo, evo/core/metrics.py and geometry.py @ 26d0953). Where evo
/// refuses a trajectory that stands still, this falls back as [`PoseScores::degenerate`] says, with
/// `fallback_scale` (for instance that of the depth alignment; 1 if there is none).
///
/// `None` if there are no poses or their numbers differ.
pub fn pose_scores(
    estimate: &[WorldFromCamera],
    reference: &[WorldFromCamera],
    alignment: PoseAlignment,
    fallback_scale: f64,
) -> Option<PoseScores> {
    if estimate.is_empty() || estimate.len() != reference.len() {
        return None;
    }
    let fitted = fit(estimate, reference, alignment);
    let degenerate = fitted.is_none();
    let scale = if alignment == PoseAlignment::Sim3 {
        fallback_scale
    } else {
        1.0
    };
    let motion = fitted.unwrap_or_else(|| bring_together(estimate, reference, scale));
    let aligned: Vec<WorldFromCamera> =
        estimate.iter().map(|p| motion.transform_pose(*p)).collect();
    let ate = aligned
        .iter()
        .zip(reference)
        .map(|(p, q)| (p.centre() - q.centre()).length());
    let relative = |poses: &[WorldFromCamera]| -> Vec<WorldFromCamera> {
        poses
            .windows(2)
            .map(|pair| pair[1].relative_to(pair[0]))
            .collect()
    };
    let errors: Vec<WorldFromCamera> = relative(&aligned)
        .into_iter()
        .zip(relative(reference))
        .map(|(p, q)| p.relative_to(q))
        .collect();
    let turns = errors
        .iter()
        .map(|e| rotation_angle_rad(e.rotation).to_degrees());
    Some(PoseScores {
        alignment,
        scale: motion.scale,
        degenerate,
        poses: estimate.len(),
        ate: ErrorStats::new(ate.collect()),
        rpe_translation: ErrorStats::new(errors.iter().map(|e| e.translation.length()).collect()),
        rpe_rotation_deg: ErrorStats::new(turns.collect()),
    })
}

fn fit(
    estimate: &[WorldFromCamera],
    reference: &[WorldFromCamera],
    alignment: PoseAlignment,
) -> Option<Similarity> {
    let group = match alignment {
        PoseAlignment::None => return Some(Similarity::IDENTITY),
        PoseAlignment::Origin => return Some(first_onto_first(estimate[0], reference[0])),
        PoseAlignment::Se3 => AlignmentGroup::Se3,
        PoseAlignment::Sim3 => AlignmentGroup::Sim3,
    };
    let SimilarityFit { motion, rank } =
        Similarity::fit(&centres(estimate), &centres(reference), group)?;
    if rank > 1 {
        return Some(motion);
    }
    // On a line the turn about it is free; the first orientations choose it, as far as they can.
    let start = first_onto_first(estimate[0], reference[0]).rotation;
    let turned: Vec<DVec3> = centres(estimate).iter().map(|p| start * *p).collect();
    let rest = Similarity::fit(&turned, &centres(reference), group)?.motion;
    Some(Similarity {
        rotation: rest.rotation * start,
        ..rest
    })
}

fn centres(poses: &[WorldFromCamera]) -> Vec<DVec3> {
    poses.iter().map(|p| p.centre()).collect()
}

fn first_onto_first(estimate: WorldFromCamera, reference: WorldFromCamera) -> Similarity {
    let rotation = reference.rotation * estimate.rotation.transpose();
    Similarity {
        scale: 1.0,
        rotation,
        translation: reference.translation - rotation * estimate.translation,
    }
}

/// First orientations together, mean positions together, at a given scale.
fn bring_together(
    estimate: &[WorldFromCamera],
    reference: &[WorldFromCamera],
    scale: f64,
) -> Similarity {
    let mean =
        |poses: &[WorldFromCamera]| centres(poses).iter().sum::<DVec3>() / poses.len() as f64;
    let rotation = first_onto_first(estimate[0], reference[0]).rotation;
    Similarity {
        scale,
        rotation,
        translation: mean(reference) - rotation * mean(estimate) * scale,
    }
}

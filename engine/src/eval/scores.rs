//! Figures of one scene: against its ground truth, and against itself.

use serde::{Deserialize, Serialize};

use crate::geometry::robust::median;
use crate::metrics::{
    DepthAlignment, DepthPairs, DepthScores, PointAlignment, PointScores, PoseAlignment,
    PoseScores, point_scores, pose_scores, psnr_db, ssim,
};
use crate::scene::{Scene4d, SolverFlag, validity};
use crate::{Error, Result};

/// PSNR of equal pictures, so that means and JSON stay finite.
const MAX_PSNR_DB: f64 = 100.0;

/// A predicted scene against the truth; `None` where one side lacks the plane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SceneScores {
    /// Depth, one median scale for the whole clip.
    pub depth: Option<DepthScores>,
    /// Depth, one scale and shift for the whole clip, least absolute deviation.
    pub depth_affine: Option<DepthScores>,
    /// Camera path, similarity aligned; a path that stands still takes the depth's scale.
    pub pose: Option<PoseScores>,
    /// Points, scaled about camera 0.
    pub points: Option<PointScores>,
    /// Colours over all frames, decibels; 100 for equal ones.
    pub psnr_db: f64,
    /// Colours, mean over frames; `None` below 11 pixels a side.
    pub ssim: Option<f64>,
}

/// Compares a scene with its ground truth, over all pixels whose truth is finite and no sky.
///
/// # Errors
/// [`Error::Shape`] if the scenes have different sizes or planes of wrong length.
pub fn score_scene(predicted: &Scene4d, truth: &Scene4d) -> Result<SceneScores> {
    let size = |s: &Scene4d| (s.num_frames, s.height, s.width);
    if size(predicted) != size(truth) {
        let required = format!("the truth's frames, height and width {:?}", size(truth));
        return Err(Error::shape("scene to evaluate", required, size(predicted)));
    }
    predicted.check()?;
    truth.check()?;
    let measured = validity::FINITE | validity::NOT_SKY;
    let truth_valid = truth.valid.as_slice();
    let keep = |i: usize| truth_valid[i] & measured == measured;
    let pairs = predicted
        .depth
        .as_ref()
        .zip(truth.depth.as_ref())
        .map(|(p, g)| DepthPairs::new(p.as_slice(), g.as_slice(), keep));
    let depth_with = |alignment| pairs.as_ref().and_then(|p| p.scores(alignment));
    let depth = depth_with(DepthAlignment::MedianScale);
    let pose = predicted
        .cameras
        .as_ref()
        .zip(truth.cameras.as_ref())
        .and_then(|(p, g)| {
            let poses = |cameras: &[crate::geometry::Camera]| -> Vec<_> {
                cameras.iter().map(|c| c.world_from_camera).collect()
            };
            let scale = depth.map_or(1.0, |d| d.scale);
            pose_scores(&poses(p), &poses(g), PoseAlignment::Sim3, scale)
        });
    let all = truth.points.len();
    Ok(SceneScores {
        depth_affine: depth_with(DepthAlignment::ScaleShiftL1),
        pose,
        points: point_scores(
            &predicted.points.range(0, all),
            &truth.points.range(0, all),
            keep,
            PointAlignment::Scale,
        ),
        psnr_db: psnr_db(predicted.rgb.as_slice(), truth.rgb.as_slice())?.min(MAX_PSNR_DB),
        ssim: mean_ssim(predicted, truth),
        depth,
    })
}

fn mean_ssim(predicted: &Scene4d, truth: &Scene4d) -> Option<f64> {
    let sum: Option<f64> = (0..truth.num_frames)
        .map(|t| {
            let (a, b) = (predicted.frame_rgb(t), truth.frame_rgb(t));
            ssim(a, b, truth.height, truth.width).ok()
        })
        .sum();
    Some(sum? / truth.num_frames as f64)
}

/// How well a scene agrees with itself; needs no ground truth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SelfScores {
    /// Median angle between a point and its pixel's ray, in pixels at the image centre; lower is
    /// better. `None` without cameras or points.
    pub ray_residual_px: Option<f64>,
    /// Share of pixels with all bits of [`validity::GOOD`]; 0..1, higher is better.
    pub good: f64,
    /// Share of frames whose pose was interpolated; 0..1, lower is better.
    pub interpolated: f64,
    /// True if the focal length could not be seen.
    pub focal_unobservable: bool,
}

/// Measures a scene against itself: residuals and the solver's flags.
pub fn score_self(scene: &Scene4d) -> SelfScores {
    let valid = scene.valid.as_slice();
    let good = valid
        .iter()
        .filter(|v| **v & validity::GOOD == validity::GOOD)
        .count();
    let flagged = |flag| scene.meta.flags.iter().filter(|(_, f)| *f == flag).count();
    SelfScores {
        ray_residual_px: ray_residual_px(scene),
        good: good as f64 / valid.len().max(1) as f64,
        interpolated: flagged(SolverFlag::PoseInterpolated) as f64 / scene.num_frames.max(1) as f64,
        focal_unobservable: flagged(SolverFlag::FocalUnobservable) > 0,
    }
}

fn ray_residual_px(scene: &Scene4d) -> Option<f64> {
    let cameras = scene.cameras.as_ref()?;
    let mut residuals = Vec::new();
    for (frame_idx, camera) in cameras.iter().enumerate() {
        let camera_from_world = camera.world_from_camera.inverse();
        let points = scene.frame_points(frame_idx);
        for (pixel, p) in points.chunks_exact(3).enumerate() {
            let point = glam::DVec3::new(f64::from(p[0]), f64::from(p[1]), f64::from(p[2]));
            let y = camera_from_world.transform(point);
            let ray = camera
                .intrinsics
                .ray(pixel % scene.width, pixel / scene.width);
            let angle = y.cross(ray).length().atan2(y.dot(ray));
            if angle.is_finite() {
                residuals.push(angle * camera.intrinsics.fx_px);
            }
        }
    }
    median(&mut residuals)
}

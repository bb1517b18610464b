//! Solving a clip whose camera poses are known: from a rig, a tracker or another tool.
//!
//! The clip's own coordinates differ from those of the poses by a similarity. The free solution
//! gives every camera in the clip; the turn between the two worlds is the mean of the turns that
//! take each found camera onto the known one, scale and shift follow by least squares over the
//! centres. Then the poses are fixed, and only the focal length may still move.

use glam::{DMat3, DVec3};

use super::every_pixel::EveryPixel;
use super::joint::{self, Freedom};
use super::polish::polish;
use super::trajectory::{self, Trajectory};
use super::{
    Found, PointmapClip, Refinement, Solution, SolveOptions, check_options, find_lenses, finish,
    samples,
};
use crate::geometry::{CameraFromWorld, Similarity, WorldFromCamera, nearest_rotation};
use crate::job::{JobCtx, Stage};
use crate::{Error, Result};

/// A moved focal length moves the free poses a little, and they the alignment.
const ROUNDS: usize = 2;

/// Recovers lens, depth and scale of a clip whose poses are known.
///
/// The solution is in the units of the poses; its cameras are the given ones, seen from the first.
/// Where the poses stand still they fix no scale, and the clip's own stays.
///
/// # Errors
/// As [`super::solve`]; [`Error::Shape`] for another number of poses than frames.
pub fn solve_posed(
    clip: &PointmapClip<'_>,
    poses: &[WorldFromCamera],
    options: &SolveOptions,
    ctx: &JobCtx,
) -> Result<Solution> {
    clip.check()?;
    check_options(options)?;
    if poses.len() != clip.frames {
        return Err(Error::shape(
            "known poses",
            format!("{}", clip.frames),
            poses.len(),
        ));
    }
    ctx.step(Stage::Optimise, 0, clip.frames + 3)?;
    let frames = samples::collect(clip, options);
    let mut focal = find_lenses(clip, &frames, options, ctx)?;
    let freedom = Freedom {
        poses: false,
        focal: focal.is_shared_and_free(),
    };
    let data = joint::Data {
        clip,
        options,
        frames: &frames,
    };
    let refinement = options.refinement.unwrap_or(Refinement::OURS);
    let mut round = 0;
    let (path, known_from_clip) = loop {
        let mut path = trajectory::solve(&frames, &focal.lenses, ctx)?;
        if let Some(every) = EveryPixel::new(clip, options, &path) {
            polish(&every, &frames, &mut focal, &mut path, false, ctx)?;
        }
        let known_from_clip = align(&path, poses);
        fix(&mut path, poses, known_from_clip);
        joint::refine(
            &data,
            &mut focal.lenses,
            &mut path,
            refinement,
            freedom,
            ctx,
        )?;
        round += 1;
        if round == ROUNDS {
            break (path, known_from_clip);
        }
    };
    focal.renew_profile();
    ctx.step(Stage::Optimise, 3, clip.frames + 3)?;
    let scale = known_from_clip.scale;
    let found = Found {
        frames,
        focal,
        path,
    };
    let mut solution = finish(clip, options, found, ctx)?;
    for (camera, pose) in solution.cameras.iter_mut().zip(poses) {
        camera.world_from_camera = pose.relative_to(poses[0]);
    }
    let grow = |plane: &mut Vec<f32>| plane.iter_mut().for_each(|x| *x *= scale as f32);
    grow(&mut solution.points);
    grow(&mut solution.depth);
    grow(&mut solution.residual);
    for quality in &mut solution.quality {
        quality.residual *= scale;
        quality.sigma.centre *= scale;
    }
    solution.median_depth *= scale;
    solution.scale = scale;
    Ok(solution)
}

/// The similarity that takes the clip onto the world of the known poses.
fn align(path: &Trajectory, known: &[WorldFromCamera]) -> Similarity {
    let found: Vec<(WorldFromCamera, WorldFromCamera)> = path
        .poses
        .iter()
        .zip(known)
        .zip(&path.fits)
        .filter(|(_, fit)| fit.is_some())
        .map(|((pose, known), _)| (pose.inverse(), *known))
        .collect();
    let count = found.len().max(1) as f64;
    let turns = found.iter().fold(DMat3::ZERO, |sum, (own, known)| {
        sum + known.rotation * own.rotation.transpose()
    });
    let rotation = if found.is_empty() {
        DMat3::IDENTITY
    } else {
        nearest_rotation(turns)
    };
    let mean = |of: fn(&(WorldFromCamera, WorldFromCamera)) -> DVec3| {
        found.iter().map(of).sum::<DVec3>() / count
    };
    let (own_mean, known_mean) = (mean(|p| p.0.translation), mean(|p| p.1.translation));
    let (mut overlap, mut spread) = (0.0, 0.0);
    for (own, known) in &found {
        let x = rotation * (own.translation - own_mean);
        overlap += x.dot(known.translation - known_mean);
        spread += x.length_squared();
    }
    let moves = spread > count * (1e-4 * path.median_depth).powi(2);
    let scale = Some(overlap / spread)
        .filter(|s| moves && *s > 0.0 && s.is_finite())
        .unwrap_or(1.0);
    Similarity {
        scale,
        rotation,
        translation: known_mean - rotation * own_mean * scale,
    }
}

/// Puts the known poses, in the clip's coordinates, in place of the found ones.
fn fix(path: &mut Trajectory, known: &[WorldFromCamera], known_from_clip: Similarity) {
    let back = known_from_clip.rotation.transpose();
    for (pose, known) in path.poses.iter_mut().zip(known) {
        let centre =
            back * (known.translation - known_from_clip.translation) / known_from_clip.scale;
        let rotation = known.rotation.transpose() * known_from_clip.rotation;
        *pose = CameraFromWorld {
            rotation,
            translation: -(rotation * centre),
        };
    }
}

//! Clips longer than the model: overlapping windows, each in a world and a scale of its own, joined
//! into one scene.
//!
//! A frame of the overlap shows the same pixels in both windows, so each pixel gives a pair of
//! points, moving things included: both are of the same moment. The similarity between the worlds
//! is Umeyama's over these pairs, reweighted by Geman and McClure; windows are chained from the first.

use std::ops::Range;
use std::sync::Arc;

use glam::DVec3;
use serde::Serialize;

use crate::geometry::robust::{MAD_TO_SIGMA, median};
use crate::geometry::{AlignmentGroup, Camera, Similarity, rotation_angle_rad};
use crate::scene::{Half, Plane, Points, Scene4d, validity};
use crate::{Error, Result};

/// Pairs of points that a join looks at.
const PAIRS: usize = 40_000;
/// Least pairs that a join stands on.
const MIN_PAIRS: usize = 100;
/// Reweightings.
const ROUNDS: usize = 8;

/// Frames of each window: all of `length`, neighbours sharing `overlap` frames, the last one moved
/// back to end with the clip.
///
/// # Errors
/// [`Error::Invalid`] if windows would not advance.
pub fn window_spans(frames: usize, length: usize, overlap: usize) -> Result<Vec<Range<usize>>> {
    if length == 0 || overlap >= length || frames == 0 {
        return Err(Error::invalid(
            "windows",
            format!("{frames} frames in windows of {length} that share {overlap}"),
        ));
    }
    let mut spans = Vec::new();
    let mut start = 0;
    loop {
        if start + length >= frames {
            spans.push(frames.saturating_sub(length)..frames);
            return Ok(spans);
        }
        spans.push(start..start + length);
        start += length - overlap;
    }
}

/// A window and where in the clip it begins.
#[derive(Clone, Debug)]
pub struct Window {
    /// Index in the clip of its first frame.
    pub first: usize,
    /// The window, solved by itself.
    pub scene: Arc<Scene4d>,
}

/// How well a window met the one before, over the frames of both.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct JoinReport {
    /// First frame of the overlap in the clip.
    pub at: usize,
    /// Frames in the overlap.
    pub frames: usize,
    /// Scale that the window was given, relative to the first window.
    pub scale: f64,
    /// Median distance of the pairs after joining, in median depths.
    pub residual: f64,
    /// Mean turn between both cameras of a frame, degrees.
    pub rotation_deg: f64,
    /// Mean distance between both cameras of a frame, in median depths: the drift of this join.
    pub centre: f64,
}

/// Joins windows into one scene in the world and scale of the first.
///
/// Frames up to the middle of an overlap come from the earlier window, so that points, depth and
/// camera of a frame always belong together. What not all windows have is left out.
///
/// # Errors
/// [`Error::Invalid`] for windows without cameras, of other sizes, without overlap, or whose
/// overlap holds too few good pixels.
pub fn join_windows(windows: &[Window]) -> Result<(Scene4d, Vec<JoinReport>)> {
    check(windows)?;
    let mut motions = vec![Similarity::IDENTITY];
    let mut reports = Vec::new();
    for pair in windows.windows(2) {
        let (step, mut report) = meet(&pair[0], &pair[1])?;
        let before = motions[motions.len() - 1];
        let motion = before.after(step);
        report.scale = motion.scale;
        motions.push(motion);
        reports.push(report);
    }
    Ok((assemble(windows, &motions)?, reports))
}

fn check(windows: &[Window]) -> Result<()> {
    let refuse = |reason: String| Err(Error::invalid("windows", reason));
    let Some(first) = windows.first() else {
        return refuse("none were given".to_owned());
    };
    for (i, window) in windows.iter().enumerate() {
        let scene = &window.scene;
        if scene.cameras.is_none() {
            return refuse(format!("window {i} has no cameras"));
        }
        if (scene.height, scene.width) != (first.scene.height, first.scene.width) {
            return refuse(format!("window {i} has another size than the first"));
        }
    }
    for (i, pair) in windows.windows(2).enumerate() {
        let (a, b) = (&pair[0], &pair[1]);
        let end = a.first + a.scene.num_frames;
        if b.first <= a.first || b.first >= end || b.first + b.scene.num_frames < end {
            return refuse(format!(
                "window {} begins at frame {} and must begin inside window {i} (frames {} to {end}) \
                 and end after it",
                i + 1,
                b.first,
                a.first
            ));
        }
    }
    Ok(())
}

/// Frames of both, as indices of the clip.
fn overlap(a: &Window, b: &Window) -> Range<usize> {
    b.first..a.first + a.scene.num_frames
}

/// The similarity that takes the world of `b` to that of `a`.
fn meet(a: &Window, b: &Window) -> Result<(Similarity, JoinReport)> {
    let frames = overlap(a, b);
    let pixels = frames.len() * a.scene.pixels_per_frame();
    let step = (pixels / PAIRS).max(1);
    let (mut onto, mut from, mut depths) = (Vec::new(), Vec::new(), Vec::new());
    for frame in frames.clone() {
        let (i, j) = (frame - a.first, frame - b.first);
        let (p, q) = (a.scene.frame_points(i), b.scene.frame_points(j));
        let (v, w) = (a.scene.frame_valid(i), b.scene.frame_valid(j));
        let camera = camera_of(&a.scene, i).world_from_camera.inverse();
        for pixel in (frame % step..v.len()).step_by(step) {
            if v[pixel] & w[pixel] == validity::GOOD {
                let point = |plane: &[f32]| {
                    DVec3::from_array([0, 1, 2].map(|k| f64::from(plane[pixel * 3 + k])))
                };
                onto.push(point(&p));
                from.push(point(&q));
                depths.push(camera.transform(point(&p)).z);
            }
        }
    }
    let failed = || {
        Error::invalid(
            "windows",
            format!(
                "frames {} to {} are in two windows, but only {} pixels of them are good in both",
                frames.start,
                frames.end,
                onto.len()
            ),
        )
    };
    if onto.len() < MIN_PAIRS {
        return Err(failed());
    }
    let (motion, residual) = robust_fit(&from, &onto).ok_or_else(failed)?;
    let depth = median(&mut depths)
        .filter(|d| *d > 0.0)
        .ok_or_else(failed)?;
    let count = frames.len() as f64;
    let (mut turn, mut away) = (0.0, 0.0);
    for frame in frames.clone() {
        let own = camera_of(&a.scene, frame - a.first).world_from_camera;
        let other = motion.transform_pose(camera_of(&b.scene, frame - b.first).world_from_camera);
        turn += rotation_angle_rad(own.rotation * other.rotation.transpose()) / count;
        away += (own.translation - other.translation).length() / count;
    }
    let report = JoinReport {
        at: frames.start,
        frames: frames.len(),
        scale: motion.scale,
        residual: residual / depth,
        rotation_deg: turn.to_degrees(),
        centre: away / depth,
    };
    Ok((motion, report))
}

fn camera_of(scene: &Scene4d, frame: usize) -> Camera {
    scene
        .cameras
        .as_ref()
        .expect("windows without cameras were refused")[frame]
}

/// Umeyama with Geman and McClure's weights; the motion and the median residual.
fn robust_fit(from: &[DVec3], onto: &[DVec3]) -> Option<(Similarity, f64)> {
    let mut weights = vec![1.0; from.len()];
    let mut best = None;
    for _ in 0..ROUNDS {
        let fit = Similarity::fit_weighted(from, onto, &weights, AlignmentGroup::Sim3)?;
        let rests: Vec<f64> = from
            .iter()
            .zip(onto)
            .map(|(x, y)| (fit.motion.transform(*x) - *y).length())
            .collect();
        let middle = median(&mut rests.clone())?;
        let scale = (MAD_TO_SIGMA * middle).max(f64::MIN_POSITIVE);
        for (weight, rest) in weights.iter_mut().zip(&rests) {
            let ratio = rest / (2.0 * scale);
            *weight = 1.0 / (1.0 + ratio * ratio).powi(2);
        }
        best = Some((fit.motion, middle));
        if middle == 0.0 {
            break;
        }
    }
    best
}

/// For each frame of the clip: window and index in it.
fn sources(windows: &[Window]) -> Vec<(usize, usize)> {
    let last = &windows[windows.len() - 1];
    let frames = last.first + last.scene.num_frames - windows[0].first;
    let origin = windows[0].first;
    let mut sources: Vec<(usize, usize)> = Vec::with_capacity(frames);
    for (k, window) in windows.iter().enumerate() {
        let start = match k.checked_sub(1) {
            Some(before) => {
                let shared = overlap(&windows[before], window);
                shared.start + shared.len() / 2
            }
            None => window.first,
        };
        sources.truncate(start - origin);
        sources
            .extend((start..window.first + window.scene.num_frames).map(|f| (k, f - window.first)));
    }
    sources
}

fn assemble(windows: &[Window], motions: &[Similarity]) -> Result<Scene4d> {
    let sources = sources(windows);
    let first = &windows[0].scene;
    let all = |has: fn(&Scene4d) -> bool| windows.iter().all(|w| has(&w.scene));
    let (mut rgb, mut points, mut valid) = (Vec::new(), Vec::new(), Vec::new());
    let mut depth = all(|s| s.depth.is_some()).then(Vec::new);
    let mut dynamic = all(|s| s.dynamic.is_some()).then(Vec::new);
    let mut confidence = all(|s| s.confidence.is_some()).then(Vec::<Half>::new);
    let mut cameras = Vec::with_capacity(sources.len());
    for &(k, frame) in &sources {
        let (scene, motion) = (&windows[k].scene, motions[k]);
        rgb.extend_from_slice(scene.frame_rgb(frame));
        valid.extend_from_slice(scene.frame_valid(frame));
        points.extend(
            scene
                .frame_points(frame)
                .as_chunks::<3>()
                .0
                .iter()
                .flat_map(|p| {
                    let p = DVec3::from(p.map(f64::from));
                    motion.transform(p).as_vec3().to_array()
                }),
        );
        if let (Some(all), Some(own)) = (&mut depth, scene.frame_depth(frame)) {
            all.extend(own.iter().map(|d| (f64::from(*d) * motion.scale) as f32));
        }
        if let (Some(all), Some(own)) = (&mut dynamic, scene.frame_dynamic(frame)) {
            all.extend_from_slice(own);
        }
        if let (Some(all), Some(own)) = (&mut confidence, &scene.confidence) {
            let n = scene.pixels_per_frame();
            all.extend_from_slice(&own.as_slice()[frame * n..(frame + 1) * n]);
        }
        let camera = camera_of(scene, frame);
        cameras.push(Camera {
            world_from_camera: motion.transform_pose(camera.world_from_camera),
            ..camera
        });
    }
    let mut meta = first.meta.clone();
    meta.flags = flags(windows, &sources);
    meta.observed = sources
        .iter()
        .enumerate()
        .filter(|(_, (k, frame))| windows[*k].scene.meta.observed.contains(frame))
        .map(|(i, _)| i)
        .collect();
    let joined = Scene4d {
        num_frames: sources.len(),
        height: first.height,
        width: first.width,
        rgb: Plane::new(rgb),
        points: Points::F32(Plane::new(points)),
        valid: Plane::new(valid),
        confidence: confidence.map(Plane::new),
        depth: depth.map(Plane::new),
        cameras: Some(cameras.into()),
        scene_flow: None,
        dynamic: dynamic.map(Plane::new),
        meta,
    };
    joined.check()?;
    Ok(joined)
}

/// Flags of the frames that were taken, and every window's flags of the clip once.
fn flags(
    windows: &[Window],
    sources: &[(usize, usize)],
) -> Vec<(Option<usize>, crate::scene::SolverFlag)> {
    let mut found = Vec::new();
    for flag in windows.iter().flat_map(|w| &w.scene.meta.flags) {
        if flag.0.is_none() && !found.contains(flag) {
            found.push(*flag);
        }
    }
    for (i, (k, frame)) in sources.iter().enumerate() {
        let own = windows[*k].scene.meta.flags.iter();
        found.extend(own.filter(|f| f.0 == Some(*frame)).map(|f| (Some(i), f.1)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_cover_the_clip_and_share_what_they_should() {
        assert_eq!(
            window_spans(161, 81, 27).unwrap(),
            [0..81, 54..135, 80..161]
        );
        for frames in [81, 30] {
            let spans = window_spans(frames, 81, 27).unwrap();
            assert_eq!((spans.len(), spans[0].clone()), (1, 0..frames));
        }
        assert!(window_spans(161, 81, 81).is_err());
        for (frames, length, overlap) in [(200, 17, 5), (33, 17, 1), (1000, 81, 40)] {
            let spans = window_spans(frames, length, overlap).unwrap();
            assert_eq!(spans.last().map(|s| s.end), Some(frames));
            for pair in spans.windows(2) {
                assert!(pair[0].end >= pair[1].start + overlap && pair[1].end > pair[0].end);
            }
        }
    }
}

//! A measure over time: its points followed from frame to frame.

use glam::DVec3;
use one4d_engine::scene::Scene4d;

use crate::state::measures::{Anchor, Followed, MeasureKind, Series};

/// A followed point may lie as far off its prediction as its neighbours lie from it, within these
/// shares of its distance from the camera.
const MISS: (f64, f64) = (0.02, 0.1);
/// Pixels around a prediction in which its point is looked for.
const REACH_FORWARD_PX: i64 = 4;
/// Backwards there is no prediction, only where the point itself would have been seen.
const REACH_BACK_PX: i64 = 24;

/// The value of a measure in every frame.
///
/// Points are followed along the scene flow where the scene has one and cameras; elsewhere the
/// measure takes the same pixels of every frame.
pub fn series(scene: &Scene4d, kind: MeasureKind, anchors: &[Anchor]) -> Series {
    let follows = scene.scene_flow.is_some() && scene.cameras.is_some();
    let tracks: Vec<Vec<Option<DVec3>>> = anchors
        .iter()
        .map(|anchor| {
            if follows {
                along_flow(scene, anchor)
            } else {
                let at = |t| Anchor::of(scene, t, anchor.column, anchor.row);
                (0..scene.num_frames)
                    .map(|t| at(t).map(|found| found.position()))
                    .collect()
            }
        })
        .collect();
    let points: Vec<Vec<DVec3>> = (0..scene.num_frames)
        .map(|t| {
            let all: Option<Vec<DVec3>> = tracks.iter().map(|track| track[t]).collect();
            all.unwrap_or_default()
        })
        .collect();
    Series {
        values: points.iter().map(|points| kind.value(points)).collect(),
        points,
        followed: if follows {
            Followed::SceneFlow
        } else {
            Followed::SamePixels
        },
    }
}

/// A followed point: where it is, and the pixel that shows it.
#[derive(Clone, Copy)]
struct Followee {
    pixel: Anchor,
    /// Not the pixel's own point: half a pixel of rounding a step would add up over a clip.
    position: DVec3,
}

/// Where the same piece of surface is, frame by frame; `None` from where it is lost.
fn along_flow(scene: &Scene4d, start: &Anchor) -> Vec<Option<DVec3>> {
    let mut track = vec![None; scene.num_frames];
    let at = start.frame_idx.min(scene.num_frames - 1);
    track[at] = Anchor::of(scene, at, start.column, start.row).map(|pixel| Followee {
        pixel,
        position: pixel.position(),
    });
    for t in at + 1..scene.num_frames {
        track[t] = track[t - 1].and_then(|before| step_forward(scene, &before));
    }
    for t in (0..at).rev() {
        track[t] = track[t + 1].and_then(|after| step_back(scene, &after));
    }
    track
        .into_iter()
        .map(|followee| Some(followee?.position))
        .collect()
}

fn step_forward(scene: &Scene4d, from: &Followee) -> Option<Followee> {
    let predicted = from.position + flow(scene, &from.pixel)?;
    let frame_idx = from.pixel.frame_idx + 1;
    let pixel = nearest(scene, frame_idx, (predicted, REACH_FORWARD_PX), |there| {
        Some(there.position().distance(predicted))
    })?;
    seen_at(scene, pixel, predicted)
}

fn step_back(scene: &Scene4d, from: &Followee) -> Option<Followee> {
    let goal = from.position;
    let frame_idx = from.pixel.frame_idx.checked_sub(1)?;
    let pixel = nearest(scene, frame_idx, (goal, REACH_BACK_PX), |there| {
        Some((there.position() + flow(scene, there)?).distance(goal))
    })?;
    seen_at(scene, pixel, goal - flow(scene, &pixel)?)
}

/// The prediction at the depth that its pixel shows.
fn seen_at(scene: &Scene4d, pixel: Anchor, predicted: DVec3) -> Option<Followee> {
    let camera = scene.cameras.as_ref()?.get(pixel.frame_idx)?;
    let centre = camera.world_from_camera.centre();
    let ray = (pixel.position() - centre).try_normalize()?;
    let position = predicted + ray * ray.dot(pixel.position() - predicted);
    Some(Followee { pixel, position })
}

/// The pixel of a frame with the least miss, around where the frame's camera sees a point.
fn nearest(
    scene: &Scene4d,
    frame_idx: usize,
    (seen, reach_px): (DVec3, i64),
    miss: impl Fn(&Anchor) -> Option<f64>,
) -> Option<Anchor> {
    let camera = scene.cameras.as_ref()?.get(frame_idx)?;
    let in_camera = camera.world_from_camera.inverse().transform(seen);
    let at = camera.intrinsics.project(in_camera)?;
    let (column, row) = (at.x.floor() as i64, at.y.floor() as i64);
    let window = (-reach_px..=reach_px)
        .flat_map(|dy| (-reach_px..=reach_px).map(move |dx| (column + dx, row + dy)));
    let (best, found) = window
        .filter_map(|(x, y)| {
            let there = Anchor::of(
                scene,
                frame_idx,
                usize::try_from(x).ok()?,
                usize::try_from(y).ok()?,
            )?;
            Some((miss(&there)?, there))
        })
        .min_by(|a, b| a.0.total_cmp(&b.0))?;
    let away = in_camera.length();
    let tolerance = spacing(scene, &found).clamp(MISS.0 * away, MISS.1 * away);
    (best <= tolerance).then_some(found)
}

/// Distance from a point to those of the pixels right of and below it.
fn spacing(scene: &Scene4d, at: &Anchor) -> f64 {
    [(1, 0), (0, 1)]
        .into_iter()
        .filter_map(|(dx, dy)| Anchor::of(scene, at.frame_idx, at.column + dx, at.row + dy))
        .map(|beside| beside.position().distance(at.position()))
        .fold(0.0, f64::max)
}

/// Scene flow of a pixel to the next frame.
fn flow(scene: &Scene4d, at: &Anchor) -> Option<DVec3> {
    let plane = scene.scene_flow.as_ref()?.as_slice();
    let first = (at.frame_idx * scene.pixels_per_frame() + at.row * scene.width + at.column) * 3;
    let flow = plane.get(first..first + 3)?;
    let flow = DVec3::new(flow[0].to_f64(), flow[1].to_f64(), flow[2].to_f64());
    flow.is_finite().then_some(flow)
}

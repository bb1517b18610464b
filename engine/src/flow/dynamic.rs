//! Which pixels show something that moves in the world.
//!
//! Flow gives the smaller of two: the scene flow in units of a pixel's size at its depth,
//! `|S| f / depth`, and the part of the flow that the camera's motion does not explain,
//! `|F - (project(P) - u)|`. The first is large where the flow slides along a grazing surface or over
//! an edge, the second is not; where the first is not known the second stands alone. A camera's
//! motion leaves none, however fast. Depth gives another (`solid`), over several frames, as slow
//! things need: a still surface is where it was, and nothing behind it can be seen. Flow that may be
//! wrong over whole regions needs depth as its witness in a part of each. A pixel moves if either exceeds its threshold, three times what
//! the source is uncertain by and three times the noise of the frame; neighbours of such pixels need
//! half of it. Thresholds are absolute, so a still scene gives an empty mask, where normalising each
//! pair by its largest motion never would.

use rayon::prelude::*;
use serde::Serialize;

use super::regions::{closed, opened, thresholded, witnessed};
use super::scene_flow::point_at;
use super::solid::depth_evidence;
use super::{FlowField, FlowProvider, consistent, scene_flow};
use crate::geometry::Camera;
use crate::geometry::robust::{MAD_TO_SIGMA, median};
use crate::job::{JobCtx, Stage};
use crate::scene::{Half, Scene4d, validity};
use crate::{Error, Result};

/// Evidence above which a pixel moves, in uncertainties of the flow and in deviations of the frame.
const HIGH: f64 = 3.0;
/// Distances in frames over which depths are compared: what is slow shows after a while.
const LEAPS: [usize; 5] = [1, 2, 3, 4, 6];
/// Pixels a frame that the jitter of what stands still is measured on.
const JITTER_PIXELS: usize = 20_000;
/// Change of depth below which nothing moves, sizes of a pixel: what interpolation may leave.
const LEAST_PUSH_PX: f64 = 0.15;

/// What moves in a clip.
#[derive(Clone, Debug)]
pub struct Motion {
    /// `[T, H, W]`: 255 moves, 0 does not.
    pub mask: Vec<u8>,
    /// `[T - 1, H, W, 3]` world units a frame: 0 where nothing moves, NaN where it is not known.
    pub scene_flow: Vec<Half>,
    /// How still the rest is.
    pub report: MotionReport,
}

/// How far static pixels move in the world: a measure of a clip's geometry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct MotionReport {
    /// Median of `|S| / depth` over pixels that do not move.
    pub static_jitter: f64,
    /// Share of pixels that move.
    pub moving: f64,
}

/// Finds what moves, from the scene's points and a flow.
///
/// # Errors
/// [`Error::Invalid`] without cameras or depth; [`Error::Shape`] for flow of another size; those of
/// the provider; [`Error::Cancelled`].
pub fn find_motion(scene: &Scene4d, flow: &mut dyn FlowProvider, ctx: &JobCtx) -> Result<Motion> {
    let (Some(cameras), true) = (&scene.cameras, scene.depth.is_some()) else {
        return Err(Error::invalid("scene", "motion needs cameras and depth"));
    };
    let n = scene.pixels_per_frame();
    let frames = scene.num_frames;
    let mut evidence = vec![vec![f32::NAN; n]; frames];
    let mut pushes = vec![vec![f32::NAN; n]; frames];
    let mut fields: Vec<FlowField> = Vec::with_capacity(frames);
    let mut shares: Vec<f64> = Vec::new();
    let jitter_step = n.div_ceil(JITTER_PIXELS).max(1);
    for i in 0..frames.saturating_sub(1) {
        ctx.step(Stage::Motion, i, frames)?;
        let forward = flow.forward(i)?;
        let backward = flow.backward(i + 1)?;
        for field in std::iter::once(&forward).chain(&backward) {
            check_size(field, scene)?;
        }
        for j in LEAPS
            .map(|leap| i + leap)
            .into_iter()
            .filter(|j| *j < frames)
        {
            let (own, other) = (&cameras[i], &cameras[j]);
            keep_larger(&mut pushes[i], &depth_evidence(scene, (i, j), [own, other]));
            keep_larger(&mut pushes[j], &depth_evidence(scene, (j, i), [other, own]));
        }
        let lenses = [&cameras[i], &cameras[i + 1]];
        let swapped = [lenses[1], lenses[0]];
        let there = pair_evidence(scene, (i, i + 1), &forward, backward.as_ref(), lenses);
        shares.extend(
            there
                .iter()
                .step_by(jitter_step)
                .filter(|e| e.is_finite())
                .map(|e| f64::from(*e) / lenses[0].intrinsics.fx_px),
        );
        match &backward {
            Some(backward) => {
                let back = pair_evidence(scene, (i + 1, i), backward, Some(&forward), swapped);
                keep_larger(&mut evidence[i + 1], &back);
            }
            None => keep_larger(&mut evidence[i + 1], &carried(scene, i, &forward, &there)),
        }
        keep_larger(&mut evidence[i], &there);
        fields.push(forward);
    }
    let mask = mask_of(&mut evidence, &mut pushes, &fields, &*flow, scene.width);
    let moving = mask.iter().filter(|m| **m > 0).count() as f64 / mask.len().max(1) as f64;
    // The moving minority does not reach the median.
    let report = MotionReport {
        static_jitter: median(&mut shares).unwrap_or(0.0),
        moving,
    };
    Ok(Motion {
        scene_flow: vectors_of(scene, &mask, &fields),
        mask,
        report,
    })
}

/// `[T, H, W]`: evidence of flow and depth above its thresholds, in regions, in two of three frames.
fn mask_of(
    evidence: &mut [Vec<f32>],
    pushes: &mut [Vec<f32>],
    fields: &[FlowField],
    flow: &dyn FlowProvider,
    width: usize,
) -> Vec<u8> {
    let least = HIGH * flow.uncertainty_px();
    let needs_witness = flow.needs_witness();
    let masks: Vec<Vec<bool>> = evidence
        .par_iter_mut()
        .zip(pushes)
        .map(|(flows, pushed)| {
            in_thresholds(flows, least);
            in_thresholds(pushed, LEAST_PUSH_PX);
            keep_larger(flows, pushed);
            let mask = thresholded(flows, width);
            if needs_witness {
                witnessed(mask, pushed, width)
            } else {
                mask
            }
        })
        .collect();
    (0..masks.len())
        .into_par_iter()
        .flat_map_iter(|i| {
            let mask = majority(&masks, fields, i, width);
            closed(&opened(mask, width), width)
        })
        .map(|moves| if moves { 255 } else { 0 })
        .collect()
}

fn check_size(field: &FlowField, scene: &Scene4d) -> Result<()> {
    let found = (field.height, field.width);
    if found == (scene.height, scene.width) {
        return Ok(());
    }
    let wanted = format!("{} x {}", scene.height, scene.width);
    Err(Error::shape("optical flow", wanted, found))
}

/// Scene flow of what moves, as a scene keeps it.
fn vectors_of(scene: &Scene4d, mask: &[u8], fields: &[FlowField]) -> Vec<Half> {
    let n = scene.pixels_per_frame();
    let empty: &[f32] = &[];
    let depth = |i: usize| scene.frame_depth(i).unwrap_or(empty);
    let mut vectors = Vec::with_capacity(fields.len() * n * 3);
    for (i, field) in fields.iter().enumerate() {
        let moved = scene_flow(
            (&scene.frame_points(i), &scene.frame_points(i + 1)),
            (depth(i), depth(i + 1)),
            (scene.frame_valid(i), scene.frame_valid(i + 1)),
            field,
        );
        for (vector, moves) in moved.vectors.as_chunks::<3>().0.iter().zip(&mask[i * n..]) {
            let kept = if *moves > 0 { *vector } else { [0.0; 3] };
            vectors.extend(kept.map(Half::from_f32));
        }
    }
    vectors
}

/// `|S| f / depth` of the first frame's pixels; NaN where the flow is not to be believed.
fn pair_evidence(
    scene: &Scene4d,
    (from, to): (usize, usize),
    there: &FlowField,
    back: Option<&FlowField>,
    cameras: [&Camera; 2],
) -> Vec<f32> {
    let focal_px = cameras[0].intrinsics.fx_px;
    let onto = cameras[1];
    let camera_from_world = onto.world_from_camera.inverse();
    let empty: &[f32] = &[];
    let depth = |i: usize| scene.frame_depth(i).unwrap_or(empty);
    let (p, q) = (scene.frame_points(from), scene.frame_points(to));
    let moved = scene_flow(
        (&p, &q),
        (depth(from), depth(to)),
        (scene.frame_valid(from), scene.frame_valid(to)),
        there,
    );
    let trusted = back.map(|back| consistent(there, back));
    let own = depth(from);
    let valid = scene.frame_valid(from);
    (0..own.len())
        .map(|i| {
            let is_known = valid[i] & validity::FINITE != 0 && own[i] > 0.0;
            if !is_known || trusted.as_ref().is_some_and(|t| !t[i]) {
                return f32::NAN;
            }
            let length = point_at(&moved.vectors, i).length();
            let in_space = (length * focal_px / f64::from(own[i])) as f32;
            let [du, dv] = there.vectors[i].map(f64::from);
            let (column, row) = ((i % scene.width) as f64, (i / scene.width) as f64);
            let ego = onto
                .intrinsics
                .project(camera_from_world.transform(point_at(&p, i)))
                .map_or(f64::NAN, |at| {
                    (column + 0.5 + du - at.x).hypot(row + 0.5 + dv - at.y)
                });
            // NaN gives way to the other.
            (ego as f32).min(in_space)
        })
        .collect()
}

/// Evidence of a frame at the pixels of the next one that its flow leads to; the nearer wins.
fn carried(scene: &Scene4d, from: usize, flow: &FlowField, evidence: &[f32]) -> Vec<f32> {
    let mut found = vec![f32::NAN; evidence.len()];
    let mut nearest = vec![f32::INFINITY; evidence.len()];
    let depth = scene.frame_depth(from).unwrap_or_default();
    for (i, &[du, dv]) in flow.vectors.iter().enumerate() {
        let column = ((i % flow.width) as f32 + du).round();
        let row = ((i / flow.width) as f32 + dv).round();
        let inside =
            (0.0..flow.width as f32).contains(&column) && (0.0..flow.height as f32).contains(&row);
        if !inside || !evidence[i].is_finite() {
            continue;
        }
        let at = row as usize * flow.width + column as usize;
        if depth[i] < nearest[at] {
            nearest[at] = depth[i];
            found[at] = evidence[i];
        }
    }
    let valid = scene.frame_valid(from + 1);
    for (value, bits) in found.iter_mut().zip(valid) {
        if bits & validity::FINITE == 0 {
            *value = f32::NAN;
        }
    }
    found
}

fn keep_larger(kept: &mut [f32], other: &[f32]) {
    for (a, b) in kept.iter_mut().zip(other) {
        // NaN loses against any number.
        *a = a.max(*b);
    }
}

/// Divides evidence by the threshold of its frame: what is uncertain, or the frame's own noise.
fn in_thresholds(evidence: &mut [f32], least_px: f64) {
    let finite = evidence.iter().filter(|e| e.is_finite());
    let mut finite: Vec<f64> = finite.map(|e| f64::from(*e)).collect();
    let sigma = MAD_TO_SIGMA * median(&mut finite).unwrap_or(0.0);
    let high = (HIGH * sigma).max(least_px) as f32;
    evidence.iter_mut().for_each(|e| *e /= high);
}

/// Two of three: the frame, and those before and after along the flow; at the ends the frame alone
/// decides, as it does where the flow leads out.
fn majority(masks: &[Vec<bool>], fields: &[FlowField], i: usize, width: usize) -> Vec<bool> {
    let own = &masks[i];
    if i == 0 || i + 1 >= masks.len() {
        return own.clone();
    }
    let height = own.len() / width;
    let mut before: Vec<Option<bool>> = vec![None; own.len()];
    let place = |at: usize, [du, dv]: [f32; 2]| {
        let column = ((at % width) as f32 + du).round();
        let row = ((at / width) as f32 + dv).round();
        let inside = (0.0..width as f32).contains(&column) && (0.0..height as f32).contains(&row);
        inside.then(|| row as usize * width + column as usize)
    };
    for (from, vector) in fields[i - 1].vectors.iter().enumerate() {
        if let Some(at) = place(from, *vector) {
            let said = masks[i - 1][from];
            before[at] = Some(before[at].unwrap_or(false) || said);
        }
    }
    own.iter()
        .enumerate()
        .map(|(at, &own)| {
            let after = place(at, fields[i].vectors[at]).map(|to| masks[i + 1][to]);
            match (before[at], after) {
                (Some(a), Some(b)) => u8::from(a) + u8::from(own) + u8::from(b) >= 2,
                _ => own,
            }
        })
        .collect()
}

//! The offsets between frames that were centred one by one, from matches by optical flow.

use std::borrow::Cow;

use glam::DVec3;
use rayon::prelude::*;

use super::{FlowField, FlowProvider, consistent};
use crate::job::{JobCtx, Stage};
use crate::postopt::reanchor::{PairOffset, frame_offsets};
use crate::scene::{Scene4d, validity};
use crate::{Error, Result};

/// Distances of the frames that are compared: neighbours, and leaps against drift.
const LEAPS: [usize; 3] = [1, 4, 16];
/// Spread of a pair's matches beyond which they do not agree, as a share of the frame's own extent.
const MAX_SPREAD: f64 = 0.05;
/// Bits that a point must have to be compared.
const USABLE: u8 = validity::FINITE | validity::NOT_CLIPPED | validity::NOT_EDGE;

/// Offsets `d_0j` of every frame (see [`crate::postopt::reanchor`]), from pixels that flow follows
/// forth and, where the provider knows the way, back.
///
/// # Shapes
/// - returns `[T]` in the scene's units, or `None` where flow does not lead from frame to frame: then
///   the camera's translation cannot be recovered
///
/// # Errors
/// [`Error::Shape`] for flow of another size; those of the provider; [`Error::Cancelled`].
pub fn offsets_by_flow(
    scene: &Scene4d,
    flow: &mut dyn FlowProvider,
    ctx: &JobCtx,
) -> Result<Option<Vec<[f64; 3]>>> {
    let steps = scene.num_frames.saturating_sub(1);
    let mut fields: Vec<FlowField> = Vec::with_capacity(steps);
    for at in 0..steps {
        ctx.step(Stage::Optimise, at, steps)?;
        let mut forward = flow.forward(at)?;
        if (forward.height, forward.width) != (scene.height, scene.width) {
            let wanted = format!("{} x {}", scene.height, scene.width);
            let actual = (forward.height, forward.width);
            return Err(Error::shape("optical flow", wanted, actual));
        }
        if let Some(backward) = flow.backward(at + 1)? {
            let agree = consistent(&forward, &backward);
            for (vector, agrees) in forward.vectors.iter_mut().zip(agree) {
                if !agrees {
                    *vector = [f32::NAN; 2];
                }
            }
        }
        fields.push(forward);
    }
    let mut pairs = Vec::new();
    for leap in LEAPS {
        for from in (0..scene.num_frames.saturating_sub(leap)).step_by(leap) {
            ctx.check()?;
            pairs.extend(pair(scene, &fields[from..from + leap], from));
        }
    }
    Ok(frame_offsets(scene.num_frames, &pairs))
}

/// What frame `from` and the frame at the end of a chain of flows say of their centres.
fn pair(scene: &Scene4d, chain: &[FlowField], from: usize) -> Option<PairOffset> {
    let to = from + chain.len();
    let (start, end) = (Frame::of(scene, from), Frame::of(scene, to));
    let differences: Vec<[f64; 3]> = (0..scene.pixels_per_frame())
        .into_par_iter()
        .filter_map(|pixel| {
            let here = start.point(pixel)?;
            let (mut column, mut row) =
                ((pixel % scene.width) as f32, (pixel / scene.width) as f32);
            for field in chain {
                let [du, dv] = field.sample(column, row)?;
                (column, row) = (column + du, row + dv);
            }
            let there = end.between(column, row)?;
            Some([0, 1, 2].map(|k| there[k] - here[k]))
        })
        .collect();
    PairOffset::of(from, to, differences, MAX_SPREAD * start.extent())
}

/// The points of a frame that may be compared.
struct Frame<'a> {
    points: Cow<'a, [f32]>,
    valid: &'a [u8],
    width: usize,
    height: usize,
}

impl<'a> Frame<'a> {
    fn of(scene: &'a Scene4d, frame_idx: usize) -> Self {
        Self {
            points: scene.frame_points(frame_idx),
            valid: scene.frame_valid(frame_idx),
            width: scene.width,
            height: scene.height,
        }
    }

    /// Root mean square distance of the points from their mean.
    fn extent(&self) -> f64 {
        let points = (0..self.valid.len()).filter_map(|pixel| self.point(pixel));
        let (mut count, mut sum, mut squares) = (0.0, DVec3::ZERO, 0.0);
        for point in points.map(DVec3::from) {
            count += 1.0;
            sum += point;
            squares += point.length_squared();
        }
        (squares / f64::max(count, 1.0) - (sum / f64::max(count, 1.0)).length_squared())
            .max(0.0)
            .sqrt()
    }

    fn point(&self, pixel: usize) -> Option<[f64; 3]> {
        let point = [0, 1, 2].map(|k| f64::from(self.points[3 * pixel + k]));
        let usable = self.valid[pixel] & USABLE == USABLE;
        (usable && point.iter().all(|x| x.is_finite())).then_some(point)
    }

    /// Bilinear point; `None` outside or beside a pixel without one.
    fn between(&self, column: f32, row: f32) -> Option<[f64; 3]> {
        let inside = column >= 0.0
            && row >= 0.0
            && column <= (self.width - 1) as f32
            && row <= (self.height - 1) as f32;
        if !inside {
            return None;
        }
        let (c0, r0) = (column.floor(), row.floor());
        let (a, b) = (f64::from(column - c0), f64::from(row - r0));
        let (c0, r0) = (c0 as usize, r0 as usize);
        let (c1, r1) = ((c0 + 1).min(self.width - 1), (r0 + 1).min(self.height - 1));
        let corners = [
            ((1.0 - a) * (1.0 - b), r0, c0),
            (a * (1.0 - b), r0, c1),
            ((1.0 - a) * b, r1, c0),
            (a * b, r1, c1),
        ];
        let mut sum = [0.0; 3];
        for (weight, r, c) in corners {
            let corner = self.point(r * self.width + c)?;
            for (sum, value) in sum.iter_mut().zip(corner) {
                *sum += weight * value;
            }
        }
        Some(sum)
    }
}

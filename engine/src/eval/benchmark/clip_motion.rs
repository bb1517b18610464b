//! What moves in a predicted clip, beside what moves in truth.

use super::clip_prediction::Prediction;
use super::prediction::DepthPrediction;
use super::{SequenceCtx, frame_pairs};
use crate::Result;
use crate::scene::{Half, Scene4d};

/// A pixel moves from this on.
const MOVES: u8 = 128;

/// Share of predicted pixels that move, overlap with what moves in truth, and mean error of the motion of
/// truly moving pixels in units of the truth a frame; as far as both scenes say so.
///
/// # Errors
/// Of frames that do not belong together; [`crate::Error::Cancelled`].
pub(super) fn motion_figures(
    truth: &Scene4d,
    prediction: &Prediction,
    (every, depth_scale): (usize, Option<f64>),
    ctx: &mut SequenceCtx<'_>,
) -> Result<[Option<f64>; 3]> {
    let scene = prediction.depth.as_ref().and_then(DepthPrediction::scene);
    let Some(scene) = scene.filter(|scene| scene.dynamic.is_some()) else {
        return Ok([None; 3]);
    };
    let own = scene
        .dynamic
        .as_ref()
        .map_or(&[][..], |plane| plane.as_slice());
    let moving = own.iter().filter(|&&value| value >= MOVES).count();
    let moving = Some(moving as f64 / own.len().max(1) as f64);
    if truth.dynamic.is_none() {
        ctx.notes
            .push("the truth does not say what moves".to_owned());
        return Ok([moving, None, None]);
    }
    let path = prediction.place.path();
    let mut overlap = Overlap::default();
    let pairs = frame_pairs(path, scene.num_frames, truth.num_frames, every)?;
    for (i, j) in pairs {
        ctx.step(0, 1)?;
        overlap.add(scene, i, truth, j, depth_scale);
    }
    let shared = (overlap.either > 0).then(|| overlap.both as f64 / overlap.either as f64);
    let error = (overlap.flows > 0).then(|| overlap.flow_error / overlap.flows as f64);
    if overlap.either == 0 {
        ctx.notes.push("nothing moves in either clip".to_owned());
    }
    Ok([moving, shared, error])
}

/// Pixels that move in both clips and in either, and the errors of their motion.
#[derive(Default)]
struct Overlap {
    both: usize,
    either: usize,
    flow_error: f64,
    flows: usize,
}

impl Overlap {
    /// Counts a frame; the prediction's pixel is the one at the same place of the picture.
    fn add(&mut self, own: &Scene4d, i: usize, truth: &Scene4d, j: usize, scale: Option<f64>) {
        let (Some(own_mask), Some(mask)) = (own.frame_dynamic(i), truth.frame_dynamic(j)) else {
            return;
        };
        let flows = frame_flow(own, i).zip(frame_flow(truth, j)).zip(scale);
        for (pixel, &moves) in mask.iter().enumerate() {
            let (row, column) = (pixel / truth.width, pixel % truth.width);
            let at = (2 * row + 1) * own.height / (2 * truth.height) * own.width
                + (2 * column + 1) * own.width / (2 * truth.width);
            let (here, there) = (own_mask[at] >= MOVES, moves >= MOVES);
            self.both += usize::from(here && there);
            self.either += usize::from(here || there);
            let Some(((own_flow, flow), scale)) = flows.filter(|_| there) else {
                continue;
            };
            let error: f64 = (0..3)
                .map(|k| {
                    let own = f64::from(own_flow[3 * at + k].to_f32()) * scale;
                    (own - f64::from(flow[3 * pixel + k].to_f32())).powi(2)
                })
                .sum();
            if error.is_finite() {
                self.flow_error += error.sqrt();
                self.flows += 1;
            }
        }
    }
}

/// `[H, W, 3]` scene flow from a frame to the next.
fn frame_flow(scene: &Scene4d, frame_idx: usize) -> Option<&[Half]> {
    let n = 3 * scene.pixels_per_frame();
    let plane = scene.scene_flow.as_ref()?.as_slice();
    plane.get(frame_idx * n..(frame_idx + 1) * n)
}

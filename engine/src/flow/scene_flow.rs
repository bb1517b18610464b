//! Scene flow from pointmaps in one world and the flow between their pictures.

use glam::DVec3;
use rayon::prelude::*;

use super::FlowField;
use crate::scene::validity;

/// Largest quotient of the depths that are mixed; beyond it the nearest of the closer surface counts.
const SAME_SURFACE: f32 = 1.05;
/// Motion of a frame interval beyond this share of the depth is an error of the flow.
const MAX_SHARE: f64 = 0.25;
/// Validity that a pixel must have.
const REQUIRED: u8 = validity::GOOD;

/// Motion in the world of the points of a frame until another.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SceneFlow {
    /// `[H, W, 3]`; NaN where it is not known.
    pub vectors: Vec<f32>,
}

/// `S(u) = P_next(u + F(u)) - P(u)`; `None` where the flow leaves the picture, meets a hole or an
/// edge, or gives a motion of more than a quarter of the depth.
pub fn scene_flow(
    points: (&[f32], &[f32]),
    depth: (&[f32], &[f32]),
    valid: (&[u8], &[u8]),
    flow: &FlowField,
) -> SceneFlow {
    let vectors = flow
        .vectors
        .par_iter()
        .enumerate()
        .flat_map_iter(|(i, vector)| {
            let moved = (valid.0[i] & REQUIRED == REQUIRED)
                .then(|| landing(*vector, i, flow, points.1, depth.1, valid.1))
                .flatten()
                .map(|there| there - point_at(points.0, i))
                .filter(|s| s.length() <= MAX_SHARE * f64::from(depth.0[i]));
            moved.unwrap_or(DVec3::NAN).as_vec3().to_array()
        })
        .collect();
    SceneFlow { vectors }
}

pub(super) fn point_at(points: &[f32], i: usize) -> DVec3 {
    DVec3::from_array([0, 1, 2].map(|k| f64::from(points[i * 3 + k])))
}

/// The point that the other frame shows where the flow leads.
fn landing(
    vector: [f32; 2],
    i: usize,
    flow: &FlowField,
    points: &[f32],
    depth: &[f32],
    valid: &[u8],
) -> Option<DVec3> {
    let column = (i % flow.width) as f32 + vector[0];
    let row = (i / flow.width) as f32 + vector[1];
    let inside = column >= 0.0
        && row >= 0.0
        && column <= (flow.width - 1) as f32
        && row <= (flow.height - 1) as f32;
    if !inside {
        return None;
    }
    let (c0, r0) = (column as usize, row as usize);
    let (c1, r1) = ((c0 + 1).min(flow.width - 1), (r0 + 1).min(flow.height - 1));
    let (a, b) = (column - c0 as f32, row - r0 as f32);
    let corners = [
        (r0 * flow.width + c0, (1.0 - a) * (1.0 - b)),
        (r0 * flow.width + c1, a * (1.0 - b)),
        (r1 * flow.width + c0, (1.0 - a) * b),
        (r1 * flow.width + c1, a * b),
    ];
    let good = |j: usize| valid[j] & validity::FINITE != 0 && depth[j] > 0.0;
    if corners.iter().all(|(j, _)| good(*j)) {
        let (near, far) = corners
            .iter()
            .fold((f32::INFINITY, 0.0_f32), |(n, f), (j, _)| {
                (n.min(depth[*j]), f.max(depth[*j]))
            });
        if far < SAME_SURFACE * near {
            let mixed = corners
                .iter()
                .map(|&(j, w)| point_at(points, j) * f64::from(w));
            return Some(mixed.sum());
        }
    }
    // At an edge the closer surface hides the other; its nearest pixel stands for it.
    let nearest = corners.iter().max_by(|x, y| x.1.total_cmp(&y.1))?.0;
    let closest = corners
        .iter()
        .filter(|(j, _)| good(*j))
        .map(|(j, _)| depth[*j])
        .fold(f32::INFINITY, f32::min);
    (good(nearest) && depth[nearest] < SAME_SURFACE * closest).then(|| point_at(points, nearest))
}

//! Dense optical flow on the processor: inverse search over patches, from coarse to fine.
//!
//! After Kroeger and others, "Fast Optical Flow using Dense Inverse Search" (ECCV 2016): at each
//! level every patch of a grid is shifted by Gauss-Newton steps on its mean-free difference, with the
//! gradient of the first picture, starting from the coarser level's flow; pixels take the mean of the
//! patches over them, weighted by how well these explain the pixel. Instead of the paper's
//! variational pass a median filter cleans each level: it keeps the edges of moving things, which is
//! what the masks need.

use std::sync::Arc;

use rayon::prelude::*;

use super::pyramid::Grey;
use super::{FlowField, FlowProvider};
use crate::Result;
use crate::scene::Scene4d;

/// Side of a patch, pixels.
const PATCH: usize = 8;
/// Distance of patches, pixels.
const STEP: usize = 3;
/// Gauss-Newton steps of a patch.
const ITERATIONS: usize = 16;
/// Shorter side of the coarsest level, pixels.
const LEAST_SIDE: usize = 12;
/// A patch may leave its start by this much, pixels of its level.
const REACH: f32 = 6.0;
/// Radius of the median filter, pixels.
const MEDIAN_RADIUS: isize = 2;

/// Flow computed from the pictures of a scene.
#[derive(Clone, Debug)]
pub struct DenseFlow {
    scene: Arc<Scene4d>,
}

impl DenseFlow {
    /// Flow between the frames of a scene.
    pub fn new(scene: Arc<Scene4d>) -> Self {
        Self { scene }
    }

    fn between(&self, from: usize, to: usize) -> FlowField {
        let grey = |i: usize| {
            let (height, width) = (self.scene.height, self.scene.width);
            Grey::of_rgb(self.scene.frame_rgb(i), height, width)
        };
        flow_between(grey(from), grey(to))
    }
}

impl FlowProvider for DenseFlow {
    fn forward(&mut self, frame_idx: usize) -> Result<FlowField> {
        Ok(self.between(frame_idx, frame_idx + 1))
    }

    fn backward(&mut self, frame_idx: usize) -> Result<Option<FlowField>> {
        Ok(Some(self.between(frame_idx, frame_idx - 1)))
    }

    /// The median end-point error on procedural clips is 0.1 to 0.3 px.
    fn uncertainty_px(&self) -> f64 {
        0.3
    }
}

/// Flow from one grey picture to another of the same size.
fn flow_between(from: Grey, onto: Grey) -> FlowField {
    let (from, onto) = (from.pyramid(LEAST_SIDE), onto.pyramid(LEAST_SIDE));
    let mut field: Option<FlowField> = None;
    for (a, b) in from.iter().zip(&onto).rev() {
        let start = match &field {
            Some(coarse) => doubled(coarse, a.height, a.width),
            None => FlowField {
                height: a.height,
                width: a.width,
                vectors: vec![[0.0; 2]; a.height * a.width],
            },
        };
        field = Some(median_filtered(&refine(a, b, &start)));
    }
    field.unwrap_or_default()
}

/// The flow of the level below: twice the size, twice the length.
fn doubled(coarse: &FlowField, height: usize, width: usize) -> FlowField {
    let vectors = (0..height * width)
        .map(|i| {
            let (c, r) = ((i % width) / 2, (i / width) / 2);
            let at = r.min(coarse.height - 1) * coarse.width + c.min(coarse.width - 1);
            coarse.vectors[at].map(|x| 2.0 * x)
        })
        .collect();
    FlowField {
        height,
        width,
        vectors,
    }
}

struct Match {
    column: usize,
    row: usize,
    shift: [f32; 2],
    /// Mean of the difference over the patch, which is light and no motion.
    bias: f32,
}

fn refine(a: &Grey, b: &Grey, start: &FlowField) -> FlowField {
    let along = |size: usize| {
        let last = size.saturating_sub(PATCH);
        let mut places: Vec<usize> = (0..=last).step_by(STEP).collect();
        if places.last() != Some(&last) {
            places.push(last);
        }
        places
    };
    let columns = along(a.width);
    let matches: Vec<Match> = along(a.height)
        .par_iter()
        .flat_map_iter(|&row| columns.iter().map(move |&column| (column, row)))
        .map(|(column, row)| search(a, b, start, column, row))
        .collect();
    let n = a.height * a.width;
    let mut sums = vec![[0.0_f32; 3]; n];
    for found in &matches {
        for r in found.row..(found.row + PATCH).min(a.height) {
            for c in found.column..(found.column + PATCH).min(a.width) {
                let seen = b.sample(c as f32 + found.shift[0], r as f32 + found.shift[1]);
                let miss = (seen - a.values[r * a.width + c] - found.bias).abs();
                let w = 1.0 / miss.max(1.0).powi(2);
                let sum = &mut sums[r * a.width + c];
                sum[0] += w * found.shift[0];
                sum[1] += w * found.shift[1];
                sum[2] += w;
            }
        }
    }
    let vectors = sums
        .iter()
        .zip(&start.vectors)
        .map(|(s, start)| {
            if s[2] > 0.0 {
                [s[0] / s[2], s[1] / s[2]]
            } else {
                *start
            }
        })
        .collect();
    FlowField { vectors, ..*start }
}

/// Shifts one patch from where the coarser level puts it.
fn search(a: &Grey, b: &Grey, start: &FlowField, column: usize, row: usize) -> Match {
    let pixels: Vec<(usize, usize)> = (row..(row + PATCH).min(a.height))
        .flat_map(|r| (column..(column + PATCH).min(a.width)).map(move |c| (c, r)))
        .collect();
    let slopes: Vec<[f32; 2]> = pixels
        .iter()
        .map(|&(c, r)| {
            let (c, r) = (c as isize, r as isize);
            [
                (a.at(c + 1, r) - a.at(c - 1, r)) / 2.0,
                (a.at(c, r + 1) - a.at(c, r - 1)) / 2.0,
            ]
        })
        .collect();
    let n = pixels.len() as f32;
    let mean = [0, 1].map(|k| slopes.iter().map(|s| s[k]).sum::<f32>() / n);
    let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
    for s in &slopes {
        let (x, y) = (s[0] - mean[0], s[1] - mean[1]);
        xx += x * x;
        xy += x * y;
        yy += y * y;
    }
    // A little on the diagonal keeps flat patches where they are.
    let (xx, yy) = (xx + 4.0, yy + 4.0);
    let determinant = xx * yy - xy * xy;
    let middle =
        (row + PATCH / 2).min(a.height - 1) * a.width + (column + PATCH / 2).min(a.width - 1);
    let initial = start.vectors[middle];
    let difference = |shift: [f32; 2]| {
        let rests: Vec<f32> = pixels
            .iter()
            .map(|&(c, r)| {
                b.sample(c as f32 + shift[0], r as f32 + shift[1]) - a.values[r * a.width + c]
            })
            .collect();
        let bias = rests.iter().sum::<f32>() / n;
        let cost = rests.iter().map(|d| (d - bias).powi(2)).sum::<f32>();
        (rests, bias, cost)
    };
    let mut shift = initial;
    let (mut rests, mut bias, mut cost) = difference(shift);
    for _ in 0..ITERATIONS {
        let (mut gx, mut gy) = (0.0, 0.0);
        for (rest, slope) in rests.iter().zip(&slopes) {
            gx += (rest - bias) * (slope[0] - mean[0]);
            gy += (rest - bias) * (slope[1] - mean[1]);
        }
        let step = [
            (yy * gx - xy * gy) / determinant,
            (xx * gy - xy * gx) / determinant,
        ];
        let moved = [shift[0] - step[0], shift[1] - step[1]];
        let too_far = (moved[0] - initial[0]).hypot(moved[1] - initial[1]) > REACH;
        if too_far || !moved[0].is_finite() || !moved[1].is_finite() {
            break;
        }
        let next = difference(moved);
        if next.2 >= cost {
            break;
        }
        shift = moved;
        (rests, bias, cost) = next;
        if step[0].hypot(step[1]) < 0.01 {
            break;
        }
    }
    Match {
        column,
        row,
        shift,
        bias,
    }
}

/// Median of each component over a square.
fn median_filtered(field: &FlowField) -> FlowField {
    let (height, width) = (field.height as isize, field.width as isize);
    let vectors = (0..height * width)
        .into_par_iter()
        .map(|i| {
            let (c, r) = (i % width, i / width);
            let mut around: [Vec<f32>; 2] = [Vec::with_capacity(25), Vec::with_capacity(25)];
            for y in (r - MEDIAN_RADIUS).max(0)..=(r + MEDIAN_RADIUS).min(height - 1) {
                for x in (c - MEDIAN_RADIUS).max(0)..=(c + MEDIAN_RADIUS).min(width - 1) {
                    let v = field.vectors[(y * width + x) as usize];
                    around[0].push(v[0]);
                    around[1].push(v[1]);
                }
            }
            around.map(|mut values| {
                let middle = values.len() / 2;
                *values.select_nth_unstable_by(middle, f32::total_cmp).1
            })
        })
        .collect();
    FlowField { vectors, ..*field }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(shift: [f32; 2]) -> Grey {
        let (height, width) = (48, 64);
        let values = (0..height * width)
            .map(|i| {
                let x = (i % width) as f32 - shift[0];
                let y = (i / width) as f32 - shift[1];
                128.0
                    + 40.0 * (0.31 * x + 0.2 * y).sin()
                    + 35.0 * (0.23 * y - 0.12 * x).cos()
                    + 20.0 * (0.7 * x).sin() * (0.6 * y).cos()
            })
            .collect();
        Grey {
            height,
            width,
            values,
        }
    }

    #[test]
    fn a_shifted_picture_flows_by_its_shift() {
        for shift in [[0.0, 0.0], [1.5, -0.75], [4.25, 2.5]] {
            let field = flow_between(picture([0.0; 2]), picture(shift));
            for row in 10..38 {
                for column in 10..54 {
                    let [u, v] = field.vectors[row * 64 + column];
                    let miss = (u - shift[0]).hypot(v - shift[1]);
                    assert!(miss < 0.25, "{shift:?} at {column}, {row}: {u} {v}");
                }
            }
        }
    }
}

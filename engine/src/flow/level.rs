//! One size of a pair of pictures, with what is known of its flow beforehand.

use rayon::prelude::*;

use super::FlowField;
use super::pyramid::Grey;

/// Relative difference of depth at which two pixels are half on the same surface.
const SAME_DEPTH: f32 = 0.06;
/// Logarithm of the depth of what is infinitely far.
const FAR: f32 = 30.0;

/// Two pictures, the flow that is expected, and what lies on which surface.
pub(super) struct Level {
    pub(super) from: Grey,
    pub(super) onto: Grey,
    /// `[H, W]`: the flow that searches add to, pixels.
    pub(super) base: Vec<[f32; 2]>,
    /// Whether the base is a flow that most pixels should follow.
    pub(super) trusts_base: bool,
    /// `[H, W]` logarithm of the depth; empty if it is not known.
    log_depth: Vec<f32>,
}

/// What a scene knows of the flow between two of its frames.
#[derive(Clone, Debug, Default)]
pub(super) struct Prior {
    /// The flow of a still world.
    pub(super) ego: Option<FlowField>,
    /// `[H, W]` depth of both frames; NaN where it is not known.
    pub(super) depth: Option<[Vec<f32>; 2]>,
}

impl Level {
    /// All sizes, finest first.
    pub(super) fn pyramid(from: Grey, onto: Grey, prior: Prior, least: usize) -> Vec<Self> {
        let size = (from.height, from.width);
        let base = prior.ego.as_ref().map_or_else(
            || vec![[0.0; 2]; size.0 * size.1],
            |ego| {
                let known = |v: &[f32; 2]| if v[0].is_finite() { *v } else { [0.0; 2] };
                ego.vectors.iter().map(known).collect()
            },
        );
        let of_depth = |d: &f32| {
            if *d > 0.0 && d.is_finite() {
                d.ln()
            } else {
                FAR
            }
        };
        let logs = |depth: &[f32]| -> Vec<f32> { depth.iter().map(of_depth).collect() };
        let [log_depth, onto_depth] = prior
            .depth
            .map_or([Vec::new(), Vec::new()], |[a, b]| [logs(&a), logs(&b)]);
        let (from, onto) = (softened(&from, &log_depth), softened(&onto, &onto_depth));
        let trusts_base = prior.ego.is_some();
        let mut planes = (base, log_depth, size);
        let pictures = from.pyramid(least).into_iter().zip(onto.pyramid(least));
        pictures
            .map(|(from, onto)| {
                while (from.height, from.width) != planes.2 {
                    planes = halved(&planes);
                }
                Self {
                    from,
                    onto,
                    base: planes.0.clone(),
                    trusts_base,
                    log_depth: planes.1.clone(),
                }
            })
            .collect()
    }

    /// 0..=1: how much two pixels look like one surface by their depth.
    pub(super) fn same_surface(&self, i: usize, j: usize) -> f32 {
        likeness(&self.log_depth, i, j)
    }
}

fn likeness(log_depth: &[f32], i: usize, j: usize) -> f32 {
    let (Some(a), Some(b)) = (log_depth.get(i), log_depth.get(j)) else {
        return 1.0;
    };
    let ratio = (a - b) / SAME_DEPTH;
    1.0 / (1.0 + ratio * ratio).powi(2)
}

/// A binomial blur of five that stays on each pixel's surface: fine texture is drawn anew in every
/// frame, and its steps from pixel to pixel are no motion.
fn softened(picture: &Grey, log_depth: &[f32]) -> Grey {
    const TAPS: [f32; 5] = [1.0, 4.0, 6.0, 4.0, 1.0];
    let (height, width) = (picture.height as isize, picture.width as isize);
    let along = |values: &[f32], (dc, dr): (isize, isize)| -> Vec<f32> {
        (0..height * width)
            .into_par_iter()
            .map(|i| {
                let (c, r) = (i % width, i / width);
                let (mut sum, mut total) = (0.0, 0.0);
                for (k, tap) in TAPS.iter().enumerate() {
                    let away = k as isize - 2;
                    let (x, y) = (c + dc * away, r + dr * away);
                    if (0..width).contains(&x) && (0..height).contains(&y) {
                        let j = (y * width + x) as usize;
                        let w = tap * likeness(log_depth, i as usize, j);
                        sum += w * values[j];
                        total += w;
                    }
                }
                sum / total
            })
            .collect()
    };
    Grey {
        height: picture.height,
        width: picture.width,
        values: along(&along(&picture.values, (1, 0)), (0, 1)),
    }
}

type Planes = (Vec<[f32; 2]>, Vec<f32>, (usize, usize));

/// Every second pixel's depth and the mean of the base flow, which counts in pixels of the new size.
fn halved((base, log_depth, (height, width)): &Planes) -> Planes {
    let size = (height.div_ceil(2), width.div_ceil(2));
    let source = |i: usize| (i / size.1 * 2) * width + i % size.1 * 2;
    let n = size.0 * size.1;
    let mean = |i: usize| {
        let (r, c) = (i / size.1 * 2, i % size.1 * 2);
        let corners = [(r, c), (r, c + 1), (r + 1, c), (r + 1, c + 1)];
        let at = |(r, c): (usize, usize)| base[r.min(height - 1) * width + c.min(width - 1)];
        [0, 1].map(|k| corners.iter().map(|p| at(*p)[k]).sum::<f32>() / 8.0)
    };
    (
        (0..n).map(mean).collect(),
        if log_depth.is_empty() {
            Vec::new()
        } else {
            (0..n).map(|i| log_depth[source(i)]).collect()
        },
        size,
    )
}

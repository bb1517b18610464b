//! Dense optical flow on the processor: inverse search over patches, from coarse to fine.
//!
//! After Kroeger and others, "Fast Optical Flow using Dense Inverse Search" (ECCV 2016): at each
//! level every patch of a grid is shifted by Gauss-Newton steps on its mean-free difference, with the
//! gradient of the first picture, starting from the coarser level's flow; pixels take the mean of the
//! patches over them, weighted by how well these explain the pixel.
//!
//! A scene knows more than its pictures, and the search uses it: the flow of a still world follows
//! from points and cameras, so only what is left of it is searched for, and a patch that fits as well
//! without is taken to be still; depth tells which pixels of a patch lie on one surface, so patches
//! do not mix the motions on both sides of an edge. Instead of the paper's variational pass a median
//! over each pixel's own surface cleans each level.

use std::sync::Arc;

use rayon::prelude::*;

use super::ego::ego_flow;
use super::level::{Level, Prior};
use super::patches::search;
use super::pyramid::Grey;
use super::{FlowField, FlowProvider};
use crate::Result;
use crate::scene::Scene4d;

/// Shorter side of the coarsest level, pixels.
const LEAST_SIDE: usize = 12;
/// Radius of the median filter, pixels.
const MEDIAN_RADIUS: isize = 2;
/// Pixels less alike than this have no say in each other's median.
const SAME: f32 = 0.25;

/// Flow computed from the pictures of a scene, and from its points and cameras where it has them.
#[derive(Clone, Debug)]
pub struct DenseFlow {
    scene: Arc<Scene4d>,
    /// Whether the cameras of the scene are right, so that its points tell the flow of a still world.
    trusts_cameras: bool,
}

impl DenseFlow {
    /// Flow between the frames of a scene.
    pub fn new(scene: Arc<Scene4d>) -> Self {
        Self {
            scene,
            trusts_cameras: true,
        }
    }

    /// The same of a scene whose cameras do not fit its points, as in clips centred frame by frame.
    pub fn without_cameras(scene: Arc<Scene4d>) -> Self {
        Self {
            scene,
            trusts_cameras: false,
        }
    }

    fn between(&self, from: usize, to: usize) -> FlowField {
        let scene = &*self.scene;
        let grey = |i: usize| Grey::of_rgb(scene.frame_rgb(i), scene.height, scene.width);
        let prior = Prior {
            ego: self
                .trusts_cameras
                .then(|| ego_flow(scene, from, to))
                .flatten(),
            depth: scene
                .frame_depth(from)
                .zip(scene.frame_depth(to))
                .map(|(a, b)| [a.to_vec(), b.to_vec()]),
        };
        flow_between(grey(from), grey(to), prior)
    }
}

impl FlowProvider for DenseFlow {
    fn forward(&mut self, frame_idx: usize) -> Result<FlowField> {
        Ok(self.between(frame_idx, frame_idx + 1))
    }

    fn backward(&mut self, frame_idx: usize) -> Result<Option<FlowField>> {
        Ok(Some(self.between(frame_idx, frame_idx - 1)))
    }

    /// Still pixels of procedural clips have next to no error, moving ones 0.3 to 1.9 px in the mean.
    fn uncertainty_px(&self) -> f64 {
        0.4
    }

    /// Fine floors that recede flow by their aliases.
    fn needs_witness(&self) -> bool {
        true
    }
}

/// Flow from one grey picture to another of the same size.
fn flow_between(from: Grey, onto: Grey, prior: Prior) -> FlowField {
    let (height, width) = (from.height, from.width);
    let mut beyond: Option<(Vec<[f32; 2]>, usize)> = None;
    let levels = Level::pyramid(from, onto, prior, LEAST_SIDE);
    for level in levels.iter().rev() {
        let size = (level.from.height, level.from.width);
        let start = match &beyond {
            Some((coarse, coarse_width)) => doubled(coarse, *coarse_width, size),
            None => vec![[0.0; 2]; size.0 * size.1],
        };
        beyond = Some((median_filtered(level, &search(level, &start)), size.1));
    }
    let vectors = match (beyond, levels.first()) {
        (Some((beyond, _)), Some(finest)) => beyond
            .iter()
            .zip(&finest.base)
            .map(|(d, base)| [base[0] + d[0], base[1] + d[1]])
            .collect(),
        _ => Vec::new(),
    };
    FlowField {
        height,
        width,
        vectors,
    }
}

/// The flow of the level below: twice the size, twice the length.
fn doubled(coarse: &[[f32; 2]], coarse_width: usize, size: (usize, usize)) -> Vec<[f32; 2]> {
    let coarse_height = coarse.len() / coarse_width;
    (0..size.0 * size.1)
        .map(|i| {
            let (c, r) = ((i % size.1) / 2, (i / size.1) / 2);
            let at = r.min(coarse_height - 1) * coarse_width + c.min(coarse_width - 1);
            coarse[at].map(|x| 2.0 * x)
        })
        .collect()
}

/// Median of each component over the pixels of a square that lie on the same surface.
fn median_filtered(level: &Level, vectors: &[[f32; 2]]) -> Vec<[f32; 2]> {
    let (height, width) = (level.from.height as isize, level.from.width as isize);
    let radius = MEDIAN_RADIUS;
    (0..height * width)
        .into_par_iter()
        .map(|i| {
            let (c, r) = (i % width, i / width);
            let mut around: [Vec<f32>; 2] = [Vec::with_capacity(25), Vec::with_capacity(25)];
            for y in (r - radius).max(0)..=(r + radius).min(height - 1) {
                for x in (c - radius).max(0)..=(c + radius).min(width - 1) {
                    let j = (y * width + x) as usize;
                    if level.same_surface(i as usize, j) >= SAME {
                        around[0].push(vectors[j][0]);
                        around[1].push(vectors[j][1]);
                    }
                }
            }
            around.map(|mut values| {
                let middle = values.len() / 2;
                *values.select_nth_unstable_by(middle, f32::total_cmp).1
            })
        })
        .collect()
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
            let ego = FlowField {
                height: 48,
                width: 64,
                vectors: vec![[-2.0, 2.0]; 48 * 64],
            };
            // What is expected beforehand must not decide where the pictures tell otherwise.
            for ego in [None, Some(ego)] {
                let prior = Prior { ego, depth: None };
                let field = flow_between(picture([0.0; 2]), picture(shift), prior);
                let inside = (10..38).flat_map(|row| (10..54).map(move |c| row * 64 + c));
                let far = inside.filter(|i: &usize| {
                    let [u, v] = field.vectors[*i];
                    (u - shift[0]).hypot(v - shift[1]) >= 0.25
                });
                let (far, all) = (far.count(), 28 * 44);
                assert!(far * 50 < all, "{shift:?}: {far} of {all}");
            }
        }
    }
}

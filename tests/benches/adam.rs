//! The yardstick of the solver's bench: Adam over every depth, every pose and one focal length.
//!
//! The same loss, `mean |R^T D d + o - X|`, minimised as the published post-optimisations do: depth
//! as a logarithm a pixel, turns and centres a frame, Adam with betas 0.9 and 0.9, rate 0.01 falling
//! linearly to 0.001, 300 steps. Poses start at the identity, depth at the z of the points.

use glam::{DMat3, DVec3};
use one4d_engine::geometry::{Camera, Intrinsics, WorldFromCamera, rotation_exp};
use one4d_tests::analytic_clip::AnalyticClip;
use rayon::prelude::*;

/// Steps, as MonST3R.
pub(crate) const STEPS: usize = 300;
const EPSILON: f64 = 1e-8;

/// First and second moments beside a value.
#[derive(Clone, Copy, Default)]
struct Moment {
    value: f32,
    first: f32,
    second: f32,
}

impl Moment {
    fn step(&mut self, slope: f64, rate: f64, unbias: f64) {
        self.first = (0.9 * f64::from(self.first) + 0.1 * slope) as f32;
        self.second = (0.9 * f64::from(self.second) + 0.1 * slope * slope) as f32;
        let size = (f64::from(self.second) / unbias).sqrt() + EPSILON;
        self.value -= (rate * f64::from(self.first) / unbias / size) as f32;
    }
}

fn vector(moments: &[Moment]) -> DVec3 {
    DVec3::from_array([0, 1, 2].map(|k| f64::from(moments[k].value)))
}

/// Cameras after 300 steps, in the coordinates of the points.
pub(crate) fn solve(clip: &AnalyticClip, points: &[f32]) -> Vec<Camera> {
    let per_frame = clip.height * clip.width;
    let mut depths: Vec<Moment> = points
        .as_chunks::<3>()
        .0
        .iter()
        .map(|p| Moment {
            value: p[2].max(1e-3).ln(),
            ..Moment::default()
        })
        .collect();
    let mut poses = vec![[Moment::default(); 6]; clip.frames];
    let mut rotations = vec![DMat3::IDENTITY; clip.frames];
    let mut ln_focal = Moment {
        value: (0.9 * clip.width as f32).ln(),
        ..Moment::default()
    };
    for step in 0..STEPS {
        let rate = 0.01 + (0.001 - 0.01) * step as f64 / (STEPS - 1) as f64;
        let unbias = 1.0 - 0.9_f64.powi(step as i32 + 1);
        let focal_px = f64::from(ln_focal.value).exp();
        let lens = Intrinsics::centred(focal_px, clip.width, clip.height);
        let slopes: Vec<[f64; 7]> = depths
            .par_chunks_exact_mut(per_frame)
            .zip(points.par_chunks_exact(per_frame * 3))
            .zip(&poses)
            .zip(&rotations)
            .map(|(((depths, points), pose), rotation)| {
                let centre = vector(&pose[3..]);
                let back = rotation.transpose();
                let mut sums = [0.0; 7];
                let pixels = depths.iter_mut().zip(points.as_chunks::<3>().0);
                for (pixel, (depth, p)) in pixels.enumerate() {
                    let d = lens.ray(pixel % clip.width, pixel / clip.width);
                    let g = back * d;
                    let size = f64::from(depth.value).exp();
                    let rest = g * size + centre - DVec3::from(p.map(f64::from));
                    let along = rest / rest.length().max(1e-12);
                    // A left turn w of R moves R^T d by R^T (d x w).
                    let turn = (*rotation * along * size).cross(d);
                    for k in 0..3 {
                        sums[k] += turn[k];
                        sums[3 + k] += along[k];
                    }
                    sums[6] += along.dot(back * DVec3::new(-d.x, -d.y, 0.0)) * size;
                    depth.step(along.dot(g) * size, rate, unbias);
                }
                sums.map(|sum| sum / per_frame as f64)
            })
            .collect();
        for ((pose, rotation), slope) in poses.iter_mut().zip(&mut rotations).zip(&slopes) {
            let before = vector(&pose[..]);
            for (moment, slope) in pose.iter_mut().zip(slope) {
                moment.step(*slope, rate, unbias);
            }
            *rotation = rotation_exp(vector(&pose[..]) - before) * *rotation;
        }
        let slope = slopes.iter().map(|s| s[6]).sum::<f64>() / clip.frames as f64;
        ln_focal.step(slope, rate, unbias);
    }
    let focal_px = f64::from(ln_focal.value).exp();
    let lens = Intrinsics::centred(focal_px, clip.width, clip.height);
    poses
        .iter()
        .zip(&rotations)
        .map(|(pose, rotation)| Camera {
            intrinsics: lens,
            world_from_camera: WorldFromCamera {
                rotation: rotation.transpose(),
                translation: vector(&pose[3..]),
            },
        })
        .collect()
}

//! Which way is up: the largest plane that carries the scene.
//!
//! Planes through three random points vote (RANSAC, Fischler and Bolles 1981); the winner is fitted
//! to its inliers by the smallest principal axis.

use glam::DVec3;
use one4d_engine::geometry::symmetric_eigen;
use one4d_engine::scene::{Scene4d, validity};

/// Points looked at.
const SAMPLES: usize = 1500;
/// Planes tried: enough that a tenth of the points on the ground is found 99 times in 100.
const TRIALS: usize = 5000;
/// Thickness of a plane, as a share of the median distance of points from the first camera.
const THICKNESS: f64 = 0.012;
/// The ground is no steeper than this against the first camera's up, cosine.
const MIN_COSINE: f64 = 0.6;
/// Share of points that must lie on the ground.
const MIN_SHARE: f64 = 0.05;

/// Up in the world, unit length; `None` where no plane carries the scene.
pub fn up_of(scene: &Scene4d) -> Option<DVec3> {
    let points = sample(scene);
    if points.len() < 50 {
        return None;
    }
    let mut lengths: Vec<f64> = points.iter().map(|p| p.length()).collect();
    let (_, median, _) = lengths.select_nth_unstable_by(points.len() / 2, f64::total_cmp);
    let tolerance = THICKNESS * *median;
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut best: Option<(f64, DVec3, f64)> = None;
    for _ in 0..TRIALS {
        let [a, b, c] = [0; 3].map(|_: i32| points[dice.below(points.len())]);
        let Some(normal) = (b - a).cross(c - a).try_normalize() else {
            continue;
        };
        let up = if normal.y > 0.0 { -normal } else { normal };
        if -up.y < MIN_COSINE {
            continue;
        }
        let score = score(&points, up, up.dot(a), tolerance);
        if best.is_none_or(|(known, ..)| score > known) {
            best = Some((score, up, up.dot(a)));
        }
    }
    let (score, up, height) = best?;
    (score >= MIN_SHARE * points.len() as f64).then(|| refine(&points, up, height, tolerance))
}

/// Points on the plane, less those below it: the ground has nothing beneath.
fn score(points: &[DVec3], up: DVec3, height: f64, tolerance: f64) -> f64 {
    points
        .iter()
        .map(|p| match up.dot(*p) - height {
            above if above.abs() <= tolerance => 1.0,
            above if above < 0.0 => -1.0,
            _ => 0.0,
        })
        .sum()
}

fn refine(points: &[DVec3], up: DVec3, height: f64, tolerance: f64) -> DVec3 {
    let on_plane: Vec<DVec3> = points
        .iter()
        .filter(|p| (up.dot(**p) - height).abs() <= tolerance)
        .copied()
        .collect();
    let centre = on_plane.iter().sum::<DVec3>() / on_plane.len().max(1) as f64;
    let mut scatter = [[0.0; 3]; 3];
    for p in &on_plane {
        let d = (*p - centre).to_array();
        for (i, row) in scatter.iter_mut().enumerate() {
            for (j, cell) in row.iter_mut().enumerate() {
                *cell += d[i] * d[j];
            }
        }
    }
    let [(_, smallest), ..] = symmetric_eigen(scatter);
    let normal = DVec3::from_array(smallest);
    let normal = if normal.dot(up) < 0.0 {
        -normal
    } else {
        normal
    };
    // Points on a line leave the normal open; then the vote stands.
    if normal.dot(up) > 0.9 { normal } else { up }
}

/// Points fit for measuring of the first, middle and last frame.
fn sample(scene: &Scene4d) -> Vec<DVec3> {
    let last = scene.num_frames - 1;
    let mut frames = vec![0, last / 2, last];
    frames.dedup();
    let step = (scene.pixels_per_frame() * frames.len())
        .div_ceil(SAMPLES)
        .max(1);
    let mut found = Vec::with_capacity(SAMPLES);
    for frame_idx in frames {
        let points = scene.frame_points(frame_idx);
        let valid = scene.frame_valid(frame_idx);
        let good = (0..valid.len())
            .step_by(step)
            .filter(|&i| valid[i] & validity::GOOD == validity::GOOD)
            .map(|i| DVec3::from_array([0, 1, 2].map(|k| f64::from(points[3 * i + k]))))
            .filter(|p| p.is_finite());
        found.extend(good);
    }
    found
}

/// Even numbers from a fixed seed, so that the same scene always gives the same plane (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }
}

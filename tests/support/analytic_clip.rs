//! A pointmap clip in closed form, with noise, for the camera solver.
//!
//! Depth over the image, `a = u / W`, `b = v / H`, `t` in `0..=1` over the clip:
//!
//! ```text
//! D = 3 + 1.2 sin(2 pi (1.1 a + 0.3 t)) + 0.8 cos(2 pi (0.9 b - 0.2 t)) + 0.6 [a > 0.6 + 0.1 t]
//! D = 1.6 inside a disc of radius 0.12 W that crosses the image
//! ```
//!
//! Camera: centre `(0.6 sin pi t, -0.15 sin 2 pi t, 0.5 t)`, orientation
//! `exp(0.06 sin 2 pi t, 0.25 sin pi t, 0.05 t)`; frame 0 is the origin.

use std::f64::consts::{PI, TAU};

use glam::{DVec2, DVec3};
use one4d_engine::geometry::{
    Camera, Intrinsics, WorldFromCamera, rotation_angle_rad, rotation_exp,
};
use one4d_engine::postopt::{MotionPrior, PointmapClip, Solution};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// What is done to the exact points, in the order outliers, noise, normalisation.
#[derive(Clone, Copy, Debug)]
pub struct Disturbance {
    /// Standard deviation of every coordinate, scene units.
    pub noise: f64,
    /// Share of pixels with an extra deviation of 0.5 scene units.
    pub outliers: f64,
    /// `(X - shift) * scale` at the end.
    pub shift: DVec3,
    /// See `shift`.
    pub scale: f64,
}

/// The five rows of the solver's table, with the prototype's figures for each.
pub fn rows() -> [(&'static str, Disturbance, Errors); 5] {
    let plain = |noise, outliers| Disturbance {
        noise,
        outliers,
        shift: DVec3::ZERO,
        scale: 1.0,
    };
    let normalised = Disturbance {
        shift: DVec3::new(0.4, -0.3, 2.5),
        scale: 0.25,
        ..plain(0.08, 0.2)
    };
    let errors = |focal_percent, rotation_deg, centre_mm| Errors {
        focal_percent,
        rotation_deg,
        centre_mm,
    };
    [
        (
            "clean",
            plain(0.0, 0.0),
            errors(0.01, (0.0009, 0.0011), (0.5, 0.6)),
        ),
        (
            "1 cm",
            plain(0.01, 0.0),
            errors(0.09, (0.010, 0.020), (3.7, 5.7)),
        ),
        (
            "2 cm, 10 % outliers",
            plain(0.02, 0.1),
            errors(0.03, (0.019, 0.054), (2.0, 4.5)),
        ),
        (
            "5 cm, 30 % outliers",
            plain(0.05, 0.3),
            errors(0.17, (0.058, 0.123), (7.9, 14.3)),
        ),
        (
            "8 cm, 20 %, normalised",
            normalised,
            errors(1.1, (0.115, 0.179), (44.0, 63.0)),
        ),
    ]
}

/// The table of priors: prior (none: each frame by itself), weight, and the prototype's mean turn in
/// degrees, mean distance of centres and the same of steps, at jitter of 0.3 degrees and 0.01, then
/// at 0.05 degrees and 0.002.
pub const PRIOR_ROWS: [(Option<MotionPrior>, f64, [f64; 4], [f64; 4]); 6] = [
    (
        None,
        0.0,
        [0.516, 0.0331, 0.820, 0.0548],
        [0.092, 0.0076, 0.144, 0.0104],
    ),
    (
        Some(MotionPrior::Path),
        0.0015,
        [0.274, 0.0157, 0.287, 0.0161],
        [0.076, 0.0050, 0.080, 0.0066],
    ),
    (
        Some(MotionPrior::Path),
        0.015,
        [0.512, 0.0363, 0.205, 0.0118],
        [0.423, 0.0329, 0.133, 0.0088],
    ),
    (
        Some(MotionPrior::Acceleration),
        0.0015,
        [0.221, 0.0138, 0.119, 0.0063],
        [0.040, 0.0027, 0.019, 0.0010],
    ),
    (
        Some(MotionPrior::Acceleration),
        0.005,
        [0.162, 0.0103, 0.059, 0.0030],
        [0.041, 0.0023, 0.017, 0.0007],
    ),
    (
        Some(MotionPrior::Acceleration),
        0.015,
        [0.140, 0.0084, 0.042, 0.0019],
        [0.057, 0.0022, 0.022, 0.0005],
    ),
];

/// Deviation of a solution from the truth; pairs are mean and maximum over the frames.
#[derive(Clone, Copy, Debug)]
pub struct Errors {
    /// Percent; the absolute value is compared.
    pub focal_percent: f64,
    /// Degrees.
    pub rotation_deg: (f64, f64),
    /// Thousandths of a scene unit.
    pub centre_mm: (f64, f64),
}

impl Errors {
    /// True if no figure exceeds `factor` times the one of `bar`.
    pub fn within(&self, bar: &Self, factor: f64) -> bool {
        let pairs = [
            (self.focal_percent.abs(), bar.focal_percent),
            (self.rotation_deg.0, bar.rotation_deg.0),
            (self.rotation_deg.1, bar.rotation_deg.1),
            (self.centre_mm.0, bar.centre_mm.0),
            (self.centre_mm.1, bar.centre_mm.1),
        ];
        pairs.iter().all(|(found, bar)| *found <= factor * bar)
    }
}

impl std::fmt::Display for Errors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "f {:+.3} %  rotation {:.4} / {:.4} deg  centre {:.2} / {:.2} mm",
            self.focal_percent,
            self.rotation_deg.0,
            self.rotation_deg.1,
            self.centre_mm.0,
            self.centre_mm.1
        )
    }
}

/// Size and lens of the clip.
#[derive(Clone, Copy, Debug)]
pub struct AnalyticClip {
    /// Frames.
    pub frames: usize,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// Focal length in pixels.
    pub focal_px: f64,
}

impl AnalyticClip {
    /// The camera of a frame.
    pub fn camera(&self, frame_idx: usize) -> Camera {
        let t = self.time(frame_idx);
        let turn = DVec3::new(0.06 * (TAU * t).sin(), 0.25 * (PI * t).sin(), 0.05 * t);
        Camera {
            intrinsics: Intrinsics::centred(self.focal_px, self.width, self.height),
            world_from_camera: WorldFromCamera {
                rotation: rotation_exp(turn),
                translation: DVec3::new(0.6 * (PI * t).sin(), -0.15 * (TAU * t).sin(), 0.5 * t),
            },
        }
    }

    /// Depth at image position `(u, v)` of a frame.
    pub fn depth(&self, frame_idx: usize, u: f64, v: f64) -> f64 {
        let t = self.time(frame_idx);
        let (a, b) = (u / self.width as f64, v / self.height as f64);
        let aspect = self.height as f64 / self.width as f64;
        let disc = DVec2::new(a - 0.2 - 0.6 * t, (b - 0.5) * aspect);
        if disc.length() < 0.12 {
            return 1.6;
        }
        let step = if a > 0.6 + 0.1 * t { 0.6 } else { 0.0 };
        let waves =
            1.2 * (TAU * (1.1 * a + 0.3 * t)).sin() + 0.8 * (TAU * (0.9 * b - 0.2 * t)).cos();
        3.0 + waves + step
    }

    /// `[T, H, W, 3]` disturbed points; the same seed gives the same points.
    pub fn points(&self, disturbance: &Disturbance, seed: u64) -> Vec<f32> {
        let per_frame = self.height * self.width * 3;
        let mut points = vec![0.0; per_frame * self.frames];
        points
            .par_chunks_exact_mut(per_frame)
            .enumerate()
            .for_each(|(frame_idx, frame)| {
                let mut rng = ChaCha8Rng::seed_from_u64(seed ^ ((frame_idx as u64) << 32));
                let camera = self.camera(frame_idx);
                for (pixel, point) in frame.chunks_exact_mut(3).enumerate() {
                    let (column, row) = (pixel % self.width, pixel / self.width);
                    let depth = self.depth(frame_idx, column as f64 + 0.5, row as f64 + 0.5);
                    let ray = camera.intrinsics.ray(column, row);
                    let exact = camera.world_from_camera.transform(ray * depth);
                    let disturbed = disturb(exact, disturbance, &mut rng);
                    point.copy_from_slice(&disturbed.as_vec3().to_array());
                }
            });
        points
    }

    /// Disturbed points, each frame's whole cloud turned about its middle and moved besides: three
    /// normal angles of `turn_deg` and three normal shifts of `shift`, as a generator jitters.
    pub fn jittered_points(
        &self,
        (turn_deg, shift): (f64, f64),
        noise: &Disturbance,
        seed: u64,
    ) -> Vec<f32> {
        let mut points = self.points(noise, seed);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for frame in points.chunks_exact_mut(self.height * self.width * 3) {
            let turn = rotation_exp(normal3(&mut rng) * turn_deg.to_radians());
            let moved = normal3(&mut rng) * shift;
            let cloud = frame.as_chunks_mut::<3>().0;
            let sum: DVec3 = cloud.iter().map(|p| DVec3::from(p.map(f64::from))).sum();
            let middle = sum / cloud.len() as f64;
            for p in cloud {
                let at = DVec3::from(p.map(f64::from)) - middle;
                *p = (turn * at + middle + moved).as_vec3().to_array();
            }
        }
        points
    }

    /// Mean turn in degrees, mean distance of centres, and the same of the steps between
    /// neighbours: rows of the table of priors.
    pub fn path_errors(&self, solution: &Solution) -> [f64; 4] {
        let clip_from_world = solution.world_from_clip.inverse();
        let found: Vec<WorldFromCamera> = solution
            .cameras
            .iter()
            .map(|camera| WorldFromCamera {
                rotation: clip_from_world.rotation * camera.world_from_camera.rotation,
                translation: clip_from_world.transform(camera.world_from_camera.translation),
            })
            .collect();
        let truth: Vec<WorldFromCamera> = (0..self.frames)
            .map(|i| self.camera(i).world_from_camera)
            .collect();
        let step = |poses: &[WorldFromCamera], i: usize| poses[i + 1].relative_to(poses[i]);
        let turn = |a: WorldFromCamera, b: WorldFromCamera| {
            rotation_angle_rad(a.rotation * b.rotation.transpose()).to_degrees()
        };
        let mut sums = [0.0; 4];
        for i in 0..self.frames {
            sums[0] += turn(found[i], truth[i]) / self.frames as f64;
            let away = (found[i].translation - truth[i].translation).length();
            sums[1] += away / self.frames as f64;
        }
        let steps = self.frames - 1;
        for i in 0..steps {
            let (own, other) = (step(&found, i), step(&truth, i));
            sums[2] += turn(own, other) / steps as f64;
            sums[3] += own.relative_to(other).translation.length() / steps as f64;
        }
        sums
    }

    /// The points as the solver takes them.
    pub fn pointmaps<'a>(&self, points: &'a [f32]) -> PointmapClip<'a> {
        PointmapClip {
            points,
            valid: None,
            confidence: None,
            frames: self.frames,
            height: self.height,
            width: self.width,
        }
    }

    /// Compares a solution with the truth in the world of the points themselves, which is the
    /// truth's world before the disturbance.
    pub fn errors(&self, solution: &Solution, disturbance: &Disturbance) -> Errors {
        let clip_from_world = solution.world_from_clip.inverse();
        self.compare(solution, |found| {
            let centre = clip_from_world.transform(found.translation);
            WorldFromCamera {
                rotation: clip_from_world.rotation * found.rotation,
                translation: centre / disturbance.scale + disturbance.shift,
            }
        })
    }

    /// Compares in the world of camera 0 on both sides, so that frame 0's error counts in all.
    pub fn errors_from_first(&self, solution: &Solution, disturbance: &Disturbance) -> Errors {
        self.compare(solution, |found| WorldFromCamera {
            translation: found.translation / disturbance.scale,
            ..found
        })
    }

    fn compare(
        &self,
        solution: &Solution,
        undo: impl Fn(WorldFromCamera) -> WorldFromCamera,
    ) -> Errors {
        let cameras: Vec<Camera> = solution
            .cameras
            .iter()
            .map(|camera| Camera {
                world_from_camera: undo(camera.world_from_camera),
                ..*camera
            })
            .collect();
        self.camera_errors(&cameras)
    }

    /// Compares cameras that were found in the disturbed points' own coordinates.
    pub fn errors_of(&self, cameras: &[Camera], disturbance: &Disturbance) -> Errors {
        let mut cameras = cameras.to_vec();
        for camera in &mut cameras {
            let centre = &mut camera.world_from_camera.translation;
            *centre = *centre / disturbance.scale + disturbance.shift;
        }
        self.camera_errors(&cameras)
    }

    /// Compares cameras in the truth's own world.
    fn camera_errors(&self, cameras: &[Camera]) -> Errors {
        let count = self.frames as f64;
        let (mut rotation, mut centre) = ((0.0, 0.0_f64), (0.0, 0.0_f64));
        for (frame_idx, camera) in cameras.iter().enumerate() {
            let truth = self.camera(frame_idx).world_from_camera;
            let found = camera.world_from_camera;
            let turn = rotation_angle_rad(found.rotation * truth.rotation.transpose()).to_degrees();
            let away = (found.translation - truth.translation).length() * 1e3;
            rotation = (rotation.0 + turn / count, rotation.1.max(turn));
            centre = (centre.0 + away / count, centre.1.max(away));
        }
        let focal_px = cameras[0].intrinsics.fx_px;
        Errors {
            focal_percent: (focal_px / self.focal_px - 1.0) * 100.0,
            rotation_deg: rotation,
            centre_mm: centre,
        }
    }

    fn time(&self, frame_idx: usize) -> f64 {
        frame_idx as f64 / (self.frames.max(2) - 1) as f64
    }
}

fn disturb(exact: DVec3, how: &Disturbance, rng: &mut ChaCha8Rng) -> DVec3 {
    let mut point = exact;
    if how.outliers > 0.0 && rng.random::<f64>() < how.outliers {
        point += normal3(rng) * 0.5;
    }
    if how.noise > 0.0 {
        point += normal3(rng) * how.noise;
    }
    (point - how.shift) * how.scale
}

/// Three standard normal numbers (Box and Muller).
fn normal3(rng: &mut ChaCha8Rng) -> DVec3 {
    let mut pair = || {
        let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
        let (sin, cos) = (TAU * rng.random::<f64>()).sin_cos();
        (radius * cos, radius * sin)
    };
    let ((x, y), (z, _)) = (pair(), pair());
    DVec3::new(x, y, z)
}

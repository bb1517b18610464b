//! How much the poses of frames jitter beyond the noise of their pixels.

use glam::DVec3;

use super::frame_pose::FrameFit;
use super::trajectory::Trajectory;
use crate::geometry::robust::median;
use crate::geometry::rotation_log;

/// Jitter of poses from which on the acceleration prior has its whole weight: degrees an axis, and
/// median depths an axis. Below, the weight falls with the square, so that a clip without jitter is
/// not bent by a prior that it does not need.
const FULL_JITTER: (f64, f64) = (0.03, 4e-4);
/// Jitter below this many formal deviations is the noise of the pixels, which each frame has averaged
/// better by itself than an unsquared loss over fewer pixels can.
const NOISE_SIGMAS: f64 = 1.5;
/// What the poses of frames do not share, beyond the noise of their pixels.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Jitter {
    /// Deviation an axis, radians.
    turn_rad: f64,
    /// Deviation an axis, median depths.
    centre: f64,
}

impl Jitter {
    /// How much of its weight the acceleration prior gets, 0..=1.
    pub(super) fn share(self) -> f64 {
        let share = (self.turn_rad.to_degrees() / FULL_JITTER.0).max(self.centre / FULL_JITTER.1);
        (share * share).min(1.0)
    }

    /// By how much a point moves against its ray, in median depths.
    pub(super) fn size(self) -> f64 {
        self.turn_rad.hypot(self.centre)
    }

    /// Fourth differences hold next to nothing of a camera's motion and all of what frames do not
    /// share: for white noise of deviation `s` an axis theirs is `sqrt 70 s`, its median length 1.538
    /// of that. Fewer than five frames show none; a prior over two or three says little anyway.
    pub(super) fn of(path: &Trajectory) -> Self {
        const GAIN: f64 = 8.366_600_265 * 1.538_172_254;
        let poses: Vec<_> = path.fits.iter().flatten().map(|f| f.pose).collect();
        let deviation = |values: &[DVec3]| -> Option<f64> {
            let mut lengths: Vec<f64> = values
                .windows(5)
                .map(|v| (v[0] - v[1] * 4.0 + v[2] * 6.0 - v[3] * 4.0 + v[4]).length() / GAIN)
                .collect();
            median(&mut lengths)
        };
        let turns: Vec<DVec3> = poses
            .iter()
            .map(|p| rotation_log(p.rotation * poses[0].rotation.transpose()))
            .collect();
        let centres: Vec<DVec3> = poses.iter().map(|p| p.inverse().translation).collect();
        let (Some(turn), Some(centre)) = (deviation(&turns), deviation(&centres)) else {
            return Self::default();
        };
        let formal = |of: fn(&FrameFit) -> f64| {
            let mut sigmas: Vec<f64> = path.fits.iter().flatten().map(of).collect();
            NOISE_SIGMAS * median(&mut sigmas).unwrap_or(0.0) / 3.0_f64.sqrt()
        };
        let beyond = |jitter: f64, noise: f64| (jitter * jitter - noise * noise).max(0.0).sqrt();
        Self {
            turn_rad: beyond(turn, formal(|f| f.sigma.rotation_rad)),
            centre: beyond(centre, formal(|f| f.sigma.centre)) / path.median_depth,
        }
    }
}

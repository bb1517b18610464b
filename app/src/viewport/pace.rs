//! How much of a frame is drawn while the eye moves, on a device that cannot draw all of it in time.
//!
//! A picture at rest is always whole. While the eye moves, pictures that take longer than their
//! budget make the following ones coarser, one step at a time, until they are in time; the step is
//! kept for the next movement unless the whole picture has become fast enough meanwhile.

use super::eye::Eye;

/// What a picture may take while the eye moves, seconds.
const BUDGET_SECS: f32 = 1.0 / 30.0;
/// The eye is at rest when it has not moved for so long, seconds.
pub(super) const SETTLE_SECS: f64 = 0.15;
/// So many slow pictures in a row are no accident.
const SLOW_IN_A_ROW: u32 = 2;

/// How much of a frame is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detail {
    /// Only every n-th column and row is drawn, times the stride that the distance asks for.
    pub thinning: u32,
    /// Eye-dome lighting, where it is switched on.
    pub is_lit: bool,
}

impl Detail {
    /// Everything.
    pub const WHOLE: Self = Self {
        thinning: 1,
        is_lit: true,
    };
}

/// From whole to coarse.
const LEVELS: [Detail; 4] = [
    Detail::WHOLE,
    Detail {
        thinning: 2,
        is_lit: true,
    },
    Detail {
        thinning: 2,
        is_lit: false,
    },
    Detail {
        thinning: 4,
        is_lit: false,
    },
];

/// Follows the eye of a view and the cost of its pictures.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    eye: Option<Eye>,
    moved_at_secs: Option<f64>,
    /// Index of the level for movements.
    level: usize,
    slow: u32,
    /// What the last measured picture took, seconds.
    cost_secs: Option<f32>,
}

impl Pace {
    /// The detail of the next picture, seen by `eye` at a time of the window's clock.
    pub(super) fn detail(&mut self, eye: Eye, now_secs: f64) -> Detail {
        if self.eye.is_some_and(|before| before != eye) {
            self.moved_at_secs = Some(now_secs);
        }
        self.eye = Some(eye);
        // A clock that was set back ends the movement too.
        let moves = self
            .moved_at_secs
            .is_some_and(|moved| (0.0..SETTLE_SECS).contains(&(now_secs - moved)));
        if moves {
            LEVELS[self.level]
        } else {
            self.moved_at_secs = None;
            Detail::WHOLE
        }
    }

    /// Whether the eye moves, as far as is known.
    pub(super) fn is_moving(&self) -> bool {
        self.moved_at_secs.is_some()
    }

    /// Takes note of what a picture of some detail took.
    pub(super) fn measured(&mut self, detail: Detail, secs: f32) {
        self.cost_secs = Some(secs);
        let in_time = secs <= BUDGET_SECS;
        if detail == Detail::WHOLE && in_time {
            self.level = 0;
            self.slow = 0;
        } else if detail == LEVELS[self.level] {
            self.slow = if in_time { 0 } else { self.slow + 1 };
            if self.slow >= SLOW_IN_A_ROW && self.level + 1 < LEVELS.len() {
                self.level += 1;
                self.slow = 0;
            }
        }
    }

    /// What the last measured picture took, seconds; `None` where the device cannot tell.
    pub(super) fn cost_secs(&self) -> Option<f32> {
        self.cost_secs
    }
}

#[cfg(test)]
mod tests {
    use super::super::orbit::Orbit;
    use super::*;

    fn eye(yaw_rad: f64) -> Eye {
        let orbit = Orbit {
            yaw_rad,
            ..Orbit::default()
        };
        orbit.eye()
    }

    /// Turns the eye once a frame; every picture takes `cost_of` its detail.
    fn turn(pace: &mut Pace, frames: usize, cost_of: impl Fn(Detail) -> f32) -> Vec<Detail> {
        (0..frames)
            .map(|i| {
                let secs = pace.moved_at_secs.unwrap_or(0.0) + 0.03;
                let detail = pace.detail(eye(0.1 * i as f64), secs);
                pace.measured(detail, cost_of(detail));
                detail
            })
            .collect()
    }

    #[test]
    fn a_fast_device_draws_everything_at_all_times() {
        let mut pace = Pace::default();
        let details = turn(&mut pace, 20, |_| 0.01);
        assert!(details.iter().all(|detail| *detail == Detail::WHOLE));
    }

    #[test]
    fn a_slow_device_draws_less_while_the_eye_moves_and_everything_at_rest() {
        let mut pace = Pace::default();
        let cost = |detail: Detail| 0.08 / detail.thinning as f32;
        let details = turn(&mut pace, 12, cost);
        assert_eq!(details[0], Detail::WHOLE);
        let last = *details.last().unwrap();
        assert_eq!((last.thinning, last.is_lit), (4, false), "{details:?}");
        let moved = pace.moved_at_secs.unwrap();
        assert_eq!(
            pace.detail(eye(1.1), moved + 0.1),
            last,
            "a pause of the hand"
        );
        assert!(pace.is_moving());
        assert_eq!(pace.detail(eye(1.1), moved + 0.2), Detail::WHOLE);
        assert!(!pace.is_moving());
        pace.measured(Detail::WHOLE, 0.08);
        assert_eq!(pace.detail(eye(1.2), moved + 0.3), last, "remembered");
    }

    #[test]
    fn lighting_goes_before_more_points_do() {
        let mut pace = Pace::default();
        let cost = |detail: Detail| if detail.is_lit { 0.05 } else { 0.02 };
        let last = *turn(&mut pace, 12, cost).last().unwrap();
        assert_eq!((last.thinning, last.is_lit), (2, false));
    }

    #[test]
    fn what_has_become_fast_is_whole_again_and_one_slow_picture_changes_nothing() {
        let mut pace = Pace::default();
        turn(&mut pace, 12, |_| 0.1);
        pace.measured(Detail::WHOLE, 0.01);
        assert_eq!(turn(&mut pace, 3, |_| 0.01)[2], Detail::WHOLE);
        pace.measured(Detail::WHOLE, 0.5);
        pace.measured(Detail::WHOLE, 0.01);
        pace.measured(Detail::WHOLE, 0.5);
        assert_eq!(turn(&mut pace, 2, |_| 0.01)[1], Detail::WHOLE);
    }
}

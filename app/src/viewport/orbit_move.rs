//! An eye on its way to another place.

use super::orbit::Orbit;

/// Length of a move to a target, seconds.
pub const MOVE_SECS: f64 = 0.25;

/// An orbit on its way to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OrbitMove {
    /// Where it left.
    pub from: Orbit,
    /// Where it goes.
    pub to: Orbit,
    /// When it left, in the clock of [`OrbitMove::at`].
    pub start_secs: f64,
}

impl OrbitMove {
    /// The orbit at a time, and whether it is still on its way; slows down towards the end.
    pub fn at(&self, now_secs: f64) -> (Orbit, bool) {
        let t = ((now_secs - self.start_secs) / MOVE_SECS).clamp(0.0, 1.0);
        if t >= 1.0 {
            return (self.to, false);
        }
        let eased = 1.0 - (1.0 - t).powi(3);
        (Orbit::lerp(&self.from, &self.to, eased), true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_starts_and_ends_where_it_says_and_takes_the_short_way() {
        let from = Orbit {
            yaw_rad: 3.0,
            ..Orbit::default()
        };
        let to = Orbit {
            yaw_rad: -3.0,
            distance: 1.0,
            ..from
        };
        let on_the_way = OrbitMove {
            from,
            to,
            start_secs: 10.0,
        };
        assert_eq!(on_the_way.at(10.0), (from, true));
        assert_eq!(on_the_way.at(10.25), (to, false));
        let (middle, moving) = on_the_way.at(10.1);
        assert!(moving && middle.yaw_rad.abs() > 3.0);
    }
}

//! The speeds that playback offers.

/// Speeds that the studio offers, as multiples of the scene's own.
pub const SPEEDS: [f64; 6] = [0.1, 0.25, 0.5, 1.0, 2.0, 4.0];

/// The next of [`SPEEDS`] up or down from any speed; the same at the ends.
pub(super) fn next_speed(speed: f64, faster: bool) -> f64 {
    let next = if faster {
        SPEEDS.into_iter().find(|&s| s > speed + 1e-9)
    } else {
        SPEEDS.into_iter().rev().find(|&s| s < speed - 1e-9)
    };
    next.unwrap_or(speed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_go_up_and_down_and_stay_at_their_ends() {
        assert_eq!(next_speed(1.0, true), 2.0);
        assert_eq!(next_speed(1.0, false), 0.5);
        assert_eq!(next_speed(0.3, true), 0.5);
        assert_eq!((next_speed(4.0, true), next_speed(0.1, false)), (4.0, 0.1));
    }
}

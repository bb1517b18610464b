//! Which frames of a video make up a clip.

use serde::{Deserialize, Serialize};

/// Where in time the frames of a clip lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampling {
    /// Evenly from the first frame to the last.
    #[default]
    Even,
    /// From the first frame on, this many a second.
    Fps(f64),
}

/// Chosen frames.
pub(super) struct Picked {
    /// Indices into the source, in display order; repeated where the source has too few.
    pub(super) frames: Vec<usize>,
    /// Rate of the clip.
    pub(super) fps: f64,
    pub(super) warning: Option<String>,
}

/// Rate of clips whose frames have no times.
pub(super) const DEFAULT_FPS: f64 = 16.0;

/// Picks for each wanted time the frame nearest to it, so that variable frame rates come out right.
///
/// `times_secs` rises from 0 and is not empty.
pub(super) fn pick(times_secs: &[f64], frames: usize, sampling: Sampling) -> Picked {
    let duration = times_secs.last().copied().unwrap_or(0.0);
    let fps = match sampling {
        Sampling::Fps(fps) if fps.is_finite() && fps > 0.0 => fps,
        _ if duration > 0.0 && frames > 1 => (frames - 1) as f64 / duration,
        _ => DEFAULT_FPS,
    };
    let picked: Vec<usize> = (0..frames)
        .map(|i| nearest(times_secs, i as f64 / fps))
        .collect();
    let wanted_secs = (frames - 1) as f64 / fps;
    let available = times_secs.len();
    let warning = if wanted_secs > duration + 1.0 / fps {
        Some(format!(
            "the video is shorter ({duration:.2} s) than the clip ({wanted_secs:.2} s); its last \
             frame is held"
        ))
    } else if available < frames {
        Some(format!(
            "the video has {available} frames, {frames} are wanted; some are repeated"
        ))
    } else {
        None
    };
    Picked {
        frames: picked,
        fps,
        warning,
    }
}

fn nearest(times: &[f64], time: f64) -> usize {
    let after = times.partition_point(|&t| t < time);
    if after == 0 {
        return 0;
    }
    if after == times.len() || time - times[after - 1] <= times[after] - time {
        return after - 1;
    }
    after
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regular(n: usize, fps: f64) -> Vec<f64> {
        (0..n).map(|i| i as f64 / fps).collect()
    }

    #[test]
    fn even_sampling_holds_both_ends() {
        let picked = pick(&regular(50, 25.0), 17, Sampling::Even);
        assert_eq!((picked.frames[0], picked.frames[16]), (0, 49));
        assert!(picked.frames.is_sorted() && picked.warning.is_none());
        assert!((picked.fps - 16.0 / 1.96).abs() < 1e-9);
        assert_eq!(pick(&regular(5, 25.0), 1, Sampling::Even).frames, [0]);
    }

    #[test]
    fn a_rate_follows_time_and_not_count() {
        // Two frames close together, then a gap.
        let times = [0.0, 0.01, 0.5, 1.0];
        let picked = pick(&times, 3, Sampling::Fps(2.0));
        assert_eq!(picked.frames, [0, 2, 3]);
    }

    #[test]
    fn short_videos_hold_or_repeat_and_say_so() {
        let held = pick(&regular(4, 4.0), 9, Sampling::Fps(4.0));
        assert_eq!(held.frames[3..], [3; 6]);
        assert!(held.warning.is_some_and(|w| w.contains("held")));
        let repeated = pick(&regular(3, 4.0), 5, Sampling::Even);
        assert_eq!(repeated.frames, [0, 0, 1, 1, 2]);
        assert!(repeated.warning.is_some_and(|w| w.contains("repeated")));
    }
}

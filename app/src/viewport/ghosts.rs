//! Which other frames are drawn with the current one, and how faintly.

use super::options::Ghosts;

/// Points of ghosts that are drawn at most: what a mid-range GPU draws in a frame of the window.
pub const MAX_GHOST_POINTS: usize = 8_000_000;
/// The faintest ghost keeps this share of its points.
const FAINTEST: f32 = 0.12;

/// A frame to draw as a ghost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ghost {
    /// Index in the clip.
    pub frame_idx: usize,
    /// Share of its points that is drawn, 0..1.
    pub weight: f32,
}

impl Ghosts {
    /// The ghosts around a frame that exist in the clip, nearest first, `limit` at most.
    pub fn around(&self, frame_idx: usize, num_frames: usize, limit: usize) -> Vec<Ghost> {
        let stride = self.stride.max(1);
        let weight = |step: usize, steps: usize| {
            if self.fade {
                let age = step as f32 / steps as f32;
                1.0 - (1.0 - FAINTEST) * age
            } else {
                1.0
            }
        };
        let steps = [self.back, self.forward].map(|frames| frames / stride);
        let mut out = Vec::new();
        for step in 1..=steps[0].max(steps[1]) {
            let away = step * stride;
            let places = [
                frame_idx.checked_sub(away),
                frame_idx.checked_add(away).filter(|t| *t < num_frames),
            ];
            for (place, steps) in places.into_iter().zip(steps) {
                if let Some(frame_idx) = place.filter(|_| step <= steps) {
                    out.push(Ghost {
                        frame_idx,
                        weight: weight(step, steps),
                    });
                }
            }
            if out.len() >= limit || away >= num_frames {
                break;
            }
        }
        out.truncate(limit);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(ghosts: &Ghosts, frame_idx: usize, limit: usize) -> Vec<usize> {
        let around = ghosts.around(frame_idx, 10, limit);
        around.iter().map(|g| g.frame_idx).collect()
    }

    #[test]
    fn ghosts_are_strided_and_stay_in_the_clip() {
        let ghosts = Ghosts {
            back: 4,
            forward: 3,
            stride: 2,
            fade: true,
        };
        assert_eq!(frames(&ghosts, 5, 99), [3, 7, 1]);
        assert_eq!(frames(&ghosts, 1, 99), [3]);
        assert_eq!(frames(&ghosts, 5, 2), [3, 7]);
        assert_eq!(frames(&ghosts, 0, 0), [0_usize; 0]);
        let endless = Ghosts {
            back: usize::MAX,
            forward: usize::MAX,
            ..ghosts
        };
        assert_eq!(frames(&endless, 4, 99), [2, 6, 0, 8]);
    }

    #[test]
    fn older_ghosts_are_fainter_only_if_they_fade() {
        let fading = Ghosts {
            back: 3,
            forward: 0,
            stride: 1,
            fade: true,
        };
        let weights: Vec<f32> = fading.around(9, 10, 9).iter().map(|g| g.weight).collect();
        assert!(weights[0] < 1.0 && weights.windows(2).all(|w| w[1] < w[0]));
        assert!((weights[2] - FAINTEST).abs() < 1e-6);
        let solid = Ghosts {
            fade: false,
            ..fading
        };
        assert!(solid.around(9, 10, 9).iter().all(|g| g.weight == 1.0));
    }
}

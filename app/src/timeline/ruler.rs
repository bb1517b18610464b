//! Frames to places on the strip and back.

use egui::Rangef;

/// Maps frames to the width of the strip; each frame owns an equal cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    left: f32,
    width: f32,
    num_frames: usize,
}

impl Scale {
    /// A scale of `num_frames` cells over `x`.
    pub fn new(x: Rangef, num_frames: usize) -> Self {
        Self {
            left: x.min,
            width: x.span().max(1.0),
            num_frames: num_frames.max(1),
        }
    }

    /// Left edge of a frame's cell; `num_frames` gives the right edge of the last.
    pub fn edge(&self, frame: usize) -> f32 {
        self.left + self.width * frame as f32 / self.num_frames as f32
    }

    /// Middle of a frame's cell.
    pub fn centre(&self, frame: usize) -> f32 {
        self.edge(frame).midpoint(self.edge(frame + 1))
    }

    /// The frame whose cell holds `x`; the first or last one outside.
    pub fn frame_at(&self, x: f32) -> usize {
        let cell = (x - self.left) / self.width * self.num_frames as f32;
        (cell.max(0.0) as usize).min(self.num_frames - 1)
    }

    /// Distance of labelled frames, so that labels stand at least `least` points apart.
    pub fn label_step(&self, least: f32) -> usize {
        let cell = self.width / self.num_frames as f32;
        [1, 2, 5, 10, 20, 50, 100, 200, 500]
            .into_iter()
            .find(|&step| cell * step as f32 >= least)
            .unwrap_or(1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_frames_undo_each_other() {
        let scale = Scale::new(Rangef::new(10.0, 410.0), 17);
        for frame in 0..17 {
            assert_eq!(scale.frame_at(scale.centre(frame)), frame);
        }
        assert_eq!((scale.frame_at(-5.0), scale.frame_at(9999.0)), (0, 16));
        assert_eq!((scale.edge(0), scale.edge(17)), (10.0, 410.0));
    }

    #[test]
    fn labels_keep_their_distance() {
        for (width, frames) in [(400.0, 17), (400.0, 81), (1200.0, 81), (300.0, 1)] {
            let scale = Scale::new(Rangef::new(0.0, width), frames);
            let step = scale.label_step(40.0);
            assert!(width / frames as f32 * step as f32 >= 40.0);
        }
    }
}

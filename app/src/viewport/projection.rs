//! How the world lies on the window, for what the toolkit draws over a view.

use egui::{Pos2, Rect, vec2};
use glam::{DVec2, DVec3};

use super::eye::Eye;

/// How the world lies on the window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Projection {
    /// The eye of the picture.
    pub eye: Eye,
    /// Where the picture lies, window points.
    pub rect: Rect,
    /// Size of the picture, pixels.
    pub size_px: [u32; 2],
}

impl Projection {
    /// A point on the window; `None` behind the eye.
    pub fn to_window(&self, point_in_world: DVec3) -> Option<Pos2> {
        let at = self.eye.project(point_in_world, self.size_px)?;
        let share = at / DVec2::new(f64::from(self.size_px[0]), f64::from(self.size_px[1]));
        let offset = vec2(share.x as f32, share.y as f32) * self.rect.size();
        // Far outside, straight lines would lose their direction to rounding.
        (offset.length() < 1e5).then(|| self.rect.min + offset)
    }

    /// Scene units that a window point spans at the distance of `point_in_world`.
    pub fn units_per_point(&self, point_in_world: DVec3) -> f64 {
        let beside = point_in_world + self.eye.right();
        match (self.to_window(point_in_world), self.to_window(beside)) {
            (Some(a), Some(b)) if a.distance(b) > 1e-6 => 1.0 / f64::from(a.distance(b)),
            _ => 0.0,
        }
    }
}

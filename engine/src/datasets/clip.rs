//! A clip as the trainer takes it, wherever it comes from.

use super::synthetic;
use crate::geometry::Camera;
use crate::scene::ScaleTag;

/// Frames with their geometry, in the camera frame of the first of them.
#[derive(Clone, Debug)]
pub struct TrainingClip {
    /// `T`, `H`, `W`.
    pub size: [usize; 3],
    /// `[T, H, W, 3]` sRGB.
    pub rgb: Vec<u8>,
    /// `[T, H, W, 3]` point that the pixel's centre sees, world coordinates; NaN = none.
    pub points: Vec<f32>,
    /// `[T, H, W]` z-depth in the frame's own camera; NaN = none.
    pub depth: Vec<f32>,
    /// `[T]`
    pub cameras: Vec<Camera>,
    /// `[T, H, W]` 255 where the seen point moves in the world, else 0; `None` where nobody knows.
    pub dynamic: Option<Vec<u8>>,
    /// `[T, H, W]` bits of [`crate::scene::validity`].
    pub valid: Vec<u8>,
    /// What there is; empty where nobody says.
    pub caption: String,
    /// What a unit of length means.
    pub scale: ScaleTag,
}

impl From<synthetic::Clip> for TrainingClip {
    fn from(clip: synthetic::Clip) -> Self {
        Self {
            size: [clip.spec.frames, clip.spec.height, clip.spec.width],
            rgb: clip.rgb,
            points: clip.points,
            depth: clip.depth,
            cameras: clip.cameras,
            dynamic: Some(clip.dynamic),
            valid: clip.valid,
            caption: clip.caption,
            scale: ScaleTag::Metric,
        }
    }
}

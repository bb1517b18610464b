//! What a rendered clip is asked by and what it holds.

use half::f16;
use serde::{Deserialize, Serialize};

use super::caption::caption;
use super::layout::draw_world;
use super::render::render_world;
use crate::geometry::Camera;
use crate::scene::{Plane, Points, ScaleTag, Scene4d, SceneMeta};
use crate::{Error, Result};

/// How varied the worlds are: the curriculum of training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorldWidth {
    /// Rooms of three sizes, one lens, level camera, light near the camera, textures of fixed scale:
    /// shading and texture gradients tell depth.
    Narrow,
    /// Rooms of any size and some outdoor scenes; all motions of objects and camera.
    Medium,
    /// Everything: lenses from 42 to 82 degrees, tilted and shaking cameras, more and larger objects.
    #[default]
    Wide,
}

/// Determines a clip, bit for bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ClipSpec {
    /// Seed of the world.
    pub seed: u64,
    /// `T`, at least 1.
    pub frames: usize,
    /// `H` in pixels, at least 1.
    pub height: usize,
    /// `W` in pixels, at least 1.
    pub width: usize,
    /// How varied the world may be.
    pub world: WorldWidth,
}

/// A rendered clip with its exact geometry, metric, in the camera frame of its first frame.
#[derive(Clone, Debug)]
pub struct Clip {
    /// What it was rendered from.
    pub spec: ClipSpec,
    /// `[T, H, W, 3]` sRGB.
    pub rgb: Vec<u8>,
    /// `[T, H, W, 3]` point that the pixel's centre sees, world coordinates; NaN = sky.
    pub points: Vec<f32>,
    /// `[T, H, W]` z-depth in the frame's own camera; NaN = sky.
    pub depth: Vec<f32>,
    /// `[T]`
    pub cameras: Vec<Camera>,
    /// `[T-1, H, W, 2]` motion of the seen point in the image until the next frame, pixels;
    /// NaN if it passes behind the camera. Sky flows as a point at infinity.
    pub flow: Vec<f32>,
    /// `[T-1, H, W, 3]` motion of the seen point in the world until the next frame; NaN = sky.
    pub scene_flow: Vec<f32>,
    /// `[T, H, W]` 255 where the seen point moves in the world, else 0.
    pub dynamic: Vec<u8>,
    /// `[T, H, W]` bits of [`crate::scene::validity`].
    pub valid: Vec<u8>,
    /// What there is, and how objects and camera move.
    pub caption: String,
}

/// Frames per second of rendered clips.
pub const CLIP_FPS: f64 = 8.0;

/// Renders a clip; the result depends on `spec` only, not on the number of threads.
///
/// # Errors
/// [`Error::Shape`] if a dimension is zero or the clip has more than 2^31 values.
pub fn render(spec: &ClipSpec) -> Result<Clip> {
    let values = [spec.frames, spec.height, spec.width, 3]
        .into_iter()
        .try_fold(1_usize, usize::checked_mul)
        .filter(|&n| n > 0 && n < 1 << 31);
    if values.is_none() {
        return Err(Error::shape(
            "clip",
            "at least one frame of one pixel, at most 2^31 values",
            (spec.frames, spec.height, spec.width),
        ));
    }
    let world = draw_world(spec.seed, spec.world);
    let mut clip = render_world(&world, spec);
    clip.caption = caption(&world);
    Ok(clip)
}

impl Clip {
    /// A clip whose planes wait to be written.
    pub(super) fn empty(spec: &ClipSpec, cameras: Vec<Camera>) -> Self {
        let pixels = spec.height * spec.width;
        let all = spec.frames * pixels;
        let between = (spec.frames - 1) * pixels;
        Self {
            spec: *spec,
            rgb: vec![0; all * 3],
            points: vec![0.0; all * 3],
            depth: vec![0.0; all],
            cameras,
            flow: vec![0.0; between * 2],
            scene_flow: vec![0.0; between * 3],
            dynamic: vec![0; all],
            valid: vec![0; all],
            caption: String::new(),
        }
    }

    /// The clip as a scene; optical flow has no place there and is left out.
    pub fn to_scene(&self) -> Scene4d {
        let motion: Vec<f16> = self.scene_flow.iter().map(|&v| f16::from_f32(v)).collect();
        Scene4d {
            num_frames: self.spec.frames,
            height: self.spec.height,
            width: self.spec.width,
            rgb: Plane::new(self.rgb.clone()),
            points: Points::F32(Plane::new(self.points.clone())),
            valid: Plane::new(self.valid.clone()),
            confidence: None,
            depth: Some(Plane::new(self.depth.clone())),
            cameras: Some(self.cameras.clone().into()),
            scene_flow: Some(Plane::new(motion)),
            dynamic: Some(Plane::new(self.dynamic.clone())),
            meta: SceneMeta {
                title: self.caption.clone(),
                fps: CLIP_FPS,
                scale: ScaleTag::Metric,
                prompt: Some(self.caption.clone()),
                seed: Some(self.spec.seed),
                ..SceneMeta::default()
            },
        }
    }
}

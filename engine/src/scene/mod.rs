//! The 4D scene: what the user owns and what viewer, exporters, metrics and files share.
//!
//! A scene is immutable once built and lives behind an `Arc`. Its planes are either owned or
//! borrowed from a memory-mapped file, so opening does not read the whole file; everything is
//! read frame by frame.

mod file;
mod plane;

pub(crate) use file::map_regular_file;
pub use file::{MAX_SIDE_PX, SCENE_FORMAT_VERSION, TensorFile, TensorInfo, open};
pub use plane::{Half, Plane};

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::geometry::Camera;
use crate::{Error, Result};

/// Bits of [`Scene4d::valid`]; a pixel that is fit for measuring has [`validity::GOOD`] set whole.
pub mod validity {
    /// The point is finite.
    pub const FINITE: u8 = 1;
    /// Not on a depth discontinuity (no flying pixel).
    pub const NOT_EDGE: u8 = 2;
    /// Not on the wall of the normalisation box.
    pub const NOT_CLIPPED: u8 = 4;
    /// Not sky.
    pub const NOT_SKY: u8 = 8;
    /// In front of its camera and near its pixel's ray.
    pub const CONSISTENT: u8 = 16;
    /// All of the above.
    pub const GOOD: u8 = 31;
}

/// What a unit of length in a scene means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScaleTag {
    /// Units are metres.
    Metric,
    /// The scene is right up to one scale factor.
    #[default]
    UpToScale,
    /// Right up to a scale and a shift of depth.
    UpToScaleAndShift,
}

impl ScaleTag {
    /// In a few words: "up to scale".
    pub fn label(self) -> &'static str {
        match self {
            Self::Metric => "metres",
            Self::UpToScale => "up to scale",
            Self::UpToScaleAndShift => "up to scale and shift",
        }
    }
}

/// A flag that the solver raised; see `geometry` and `postopt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SolverFlag {
    /// The focal length cannot be seen in this scene; a prior was used.
    FocalUnobservable,
    /// The focal length is weakly seen; the estimate was kept.
    FocalWeak,
    /// The cloud is nearly a plane.
    Planar,
    /// A frame's pose could not be solved and was interpolated from its neighbours.
    PoseInterpolated,
    /// The frame's points lie behind the camera that fits best.
    Behind,
    /// The camera does not move; the trajectory's scale is undefined.
    StaticCamera,
    /// The camera turns and does not move; the trajectory's scale is undefined.
    PureRotation,
    /// The cost jumps between two frames: probably a cut.
    SceneCut,
    /// Every frame is centred on its own: camera translation is not recoverable.
    PerFrameCentred,
    /// The focal length is so long that noise biases it by some percent.
    Telephoto,
    /// A frame has too few usable pixels for a pose of its own.
    TooFewPixels,
    /// A frame's points lie on a line or in one point.
    CollapsedCloud,
}

/// Where a scene comes from and how it was made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SceneMeta {
    /// Title for people.
    pub title: String,
    /// Frames per second.
    pub fps: f64,
    /// What a unit of length means.
    pub scale: ScaleTag,
    /// The prompt, if there was one.
    pub prompt: Option<String>,
    /// The seed of the noise.
    pub seed: Option<u64>,
    /// Name of the model.
    pub model: Option<String>,
    /// Hash of the model's weights.
    pub model_hash: Option<String>,
    /// Every setting of the run, as it was asked for.
    pub settings: serde_json::Value,
    /// Solver flags with the frame they concern; `None` concerns the clip.
    pub flags: Vec<(Option<usize>, SolverFlag)>,
    /// Indices of frames that were observed (given by the user).
    pub observed: Vec<usize>,
}

/// RGB frames with a 3D point per pixel, cameras and depth over time.
///
/// # Shapes
/// `T` frames of `H x W` pixels; all planes are row-major with the frame slowest.
#[derive(Clone, Debug)]
pub struct Scene4d {
    /// `T`, at least 1.
    pub num_frames: usize,
    /// `H`, pixels.
    pub height: usize,
    /// `W`, pixels.
    pub width: usize,
    /// `[T, H, W, 3]` sRGB.
    pub rgb: Plane<u8>,
    /// `[T, H, W, 3]` points in the world (camera of frame 0, OpenCV axes), scene units; NaN = none.
    pub points: Points,
    /// `[T, H, W]` bit field of [`validity`].
    pub valid: Plane<u8>,
    /// `[T, H, W]`, 0..1.
    pub confidence: Option<Plane<Half>>,
    /// `[T, H, W]` z-depth in the frame's own camera, scene units; NaN = none.
    pub depth: Option<Plane<f32>>,
    /// `[T]`: intrinsics and pose of each frame.
    pub cameras: Option<Arc<[Camera]>>,
    /// `[T-1, H, W, 3]`, world units per frame.
    pub scene_flow: Option<Plane<Half>>,
    /// `[T, H, W]`, 0..255: probability that the pixel moves in the world.
    pub dynamic: Option<Plane<u8>>,
    /// Provenance and settings.
    pub meta: SceneMeta,
}

/// Point plane in either precision.
#[derive(Clone, Debug)]
pub enum Points {
    /// Full precision.
    F32(Plane<f32>),
    /// Half precision, as files may store it.
    F16(Plane<Half>),
}

impl Points {
    /// Number of scalars, `T * H * W * 3`.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(plane) => plane.as_slice().len(),
            Self::F16(plane) => plane.as_slice().len(),
        }
    }

    /// True for a scene without pixels, which [`Scene4d::check`] refuses.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Scalars `start..end`, converted where the file stores half precision.
    pub fn range(&self, start: usize, end: usize) -> Cow<'_, [f32]> {
        match self {
            Self::F32(plane) => Cow::Borrowed(&plane.as_slice()[start..end]),
            Self::F16(plane) => Cow::Owned(
                plane.as_slice()[start..end]
                    .iter()
                    .map(|v| v.to_f32())
                    .collect(),
            ),
        }
    }
}

impl Scene4d {
    /// Pixels of one frame, `H * W`.
    pub fn pixels_per_frame(&self) -> usize {
        self.height * self.width
    }

    /// `[H, W, 3]` sRGB of a frame.
    pub fn frame_rgb(&self, frame_idx: usize) -> &[u8] {
        let n = self.pixels_per_frame() * 3;
        &self.rgb.as_slice()[frame_idx * n..(frame_idx + 1) * n]
    }

    /// `[H, W, 3]` world points of a frame.
    pub fn frame_points(&self, frame_idx: usize) -> Cow<'_, [f32]> {
        let n = self.pixels_per_frame() * 3;
        self.points.range(frame_idx * n, (frame_idx + 1) * n)
    }

    /// `[H, W]` validity bits of a frame.
    pub fn frame_valid(&self, frame_idx: usize) -> &[u8] {
        let n = self.pixels_per_frame();
        &self.valid.as_slice()[frame_idx * n..(frame_idx + 1) * n]
    }

    /// `[H, W]` depth of a frame, where the scene has depth.
    pub fn frame_depth(&self, frame_idx: usize) -> Option<&[f32]> {
        let n = self.pixels_per_frame();
        Some(&self.depth.as_ref()?.as_slice()[frame_idx * n..(frame_idx + 1) * n])
    }

    /// `[H, W]` dynamic probability of a frame, where the scene has one.
    pub fn frame_dynamic(&self, frame_idx: usize) -> Option<&[u8]> {
        let n = self.pixels_per_frame();
        Some(&self.dynamic.as_ref()?.as_slice()[frame_idx * n..(frame_idx + 1) * n])
    }

    /// Checks that every plane has the length its shape asks for.
    ///
    /// # Errors
    /// [`Error::Shape`] naming the first plane that does not fit.
    pub fn check(&self) -> Result<()> {
        let pixels = [self.num_frames, self.height, self.width]
            .into_iter()
            .try_fold(1_usize, usize::checked_mul)
            .filter(|&n| n > 0 && n.checked_mul(12).is_some())
            .ok_or_else(|| {
                Error::shape(
                    "scene",
                    "at least one frame of at least one pixel",
                    (self.num_frames, self.height, self.width),
                )
            })?;
        let motion = (self.num_frames - 1) * self.pixels_per_frame();
        let lengths = [
            ("rgb", Some(self.rgb.as_slice().len()), pixels * 3),
            ("points", Some(self.points.len()), pixels * 3),
            ("valid", Some(self.valid.as_slice().len()), pixels),
            (
                "confidence",
                self.confidence.as_ref().map(|p| p.as_slice().len()),
                pixels,
            ),
            (
                "depth",
                self.depth.as_ref().map(|p| p.as_slice().len()),
                pixels,
            ),
            (
                "cameras",
                self.cameras.as_ref().map(|c| c.len()),
                self.num_frames,
            ),
            (
                "scene_flow",
                self.scene_flow.as_ref().map(|p| p.as_slice().len()),
                motion * 3,
            ),
            (
                "dynamic",
                self.dynamic.as_ref().map(|p| p.as_slice().len()),
                pixels,
            ),
        ];
        for (name, actual, required) in lengths {
            if actual.is_some_and(|actual| actual != required) {
                return Err(Error::shape(
                    format!("scene plane `{name}`"),
                    format!("{required} values"),
                    actual.unwrap_or(0),
                ));
            }
        }
        Ok(())
    }
}

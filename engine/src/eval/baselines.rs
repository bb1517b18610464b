//! Predictions that look at nothing: what a model must beat.

use serde::{Deserialize, Serialize};

use crate::geometry::{Camera, Intrinsics, WorldFromCamera};
use crate::postopt::FOCAL_PRIOR;
use crate::scene::{Plane, Points, Scene4d, SceneMeta, validity};

/// Depth at which the ground of the guess ends, in camera heights: the strongest of 1.5 to 12 on
/// wide procedural worlds.
const FAR_HEIGHTS: f64 = 6.0;

/// A guess made without looking at the input's content.
///
/// Both have a camera that stands still, [`FOCAL_PRIOR`] as focal length, and show in every frame
/// the nearest observed one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Baseline {
    /// Depth 1 everywhere.
    ConstantDepth,
    /// A level camera above level ground, horizon at mid-height; far things at a fixed distance.
    GroundPlane,
}

impl Baseline {
    /// All baselines.
    pub const ALL: [Self; 2] = [Self::ConstantDepth, Self::GroundPlane];

    /// For people.
    pub fn label(self) -> &'static str {
        match self {
            Self::ConstantDepth => "constant depth",
            Self::GroundPlane => "ground plane",
        }
    }

    /// The guess for a clip of the truth's size, given the frames at `observed`.
    pub fn predict(self, truth: &Scene4d, observed: &[usize]) -> Scene4d {
        let (height, width) = (truth.height, truth.width);
        let focal_px = FOCAL_PRIOR * width.max(height) as f64;
        let lens = Intrinsics::centred(focal_px, width, height);
        let pixels = height * width;
        let mut points = Vec::with_capacity(pixels * 3);
        let mut depth = Vec::with_capacity(pixels);
        for pixel in 0..pixels {
            let ray = lens.ray(pixel % width, pixel / width);
            let z = self.depth(ray.y);
            depth.push(z as f32);
            points.extend((ray * z).as_vec3().to_array());
        }
        let camera = Camera {
            intrinsics: lens,
            world_from_camera: WorldFromCamera::IDENTITY,
        };
        let frames = truth.num_frames;
        let mut rgb = Vec::with_capacity(frames * pixels * 3);
        for frame_idx in 0..frames {
            match observed.iter().min_by_key(|o| o.abs_diff(frame_idx)) {
                Some(&nearest) => rgb.extend_from_slice(truth.frame_rgb(nearest)),
                None => rgb.resize(rgb.len() + pixels * 3, 128),
            }
        }
        Scene4d {
            num_frames: frames,
            height,
            width,
            rgb: Plane::new(rgb),
            points: Points::F32(Plane::new(points.repeat(frames))),
            valid: Plane::new(vec![validity::GOOD; frames * pixels]),
            confidence: None,
            depth: Some(Plane::new(depth.repeat(frames))),
            cameras: Some(vec![camera; frames].into()),
            scene_flow: None,
            dynamic: None,
            meta: SceneMeta::default(),
        }
    }

    /// Depth along a ray `(x, y, 1)`, in camera heights.
    fn depth(self, ray_y: f64) -> f64 {
        match self {
            Self::ConstantDepth => 1.0,
            Self::GroundPlane if ray_y * FAR_HEIGHTS > 1.0 => 1.0 / ray_y,
            Self::GroundPlane => FAR_HEIGHTS,
        }
    }
}

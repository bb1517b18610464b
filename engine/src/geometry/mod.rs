//! Cameras, poses and pointmaps in f64; names no tensor crate.
//!
//! # Frames of reference
//!
//! ```text
//! world   = camera of the first frame, OpenCV axes
//! camera  = x right, y down, z forward (RDF)
//! image   = pixels, centres at +0.5: u in [0, W], v in [0, H]
//!
//!        z (forward)
//!       /
//!      +----> x (right)        u = fx * x / z + cx
//!      |                       v = fy * y / z + cy
//!      v
//!      y (down)
//! ```
//!
//! Transforms read right to left: `camera_from_world * point_in_world`. Depth is z-depth, not ray length.

mod camera;
mod eigen;
mod pose;
pub mod robust;
mod rotation;
mod similarity;

pub use camera::{Camera, Intrinsics};
pub use eigen::{Svd3, svd3, symmetric_eigen};
pub use pose::{CameraFromWorld, WorldFromCamera};
pub use rotation::{
    cross_matrix, nearest_rotation, rotation_angle_rad, rotation_exp, rotation_log, rotation_slerp,
};
pub use similarity::{AlignmentGroup, Similarity, SimilarityFit};

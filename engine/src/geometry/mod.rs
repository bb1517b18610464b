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
mod pose;

pub use camera::{Camera, Intrinsics};
pub use pose::{CameraFromWorld, WorldFromCamera};

//! Videos of a scene as MP4 files that every player and editing program opens.
//!
//! The engine's exports run this as formats that the front end brings: pictures are drawn by the
//! viewport's renderer and colour scales, which the engine does not know.

mod encoder;
mod format;
mod mp4;
mod pictures;
mod planes;

pub use pictures::ORBIT_PX;

pub use format::{OrbitShot, VideoFormat, VideoKind, estimate_bytes, frame_rate};

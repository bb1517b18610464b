//! Unified Masked Conditioning: observed frames to mask and condition latents.
//!
//! One4D (arXiv 2511.18922) eq. (10): text, one image, sparse frames and a whole video differ here
//! and nowhere else.

mod frames;
mod mask;
mod side_by_side;
mod task;

pub use frames::{Conditioning, encode_known_frames, encode_known_rows};
pub use mask::{fold_mask, latent_frames};
pub use side_by_side::encode_side_by_side;
pub use task::{Task, TaskMix, spread_frames};

//! Procedural 4D scenes with exact geometry: training data, test oracle and sample input in one.
//!
//! A seed becomes a `layout` (rooms or open ground, objects from `props`, light and air, a
//! camera path); `tracer` prepares one instant of it for rays and [`render`](render()) writes every
//! frame: colours, world points, depth, cameras, optical flow, scene flow, the mask of what moves
//! and validity bits. Geometry belongs to pixel centres; colours on silhouettes and shadow borders
//! are averaged over the pixel. Everything that moves is a closed form of time, so motion is exact.
//!
//! ```
//! use one4d_engine::datasets::synthetic::{ClipSpec, WorldWidth, render};
//! let spec = ClipSpec { seed: 1, frames: 5, height: 24, width: 40, world: WorldWidth::Wide };
//! let clip = render(&spec)?;
//! assert_eq!(clip.depth.len(), 5 * 24 * 40);
//! # Ok::<(), one4d_engine::Error>(())
//! ```

mod atmosphere;
mod camera_path;
mod caption;
mod clip;
mod contact_sheet;
mod dice;
mod layout;
mod motion;
mod moves;
mod palette;
mod props;
mod render;
mod shading;
mod shape;
mod texture;
mod tracer;
mod world;

pub use clip::{CLIP_FPS, Clip, ClipSpec, WorldWidth, render};
pub use contact_sheet::contact_sheet;

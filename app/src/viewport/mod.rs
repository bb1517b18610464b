//! The 3D view: points of a frame by compute rasterisation, cameras and grid as lines, orbit and
//! fly controls, and the widget that puts it all into the window.
//!
//! ```text
//! Scene4d --(upload thread)--> FrameGpu --(Renderer)--> picture --(callback)--> window
//! input -> ViewportState (plain value) -> Eye ----^
//! ```
//!
//! `view` axes (x right, y up, z back) exist in this folder only.

pub mod bounds;
mod callback;
pub mod device;
pub mod eye;
pub mod frame_data;
mod gizmo;
pub mod gpu_data;
pub mod headless;
pub mod options;
pub mod orbit;
pub mod passes;
pub mod picking;
pub mod raster;
pub mod renderer;
pub mod scene_lines;
mod state;
pub mod upload;
pub mod wgsl;
mod widget;

pub use device::{GpuProblem, headless_device, report_problems, wanted_wgpu_setup};
pub use headless::render_to_image;
pub use options::{ColourMode, Overlay, Overlays, Palette, PointSize, ViewOptions};
pub use state::ViewportState;
pub use widget::{ViewportInput, ViewportResponse, viewport_ui};

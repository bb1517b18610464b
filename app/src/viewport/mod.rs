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
pub mod colour_map;
pub mod device;
pub mod eye;
pub mod filter;
pub mod frame_data;
pub mod frame_gpu;
pub mod frame_store;
pub mod ghosts;
mod gizmo;
pub mod gpu_data;
pub mod headless;
mod look_up;
pub mod motion_lines;
pub mod options;
pub mod orbit;
pub mod orbit_move;
mod pace;
pub mod passes;
pub mod picking;
mod projection;
pub mod quantiser;
pub mod raster;
pub mod raster_surface;
pub mod renderer;
mod residency;
mod resident_scene;
pub mod scene_lines;
mod shown;
mod state;
pub mod stats;
pub mod still_cloud;
mod stopwatch;
pub mod uniforms;
pub mod upload;
pub mod view;
pub mod wgsl;
mod widget;
mod wish;

pub use device::{GpuProblem, GpuWatch, headless_device, report_problems, wanted_wgpu_setup};
pub use headless::render_to_image;
pub use options::{
    Background, ClipBox, ColourMap, ColourMode, DrawMode, EyeDome, Ghosts, MaskMode, Overlay,
    Overlays, Palette, PointSize, ViewOptions,
};
pub use orbit::{Axis, Orbit};
pub use pace::Detail;
pub use picking::Pick;
pub use projection::Projection;
pub use state::ViewportState;
pub use stats::{FrameStats, SceneRanges};
pub use widget::{ViewportInput, ViewportResponse, viewport_ui};

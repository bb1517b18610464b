//! One4D Studio: the window over the engine.
//!
//! Who owns what, and the order of a frame:
//!
//! ```text
//! engine thread --events--> logic: events::drain --.
//! media thread  --results-------------------------> AppState --&--> panels --AppCommand--> apply
//! file dialogs  --answers-------------------------'       ^                                 |
//!                                                         '---------------------------------'
//! ```
//!
//! [`window`] opens a window around the [`studio`], which runs that order; [`state`] holds one plain value, [`panels`], [`timeline`] and
//! [`widgets`] show it, [`viewport`] draws the scene, [`services`] reach the engine, the disk and
//! the system's dialogs, [`theme`] alone knows colours, and [`cli`] does without a window.

mod arrivals;
pub mod cli;
pub mod panels;
pub mod samples;
pub mod services;
pub mod shortcuts;
pub mod state;
pub mod studio;
pub mod theme;
pub mod timeline;
pub mod video;
pub mod viewport;
pub mod widgets;
pub mod window;

pub use studio::{Studio, StudioOptions};
pub use window::run_studio;

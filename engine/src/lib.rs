//! The engine of One4D Studio: everything but the window.
//!
//! How a scene comes to be, in twelve lines:
//!
//! 1. [`media`] turns files into frames `[F, H, W, 3]`, resized and cropped to the model's size.
//! 2. [`conditioning`] places the observed frames and folds their mask (Unified Masked Conditioning).
//! 3. a text encoder ([`models`]) turns the prompt into `[S, E]`.
//! 4. [`sampler`] integrates the flow from noise to the latents of both branches, RGB and XYZ,
//! 5. asking [`models::one4d`] for velocities: one frozen Wan DiT under Decoupled LoRA Control.
//! 6. the codec ([`models::VideoVae`]) decodes both latents to frames and pointmaps.
//! 7. [`postopt`] recovers intrinsics, camera poses, depth and quality flags in f64.
//! 8. [`scene::Scene4d`] holds the result: the one thing viewer, exporters, metrics and files share.
//! 9. [`pipeline`] is the only place where these stages meet.
//! 10. [`worker`] runs it on a named thread: commands in, events out.
//! 11. [`export`] takes a scene elsewhere; [`metrics`] and [`eval`] measure it.
//! 12. [`datasets`] render training scenes with exact geometry, [`training`] fits the model to them.

pub mod atomic_file;
pub mod conditioning;
pub mod datasets;
pub mod device;
pub mod error;
pub mod eval;
pub mod export;
pub mod flow;
pub mod geometry;
pub mod hub;
pub mod import;
pub mod inspect;
pub mod job;
pub mod kernels;
pub mod media;
pub mod memory;
pub mod metrics;
pub mod models;
pub mod nn;
pub mod pipeline;
pub mod plan;
pub mod postopt;
pub mod sampler;
pub mod scene;
pub mod training;
pub mod weight_files;
pub mod worker;

pub use error::{Error, Result};

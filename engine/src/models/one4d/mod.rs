//! One4D: a Wan DiT under Decoupled LoRA Control.
//!
//! One4D (arXiv 2511.18922) §3. Two branches, RGB and XYZ, run in lockstep as rows of one batch
//! through each frozen weight; only the low-rank parts differ by row, and control links carry
//! features from one to the other.

mod adapter_file;
mod channel;
mod config;
mod control_link;
mod decoupled;
mod dlc;
pub mod four_d_nex;
mod pointmap_latent;
mod prediction;
mod spatial;

pub use adapter_file::{AdapterFile, AdapterMeta, save_adapters};
pub use config::{
    AdapterConfig, ConditioningKind, Coupling, DenoiserSpec, XyzInput, default_links,
};
pub use control_link::ControlLink;
pub use dlc::One4d;
pub use pointmap_latent::{
    CLIPPED, NormalisedPointmap, PointmapNorm, PointmapView, normalise_pointmap,
};
pub use prediction::Prediction;

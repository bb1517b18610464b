//! Wan 2.1: diffusion transformer, causal video VAE and text encoder.

mod block;
mod config;
mod dit;
pub mod keys;
pub mod lora;
pub mod vae;

pub use block::{AdapterPlan, AdapterTargets, WanBlock};
pub use config::WanConfig;
pub use dit::{Head, PatchEmbedding, TimeEmbedding, TokenContext, WanDit, repeat_rows};
pub use lora::{LoraPlacement, LoraStack};

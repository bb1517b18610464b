//! Wan 2.1: diffusion transformer, causal video VAE and text encoder.

mod config;

pub use config::WanConfig;

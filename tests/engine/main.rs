//! Tests of the engine across files; one module a part.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bad_input;
mod codec;
mod conditioning;
mod dlc;
mod eval;
mod export;
mod media;
mod metrics;
mod ops;
mod parity;
mod pipeline;
mod postopt;
mod sampler;
mod scene_file;
mod synthetic;
mod training;
mod vae;
mod wan;
mod worker;

//! Tests of the engine across files; one module a part.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bad_input;
mod codec;
mod conditioning;
mod dlc;
mod eval;
mod eval_pair;
mod export;
mod flow;
mod import;
mod media;
mod metrics;
mod ops;
mod parity;
mod pipeline;
mod postopt;
mod postopt_join;
mod postopt_joint;
mod sampler;
mod scene_file;
mod synthetic;
mod training;
mod vae;
mod wan;
mod weight_files;
mod worker;

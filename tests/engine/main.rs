//! Tests of the engine across files; one module a part.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bad_input;
mod codec;
mod conditioning;
mod cuda_kernels;
mod cuda_registers;
mod dlc;
mod eval;
mod eval_benchmark;
mod eval_pair;
mod export;
mod flow;
#[cfg(feature = "cuda")]
mod gpu;
mod hub;
mod hub_assemble;
mod hub_hostile;
mod hub_network;
mod import;
mod long_clips;
mod lora;
mod lora_kinds;
mod media;
mod metrics;
mod ops;
mod ops_bf16;
mod parity;
mod pipeline;
mod pipeline_bundles;
mod plan;
mod plan_kept;
mod postopt;
mod postopt_join;
mod postopt_joint;
mod reanchor;
mod sampler;
mod scene_file;
mod step_cache;
mod synthetic;
mod training;
mod training_sets;
mod vae;
mod wan;
mod weight_files;
mod weight_loading;
mod weight_mutations;
mod worker;

//! Tests of the engine across files; one module a part.

mod bad_input;
mod codec;
mod conditioning;
mod dlc;
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
mod wan;
mod worker;

//! Support shared by the test binaries and the benchmarks.

pub mod analytic_clip;
pub mod benchmark_files;
pub mod bundle;
pub mod damage;
pub mod draw;
pub mod emulation;
pub mod foreign;
pub mod foreign_colmap;
pub mod foreign_pickle;
pub mod hub_server;
pub mod network;
pub mod npy;
pub mod parity;
mod parity_pipeline;
pub mod probe;
pub mod python_peer;
pub mod readers;
pub mod scenes;
pub mod training_files;
pub mod zip;

//! Support shared by the test binaries and the benchmarks.

pub mod analytic_clip;
pub mod bundle;
pub mod foreign;
pub mod foreign_colmap;
pub mod foreign_pickle;
pub mod npy;
pub mod parity;
pub mod readers;
pub mod scenes;
pub mod zip;

//! Support shared by the test binaries and the benchmarks.

pub mod analytic_clip;
pub mod bundle;
pub mod parity;
pub mod readers;
pub mod scenes;

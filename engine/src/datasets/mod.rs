//! Sources of clips with ground truth: procedural worlds, and data sets as they lie on disk.

pub mod benchmark;
mod clip;
mod disk;
pub mod synthetic;
pub mod training_sets;

pub use clip::TrainingClip;

pub(crate) use disk::consecutive;

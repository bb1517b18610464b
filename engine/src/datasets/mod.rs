//! Sources of clips with ground truth.

pub mod synthetic;

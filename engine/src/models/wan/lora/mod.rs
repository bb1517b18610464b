//! LoRA files on the base network: names in every dialect, products in every kind, files in a stack.

mod alpha;
mod file;
pub mod names;
mod product;
mod stack;

pub use stack::{LoraPlacement, LoraStack};

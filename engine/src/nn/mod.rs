//! Layers used by two or more model families; names no family.
//!
//! # Shapes
//!
//! | notation | meaning |
//! |---|---|
//! | `[B, C, T, H, W]` | pixels, batch first |
//! | `[B, C, T', H', W']` | latents: `T' = (T - 1) / 4 + 1`, `H' = H / 8`, `W' = W / 8` |
//! | `[R, N, E]` | tokens: `R` rows (branches x guidance halves), `N` tokens, width `E` |
//! | `[R, N, A, D]` | heads: `A` heads of width `D` |
//! | `[R, S, E]` | text |
//!
//! Every operation here has a gradient on every device. On the CPU the fused versions of
//! [`crate::kernels`] are used, elsewhere the composed form, which is also their reference.

mod activation;
mod attention;
mod linear;
mod norm;
mod rope;
mod weights;

pub use activation::{gelu_erf, gelu_tanh, silu};
pub use attention::attention;
pub use linear::{Linear, linear};
pub use norm::{gated_add, layer_norm, modulated_layer_norm, rms_norm};
pub use rope::{RopeTable, apply_rope};
pub use weights::{Init, ParamStore, Weights};

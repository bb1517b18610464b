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
//! Every operation here has a gradient on every device. On the CPU in f32 the fused versions of
//! [`crate::kernels`] are used, and on a CUDA device those of `kernels/*.cu` for whatever no variable
//! leads to; elsewhere those of [`composed`], which are also their reference.

mod activation;
mod attention;
mod causal_conv3d;
pub mod composed;
mod frame_cache;
mod layers;
mod linear;
mod lora;
mod norm;
mod patchify;
mod rope;
mod stored;
mod stores;
mod time_embed;
mod weight_change;
mod weight_delta;
mod weights;

pub use activation::{gelu_erf, gelu_tanh, silu};
pub use attention::attention;
pub use causal_conv3d::{CausalConv3d, causal_conv3d, enlarging_conv};
pub use frame_cache::FrameCache;
pub use layers::{BuildLayer, Layers};
pub use linear::{Linear, frozen_linear, linear};
pub use lora::LoraLinear;
pub use norm::{add, channel_norm, gated_add, layer_norm, modulated_layer_norm, rms_norm};
pub use patchify::{patch_grid, patchify, unpatchify};
pub use rope::{RopeTable, apply_rope};
pub use stored::{LinearWeight, StoredMatrix, WeightForm};
pub use stores::{Init, ParamStore, ShapeStore};
pub use time_embed::sinusoid;
pub use weight_change::WeightChange;
pub use weight_delta::{Kronecker, LowRank, WeightDelta};
pub use weights::{TensorPatch, Weights};

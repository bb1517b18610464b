//! Fused operations of the CPU as custom ops with gradients, one a file; in `cuda` and [`launch`]
//! those of NVIDIA GPUs, forwards only.
//!
//! [`crate::nn`] decides when they run (CPU, f32) and holds the composed form of each, which is
//! their reference. Common ground:
//!
//! - every argument is contiguous; `nn` sees to it before the op is recorded;
//! - an argument that no variable leads to gets no gradient, so frozen weights cost nothing;
//! - work is cut into pieces of fixed size and partial sums are added in order, so results do not
//!   depend on the number of threads or their timing.

pub(crate) mod activation;
pub(crate) mod attention;
pub(crate) mod bf16;
pub(crate) mod causal_conv3d;
pub(crate) mod channel_norm;
pub(crate) mod cuda;
pub mod launch;
pub(crate) mod linear;
pub(crate) mod lora;
mod matmul;
pub(crate) mod modulate;
pub(crate) mod norm;
pub(crate) mod rope;
mod rows;
mod simd;
pub(crate) mod stored_linear;
mod tensor_data;
mod tile;
pub(crate) mod update;

pub(crate) use simd::vectorised;
pub(crate) use tensor_data::with_bf16;

use candle_core::{DType, Tensor};

/// True if the fused kernels can take these tensors: all f32 in main memory.
pub(crate) fn accept(tensors: &[&Tensor]) -> bool {
    tensors
        .iter()
        .all(|t| t.device().is_cpu() && t.dtype() == DType::F32)
}

/// As [`accept`], and no variable leads to them: what has no gradient can take them.
pub(crate) fn without_gradient(tensors: &[&Tensor]) -> bool {
    accept(tensors) && tensors.iter().all(|t| !t.track_op())
}

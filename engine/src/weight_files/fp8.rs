//! Weights as 8-bit floats (e4m3) with a scale beside them.
//!
//! Two conventions meet here: ComfyUI's `fp8_scaled` (a marker tensor `scaled_fp8` and one scale a
//! tensor) and musubi-tuner's (one a tensor, a row, or a block of a row). The shape of the scale
//! tells which; the value is always `weight * scale`.

use candle_core::{DType, Device, Tensor};
use safetensors::tensor::Dtype;

use super::load_plain;
use crate::scene::TensorFile;
use crate::{Error, Result};

const MARKER: &str = "scaled_fp8";

/// Name of the scale of a weight.
fn scale_of(weight: &str) -> Option<String> {
    Some(format!("{}.scale_weight", weight.strip_suffix(".weight")?))
}

/// Whether a tensor is an 8-bit weight with a scale.
pub(super) fn is_scaled(file: &TensorFile, name: &str) -> bool {
    file.tensors
        .get(name)
        .is_some_and(|info| info.dtype == Dtype::F8_E4M3)
        && scale_of(name).is_some_and(|scale| file.tensors.contains_key(&scale))
}

/// Whether a tensor only describes how another one is stored.
pub(super) fn is_helper(file: &TensorFile, name: &str) -> bool {
    let describes = |suffix: &str| {
        name.strip_suffix(suffix)
            .is_some_and(|stem| is_scaled(file, &format!("{stem}.weight")))
    };
    let marker = name == MARKER || name.ends_with(&format!(".{MARKER}"));
    marker || describes(".scale_weight") || describes(".scale_input")
}

/// Reads a scaled weight as f32.
///
/// # Errors
/// [`Error::Format`] if the scale fits neither the tensor, its rows, nor blocks of them.
pub(super) fn load(file: &TensorFile, name: &str, device: &Device) -> Result<Tensor> {
    let weight = load_plain(file, name, device)?.to_dtype(DType::F32)?;
    let scale_name = scale_of(name).unwrap_or_default();
    let scale = load_plain(file, &scale_name, device)?.to_dtype(DType::F32)?;
    let shape = weight.dims().to_vec();
    let rows = shape.first().copied().unwrap_or(1);
    let width: usize = shape.iter().skip(1).product();
    let misfit = || {
        let reason = format!(
            "{scale_name} {:?} fits neither {name} {shape:?}, its rows nor blocks of them",
            scale.dims()
        );
        Error::format(&file.path, reason)
    };
    let per_row = match *scale.dims() {
        [] | [1] => return Ok(weight.broadcast_mul(&scale.reshape(())?)?),
        [n] | [n, 1] if n == rows => 1,
        [n, blocks, 1] if n == rows && blocks > 0 && width.is_multiple_of(blocks) => blocks,
        _ => return Err(misfit()),
    };
    let blocks = weight.reshape((rows, per_row, width / per_row))?;
    let scaled = blocks.broadcast_mul(&scale.reshape((rows, per_row, 1))?)?;
    Ok(scaled.reshape(shape)?)
}

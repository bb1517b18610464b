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

/// Whether a tensor is of 8-bit floats, with or without a scale.
pub(super) fn is_float8(file: &TensorFile, name: &str) -> bool {
    let info = file.tensors.get(name);
    info.is_some_and(|info| info.dtype == Dtype::F8_E4M3)
}

/// Bytes that the scales of an 8-bit weight take in memory.
pub(super) fn scale_bytes(file: &TensorFile, name: &str) -> u64 {
    let scale = scale_of(name).and_then(|scale| file.tensors.get(&scale));
    scale.map_or(4, |info| 4 * info.shape.iter().product::<usize>() as u64)
}

/// A matrix of 8-bit floats (e4m3) with scales: the value is `float * scale`.
pub struct Float8 {
    /// `(O, I)`.
    pub dims: (usize, usize),
    /// `O * I` floats.
    pub bytes: Vec<u8>,
    /// One for all, one a row, or the same number for every row, each for a block of it.
    pub scales: Vec<f32>,
}

impl Float8 {
    /// Writes row `output` as f32.
    ///
    /// # Panics
    /// If the row is not `I` long or does not exist.
    pub fn widen(&self, output: usize, row: &mut [f32]) {
        let (outputs, inputs) = self.dims;
        let bytes = &self.bytes[output * inputs..][..inputs];
        for (wide, byte) in row.iter_mut().zip(bytes) {
            *wide = E4M3[usize::from(*byte)];
        }
        if let [scale] = self.scales.as_slice() {
            row.iter_mut().for_each(|wide| *wide *= scale);
            return;
        }
        let per_row = self.scales.len() / outputs.max(1);
        let scales = &self.scales[output * per_row..][..per_row];
        let block = inputs / per_row.max(1);
        for (wide, scale) in row.chunks_mut(block.max(1)).zip(scales) {
            wide.iter_mut().for_each(|wide| *wide *= scale);
        }
    }
}

/// The value of every e4m3 byte: sign, four bits of exponent with bias 7, three of mantissa; no
/// infinities, one NaN a sign.
static E4M3: [f32; 256] = e4m3_values();

const fn e4m3_values() -> [f32; 256] {
    let mut values = [0.0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (exponent, mantissa) = ((byte >> 3) & 15, (byte & 7) as f32);
        let mut value = if exponent == 0 {
            mantissa / 512.0
        } else {
            (8.0 + mantissa) / 1024.0
        };
        let mut doublings = 1;
        while doublings < exponent + 1 && exponent > 0 {
            value *= 2.0;
            doublings += 1;
        }
        if byte & 0x7f == 0x7f {
            value = f32::NAN;
        }
        values[byte] = if byte & 0x80 == 0 { value } else { -value };
        byte += 1;
    }
    values
}

/// Reads 8-bit floats as they are.
///
/// # Errors
/// [`Error::Format`] if they are no matrix, or the scale fits neither it, its rows, nor blocks of them.
pub(super) fn load_stored(file: &TensorFile, name: &str) -> Result<Float8> {
    let info = file.tensors.get(name);
    let info = info.ok_or_else(|| Error::weights(&file.path, format!("{name} is missing")))?;
    let &[outputs, inputs] = info.shape.as_slice() else {
        let reason = format!("{name} {:?} is no matrix", info.shape);
        return Err(Error::format(&file.path, reason));
    };
    let scales = if is_scaled(file, name) {
        let scale_name = scale_of(name).unwrap_or_default();
        let scale = load_plain(file, &scale_name, &Device::Cpu)?.to_dtype(DType::F32)?;
        blocks_per_row(file, name, &scale, (outputs, inputs))?;
        scale.flatten_all()?.to_vec1()?
    } else {
        vec![1.0]
    };
    Ok(Float8 {
        dims: (outputs, inputs),
        bytes: file.map[info.bytes.clone()].to_vec(),
        scales,
    })
}

/// Scales a row; `None` for one scale for all.
fn blocks_per_row(
    file: &TensorFile,
    name: &str,
    scale: &Tensor,
    (rows, width): (usize, usize),
) -> Result<Option<usize>> {
    Ok(match *scale.dims() {
        [] | [1] => None,
        [n] | [n, 1] if n == rows => Some(1),
        [n, blocks, 1] if n == rows && blocks > 0 && width.is_multiple_of(blocks) => Some(blocks),
        _ => {
            let scale_name = scale_of(name).unwrap_or_default();
            let reason = format!(
                "{scale_name} {:?} fits neither {name} [{rows}, {width}], its rows nor blocks of them",
                scale.dims()
            );
            return Err(Error::format(&file.path, reason));
        }
    })
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
    let Some(per_row) = blocks_per_row(file, name, &scale, (rows, width))? else {
        return Ok(weight.broadcast_mul(&scale.reshape(())?)?);
    };
    let blocks = weight.reshape((rows, per_row, width / per_row))?;
    let scaled = blocks.broadcast_mul(&scale.reshape((rows, per_row, 1))?)?;
    Ok(scaled.reshape(shape)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_the_value_of_the_tensor_library() {
        let bytes: Vec<u8> = (0..=255).collect();
        let truth = Tensor::from_raw_buffer(&bytes, DType::F8E4M3, &[256], &Device::Cpu).unwrap();
        let truth = truth
            .to_dtype(DType::F32)
            .unwrap()
            .to_vec1::<f32>()
            .unwrap();
        for (byte, (ours, truth)) in E4M3.iter().zip(truth).enumerate() {
            let same = *ours == truth || (ours.is_nan() && truth.is_nan());
            assert!(same, "{byte:#x} is {truth}, not {ours}");
        }
    }
}

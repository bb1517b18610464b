//! The f32 slices behind tensors.

use std::ops::Deref;

use candle_core::{CpuStorage, Error, Layout, Result, Storage, StorageRef, Tensor};

/// The values of a contiguous f32 argument of a custom op.
pub(super) fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let (start, end) = contiguous_range(layout)?;
    Ok(&storage.as_slice::<f32>()?[start..end])
}

/// The values of a contiguous f32 tensor in main memory, under its read lock.
pub(super) fn read(tensor: &Tensor) -> Result<impl Deref<Target = [f32]>> {
    let (storage, layout) = tensor.storage_and_layout();
    let (start, end) = contiguous_range(layout)?;
    StorageRef::try_map(storage, |storage| match storage {
        Storage::Cpu(CpuStorage::F32(values)) => values.get(start..end),
        _ => None,
    })
    .map_err(|_| Error::msg("a fused kernel needs an f32 tensor in main memory"))
}

/// Calls `work` with the values of a contiguous bf16 tensor in main memory.
pub(crate) fn with_bf16<R>(tensor: &Tensor, work: impl FnOnce(&[half::bf16]) -> R) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    let (start, end) = contiguous_range(layout)?;
    match &*storage {
        Storage::Cpu(CpuStorage::BF16(values)) => Ok(work(&values[start..end])),
        _ => Err(Error::msg("a bf16 tensor in main memory is needed")),
    }
}

/// A tensor of `values` shaped like `like`.
pub(super) fn tensor_like(values: Vec<f32>, like: &Tensor) -> Result<Tensor> {
    Tensor::from_vec(values, like.shape(), like.device())
}

/// A gradient for an argument that wants one.
pub(super) fn wanted(values: Vec<f32>, argument: &Tensor) -> Result<Option<Tensor>> {
    if !argument.track_op() {
        return Ok(None);
    }
    tensor_like(values, argument).map(Some)
}

fn contiguous_range(layout: &Layout) -> Result<(usize, usize)> {
    layout
        .contiguous_offsets()
        .ok_or_else(|| Error::RequiresContiguous { op: "fused kernel" }.bt())
}

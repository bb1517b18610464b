//! Forward passes in bf16 with f32 sums, for processors with AVX-512 BF16.
//!
//! Values are kept in bf16, every sum and every norm is f32: what large checkpoints are run in. There
//! are no gradients here; [`accept`] turns down what a variable leads to, and the composed form runs.

pub(crate) mod attention;
mod gemm;
pub(crate) mod linear;
pub(crate) mod rowwise;

use candle_core::{CpuStorage, DType, Error, Result, Storage, StorageRef, Tensor};
use half::bf16;
use half::vec::HalfBitsVecExt as _;
use std::ops::Deref;

/// True if the kernels of this module can take these tensors, all bf16, on this processor.
pub(crate) fn accept(tensors: &[&Tensor]) -> bool {
    gemm::supported()
        && tensors
            .iter()
            .all(|t| t.device().is_cpu() && t.dtype() == DType::BF16 && !t.track_op())
}

/// The values of a contiguous bf16 tensor in main memory, under its read lock.
fn read(tensor: &Tensor) -> Result<impl Deref<Target = [bf16]>> {
    let (storage, layout) = tensor.storage_and_layout();
    let (start, end) = layout
        .contiguous_offsets()
        .ok_or_else(|| Error::RequiresContiguous { op: "bf16 kernel" }.bt())?;
    StorageRef::try_map(storage, |storage| match storage {
        Storage::Cpu(CpuStorage::BF16(values)) => values.get(start..end),
        _ => None,
    })
    .map_err(|_| Error::msg("a bf16 kernel needs a bf16 tensor in main memory"))
}

/// Zeros that the allocator gives untouched, so that their pages belong to the threads that write them.
fn zeros(len: usize) -> Vec<bf16> {
    vec![0_u16; len].reinterpret_into()
}

#[inline(always)]
fn widen(x: &[bf16], y: &mut [f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = f32::from_bits(u32::from(x.to_bits()) << 16);
    }
}

/// Rounds to the nearest, ties to even; what is not a number stays none.
#[inline(always)]
fn narrow(x: &[f32], y: &mut [bf16]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = narrow_one(*x);
    }
}

#[inline(always)]
fn narrow_one(x: f32) -> bf16 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
    let bits = if x.is_nan() {
        bits | 0x0040_0000
    } else {
        rounded
    };
    bf16::from_bits((bits >> 16) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_that_of_the_type() {
        for bits in (0..=u32::MAX).step_by(9_973) {
            let x = f32::from_bits(bits);
            let (ours, theirs) = (narrow_one(x), bf16::from_f32(x));
            assert!(ours == theirs || (x.is_nan() && ours.is_nan()), "{x}");
        }
        assert_eq!(narrow_one(f32::MAX), bf16::INFINITY);
        assert_eq!(narrow_one(1.003_906_25), bf16::from_f32(1.0)); // a tie
    }
}

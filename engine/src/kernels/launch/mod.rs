//! What is launched on a GPU for an operation: which kernel of `kernels/`, on which grid, with which
//! arguments.
//!
//! Pure: the driver and the emulation of the tests are handed the same values, so that names, grids,
//! shared memory and the order of arguments are proven on machines without a GPU. `None` always means
//! that no kernel takes the sizes; what runs instead is written where the operation is, in
//! [`crate::nn`].

mod attention;
mod causal_conv3d;
mod rowwise;

pub use attention::{AttentionShape, attention};
pub use causal_conv3d::{ConvShape, causal_conv3d};
pub use rowwise::{NormShape, Pointwise, RopeShape, activation, gated_add, norm, rope};

use candle_core::DType;

/// Type of the values of a kernel; sums are f32 in all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// 32 bits.
    F32,
    /// 16 bits, eight of them an exponent.
    Bf16,
    /// 16 bits, five of them an exponent.
    F16,
}

impl Element {
    /// The element of a tensor type, where the kernels have it.
    pub fn of(dtype: DType) -> Option<Self> {
        match dtype {
            DType::F32 => Some(Self::F32),
            DType::BF16 => Some(Self::Bf16),
            DType::F16 => Some(Self::F16),
            _ => None,
        }
    }

    /// Its tensor type.
    pub fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::Bf16 => DType::BF16,
            Self::F16 => DType::F16,
        }
    }

    /// As it stands in the names of kernels.
    fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        }
    }

    /// Values in 16 bytes, the most that a thread reads at once.
    fn packed(self) -> usize {
        if self == Self::F32 { 4 } else { 8 }
    }
}

/// One argument of a kernel, in the order in which the source declares them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Argument {
    /// A tensor by its slot; a slot may be empty, which is a null pointer.
    Buffer(usize),
    /// A size.
    Integer(i64),
    /// A factor.
    Number(f32),
}

/// One launch of one kernel. The result is the last slot.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// Stem of the source file in `kernels/`.
    pub source: &'static str,
    /// Name of the entry point.
    pub kernel: String,
    /// Blocks along x, y and z.
    pub grid: [u32; 3],
    /// Threads of a block.
    pub threads: u32,
    /// Dynamic shared memory of a block.
    pub shared_bytes: u32,
    /// What the kernel is given.
    pub arguments: Vec<Argument>,
}

/// Most blocks along x; along y and z.
const MOST_BLOCKS: [usize; 2] = [(1 << 31) - 1, (1 << 16) - 1];

/// A grid of these blocks, none of them zero.
fn grid([x, y, z]: [usize; 3]) -> Option<[u32; 3]> {
    let [along_x, across] = MOST_BLOCKS;
    let fits = x.min(y).min(z) > 0 && x <= along_x && y.max(z) <= across;
    fits.then_some([x as u32, y as u32, z as u32])
}

/// Buffers `0 .. buffers`, then sizes.
fn arguments(buffers: usize, sizes: &[usize]) -> Option<Vec<Argument>> {
    let sizes = sizes
        .iter()
        .map(|&size| Some(Argument::Integer(i64::try_from(size).ok()?)));
    (0..buffers)
        .map(|slot| Some(Argument::Buffer(slot)))
        .chain(sizes)
        .collect()
}

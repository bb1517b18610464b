//! Carries a launch out: loads the kernel, allocates the result, hands over the arguments.

use candle_core::backend::BackendStorage as _;
use candle_core::cuda_backend::{CudaDType, WrapErr as _};
use candle_core::{CudaDevice, CudaStorage, DType, Error, Layout, Result, Shape, Storage, Tensor};
use cudarc::driver::sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES as MOST_SHARED;
use cudarc::driver::{CudaView, DeviceRepr, LaunchConfig, PushKernelArg as _};
use half::{bf16, f16};

use crate::kernels::launch::{Argument, Launch};

/// What the build compiled, by the stem of the source.
const PTX: [(&str, &str); 6] = [
    (
        "activation",
        include_str!(concat!(env!("OUT_DIR"), "/activation.ptx")),
    ),
    (
        "attention",
        include_str!(concat!(env!("OUT_DIR"), "/attention.ptx")),
    ),
    (
        "causal_conv3d",
        include_str!(concat!(env!("OUT_DIR"), "/causal_conv3d.ptx")),
    ),
    (
        "modulate",
        include_str!(concat!(env!("OUT_DIR"), "/modulate.ptx")),
    ),
    ("norm", include_str!(concat!(env!("OUT_DIR"), "/norm.ptx"))),
    ("rope", include_str!(concat!(env!("OUT_DIR"), "/rope.ptx"))),
];

/// Shared memory that a block has without being asked for.
const SHARED_BYTES: u32 = 48 << 10;

/// An input on the device.
enum Input<'a> {
    F32(CudaView<'a, f32>),
    Bf16(CudaView<'a, bf16>),
    F16(CudaView<'a, f16>),
}

impl<'a> Input<'a> {
    fn new(storage: &'a CudaStorage, layout: &Layout) -> Result<Self> {
        let (start, end) = layout
            .contiguous_offsets()
            .ok_or_else(|| Error::RequiresContiguous { op: "CUDA kernel" }.bt())?;
        Ok(match storage.dtype() {
            DType::F32 => Self::F32(storage.as_cuda_slice::<f32>()?.slice(start..end)),
            DType::BF16 => Self::Bf16(storage.as_cuda_slice::<bf16>()?.slice(start..end)),
            DType::F16 => Self::F16(storage.as_cuda_slice::<f16>()?.slice(start..end)),
            other => candle_core::bail!("no CUDA kernel reads {other:?}"),
        })
    }
}

/// Runs `launch` on `x` in its first slot and `others` in those behind it; the result has the type of
/// `x` and `shape`.
pub(super) fn run(
    launch: &Launch,
    (x, layout): (&CudaStorage, &Layout),
    others: &[Option<&Tensor>],
    shape: &Shape,
) -> Result<CudaStorage> {
    let device = x.device.clone();
    let guards: Vec<_> = others
        .iter()
        .map(|other| other.map(Tensor::storage_and_layout))
        .collect();
    let mut inputs = vec![Some(Input::new(x, layout)?)];
    for guard in &guards {
        inputs.push(match guard {
            Some((storage, layout)) => match &**storage {
                Storage::Cuda(storage) => Some(Input::new(storage, layout)?),
                _ => candle_core::bail!("a CUDA kernel needs all tensors on the device"),
            },
            None => None,
        });
    }
    let count = shape.elem_count();
    match x.dtype() {
        DType::F32 => run_typed::<f32>(launch, &device, &inputs, count),
        DType::BF16 => run_typed::<bf16>(launch, &device, &inputs, count),
        DType::F16 => run_typed::<f16>(launch, &device, &inputs, count),
        other => candle_core::bail!("no CUDA kernel writes {other:?}"),
    }
}

fn run_typed<T: CudaDType + DeviceRepr>(
    launch: &Launch,
    device: &CudaDevice,
    inputs: &[Option<Input>],
    count: usize,
) -> Result<CudaStorage> {
    let Some((module, ptx)) = PTX.iter().find(|(stem, _)| *stem == launch.source) else {
        candle_core::bail!("there is no source {}", launch.source);
    };
    let module = format!("one4d_{module}");
    let function = device.get_or_load_custom_func(&launch.kernel, &module, ptx)?;
    if launch.shared_bytes > SHARED_BYTES {
        function
            .set_attribute(MOST_SHARED, launch.shared_bytes as i32)
            .w()?;
    }
    #[expect(unsafe_code, reason = "memory that the kernel is about to write")]
    // SAFETY: every kernel writes every value of its result, which the emulation tests check.
    let mut out = unsafe { device.alloc::<T>(count)? };
    let (mut result, null) = (Some(&mut out), 0_u64);
    let mut builder = function.builder();
    for argument in &launch.arguments {
        match argument {
            Argument::Buffer(slot) => match inputs.get(*slot) {
                Some(Some(Input::F32(view))) => builder.arg(view),
                Some(Some(Input::Bf16(view))) => builder.arg(view),
                Some(Some(Input::F16(view))) => builder.arg(view),
                Some(None) => builder.arg(&null),
                None => match result.take() {
                    Some(out) => builder.arg(out),
                    None => candle_core::bail!("{}: slot {slot} has no tensor", launch.kernel),
                },
            },
            Argument::Integer(value) => builder.arg(value),
            Argument::Number(value) => builder.arg(value),
        };
    }
    let [x, y, z] = launch.grid;
    let config = LaunchConfig {
        grid_dim: (x, y, z),
        block_dim: (launch.threads, 1, 1),
        shared_mem_bytes: launch.shared_bytes,
    };
    #[expect(unsafe_code, reason = "a kernel of our own")]
    // SAFETY: names, order and types of the arguments and the size of the grid come from `launch`,
    // which the emulation tests run against the same sources.
    unsafe { builder.launch(config) }.w()?;
    Ok(CudaStorage::wrap_cuda_slice(out, device.clone()))
}

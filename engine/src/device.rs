//! Choice of the device that runs the model, and what it can carry.

use candle_core::{DType, Device, Tensor};

use crate::{Error, Result};

/// Which device a user asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceChoice {
    /// CUDA where it is built in and a GPU answers, else the CPU.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// The first CUDA device.
    Cuda,
}

impl DeviceChoice {
    /// Opens the device.
    ///
    /// # Errors
    /// [`Error::Invalid`] if CUDA was asked for by name and is not there.
    pub fn open(self) -> Result<Device> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Auto => Ok(cuda().unwrap_or(Device::Cpu)),
            Self::Cuda => cuda().map_err(|reason| Error::invalid("device cuda", reason)),
        }
    }
}

/// candle links NVIDIA's libraries, so a program with this feature only starts where the driver's
/// `libcuda.so.1` and the toolkit's cuBLAS and cuRAND are; whether a card answers is found out here.
#[cfg(feature = "cuda")]
fn cuda() -> std::result::Result<Device, String> {
    // Where a library can be opened but is not whole, cudarc panics instead of failing.
    let opened = std::panic::catch_unwind(|| Device::new_cuda(0))
        .map_err(|_| "the NVIDIA driver is not usable; reinstall it".to_owned())?;
    opened.map_err(|error| {
        let reason = error.to_string();
        // What follows the first line is a backtrace.
        let reason = reason.lines().next().unwrap_or_default();
        format!(
            "no NVIDIA GPU answers ({reason}); see whether `nvidia-smi` lists one, or use the CPU"
        )
    })
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> std::result::Result<Device, String> {
    Err(
        "this program was built without the feature `cuda`; use the CPU, or build with it"
            .to_owned(),
    )
}

/// Name of a device for people and reports: "cpu" or "cuda:0".
pub fn device_name(device: &Device) -> String {
    match device.location() {
        candle_core::DeviceLocation::Cpu => "cpu".to_owned(),
        candle_core::DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
        candle_core::DeviceLocation::Metal { gpu_id } => format!("metal:{gpu_id}"),
    }
}

/// Physical memory of the machine in bytes: total and available, where the system tells.
pub fn system_memory_bytes() -> Option<(u64, u64)> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let field = |name: &str| -> Option<u64> {
        let line = text.lines().find(|line| line.starts_with(name))?;
        let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kib * 1024)
    };
    Some((field("MemTotal:")?, field("MemAvailable:")?))
}

/// Speed of f32 matrix products on the CPU in GFLOP/s: the best of five of size 1024.
pub fn matrix_gflops() -> Result<f64> {
    const SIZE: usize = 1024;
    let a = Tensor::ones((SIZE, SIZE), DType::F32, &Device::Cpu)?;
    let mut best_secs = f64::INFINITY;
    for _ in 0..5 {
        let start = std::time::Instant::now();
        a.matmul(&a)?;
        best_secs = best_secs.min(start.elapsed().as_secs_f64());
    }
    Ok(2.0 * (SIZE as f64).powi(3) / best_secs / 1e9)
}

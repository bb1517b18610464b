//! What a machine has: memory, threads, speed.

use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::device::{device_name, system_memory_bytes};
use crate::nn::{LinearWeight, WeightForm};
use crate::{Error, Result, device};

/// Share of the free memory that a plan may use; the rest is for the system and other programs.
const USABLE_SHARE: f64 = 0.92;
/// More than any machine has: stands for memory of unknown size.
const UNKNOWN_BYTES: u64 = 1 << 60;
/// Rates where none were measured: two cores with wide vectors, a common solid-state disk.
const ASSUMED: Rates = Rates {
    wide_gflops: 200.0,
    narrow_gflops: 200.0,
    read_bytes: 2_000_000_000.0,
    measured: false,
};

/// How fast a machine computes and reads.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// f32 matrix products, 10^9 operations a second.
    pub wide_gflops: f64,
    /// Products of weights that are held narrower.
    pub narrow_gflops: f64,
    /// Bytes a second from a weight file; assumed, not measured.
    pub read_bytes: f64,
    /// The rates of products were measured on this machine.
    #[serde(default)]
    pub measured: bool,
}

impl Default for Rates {
    fn default() -> Self {
        ASSUMED
    }
}

impl Rates {
    /// Measures both kinds of matrix products for about a tenth of a second each.
    ///
    /// # Errors
    /// [`Error::Tensor`] if a product fails.
    pub fn measure(device: &Device) -> Result<Self> {
        const SIZE: usize = 1024;
        if !device.is_cpu() {
            let gflops = device_gflops(device)?;
            return Ok(Self {
                wide_gflops: gflops,
                narrow_gflops: gflops,
                measured: true,
                ..ASSUMED
            });
        }
        let x = Tensor::ones((SIZE, SIZE), DType::F32, device)?;
        let narrow = LinearWeight::rounded(&x, WeightForm::Bf16)?;
        let mut best_secs = f64::INFINITY;
        for _ in 0..5 {
            let start = std::time::Instant::now();
            narrow.forward(&x, None)?;
            best_secs = best_secs.min(start.elapsed().as_secs_f64());
        }
        Ok(Self {
            wide_gflops: device::matrix_gflops()?,
            narrow_gflops: 2.0 * (SIZE as f64).powi(3) / best_secs / 1e9,
            measured: true,
            ..ASSUMED
        })
    }
}

/// Speed of bf16 products on another device; the result is waited for.
fn device_gflops(device: &Device) -> Result<f64> {
    const SIZE: usize = 4096;
    let a = Tensor::ones((SIZE, SIZE), DType::BF16, device)?;
    let mut best_secs = f64::INFINITY;
    for _ in 0..4 {
        let start = std::time::Instant::now();
        a.matmul(&a)?;
        device.synchronize()?;
        best_secs = best_secs.min(start.elapsed().as_secs_f64());
    }
    Ok(2.0 * (SIZE as f64).powi(3) / best_secs / 1e9)
}

/// A machine, as a plan sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Name of the device that computes: "cpu", "cuda:0".
    pub device: String,
    /// Memory of that device which a run may use.
    pub memory_bytes: u64,
    /// Bytes of an activation value: 4 on the CPU, 2 elsewhere.
    pub value_bytes: u64,
    /// Threads that compute.
    pub threads: usize,
    /// Speed.
    pub rates: Rates,
}

impl Machine {
    /// A CPU with some memory.
    pub fn cpu(memory_bytes: u64, threads: usize) -> Self {
        Self {
            device: "cpu".to_owned(),
            memory_bytes,
            value_bytes: 4,
            threads,
            rates: Rates::default(),
        }
    }

    /// A graphics card with some memory.
    pub fn gpu(memory_bytes: u64) -> Self {
        Self {
            device: "cuda:0".to_owned(),
            memory_bytes,
            value_bytes: 2,
            threads: 1,
            rates: Rates {
                wide_gflops: 60_000.0,
                narrow_gflops: 120_000.0,
                read_bytes: 10_000_000_000.0,
                measured: false,
            },
        }
    }

    /// This machine with the device that computes. `memory_bytes` replaces what is found; where the
    /// system tells nothing, [`Self::knows_memory`] is false and everything fits.
    pub fn detect(device: &Device, memory_bytes: Option<u64>) -> Self {
        let found = if device.is_cpu() {
            free_main_memory()
        } else {
            free_device_memory(device)
        };
        let usable = found.map(|bytes| (bytes as f64 * USABLE_SHARE) as u64);
        let memory_bytes = memory_bytes.or(usable).unwrap_or(UNKNOWN_BYTES);
        let threads = rayon::current_num_threads();
        let base = if device.is_cpu() {
            Self::cpu(memory_bytes, threads)
        } else {
            Self::gpu(memory_bytes)
        };
        Self {
            device: device_name(device),
            ..base
        }
    }

    /// False if nothing told how much memory there is.
    pub fn knows_memory(&self) -> bool {
        self.memory_bytes < UNKNOWN_BYTES
    }

    /// The same machine with measured rates.
    pub fn with_rates(self, rates: Rates) -> Self {
        Self { rates, ..self }
    }
}

/// Main memory that this process may still take: what is free, below the limit of its group.
fn free_main_memory() -> Option<u64> {
    let free = system_memory_bytes().map(|(_total, available)| available);
    match (free, group_room()) {
        (Some(free), Some(room)) => Some(free.min(room)),
        (free, room) => free.or(room),
    }
}

/// What the control group of this process leaves, versions 2 and 1; `None` without a limit.
fn group_room() -> Option<u64> {
    let number =
        |path: &str| -> Option<u64> { std::fs::read_to_string(path).ok()?.trim().parse().ok() };
    let pairs = [
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        (
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        ),
    ];
    let (limit, used) = pairs
        .into_iter()
        .find_map(|(limit, used)| Some((number(limit)?, number(used)?)))?;
    // Version 1 writes no limit as a number near the largest.
    (limit < 1 << 60).then(|| limit.saturating_sub(used))
}

#[cfg(feature = "cuda")]
fn free_device_memory(device: &Device) -> Option<u64> {
    let Device::Cuda(cuda) = device else {
        return None;
    };
    cuda.cuda_stream().context().bind_to_thread().ok()?;
    let (free, _total) = cudarc::driver::result::mem_get_info().ok()?;
    Some(free as u64)
}

#[cfg(not(feature = "cuda"))]
fn free_device_memory(_device: &Device) -> Option<u64> {
    None
}

/// Bytes as people write them: "8GB", "24 GiB", "512M", "1.5g". Decimal units are powers of 1000,
/// those with an i of 1024; a bare letter is read as the binary unit.
///
/// # Errors
/// [`Error::Invalid`] for anything else.
pub fn parse_bytes(text: &str) -> Result<u64> {
    let refuse = || Error::invalid(format!("`{text}`"), "give a size such as 8GB or 512MiB");
    let trimmed = text.trim();
    let split = trimmed
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(split);
    let number: f64 = number.parse().map_err(|_| refuse())?;
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "tb" => 1e12,
        "k" | "kib" => 1024.0,
        "m" | "mib" => 1_048_576.0,
        "g" | "gib" => 1_073_741_824.0,
        "t" | "tib" => 1_099_511_627_776.0,
        _ => return Err(refuse()),
    };
    let bytes = number * factor;
    if bytes.is_finite() && (1.0..1e18).contains(&bytes) {
        Ok(bytes as u64)
    } else {
        Err(refuse())
    }
}

/// "7.4 GB", "312 MB".
pub fn bytes_for_people(bytes: u64) -> String {
    let bytes = bytes as f64;
    match bytes {
        b if b >= 9.95e9 => format!("{:.0} GB", b / 1e9),
        b if b >= 9.995e8 => format!("{:.1} GB", b / 1e9),
        b if b >= 1e6 => format!("{:.0} MB", b / 1e6),
        b => format!("{:.0} kB", b / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        let cases = [
            ("8GB", 8_000_000_000),
            ("24 GiB", 24 << 30),
            ("512M", 512 << 20),
            ("1.5g", 3 << 29),
            ("1000", 1000),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse_bytes(text).unwrap(), bytes, "{text}");
        }
        for text in ["", "GB", "-1GB", "8 apples", "1e9GB", "0", "NaN"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
        assert_eq!(bytes_for_people(7_449_000_000), "7.4 GB");
        assert_eq!(bytes_for_people(312_400_000), "312 MB");
    }
}

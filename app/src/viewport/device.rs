//! Which device the window asks for, and what happens when it fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, bounded};
use egui_wgpu::{WgpuSetup, WgpuSetupCreateNew};

use super::passes::points::RasterPath;

/// Features that are used where the adapter has them; none is required.
pub const WANTED_FEATURES: wgpu::Features =
    RasterPath::ATOMIC64_FEATURES.union(wgpu::Features::TIMESTAMP_QUERY);

/// What the device reports outside any call of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GpuProblem {
    /// An allocation failed; the window lives on.
    OutOfMemory(String),
    /// A command was refused; the window lives on.
    Refused(String),
    /// The device is gone: driver reset, unplugged or crashed. Nothing more can be drawn with it.
    Lost(String),
}

/// Keeps an eye on a window's device.
pub struct GpuWatch {
    device: Option<wgpu::Device>,
    problems: Receiver<GpuProblem>,
    lost: Arc<AtomicBool>,
}

impl GpuWatch {
    /// Watches a device, if there is one; `wake` is called after each of its problems, on any thread.
    pub fn over(
        device: Option<&wgpu::Device>,
        wake: impl Fn() + Clone + Send + Sync + 'static,
    ) -> Self {
        let (report, problems) = bounded(16);
        let lost = Arc::new(AtomicBool::new(false));
        let is_lost = Arc::clone(&lost);
        if let Some(device) = device {
            report_problems(device, move |problem| {
                tracing::error!(?problem, "graphics device");
                if matches!(problem, GpuProblem::Lost(_)) {
                    is_lost.store(true, Ordering::Release);
                }
                // A flood says nothing that the first of it did not.
                let _ = report.try_send(problem);
                wake();
            });
        }
        Self {
            device: device.cloned(),
            problems,
            lost,
        }
    }

    /// Problems since the last call.
    pub fn problems(&self) -> Vec<GpuProblem> {
        self.problems.try_iter().collect()
    }

    /// Whether the device is gone. Asks it too, as one that was destroyed does not say so by itself.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire) || self.device.as_ref().is_some_and(is_lost)
    }
}

/// Device descriptor with the adapter's own limits and all wanted features that it has.
///
/// The toolkit's default asks for no features and for textures of at most 8192 pixels.
pub fn device_descriptor(adapter: &wgpu::Adapter) -> wgpu::DeviceDescriptor<'static> {
    wgpu::DeviceDescriptor {
        label: Some("One4D Studio"),
        required_features: adapter.features() & WANTED_FEATURES,
        required_limits: adapter.limits(),
        ..Default::default()
    }
}

/// The setup for the window; software adapters are accepted, discrete ones preferred.
pub fn wanted_wgpu_setup() -> WgpuSetup {
    WgpuSetup::CreateNew(WgpuSetupCreateNew {
        device_descriptor: Arc::new(device_descriptor),
        ..WgpuSetupCreateNew::without_display_handle()
    })
}

/// Sends the device's problems to a function, which may be called from any thread; without this the
/// process would end at the first.
pub fn report_problems(
    device: &wgpu::Device,
    report: impl Fn(GpuProblem) + Clone + Send + Sync + 'static,
) {
    let report_loss = report.clone();
    device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
        report(match error {
            wgpu::Error::OutOfMemory { .. } => GpuProblem::OutOfMemory(error.to_string()),
            _ => GpuProblem::Refused(error.to_string()),
        });
    }));
    device.set_device_lost_callback(move |_, message| report_loss(GpuProblem::Lost(message)));
}

/// Whether a device is gone. Its commands fail without a word then; only a map says so.
pub(crate) fn is_lost(device: &wgpu::Device) -> bool {
    let probe = device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("device::probe"),
        size: 4,
        usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    let failed = Arc::new(AtomicBool::new(false));
    let report = Arc::clone(&failed);
    probe
        .slice(..)
        .map_async(wgpu::MapMode::Read, move |result| {
            report.store(result.is_err(), Ordering::Relaxed);
        });
    let polled = device.poll(wgpu::PollType::Poll);
    polled.is_err() || failed.load(Ordering::Relaxed)
}

/// A device without a window, for previews and tests; `None` where the system has no adapter.
///
/// # Errors
/// If there is an adapter and it gives no device.
pub fn headless_device() -> Result<Option<(wgpu::Device, wgpu::Queue)>, wgpu::RequestDeviceError> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
    descriptor.flags = wgpu::InstanceFlags::from_build_config().with_env();
    let instance = wgpu::Instance::new(descriptor);
    let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions {
        power_preference: wgpu::PowerPreference::HighPerformance,
        ..Default::default()
    }));
    let Ok(adapter) = adapter else {
        return Ok(None);
    };
    pollster::block_on(adapter.request_device(&device_descriptor(&adapter))).map(Some)
}

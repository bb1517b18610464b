//! How encoded frames reach the device, and why one may not.

use super::frame_data::FrameData;
use super::frame_gpu::FrameGpu;

/// Why a frame did not reach the device, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no room now; with fewer frames kept there may be.
    OutOfMemory(String),
    /// No amount of free memory would help.
    TooLarge(String),
}

/// Puts frames on a device.
pub trait FrameStore: Send {
    /// Uploads a frame.
    ///
    /// # Errors
    /// [`Refusal`] where the device has no room for it.
    fn put(&mut self, frame: &FrameData) -> Result<FrameGpu, Refusal>;
}

/// Puts frames on a graphics device.
pub struct DeviceStore {
    device: wgpu::Device,
    queue: wgpu::Queue,
}

impl DeviceStore {
    /// For a device.
    pub fn new(device: &wgpu::Device, queue: &wgpu::Queue) -> Self {
        Self {
            device: device.clone(),
            queue: queue.clone(),
        }
    }
}

impl FrameStore for DeviceStore {
    fn put(&mut self, frame: &FrameData) -> Result<FrameGpu, Refusal> {
        let too_large = || {
            Refusal::TooLarge(format!(
                "frames of {} x {} pixels are too large for the viewport on this graphics device",
                frame.width, frame.height
            ))
        };
        if !fits(&self.device, frame) {
            return Err(too_large());
        }
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let uploaded = FrameGpu::upload(&self.device, &self.queue, frame);
        // Starts the copies now: staged frames would pile up while the window is idle.
        self.queue.submit([]);
        if let Some(error) = pollster::block_on(scope.pop()) {
            return Err(Refusal::OutOfMemory(format!(
                "the graphics memory is full ({error}); close other programs or show a smaller clip"
            )));
        }
        uploaded.ok_or_else(too_large)
    }
}

/// Whether the largest buffer of a frame is within what a shader of the device can be given.
pub(super) fn fits(device: &wgpu::Device, frame: &FrameData) -> bool {
    let limits = device.limits();
    let most_bytes = limits
        .max_storage_buffer_binding_size
        .min(limits.max_buffer_size);
    size_of_val(frame.positions.as_slice()) as u64 <= most_bytes
}

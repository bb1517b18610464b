//! A frame's buffers on the GPU, and what the passes need to know of it.

use std::sync::atomic::{AtomicU64, Ordering};

use glam::DVec3;

use super::frame_data::FrameData;
use super::picking::IdLayout;
use super::quantiser::Quantiser;

/// A frame on the GPU.
pub struct FrameGpu {
    /// Columns and rows.
    pub grid: [u32; 2],
    /// Tells uploads apart: no two frames ever have the same.
    pub serial: u64,
    pub(super) quantiser: Quantiser,
    pub(super) spacing_from_unit: [f32; 4],
    pub(super) depth_from_unit: [f32; 4],
    pub(super) camera_centre: DVec3,
    pub(super) source_focal_px: f32,
    pub(super) flow_scale: f32,
    pub(super) is_grid: bool,
    pub(super) buffers: FrameBuffers,
    id_layout: IdLayout,
}

/// What a frame's points are made of.
pub(super) struct FrameBuffers {
    pub(super) positions: wgpu::Buffer,
    pub(super) colours: wgpu::Buffer,
    pub(super) attributes: Option<wgpu::Buffer>,
}

impl FrameGpu {
    /// Uploads a frame; `None` if it has more pixels than an id can hold. The copies run with the
    /// queue's next submission.
    pub fn upload(device: &wgpu::Device, queue: &wgpu::Queue, frame: &FrameData) -> Option<Self> {
        static SERIAL: AtomicU64 = AtomicU64::new(1);
        let id_layout = IdLayout::for_pixels(frame.width * frame.height)?;
        let buffer = |label, contents: &[u8]| {
            let buffer = device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size: contents.len() as u64,
                usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            });
            queue.write_buffer(&buffer, 0, contents);
            buffer
        };
        let attributes = frame.attributes.as_deref();
        Some(Self {
            grid: [frame.width as u32, frame.height as u32],
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
            quantiser: frame.quantiser,
            spacing_from_unit: frame.plane_from_unit(frame.spacing_from_world),
            depth_from_unit: frame.plane_from_unit(frame.depth_from_world),
            camera_centre: frame.camera_centre,
            source_focal_px: frame.focal_px,
            flow_scale: frame.flow_scale,
            is_grid: frame.is_grid,
            buffers: FrameBuffers {
                positions: buffer(
                    "FrameGpu::positions",
                    bytemuck::cast_slice(&frame.positions),
                ),
                colours: buffer("FrameGpu::colours", bytemuck::cast_slice(&frame.colours)),
                attributes: attributes
                    .map(|words| buffer("FrameGpu::attributes", bytemuck::cast_slice(words))),
            },
            id_layout,
        })
    }

    /// Bytes of the device's memory that the frame takes.
    pub fn bytes(&self) -> u64 {
        let FrameBuffers {
            positions,
            colours,
            attributes,
        } = &self.buffers;
        positions.size() + colours.size() + attributes.as_ref().map_or(0, wgpu::Buffer::size)
    }

    /// How this frame's ids are laid out.
    pub fn id_layout(&self) -> IdLayout {
        self.id_layout
    }
}

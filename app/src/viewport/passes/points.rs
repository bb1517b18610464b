//! Points into the visibility buffer: one compute thread a pixel of the frame.

use wgpu::ShaderStages;

use super::{FrameBindings, bind_group, bind_group_layout, compute_pipeline, pipeline_layout};
use super::{storage, storage_mut, uniform};
use crate::viewport::gpu_data::PointUniforms;
use crate::viewport::wgsl;

/// How the nearest point of a pixel is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RasterPath {
    /// One 64-bit maximum.
    Atomic64,
    /// Two passes of 32-bit maxima; writes the same words, for devices without 64-bit atomics.
    TwoPass32,
}

impl RasterPath {
    /// Features of the 64-bit path.
    pub const ATOMIC64_FEATURES: wgpu::Features =
        wgpu::Features::SHADER_INT64.union(wgpu::Features::SHADER_INT64_ATOMIC_MIN_MAX);

    /// The fastest path that a device supports.
    pub fn best(features: wgpu::Features) -> Self {
        if features.contains(Self::ATOMIC64_FEATURES) {
            Self::Atomic64
        } else {
            Self::TwoPass32
        }
    }
}

/// Uniforms of one frame drawn in one view.
pub struct PointsData {
    pub(super) uniforms: wgpu::Buffer,
    pub(super) cells: [u32; 2],
}

impl PointsData {
    /// Room for the uniforms.
    pub fn new(device: &wgpu::Device) -> Self {
        Self {
            uniforms: super::uniform_buffer::<PointUniforms>(device, "PointsPass::uniforms"),
            cells: [0; 2],
        }
    }

    /// Takes the uniforms of the next draw.
    pub fn upload(&mut self, queue: &wgpu::Queue, uniforms: &PointUniforms) {
        queue.write_buffer(&self.uniforms, 0, bytemuck::bytes_of(uniforms));
        self.cells = uniforms.grid.map(|n| n.div_ceil(uniforms.stride));
    }
}

/// Pipelines of the point pass.
pub struct PointsPass {
    layout: wgpu::BindGroupLayout,
    pipelines: Vec<wgpu::ComputePipeline>,
}

impl PointsPass {
    /// Compiles the pipelines of a path, which the device must support.
    pub fn new(device: &wgpu::Device, path: RasterPath) -> Self {
        let layout = bind_group_layout(
            device,
            "PointsPass::layout",
            &[
                uniform(0, ShaderStages::COMPUTE),
                storage(1, ShaderStages::COMPUTE),
                storage(2, ShaderStages::COMPUTE),
                storage(3, ShaderStages::COMPUTE),
                storage_mut(4, ShaderStages::COMPUTE),
            ],
        );
        let pipeline_layout = pipeline_layout(device, "PointsPass::pipeline_layout", &[&layout]);
        let (file, entry_points): (_, &[&str]) = match path {
            RasterPath::Atomic64 => ("points_u64.wgsl", &["raster"]),
            RasterPath::TwoPass32 => ("points_u32.wgsl", &["raster_depth", "raster_id"]),
        };
        let module = wgsl::module(device, file);
        let pipelines = entry_points
            .iter()
            .map(|entry| {
                compute_pipeline(
                    device,
                    "PointsPass::pipeline",
                    &pipeline_layout,
                    (&module, entry),
                )
            })
            .collect();
        Self { layout, pipelines }
    }

    /// Draws one frame into a visibility buffer that was cleared before.
    pub fn draw(
        &self,
        device: &wgpu::Device,
        pass: &mut wgpu::ComputePass<'_>,
        data: &PointsData,
        (frame, visibility): (FrameBindings<'_>, &wgpu::Buffer),
    ) {
        let group = bind_group(
            device,
            "PointsPass::bind_group",
            &self.layout,
            &[
                data.uniforms.as_entire_binding(),
                frame.positions.as_entire_binding(),
                frame.colours.as_entire_binding(),
                frame.attributes.as_entire_binding(),
                visibility.as_entire_binding(),
            ],
        );
        pass.set_bind_group(0, &group, &[]);
        for pipeline in &self.pipelines {
            pass.set_pipeline(pipeline);
            pass.dispatch_workgroups(data.cells[0].div_ceil(64), data.cells[1], 1);
        }
    }
}

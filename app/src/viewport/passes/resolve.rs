//! Visibility buffer to picture: one compute thread a pixel; every look is chosen here.

use wgpu::ShaderStages;

use super::shading::{Shading, ShadingPipelines};
use super::{FrameBindings, PICTURE_FORMAT, bind_group, bind_group_layout};
use super::{pipeline_layout, storage, uniform, uniform_buffer};
use crate::viewport::gpu_data::{FrameLook, LookUniforms};
use crate::viewport::wgsl;

/// Uniforms and targets of one view.
pub struct ResolveData {
    /// Shared with the smooth pass.
    pub(in crate::viewport) look: wgpu::Buffer,
    size_px: [u32; 2],
}

impl ResolveData {
    /// Room for the uniforms.
    pub fn new(device: &wgpu::Device) -> Self {
        Self {
            look: uniform_buffer::<LookUniforms>(device, "ResolvePass::look"),
            size_px: [0; 2],
        }
    }

    /// Takes the uniforms of the next draw.
    pub fn upload(&mut self, queue: &wgpu::Queue, look: &LookUniforms) {
        queue.write_buffer(&self.look, 0, bytemuck::bytes_of(look));
        self.size_px = look.size_px;
    }
}

/// Room for a frame's part of the uniforms.
pub fn frame_look_buffer(device: &wgpu::Device) -> wgpu::Buffer {
    uniform_buffer::<FrameLook>(device, "ResolvePass::frame")
}

/// What the pass reads and writes of a view.
#[derive(Clone, Copy)]
pub struct ResolveTargets<'a> {
    /// Ids and depths.
    pub visibility: &'a wgpu::Buffer,
    /// Sums of the smooth pass; any buffer of 16 bytes where it did not run.
    pub sums: &'a wgpu::Buffer,
    /// The picture.
    pub picture: &'a wgpu::TextureView,
}

/// Pipelines of the resolve pass.
pub struct ResolvePass {
    view_layout: wgpu::BindGroupLayout,
    frame_layout: wgpu::BindGroupLayout,
    pipelines: ShadingPipelines,
}

/// Bindings of a frame as `look.wgsl` declares them.
pub(super) fn frame_layout(device: &wgpu::Device) -> wgpu::BindGroupLayout {
    bind_group_layout(
        device,
        "ResolvePass::frame_layout",
        &[
            uniform(0, ShaderStages::COMPUTE),
            storage(1, ShaderStages::COMPUTE),
            storage(2, ShaderStages::COMPUTE),
            storage(3, ShaderStages::COMPUTE),
        ],
    )
}

/// A frame bound for `look.wgsl`.
pub(super) fn frame_group(
    device: &wgpu::Device,
    layout: &wgpu::BindGroupLayout,
    (look, frame): (&wgpu::Buffer, FrameBindings<'_>),
) -> wgpu::BindGroup {
    bind_group(
        device,
        "ResolvePass::frame_group",
        layout,
        &[
            look.as_entire_binding(),
            frame.positions.as_entire_binding(),
            frame.colours.as_entire_binding(),
            frame.attributes.as_entire_binding(),
        ],
    )
}

impl ResolvePass {
    /// Compiles the pipeline.
    pub fn new(device: &wgpu::Device) -> Self {
        let view_layout = bind_group_layout(
            device,
            "ResolvePass::view_layout",
            &[
                uniform(0, ShaderStages::COMPUTE),
                storage(1, ShaderStages::COMPUTE),
                storage(2, ShaderStages::COMPUTE),
                wgpu::BindGroupLayoutEntry {
                    binding: 3,
                    visibility: ShaderStages::COMPUTE,
                    ty: wgpu::BindingType::StorageTexture {
                        access: wgpu::StorageTextureAccess::WriteOnly,
                        format: PICTURE_FORMAT,
                        view_dimension: wgpu::TextureViewDimension::D2,
                    },
                    count: None,
                },
            ],
        );
        let frame_layout = frame_layout(device);
        let layout = pipeline_layout(
            device,
            "ResolvePass::pipeline_layout",
            &[&view_layout, &frame_layout],
        );
        let module = wgsl::module(device, "resolve.wgsl");
        let shader = (module, "shade");
        Self {
            view_layout,
            frame_layout,
            pipelines: ShadingPipelines::new("ResolvePass::pipeline", layout, shader, true),
        }
    }

    /// Colours the pixels of the picture that show one of the frames; the first also colours the
    /// background.
    pub fn draw<'a>(
        &self,
        device: &wgpu::Device,
        pass: &mut wgpu::ComputePass<'_>,
        (data, targets, shading): (&ResolveData, ResolveTargets<'_>, Shading),
        frames: impl Iterator<Item = (&'a wgpu::Buffer, FrameBindings<'a>)>,
    ) {
        let view_group = bind_group(
            device,
            "ResolvePass::view_group",
            &self.view_layout,
            &[
                data.look.as_entire_binding(),
                targets.visibility.as_entire_binding(),
                targets.sums.as_entire_binding(),
                wgpu::BindingResource::TextureView(targets.picture),
            ],
        );
        let shading = if shading.is_smoothed() {
            shading.of_sums()
        } else {
            shading
        };
        pass.set_pipeline(&self.pipelines.get(device, shading));
        pass.set_bind_group(0, &view_group, &[]);
        for frame in frames {
            let group = frame_group(device, &self.frame_layout, frame);
            pass.set_bind_group(1, &group, &[]);
            pass.dispatch_workgroups(data.size_px[0].div_ceil(64), data.size_px[1], 1);
        }
    }
}

//! Visibility buffer to picture: one compute thread a pixel; every look is chosen here.

use wgpu::ShaderStages;

use super::{PICTURE_FORMAT, bind_group, bind_group_layout, compute_pipeline, pipeline_layout};
use super::{storage, uniform, uniform_buffer};
use crate::viewport::gpu_data::ResolveUniforms;
use crate::viewport::wgsl;

/// Bindings of one view.
pub struct ResolveData {
    uniforms: wgpu::Buffer,
    view_group: wgpu::BindGroup,
    size_px: [u32; 2],
}

/// Pipeline of the resolve pass.
pub struct ResolvePass {
    view_layout: wgpu::BindGroupLayout,
    frame_layout: wgpu::BindGroupLayout,
    pipeline: wgpu::ComputePipeline,
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
                wgpu::BindGroupLayoutEntry {
                    binding: 2,
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
        let frame_layout = bind_group_layout(
            device,
            "ResolvePass::frame_layout",
            &[storage(0, ShaderStages::COMPUTE)],
        );
        let layout = pipeline_layout(
            device,
            "ResolvePass::pipeline_layout",
            &[&view_layout, &frame_layout],
        );
        let module = wgsl::module(device, "resolve.wgsl");
        let pipeline =
            compute_pipeline(device, "ResolvePass::pipeline", &layout, (&module, "shade"));
        Self {
            view_layout,
            frame_layout,
            pipeline,
        }
    }

    /// Binds a view's visibility buffer and picture.
    pub fn data(
        &self,
        device: &wgpu::Device,
        visibility: &wgpu::Buffer,
        picture: &wgpu::TextureView,
    ) -> ResolveData {
        let uniforms = uniform_buffer::<ResolveUniforms>(device, "ResolvePass::uniforms");
        let view_group = bind_group(
            device,
            "ResolvePass::view_group",
            &self.view_layout,
            &[
                uniforms.as_entire_binding(),
                visibility.as_entire_binding(),
                wgpu::BindingResource::TextureView(picture),
            ],
        );
        ResolveData {
            uniforms,
            view_group,
            size_px: [0; 2],
        }
    }

    /// Takes the uniforms of the next draw.
    pub fn upload(queue: &wgpu::Queue, data: &mut ResolveData, uniforms: &ResolveUniforms) {
        queue.write_buffer(&data.uniforms, 0, bytemuck::bytes_of(uniforms));
        data.size_px = uniforms.size_px;
    }

    /// Colours every pixel of the picture.
    pub fn draw(
        &self,
        device: &wgpu::Device,
        pass: &mut wgpu::ComputePass<'_>,
        data: &ResolveData,
        colours: &wgpu::Buffer,
    ) {
        let frame_group = bind_group(
            device,
            "ResolvePass::frame_group",
            &self.frame_layout,
            &[colours.as_entire_binding()],
        );
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &data.view_group, &[]);
        pass.set_bind_group(1, &frame_group, &[]);
        pass.dispatch_workgroups(data.size_px[0].div_ceil(64), data.size_px[1], 1);
    }
}

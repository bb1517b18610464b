//! The current camera's picture on the image plane of its frustum.

use wgpu::ShaderStages;

use super::{TRIANGLE_STRIP, bind_group, bind_group_layout, picture_target, pipeline_layout};
use super::{reverse_depth, storage, uniform, uniform_buffer};
use crate::viewport::gpu_data::ImagePlaneUniforms;
use crate::viewport::wgsl;

/// Bindings of one view.
pub struct ImagePlaneData {
    uniforms: wgpu::Buffer,
    view_group: wgpu::BindGroup,
}

/// Pipeline of the image plane.
pub struct ImagePlanePass {
    view_layout: wgpu::BindGroupLayout,
    frame_layout: wgpu::BindGroupLayout,
    pipeline: wgpu::RenderPipeline,
}

impl ImagePlanePass {
    /// Compiles the pipeline.
    pub fn new(device: &wgpu::Device) -> Self {
        let view_layout = bind_group_layout(
            device,
            "ImagePlanePass::view_layout",
            &[
                uniform(0, ShaderStages::VERTEX_FRAGMENT),
                storage(1, ShaderStages::FRAGMENT),
                uniform(2, ShaderStages::VERTEX_FRAGMENT),
            ],
        );
        let frame_layout = bind_group_layout(
            device,
            "ImagePlanePass::frame_layout",
            &[storage(0, ShaderStages::FRAGMENT)],
        );
        let groups = [&view_layout, &frame_layout];
        let module = wgsl::module(device, "image_plane.wgsl");
        let pipeline = device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
            label: Some("ImagePlanePass::pipeline"),
            layout: Some(&pipeline_layout(
                device,
                "ImagePlanePass::pipeline_layout",
                &groups,
            )),
            vertex: wgpu::VertexState {
                module: &module,
                entry_point: Some("place"),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                buffers: &[],
            },
            primitive: TRIANGLE_STRIP,
            depth_stencil: Some(reverse_depth(true)),
            multisample: wgpu::MultisampleState::default(),
            fragment: Some(wgpu::FragmentState {
                module: &module,
                entry_point: Some("shade"),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                targets: &[Some(picture_target())],
            }),
            multiview_mask: None,
            cache: None,
        });
        Self {
            view_layout,
            frame_layout,
            pipeline,
        }
    }

    /// Binds a view's eye and visibility buffer.
    pub fn data(
        &self,
        device: &wgpu::Device,
        [eye, visibility]: [&wgpu::Buffer; 2],
    ) -> ImagePlaneData {
        let uniforms = uniform_buffer::<ImagePlaneUniforms>(device, "ImagePlanePass::uniforms");
        let view_group = bind_group(
            device,
            "ImagePlanePass::view_group",
            &self.view_layout,
            &[
                eye.as_entire_binding(),
                visibility.as_entire_binding(),
                uniforms.as_entire_binding(),
            ],
        );
        ImagePlaneData {
            uniforms,
            view_group,
        }
    }

    /// Takes the uniforms of the next draw.
    pub fn upload(queue: &wgpu::Queue, data: &ImagePlaneData, uniforms: &ImagePlaneUniforms) {
        queue.write_buffer(&data.uniforms, 0, bytemuck::bytes_of(uniforms));
    }

    /// Draws the plane.
    pub fn draw(
        &self,
        device: &wgpu::Device,
        pass: &mut wgpu::RenderPass<'_>,
        data: &ImagePlaneData,
        colours: &wgpu::Buffer,
    ) {
        let frame_group = bind_group(
            device,
            "ImagePlanePass::frame_group",
            &self.frame_layout,
            &[colours.as_entire_binding()],
        );
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &data.view_group, &[]);
        pass.set_bind_group(1, &frame_group, &[]);
        pass.draw(0..4, 0..1);
    }
}

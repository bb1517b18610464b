//! The finished picture into the window's render pass.

use super::{TRIANGLE_STRIP, bind_group, bind_group_layout, pipeline_layout};
use crate::viewport::wgsl;

/// Binding of one view's picture.
pub struct CompositeData {
    group: wgpu::BindGroup,
}

/// Pipeline of the composite pass.
pub struct CompositePass {
    layout: wgpu::BindGroupLayout,
    pipeline: wgpu::RenderPipeline,
}

impl CompositePass {
    /// Compiles the pipeline for the window's format.
    pub fn new(device: &wgpu::Device, target_format: wgpu::TextureFormat) -> Self {
        let layout = bind_group_layout(
            device,
            "CompositePass::layout",
            &[wgpu::BindGroupLayoutEntry {
                binding: 0,
                visibility: wgpu::ShaderStages::FRAGMENT,
                ty: wgpu::BindingType::Texture {
                    sample_type: wgpu::TextureSampleType::Float { filterable: false },
                    view_dimension: wgpu::TextureViewDimension::D2,
                    multisampled: false,
                },
                count: None,
            }],
        );
        let module = wgsl::module(device, "composite.wgsl");
        let encode = if target_format.is_srgb() {
            "to_linear"
        } else {
            "keep_gamma"
        };
        let pipeline = device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
            label: Some("CompositePass::pipeline"),
            layout: Some(&pipeline_layout(
                device,
                "CompositePass::pipeline_layout",
                &[&layout],
            )),
            vertex: wgpu::VertexState {
                module: &module,
                entry_point: Some("cover"),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                buffers: &[],
            },
            primitive: TRIANGLE_STRIP,
            depth_stencil: None,
            multisample: wgpu::MultisampleState::default(),
            fragment: Some(wgpu::FragmentState {
                module: &module,
                entry_point: Some(encode),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                targets: &[Some(target_format.into())],
            }),
            multiview_mask: None,
            cache: None,
        });
        Self { layout, pipeline }
    }

    /// Binds a picture.
    pub fn data(&self, device: &wgpu::Device, picture: &wgpu::TextureView) -> CompositeData {
        CompositeData {
            group: bind_group(
                device,
                "CompositePass::bind_group",
                &self.layout,
                &[wgpu::BindingResource::TextureView(picture)],
            ),
        }
    }

    /// Fills the viewport that is set on the pass.
    pub fn draw(&self, pass: &mut wgpu::RenderPass<'_>, data: &CompositeData) {
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &data.group, &[]);
        pass.draw(0..3, 0..1);
    }
}

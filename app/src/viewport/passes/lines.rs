//! Frustums, trajectory, grid and axes: instanced segments with analytic coverage.

use wgpu::ShaderStages;

use super::{TRIANGLE_STRIP, bind_group, bind_group_layout, picture_target, pipeline_layout};
use super::{reverse_depth, storage, uniform};
use crate::viewport::gpu_data::{SEGMENT_ATTRIBUTES, Segment};
use crate::viewport::wgsl;

/// Segments and bindings of one view.
pub struct LinesData {
    group: wgpu::BindGroup,
    segments: wgpu::Buffer,
    count: u32,
}

/// Pipeline of the line pass.
pub struct LinesPass {
    layout: wgpu::BindGroupLayout,
    pipeline: wgpu::RenderPipeline,
}

impl LinesPass {
    /// Compiles the pipeline.
    pub fn new(device: &wgpu::Device) -> Self {
        let layout = bind_group_layout(
            device,
            "LinesPass::layout",
            &[
                uniform(0, ShaderStages::VERTEX_FRAGMENT),
                storage(1, ShaderStages::FRAGMENT),
            ],
        );
        let module = wgsl::module(device, "lines.wgsl");
        let pipeline = device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
            label: Some("LinesPass::pipeline"),
            layout: Some(&pipeline_layout(
                device,
                "LinesPass::pipeline_layout",
                &[&layout],
            )),
            vertex: wgpu::VertexState {
                module: &module,
                entry_point: Some("expand"),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                buffers: &[Some(wgpu::VertexBufferLayout {
                    array_stride: size_of::<Segment>() as u64,
                    step_mode: wgpu::VertexStepMode::Instance,
                    attributes: &SEGMENT_ATTRIBUTES,
                })],
            },
            primitive: TRIANGLE_STRIP,
            depth_stencil: Some(reverse_depth(false)),
            multisample: wgpu::MultisampleState::default(),
            fragment: Some(wgpu::FragmentState {
                module: &module,
                entry_point: Some("cover"),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                targets: &[Some(picture_target())],
            }),
            multiview_mask: None,
            cache: None,
        });
        Self { layout, pipeline }
    }

    /// Binds a view's eye and visibility buffer.
    pub fn data(&self, device: &wgpu::Device, [eye, visibility]: [&wgpu::Buffer; 2]) -> LinesData {
        LinesData {
            group: bind_group(
                device,
                "LinesPass::bind_group",
                &self.layout,
                &[eye.as_entire_binding(), visibility.as_entire_binding()],
            ),
            segments: segment_buffer(device, 256),
            count: 0,
        }
    }

    /// Takes the segments of the next draw.
    pub fn upload(
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        data: &mut LinesData,
        segments: &[Segment],
    ) {
        let bytes: &[u8] = bytemuck::cast_slice(segments);
        if data.segments.size() < bytes.len() as u64 {
            data.segments = segment_buffer(device, segments.len().next_power_of_two());
        }
        queue.write_buffer(&data.segments, 0, bytes);
        data.count = segments.len() as u32;
    }

    /// Draws the segments in their order.
    pub fn draw(&self, pass: &mut wgpu::RenderPass<'_>, data: &LinesData) {
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &data.group, &[]);
        pass.set_vertex_buffer(0, data.segments.slice(..));
        pass.draw(0..4, 0..data.count);
    }
}

fn segment_buffer(device: &wgpu::Device, capacity: usize) -> wgpu::Buffer {
    device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("LinesPass::segments"),
        size: (capacity * size_of::<Segment>()) as u64,
        usage: wgpu::BufferUsages::VERTEX | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    })
}

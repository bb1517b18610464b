//! The frame's grid as a surface: small triangles by compute, large ones by the hardware.
//!
//! A compute thread a quad keeps the triangles that no edge, filter or gap cuts. Those of a few
//! pixels it rasterises itself, as setting them up costs the hardware more than filling them; the
//! others it lists for an indirect draw, whose ids and depths are merged afterwards.

use wgpu::ShaderStages;

use super::points::{PointsData, RasterPath};
use super::{DEPTH_FORMAT, FrameBindings, bind_group, bind_group_layout, compute_pipeline};
use super::{pipeline_layout, storage, storage_mut, uniform};
use crate::viewport::wgsl;

/// Id and depth bits.
const DRAWN_FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rg32Uint;
/// Large triangles that the list has room for; the rest is rasterised as if small.
const MAX_LARGE: u64 = 1 << 17;
/// Arguments of the indirect draw: no vertices yet, one instance.
const NO_TRIANGLES: [u32; 4] = [0, 1, 0, 0];

/// The list of large triangles and what the hardware draws into.
pub struct SurfaceData {
    large: wgpu::Buffer,
    drawn: wgpu::TextureView,
    size_px: [u32; 2],
}

/// Large triangles that a device's list can hold.
fn most_large(device: &wgpu::Device) -> u64 {
    let limits = device.limits();
    let most_bytes = limits
        .max_storage_buffer_binding_size
        .min(limits.max_buffer_size);
    (most_bytes.saturating_sub(16) / 12).clamp(1, MAX_LARGE)
}

/// What the pass writes of a view.
#[derive(Clone, Copy)]
pub struct SurfaceTargets<'a> {
    /// Ids and depths.
    pub visibility: &'a wgpu::Buffer,
    /// A depth buffer of the picture's size.
    pub depth: &'a wgpu::TextureView,
}

/// Pipelines of the surface.
pub struct SurfacePass {
    grid_layout: wgpu::BindGroupLayout,
    draw_layout: wgpu::BindGroupLayout,
    merge_layout: wgpu::BindGroupLayout,
    grid: Vec<wgpu::ComputePipeline>,
    draw: wgpu::RenderPipeline,
    merge: wgpu::ComputePipeline,
}

impl SurfacePass {
    /// Compiles the pipelines of a path, which the device must support.
    pub fn new(device: &wgpu::Device, path: RasterPath) -> Self {
        let grid_layout = bind_group_layout(
            device,
            "SurfacePass::grid_layout",
            &[
                uniform(0, ShaderStages::COMPUTE),
                storage(1, ShaderStages::COMPUTE),
                storage(2, ShaderStages::COMPUTE),
                storage(3, ShaderStages::COMPUTE),
                storage_mut(4, ShaderStages::COMPUTE),
                storage_mut(5, ShaderStages::COMPUTE),
            ],
        );
        let draw_layout = bind_group_layout(
            device,
            "SurfacePass::draw_layout",
            &[
                uniform(0, ShaderStages::VERTEX_FRAGMENT),
                storage(1, ShaderStages::VERTEX),
                storage(5, ShaderStages::VERTEX),
            ],
        );
        let merge_layout = bind_group_layout(
            device,
            "SurfacePass::merge_layout",
            &[
                wgpu::BindGroupLayoutEntry {
                    binding: 0,
                    visibility: ShaderStages::COMPUTE,
                    ty: wgpu::BindingType::Texture {
                        sample_type: wgpu::TextureSampleType::Uint,
                        view_dimension: wgpu::TextureViewDimension::D2,
                        multisampled: false,
                    },
                    count: None,
                },
                storage_mut(1, ShaderStages::COMPUTE),
            ],
        );
        let (file, entry_points): (_, &[&str]) = match path {
            RasterPath::Atomic64 => ("surface_u64.wgsl", &["raster"]),
            RasterPath::TwoPass32 => ("surface_u32.wgsl", &["raster_depth", "raster_id"]),
        };
        let compute = |layout, file, entry| {
            let label = "SurfacePass::pipeline";
            let layout = pipeline_layout(device, label, &[layout]);
            compute_pipeline(device, label, &layout, (&wgsl::module(device, file), entry))
        };
        Self {
            grid: entry_points
                .iter()
                .map(|entry| compute(&grid_layout, file, entry))
                .collect(),
            draw: draw_pipeline(device, &draw_layout),
            merge: compute(&merge_layout, "merge.wgsl", "merge"),
            grid_layout,
            draw_layout,
            merge_layout,
        }
    }

    /// Makes the list and the target of a view.
    pub fn data(device: &wgpu::Device, size_px: [u32; 2]) -> SurfaceData {
        let drawn = device.create_texture(&wgpu::TextureDescriptor {
            label: Some("SurfacePass::drawn"),
            size: wgpu::Extent3d {
                width: size_px[0],
                height: size_px[1],
                depth_or_array_layers: 1,
            },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: DRAWN_FORMAT,
            usage: wgpu::TextureUsages::RENDER_ATTACHMENT | wgpu::TextureUsages::TEXTURE_BINDING,
            view_formats: &[],
        });
        SurfaceData {
            large: device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("SurfacePass::large"),
                size: 16 + 12 * most_large(device),
                usage: wgpu::BufferUsages::STORAGE
                    | wgpu::BufferUsages::INDIRECT
                    | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            }),
            drawn: drawn.create_view(&wgpu::TextureViewDescriptor::default()),
            size_px,
        }
    }

    /// Empties the list for the next draw.
    pub fn upload(queue: &wgpu::Queue, data: &SurfaceData) {
        queue.write_buffer(&data.large, 0, bytemuck::cast_slice(&NO_TRIANGLES));
    }

    /// Draws one frame into a visibility buffer that was cleared before.
    pub fn draw(
        &self,
        device: &wgpu::Device,
        encoder: &mut wgpu::CommandEncoder,
        (data, targets): (&SurfaceData, SurfaceTargets<'_>),
        (points, frame): (&PointsData, FrameBindings<'_>),
    ) {
        let group = bind_group(
            device,
            "SurfacePass::grid_group",
            &self.grid_layout,
            &[
                points.uniforms.as_entire_binding(),
                frame.positions.as_entire_binding(),
                frame.colours.as_entire_binding(),
                frame.attributes.as_entire_binding(),
                targets.visibility.as_entire_binding(),
                data.large.as_entire_binding(),
            ],
        );
        for pipeline in &self.grid {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: Some("SurfacePass::grid"),
                timestamp_writes: None,
            });
            pass.set_pipeline(pipeline);
            pass.set_bind_group(0, &group, &[]);
            pass.dispatch_workgroups(points.cells[0].div_ceil(64), points.cells[1], 1);
        }
        self.draw_large(device, encoder, (data, targets), (points, frame));
        let group = bind_group(
            device,
            "SurfacePass::merge_group",
            &self.merge_layout,
            &[
                wgpu::BindingResource::TextureView(&data.drawn),
                targets.visibility.as_entire_binding(),
            ],
        );
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: Some("SurfacePass::merge"),
            timestamp_writes: None,
        });
        pass.set_pipeline(&self.merge);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(data.size_px[0].div_ceil(64), data.size_px[1], 1);
    }

    fn draw_large(
        &self,
        device: &wgpu::Device,
        encoder: &mut wgpu::CommandEncoder,
        (data, targets): (&SurfaceData, SurfaceTargets<'_>),
        (points, frame): (&PointsData, FrameBindings<'_>),
    ) {
        let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("SurfacePass::draw_group"),
            layout: &self.draw_layout,
            entries: &[
                entry(0, &points.uniforms),
                entry(1, frame.positions),
                entry(5, &data.large),
            ],
        });
        let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("SurfacePass::draw"),
            color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                view: &data.drawn,
                depth_slice: None,
                resolve_target: None,
                ops: wgpu::Operations {
                    load: wgpu::LoadOp::Clear(wgpu::Color::TRANSPARENT),
                    store: wgpu::StoreOp::Store,
                },
            })],
            depth_stencil_attachment: Some(wgpu::RenderPassDepthStencilAttachment {
                view: targets.depth,
                depth_ops: Some(wgpu::Operations {
                    load: wgpu::LoadOp::Clear(0.0),
                    store: wgpu::StoreOp::Discard,
                }),
                stencil_ops: None,
            }),
            timestamp_writes: None,
            occlusion_query_set: None,
            multiview_mask: None,
        });
        pass.set_pipeline(&self.draw);
        pass.set_bind_group(0, &group, &[]);
        pass.draw_indirect(&data.large, 0);
    }
}

fn entry(binding: u32, buffer: &wgpu::Buffer) -> wgpu::BindGroupEntry<'_> {
    wgpu::BindGroupEntry {
        binding,
        resource: buffer.as_entire_binding(),
    }
}

fn draw_pipeline(device: &wgpu::Device, layout: &wgpu::BindGroupLayout) -> wgpu::RenderPipeline {
    let module = wgsl::module(device, "surface.wgsl");
    device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label: Some("SurfacePass::draw"),
        layout: Some(&pipeline_layout(
            device,
            "SurfacePass::draw_layout",
            &[layout],
        )),
        vertex: wgpu::VertexState {
            module: &module,
            entry_point: Some("place"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            buffers: &[],
        },
        primitive: wgpu::PrimitiveState::default(),
        depth_stencil: Some(wgpu::DepthStencilState {
            format: DEPTH_FORMAT,
            depth_write_enabled: Some(true),
            depth_compare: Some(wgpu::CompareFunction::Greater),
            stencil: wgpu::StencilState::default(),
            bias: wgpu::DepthBiasState::default(),
        }),
        multisample: wgpu::MultisampleState::default(),
        fragment: Some(wgpu::FragmentState {
            module: &module,
            entry_point: Some("identify"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            targets: &[Some(DRAWN_FORMAT.into())],
        }),
        multiview_mask: None,
        cache: None,
    })
}

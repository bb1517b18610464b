//! From frames on the GPU and an eye to a picture: the passes and their order.
//!
//! ```text
//! frames -> points (compute) -> visibility buffer: depth | id, 64 bits a pixel
//! frames -> surface (compute, large triangles by the hardware) -> the same
//!   visibility + frames -> smooth (compute) -> sums of colours
//!   visibility + frames -> resolve (compute) -> picture
//!   visibility          -> image plane, lines -> picture, hidden by the cloud
//! picture -> composite -> the window's own pass
//! ```

use glam::DVec3;

use super::eye::Eye;
use super::frame_gpu::FrameGpu;
use super::gpu_data::{FrameLook, ImagePlaneUniforms, Segment};
use super::options::{DrawMode, Palette, ViewOptions};
use super::passes::FrameBindings;
use super::passes::image_plane::ImagePlanePass;
use super::passes::lines::LinesPass;
use super::passes::points::{PointsPass, RasterPath};
use super::passes::resolve::{ResolveData, ResolvePass, ResolveTargets};
use super::passes::shading::Shading;
use super::passes::smooth::{SmoothPass, SmoothTargets};
use super::passes::surface::{SurfacePass, SurfaceTargets};
use super::scene_lines::Fade;
use super::stats::SceneRanges;
use super::uniforms::{draws_surface, eye_uniforms, frame_look, look_uniforms, point_uniforms};
use super::view::{RasterKey, SUM_BYTES, Slot, Targets, View};

/// The eye of a picture, with what depends on the scene.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PictureEye {
    /// Pose and lens.
    pub eye: Eye,
    /// Distance of the near plane, scene units.
    pub near: f64,
    /// Where the grid fades.
    pub fade: Fade,
}

/// A frame on a picture.
#[derive(Clone, Copy)]
pub struct DrawnFrame<'a> {
    /// Its points.
    pub frame: &'a FrameGpu,
    /// Share of its points that is drawn, 0..1; 1 for the current frame.
    pub weight: f32,
    /// Place in the clip, 0..1; `None` for what belongs to no frame.
    pub time: Option<f32>,
    /// Drawn besides the current frame: as points even where that one is a surface.
    pub is_ghost: bool,
    /// Only every n-th column and row is drawn, times what the distance allows; 1 for all.
    pub thinning: u32,
}

impl<'a> DrawnFrame<'a> {
    /// A frame drawn whole.
    pub fn whole(frame: &'a FrameGpu) -> Self {
        Self {
            frame,
            weight: 1.0,
            time: Some(0.0),
            is_ghost: false,
            thinning: 1,
        }
    }
}

/// Everything on one picture.
#[derive(Clone, Copy)]
pub struct Picture<'a> {
    /// From where.
    pub eye: PictureEye,
    /// What and how.
    pub options: &'a ViewOptions,
    /// In which colours.
    pub palette: &'a Palette,
    /// Ranges of the scales of colours.
    pub ranges: &'a SceneRanges,
    /// The frames whose points are drawn, the current one first; of one clip, so that their ids
    /// have one layout. Frames beyond what an id can tell apart are left out.
    pub frames: &'a [DrawnFrame<'a>],
    /// Line work.
    pub segments: &'a [Segment],
    /// Corners of the image plane, where the current frame's picture is shown.
    pub image_plane: Option<[DVec3; 4]>,
}

/// The passes, compiled once.
pub struct Renderer {
    device: wgpu::Device,
    queue: wgpu::Queue,
    points: PointsPass,
    surface: SurfacePass,
    smooth: SmoothPass,
    resolve: ResolvePass,
    lines: LinesPass,
    image_plane: ImagePlanePass,
    /// Bound where a frame lacks something.
    nothing: wgpu::Buffer,
}

impl Renderer {
    /// Compiles the passes for the fastest path that the device supports.
    pub fn new(device: &wgpu::Device, queue: &wgpu::Queue) -> Self {
        Self::with_path(device, queue, RasterPath::best(device.features()))
    }

    /// Compiles the passes for a path, which the device must support.
    pub fn with_path(device: &wgpu::Device, queue: &wgpu::Queue, path: RasterPath) -> Self {
        Self {
            points: PointsPass::new(device, path),
            surface: SurfacePass::new(device, path),
            smooth: SmoothPass::new(device),
            resolve: ResolvePass::new(device),
            lines: LinesPass::new(device),
            image_plane: ImagePlanePass::new(device),
            nothing: device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("Renderer::nothing"),
                size: 16,
                usage: wgpu::BufferUsages::STORAGE,
                mapped_at_creation: false,
            }),
            device: device.clone(),
            queue: queue.clone(),
        }
    }

    /// The size nearest to the wanted one, of the same aspect, that the device can draw.
    pub fn fitting_size(&self, wanted_px: [u32; 2]) -> [u32; 2] {
        let limits = self.device.limits();
        let wanted = wanted_px.map(|n| f64::from(n.max(1)));
        let most_bytes = limits
            .max_storage_buffer_binding_size
            .min(limits.max_buffer_size);
        let most_pixels = (most_bytes / SUM_BYTES) as f64;
        let side = f64::from(limits.max_texture_dimension_2d);
        let scale = (most_pixels / (wanted[0] * wanted[1]))
            .sqrt()
            .min(side / wanted[0].max(wanted[1]))
            .min(1.0);
        wanted.map(|n| ((n * scale) as u32).max(1))
    }

    /// Makes the targets of a view; `size_px` as [`Renderer::fitting_size`] gives it.
    pub fn view(&self, size_px: [u32; 2]) -> View {
        let device = &self.device;
        let targets = Targets::new(device, size_px);
        let shared = [&targets.eye, &targets.visibility];
        let whole = wgpu::TextureViewDescriptor::default();
        View {
            size_px,
            rasters: 0,
            slots: Vec::new(),
            resolve: ResolveData::new(device),
            lines: self.lines.data(device, shared),
            image_plane: self.image_plane.data(device, shared),
            picture_target: targets.picture.create_view(&whole),
            depth_target: targets.depth.create_view(&whole),
            visibility: targets.visibility,
            picture: targets.picture,
            eye: targets.eye,
            surface: None,
            sums: None,
            rastered: None,
        }
    }

    /// Records a picture into a view's targets. Frames are rasterised only if something changed
    /// that ids or depths depend on; the commands must therefore be submitted.
    pub fn record(&self, view: &mut View, picture: &Picture<'_>) -> wgpu::CommandBuffer {
        let key = RasterKey::of(picture);
        let fresh = view.rastered.as_ref() != Some(&key);
        let frames = self.upload(view, picture);
        let mut encoder = self
            .device
            .create_command_encoder(&wgpu::CommandEncoderDescriptor {
                label: Some("Renderer::record"),
            });
        if fresh {
            encoder.clear_buffer(&view.visibility, 0, None);
            self.raster(&mut encoder, view, (frames, picture.options));
            view.rastered = Some(key);
            view.rasters += 1;
        }
        let shading = Shading::of(picture.options);
        if picture.options.draw == DrawMode::Smooth {
            self.blend(&mut encoder, view, (frames, shading));
        }
        self.shade(&mut encoder, view, (frames, shading));
        if !picture.segments.is_empty() || picture.image_plane.is_some() {
            self.overlay(&mut encoder, view, picture);
        }
        encoder.finish()
    }

    /// Writes every uniform; returns the frames that ids can tell apart.
    fn upload<'a>(&self, view: &mut View, picture: &Picture<'a>) -> &'a [DrawnFrame<'a>] {
        let eye = eye_uniforms(&picture.eye, view.size_px);
        self.queue
            .write_buffer(&view.eye, 0, bytemuck::bytes_of(&eye));
        let mut count = 0;
        for drawn in picture.frames {
            let Some(id_base) = drawn.frame.id_layout().base(0, count as u32) else {
                break;
            };
            if view.slots.len() == count {
                view.slots.push(Slot::new(&self.device));
            }
            let points =
                point_uniforms(drawn, id_base, &picture.eye, picture.options, view.size_px);
            let slot = &mut view.slots[count];
            slot.points.upload(&self.queue, &points);
            let look = frame_look(drawn, (id_base, count == 0), picture.ranges);
            self.queue
                .write_buffer(&slot.look, 0, bytemuck::bytes_of(&look));
            count += 1;
        }
        if count == 0 {
            self.upload_empty(view);
        }
        let look = look_uniforms(
            picture.options,
            picture.palette,
            picture.ranges,
            &picture.eye,
            view.size_px,
        );
        view.resolve.upload(&self.queue, &look);
        LinesPass::upload(&self.device, &self.queue, &mut view.lines, picture.segments);
        if let (Some(corners), Some(drawn)) = (picture.image_plane, picture.frames.first()) {
            let plane = ImagePlaneUniforms {
                corners: corners.map(|c| c.extend(1.0).as_vec4().to_array()),
                grid: drawn.frame.grid,
                alpha: 1.0,
                padding: 0.0,
            };
            ImagePlanePass::upload(&self.queue, &view.image_plane, &plane);
        }
        &picture.frames[..count]
    }

    /// Without frames the first slot still draws the background.
    fn upload_empty(&self, view: &mut View) {
        if view.slots.is_empty() {
            view.slots.push(Slot::new(&self.device));
        }
        let look = FrameLook {
            is_first: 1,
            ..bytemuck::Zeroable::zeroed()
        };
        self.queue
            .write_buffer(&view.slots[0].look, 0, bytemuck::bytes_of(&look));
    }

    fn bindings<'a>(&'a self, frame: &'a FrameGpu) -> FrameBindings<'a> {
        FrameBindings {
            positions: &frame.buffers.positions,
            colours: &frame.buffers.colours,
            attributes: frame.buffers.attributes.as_ref().unwrap_or(&self.nothing),
        }
    }

    fn raster(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        view: &mut View,
        (frames, options): (&[DrawnFrame<'_>], &ViewOptions),
    ) {
        for (drawn, slot) in frames.iter().zip(&view.slots) {
            let frame = self.bindings(drawn.frame);
            if draws_surface(drawn, options) {
                let size_px = view.size_px;
                let data = view
                    .surface
                    .get_or_insert_with(|| SurfacePass::data(&self.device, size_px));
                SurfacePass::upload(&self.queue, data);
                let targets = SurfaceTargets {
                    visibility: &view.visibility,
                    depth: &view.depth_target,
                };
                self.surface.draw(
                    &self.device,
                    encoder,
                    (data, targets),
                    (&slot.points, frame),
                );
            } else {
                let mut pass = compute_pass(encoder, "Renderer::raster");
                let target = (frame, &view.visibility);
                self.points
                    .draw(&self.device, &mut pass, &slot.points, target);
            }
        }
    }

    fn blend(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        view: &mut View,
        (frames, shading): (&[DrawnFrame<'_>], Shading),
    ) {
        let sums = view.sums(&self.device).clone();
        encoder.clear_buffer(&sums, 0, None);
        let targets = SmoothTargets {
            visibility: &view.visibility,
            look: &view.resolve.look,
            sums: &sums,
        };
        let mut pass = compute_pass(encoder, "Renderer::blend");
        for (drawn, slot) in frames.iter().zip(&view.slots) {
            let frame = (&slot.points, &slot.look, self.bindings(drawn.frame));
            self.smooth
                .draw(&self.device, &mut pass, (targets, shading), frame);
        }
    }

    fn shade(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        view: &View,
        (frames, shading): (&[DrawnFrame<'_>], Shading),
    ) {
        let mut pass = compute_pass(encoder, "Renderer::shade");
        let nothing = FrameBindings {
            positions: &self.nothing,
            colours: &self.nothing,
            attributes: &self.nothing,
        };
        let mut bound: Vec<_> = frames
            .iter()
            .zip(&view.slots)
            .map(|(drawn, slot)| (&slot.look, self.bindings(drawn.frame)))
            .collect();
        if bound.is_empty() {
            bound.push((&view.slots[0].look, nothing));
        }
        let targets = ResolveTargets {
            visibility: &view.visibility,
            sums: view.sums.as_ref().unwrap_or(&self.nothing),
            picture: &view.picture_target,
        };
        self.resolve.draw(
            &self.device,
            &mut pass,
            (&view.resolve, targets, shading),
            bound.into_iter(),
        );
    }

    fn overlay(&self, encoder: &mut wgpu::CommandEncoder, view: &View, picture: &Picture<'_>) {
        let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("Renderer::overlay"),
            color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                view: &view.picture_target,
                depth_slice: None,
                resolve_target: None,
                ops: wgpu::Operations {
                    load: wgpu::LoadOp::Load,
                    store: wgpu::StoreOp::Store,
                },
            })],
            depth_stencil_attachment: Some(wgpu::RenderPassDepthStencilAttachment {
                view: &view.depth_target,
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
        if let (Some(_), Some(drawn)) = (picture.image_plane, picture.frames.first()) {
            let colours = &drawn.frame.buffers.colours;
            self.image_plane
                .draw(&self.device, &mut pass, &view.image_plane, colours);
        }
        self.lines.draw(&mut pass, &view.lines);
    }
}

fn compute_pass<'a>(encoder: &'a mut wgpu::CommandEncoder, label: &str) -> wgpu::ComputePass<'a> {
    encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
        label: Some(label),
        timestamp_writes: None,
    })
}

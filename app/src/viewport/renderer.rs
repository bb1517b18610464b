//! From a frame on the GPU and an eye to a picture: the passes and their order.
//!
//! ```text
//! positions -> points (compute) -> visibility buffer: depth | id, 64 bits a pixel
//!   visibility + colours -> resolve (compute) -> picture
//!   visibility           -> image plane, lines -> picture, hidden by the cloud
//! picture -> composite -> the window's own pass
//! ```

use std::sync::atomic::{AtomicU64, Ordering};

use glam::DVec3;
use one4d_engine::scene::validity;

use super::eye::Eye;
use super::frame_data::{FrameData, Quantiser};
use super::gpu_data::{EyeUniforms, ImagePlaneUniforms, PointUniforms, ResolveUniforms, Segment};
use super::options::{Palette, ViewOptions};
use super::passes::image_plane::{ImagePlaneData, ImagePlanePass};
use super::passes::lines::{LinesData, LinesPass};
use super::passes::points::{PointsData, PointsPass, RasterPath};
use super::passes::resolve::{ResolveData, ResolvePass};
use super::passes::{DEPTH_FORMAT, PICTURE_FORMAT};
use super::picking::IdLayout;
use super::scene_lines::Fade;

/// Lines behind the cloud show through by this much.
const XRAY: f32 = 0.22;
/// Frames are thinned while their points lie closer than this on the picture.
const LOD_SPACING_PX: f64 = 0.7;

/// A frame on the GPU.
pub struct FrameGpu {
    /// Columns and rows.
    pub grid: [u32; 2],
    /// Tells uploads apart: no two frames ever have the same.
    pub serial: u64,
    quantiser: Quantiser,
    spacing_from_unit: [f32; 4],
    camera_centre: DVec3,
    source_focal_px: f32,
    id_layout: IdLayout,
    positions: wgpu::Buffer,
    colours: wgpu::Buffer,
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
        Some(Self {
            grid: [frame.width as u32, frame.height as u32],
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
            quantiser: frame.quantiser,
            spacing_from_unit: frame.spacing_from_unit(),
            camera_centre: frame.camera_centre,
            source_focal_px: frame.focal_px,
            id_layout,
            positions: buffer(
                "FrameGpu::positions",
                bytemuck::cast_slice(&frame.positions),
            ),
            colours: buffer("FrameGpu::colours", bytemuck::cast_slice(&frame.colours)),
        })
    }

    /// How this frame's ids are laid out.
    pub fn id_layout(&self) -> IdLayout {
        self.id_layout
    }
}

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

/// Everything on one picture.
#[derive(Clone, Copy)]
pub struct Picture<'a> {
    /// From where.
    pub eye: PictureEye,
    /// What and how.
    pub options: &'a ViewOptions,
    /// In which colours.
    pub palette: &'a Palette,
    /// The frame whose points are drawn.
    pub frame: Option<&'a FrameGpu>,
    /// Line work.
    pub segments: &'a [Segment],
    /// Corners of the image plane, where the frame's picture is shown.
    pub image_plane: Option<[DVec3; 4]>,
}

/// Targets and uniforms of one view of one size.
pub struct View {
    /// Pixels.
    pub size_px: [u32; 2],
    /// `depth << 32 | id` a pixel, row-major; zero where nothing was drawn.
    pub visibility: wgpu::Buffer,
    /// The finished picture.
    pub picture: wgpu::Texture,
    pub(crate) picture_target: wgpu::TextureView,
    depth_target: wgpu::TextureView,
    eye: wgpu::Buffer,
    points: PointsData,
    resolve: ResolveData,
    lines: LinesData,
    image_plane: ImagePlaneData,
}

/// The passes, compiled once.
pub struct Renderer {
    device: wgpu::Device,
    queue: wgpu::Queue,
    points: PointsPass,
    resolve: ResolvePass,
    lines: LinesPass,
    image_plane: ImagePlanePass,
    no_colours: wgpu::Buffer,
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
            resolve: ResolvePass::new(device),
            lines: LinesPass::new(device),
            image_plane: ImagePlanePass::new(device),
            no_colours: device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("Renderer::no_colours"),
                size: 4,
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
        let most_pixels = limits.max_storage_buffer_binding_size as f64 / 8.0;
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
        let visibility = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("View::visibility"),
            size: u64::from(size_px[0]) * u64::from(size_px[1]) * 8,
            usage: wgpu::BufferUsages::STORAGE
                | wgpu::BufferUsages::COPY_DST
                | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        let picture = target(
            device,
            ("View::picture", size_px),
            PICTURE_FORMAT,
            wgpu::TextureUsages::STORAGE_BINDING
                | wgpu::TextureUsages::TEXTURE_BINDING
                | wgpu::TextureUsages::RENDER_ATTACHMENT
                | wgpu::TextureUsages::COPY_SRC,
        );
        let depth = target(
            device,
            ("View::depth", size_px),
            DEPTH_FORMAT,
            wgpu::TextureUsages::RENDER_ATTACHMENT,
        );
        let picture_target = picture.create_view(&wgpu::TextureViewDescriptor::default());
        let eye = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("View::eye"),
            size: size_of::<EyeUniforms>() as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        View {
            size_px,
            points: PointsPass::data(device),
            resolve: self.resolve.data(device, &visibility, &picture_target),
            lines: self.lines.data(device, [&eye, &visibility]),
            image_plane: self.image_plane.data(device, [&eye, &visibility]),
            depth_target: depth.create_view(&wgpu::TextureViewDescriptor::default()),
            visibility,
            picture,
            picture_target,
            eye,
        }
    }

    /// Records a picture into a view's targets.
    pub fn record(&self, view: &mut View, picture: &Picture<'_>) -> wgpu::CommandBuffer {
        self.upload(view, picture);
        let mut encoder = self
            .device
            .create_command_encoder(&wgpu::CommandEncoderDescriptor {
                label: Some("Renderer::record"),
            });
        encoder.clear_buffer(&view.visibility, 0, None);
        self.compute(&mut encoder, view, picture);
        if !picture.segments.is_empty() || picture.image_plane.is_some() {
            self.overlay(&mut encoder, view, picture);
        }
        encoder.finish()
    }

    fn upload(&self, view: &mut View, picture: &Picture<'_>) {
        let eye = eye_uniforms(&picture.eye, view.size_px);
        self.queue
            .write_buffer(&view.eye, 0, bytemuck::bytes_of(&eye));
        if let Some(frame) = picture.frame {
            let points = point_uniforms(frame, &picture.eye, picture.options, view.size_px);
            PointsPass::upload(&self.queue, &mut view.points, &points);
        }
        let resolve = resolve_uniforms(picture, view.size_px);
        ResolvePass::upload(&self.queue, &mut view.resolve, &resolve);
        LinesPass::upload(&self.device, &self.queue, &mut view.lines, picture.segments);
        if let (Some(corners), Some(frame)) = (picture.image_plane, picture.frame) {
            let plane = ImagePlaneUniforms {
                corners: corners.map(|c| c.extend(1.0).as_vec4().to_array()),
                grid: frame.grid,
                alpha: 1.0,
                padding: 0.0,
            };
            ImagePlanePass::upload(&self.queue, &view.image_plane, &plane);
        }
    }

    fn compute(&self, encoder: &mut wgpu::CommandEncoder, view: &View, picture: &Picture<'_>) {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: Some("Renderer::compute"),
            timestamp_writes: None,
        });
        let colours = match picture.frame {
            Some(frame) => {
                let buffers = [&frame.positions, &view.visibility];
                self.points
                    .draw(&self.device, &mut pass, &view.points, buffers);
                &frame.colours
            }
            None => &self.no_colours,
        };
        self.resolve
            .draw(&self.device, &mut pass, &view.resolve, colours);
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
        if let (Some(_), Some(frame)) = (picture.image_plane, picture.frame) {
            self.image_plane
                .draw(&self.device, &mut pass, &view.image_plane, &frame.colours);
        }
        self.lines.draw(&mut pass, &view.lines);
    }
}

fn target(
    device: &wgpu::Device,
    (label, size_px): (&str, [u32; 2]),
    format: wgpu::TextureFormat,
    usage: wgpu::TextureUsages,
) -> wgpu::Texture {
    device.create_texture(&wgpu::TextureDescriptor {
        label: Some(label),
        size: wgpu::Extent3d {
            width: size_px[0],
            height: size_px[1],
            depth_or_array_layers: 1,
        },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format,
        usage,
        view_formats: &[],
    })
}

fn eye_uniforms(eye: &PictureEye, size_px: [u32; 2]) -> EyeUniforms {
    EyeUniforms {
        clip_from_world: eye
            .eye
            .clip_from_world(size_px, eye.near)
            .as_mat4()
            .to_cols_array_2d(),
        size_px: size_px.map(|n| n as f32),
        near: eye.near as f32,
        fade_radius: eye.fade.radius as f32,
        fade_centre: eye.fade.centre.as_vec3().to_array(),
        xray: XRAY,
    }
}

/// Uniforms of the point pass for a frame.
pub fn point_uniforms(
    frame: &FrameGpu,
    eye: &PictureEye,
    options: &ViewOptions,
    size_px: [u32; 2],
) -> PointUniforms {
    let clip_from_unit =
        eye.eye.clip_from_world(size_px, eye.near) * frame.quantiser.world_from_unit();
    let k = eye.eye.intrinsics(size_px);
    let [factor, fixed_px, max_px] = options.point_size.to_uniforms();
    PointUniforms {
        clip_from_unit: clip_from_unit.as_mat4().to_cols_array_2d(),
        spacing_from_unit: frame.spacing_from_unit,
        camera_in_unit: frame.quantiser.unit_of(frame.camera_centre),
        eye_in_unit: frame.quantiser.unit_of(eye.eye.position),
        source_focal_px: frame.source_focal_px,
        closing: closing(frame, &eye.eye),
        grid: frame.grid,
        size_px,
        // One scene and one frame are drawn: both bit fields are zero.
        id_base: 0,
        stride: stride(frame, eye, size_px),
        required_valid: u32::from(options.required_valid | validity::FINITE),
        max_edge: options.max_edge(),
        spacing_to_px: k.fx_px.max(k.fy_px) as f32 * factor,
        fixed_px,
        max_px,
        near: eye.near as f32,
    }
}

/// Seen from its own camera a frame's lattice lies straight on the picture and needs no more than
/// its spacing to close; turned, it needs more.
fn closing(frame: &FrameGpu, eye: &Eye) -> f32 {
    let away = eye.position.distance(frame.camera_centre);
    if away < 1e-6 * frame.quantiser.scale {
        1.0
    } else {
        1.2
    }
}

/// The coarsest stride whose points, in the middle of the cloud, still touch on the picture.
fn stride(frame: &FrameGpu, eye: &PictureEye, size_px: [u32; 2]) -> u32 {
    let distance = eye.eye.distance(frame.quantiser.centre).max(eye.near);
    let focal_px = eye.eye.intrinsics(size_px).fx_px;
    // At the middle of unit coordinates the spacing plane has its offset as value.
    let spacing_px = f64::from(frame.spacing_from_unit[3]) * focal_px / distance;
    [8, 4, 2]
        .into_iter()
        .find(|n| spacing_px * f64::from(*n) <= LOD_SPACING_PX * 2.0)
        .filter(|_| spacing_px > 0.0)
        .unwrap_or(1)
}

fn resolve_uniforms(picture: &Picture<'_>, size_px: [u32; 2]) -> ResolveUniforms {
    let opaque = |[r, g, b]: [u8; 3]| [r, g, b, 255].map(|c| f32::from(c) / 255.0);
    ResolveUniforms {
        canvas_top: opaque(picture.palette.canvas_top),
        canvas_bottom: opaque(picture.palette.canvas_bottom),
        size_px,
        pixel_mask: picture.frame.map_or(0, |f| f.id_layout.pixel_mask()),
        colour_mode: picture.options.colour.code(),
    }
}

//! Targets and uniforms of one view of one size.

use super::eye::Eye;
use super::filter::PointFilter;
use super::gpu_data::EyeUniforms;
use super::options::{DrawMode, PointSize, ViewOptions};
use super::passes::image_plane::ImagePlaneData;
use super::passes::lines::LinesData;
use super::passes::points::PointsData;
use super::passes::resolve::{self, ResolveData};
use super::passes::surface::SurfaceData;
use super::passes::{DEPTH_FORMAT, PICTURE_FORMAT};
use super::renderer::Picture;

/// Bytes a pixel of the largest buffer of a view.
pub(super) const SUM_BYTES: u64 = 16;
/// Bytes a pixel of what the hardware draws of a surface: id and depth.
const SURFACE_BYTES: u64 = 8;

/// Targets and uniforms of one view of one size.
pub struct View {
    /// Pixels.
    pub size_px: [u32; 2],
    /// `depth << 32 | id` a pixel, row-major; zero where nothing was drawn.
    pub visibility: wgpu::Buffer,
    /// The finished picture.
    pub picture: wgpu::Texture,
    /// Times that frames were rasterised, for tests and statistics.
    pub rasters: u64,
    pub(crate) picture_target: wgpu::TextureView,
    pub(super) depth_target: wgpu::TextureView,
    pub(super) eye: wgpu::Buffer,
    pub(super) slots: Vec<Slot>,
    pub(super) resolve: ResolveData,
    pub(super) lines: LinesData,
    pub(super) image_plane: ImagePlaneData,
    /// Made when the view first draws a surface.
    pub(super) surface: Option<SurfaceData>,
    /// Sums of blended points, made when the view first blends.
    pub(super) sums: Option<wgpu::Buffer>,
    /// What the visibility buffer holds.
    pub(super) rastered: Option<RasterKey>,
}

/// Uniforms of one drawn frame.
pub(super) struct Slot {
    pub(super) points: PointsData,
    pub(super) look: wgpu::Buffer,
}

impl Slot {
    pub(super) fn new(device: &wgpu::Device) -> Self {
        Self {
            points: PointsData::new(device),
            look: resolve::frame_look_buffer(device),
        }
    }
}

impl View {
    /// Forgets what is in the visibility buffer: the next picture rasterises anew.
    pub fn forget(&mut self) {
        self.rastered = None;
    }

    /// Bytes of the device's memory that the view takes.
    pub(super) fn bytes(&self) -> u64 {
        let [width, height] = self.size_px.map(u64::from);
        // Visibility, picture and depth; sums and the surface's target are made when they are used.
        let a_pixel = 16
            + self.sums.as_ref().map_or(0, |_| SUM_BYTES)
            + self.surface.as_ref().map_or(0, |_| SURFACE_BYTES);
        width * height * a_pixel
    }

    pub(super) fn sums(&mut self, device: &wgpu::Device) -> &wgpu::Buffer {
        let [width, height] = self.size_px.map(u64::from);
        self.sums.get_or_insert_with(|| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("View::sums"),
                size: width * height * SUM_BYTES,
                usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        })
    }
}

/// Everything that ids and depths depend on: while it stays the same, other looks need no raster.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RasterKey {
    eye: Eye,
    near: f64,
    draw: DrawMode,
    point_size: PointSize,
    filter: PointFilter,
    /// Serials, weights and thinning.
    frames: Vec<(u64, f32, u32)>,
}

impl RasterKey {
    pub(super) fn of(picture: &Picture<'_>) -> Self {
        let options: &ViewOptions = picture.options;
        Self {
            eye: picture.eye.eye,
            near: picture.eye.near,
            draw: options.draw,
            point_size: options.point_size,
            filter: PointFilter::of(options),
            frames: picture
                .frames
                .iter()
                .map(|drawn| (drawn.frame.serial, drawn.weight, drawn.thinning))
                .collect(),
        }
    }
}

/// The buffers and textures of a view, before passes bind them.
pub(super) struct Targets {
    pub(super) visibility: wgpu::Buffer,
    pub(super) picture: wgpu::Texture,
    pub(super) depth: wgpu::Texture,
    pub(super) eye: wgpu::Buffer,
}

impl Targets {
    pub(super) fn new(device: &wgpu::Device, size_px: [u32; 2]) -> Self {
        Self {
            visibility: device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("View::visibility"),
                size: u64::from(size_px[0]) * u64::from(size_px[1]) * 8,
                usage: wgpu::BufferUsages::STORAGE
                    | wgpu::BufferUsages::COPY_DST
                    | wgpu::BufferUsages::COPY_SRC,
                mapped_at_creation: false,
            }),
            picture: target(
                device,
                ("View::picture", size_px),
                PICTURE_FORMAT,
                wgpu::TextureUsages::STORAGE_BINDING
                    | wgpu::TextureUsages::TEXTURE_BINDING
                    | wgpu::TextureUsages::RENDER_ATTACHMENT
                    | wgpu::TextureUsages::COPY_SRC,
            ),
            depth: target(
                device,
                ("View::depth", size_px),
                DEPTH_FORMAT,
                wgpu::TextureUsages::RENDER_ATTACHMENT,
            ),
            eye: device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("View::eye"),
                size: size_of::<EyeUniforms>() as u64,
                usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            }),
        }
    }
}

pub(super) fn target(
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

//! Pictures without a window: previews, screenshots, tests.

use std::time::Duration;

use glam::DVec3;
use image::RgbaImage;
use one4d_engine::scene::Scene4d;

use super::bounds::{SceneBounds, first_camera};
use super::eye::Eye;
use super::frame_data::FrameData;
use super::frame_gpu::FrameGpu;
use super::frame_store::{DeviceStore, FrameStore as _, Refusal};
use super::ghosts::{Ghost, MAX_GHOST_POINTS};
use super::motion_lines;
use super::options::{Background, Overlay, Palette, ViewOptions};
use super::orbit::Orbit;
use super::renderer::{DrawnFrame, Picture, PictureEye, Renderer};
use super::scene_lines::{self, Fade, LineInput};
use super::stats::SceneRanges;
use super::still_cloud::still_cloud;
use super::uniforms::place_in_clip;
use super::view::View;

/// The GPU did not answer for this long: it hangs.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Why there is no picture.
#[derive(Debug)]
pub enum RenderError {
    /// The scene has no such frame.
    NoFrame {
        /// Which was asked for.
        frame_idx: usize,
        /// How many there are.
        num_frames: usize,
    },
    /// The frame or the picture is larger than the device can draw.
    TooLarge,
    /// The GPU failed or hung.
    Gpu(String),
}

impl std::fmt::Display for RenderError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoFrame {
                frame_idx,
                num_frames,
            } => write!(
                f,
                "frame {frame_idx} does not exist; the scene has {num_frames}"
            ),
            Self::TooLarge => write!(f, "the picture is larger than the graphics device can draw"),
            Self::Gpu(message) => write!(f, "the graphics device failed: {message}"),
        }
    }
}

impl std::error::Error for RenderError {}

/// Renders one frame of a scene as `eye` sees it.
///
/// `eye: None` is the view in which a scene opens. Compiles the passes anew; for many pictures keep
/// a [`Renderer`] and use [`render_with`].
///
/// # Errors
/// [`RenderError`] if the frame does not exist or the device cannot draw it.
pub fn render_to_image(
    (device, queue): (&wgpu::Device, &wgpu::Queue),
    scene: &Scene4d,
    frame_idx: usize,
    eye: Option<Eye>,
    size_px: [u32; 2],
) -> Result<RgbaImage, RenderError> {
    let renderer = Renderer::new(device, queue);
    let look = Look {
        eye,
        ..Look::default()
    };
    render_with(
        (device, queue),
        &renderer,
        scene,
        frame_idx,
        (&look, size_px),
    )
}

/// How a headless picture looks.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// From where; `None` is the view in which a scene opens.
    pub eye: Option<Eye>,
    /// What and how.
    pub options: ViewOptions,
    /// In which colours.
    pub palette: Palette,
    /// Away from the floor that the grid lies on, unit length in the world.
    pub up: DVec3,
}

impl Default for Look {
    fn default() -> Self {
        Self {
            eye: None,
            options: ViewOptions::default(),
            palette: Palette::DARK,
            up: DVec3::NEG_Y,
        }
    }
}

/// Renders one frame with passes that exist already.
///
/// # Errors
/// As [`render_to_image`].
pub fn render_with(
    (device, queue): (&wgpu::Device, &wgpu::Queue),
    renderer: &Renderer,
    scene: &Scene4d,
    frame_idx: usize,
    (look, size_px): (&Look, [u32; 2]),
) -> Result<RgbaImage, RenderError> {
    if frame_idx >= scene.num_frames {
        return Err(RenderError::NoFrame {
            frame_idx,
            num_frames: scene.num_frames,
        });
    }
    if renderer.fitting_size(size_px) != size_px {
        return Err(RenderError::TooLarge);
    }
    let uploaded = frames_of((device, queue), scene, (frame_idx, &look.options))?;
    let frames: Vec<DrawnFrame<'_>> = uploaded
        .iter()
        .enumerate()
        .map(|(place, (frame, ghost))| DrawnFrame {
            frame,
            weight: ghost.map_or(1.0, |g| g.weight),
            time: ghost.map(|g| place_in_clip(g.frame_idx, scene.num_frames)),
            is_ghost: place > 0,
            thinning: 1,
        })
        .collect();
    let mut view = renderer.view(size_px);
    let bounds = SceneBounds::of(scene);
    let orbit = Orbit::fit(&bounds, first_camera(scene));
    let eye = look.eye.unwrap_or_else(|| orbit.eye());
    let floor = (look.up, SceneBounds::floor_along(scene, look.up));
    let fade = Fade::on_floor(orbit.target, orbit.distance, floor);
    let mut segments = scene_lines::segments(&LineInput {
        scene: Some(scene),
        bounds,
        frame_idx,
        current_frustum: true,
        options: &look.options,
        palette: &look.palette,
        fade,
    });
    segments.extend(motion_lines::segments(
        scene,
        frame_idx,
        look.options.overlays,
    ));
    let camera = scene.cameras.as_ref().and_then(|c| c.get(frame_idx));
    let picture = Picture {
        eye: PictureEye {
            eye,
            near: bounds.near(),
            fade,
        },
        options: &look.options,
        palette: &look.palette,
        ranges: &SceneRanges::of(scene),
        frames: &frames,
        segments: &segments,
        image_plane: camera
            .filter(|_| look.options.overlays.has(Overlay::ImagePlane))
            .map(|c| scene_lines::image_corners(scene, c, scene_lines::frustum_length(&bounds))),
    };
    queue.submit([renderer.record(&mut view, &picture)]);
    let image = read_picture((device, queue), &view)?;
    Ok(if look.options.background == Background::Transparent {
        straight_alpha(image)
    } else {
        image
    })
}

/// The frame, its ghosts, then the still parts of the clip, which are no frame.
fn frames_of(
    (device, queue): (&wgpu::Device, &wgpu::Queue),
    scene: &Scene4d,
    (frame_idx, options): (usize, &ViewOptions),
) -> Result<Vec<(FrameGpu, Option<Ghost>)>, RenderError> {
    let limit = MAX_GHOST_POINTS / scene.pixels_per_frame().max(1);
    let ghosts = options
        .ghosts
        .map_or(Vec::new(), |g| g.around(frame_idx, scene.num_frames, limit));
    let current = Ghost {
        frame_idx,
        weight: 1.0,
    };
    let mut store = DeviceStore::new(device, queue);
    let mut upload = |data: &FrameData| {
        store.put(data).map_err(|refusal| match refusal {
            Refusal::TooLarge(_) => RenderError::TooLarge,
            Refusal::OutOfMemory(message) => RenderError::Gpu(message),
        })
    };
    let mut out = std::iter::once(current)
        .chain(ghosts)
        .map(|ghost| {
            let data = FrameData::encode(scene, ghost.frame_idx);
            Ok((upload(&data)?, Some(ghost)))
        })
        .collect::<Result<Vec<_>, RenderError>>()?;
    if options.freeze_static {
        for chunk in still_cloud(scene, &|| true).unwrap_or_default() {
            out.push((upload(&chunk.data)?, None));
        }
    }
    Ok(out)
}

/// Files keep colours that are not multiplied with their opacity.
fn straight_alpha(mut image: RgbaImage) -> RgbaImage {
    for pixel in image.pixels_mut() {
        let alpha = u16::from(pixel.0[3]);
        for channel in &mut pixel.0[..3] {
            let scaled = (u16::from(*channel) * 255 + alpha / 2).checked_div(alpha);
            *channel = scaled.unwrap_or(0).min(255) as u8;
        }
    }
    image
}

/// Reads a view's picture back.
///
/// # Errors
/// [`RenderError::Gpu`] if the device fails.
pub fn read_picture(
    (device, queue): (&wgpu::Device, &wgpu::Queue),
    view: &View,
) -> Result<RgbaImage, RenderError> {
    let [width, height] = view.size_px;
    let row = width * 4;
    let padded = row.next_multiple_of(wgpu::COPY_BYTES_PER_ROW_ALIGNMENT);
    let staging = staging_buffer(device, u64::from(padded) * u64::from(height));
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    encoder.copy_texture_to_buffer(
        view.picture.as_image_copy(),
        wgpu::TexelCopyBufferInfo {
            buffer: &staging,
            layout: wgpu::TexelCopyBufferLayout {
                offset: 0,
                bytes_per_row: Some(padded),
                rows_per_image: None,
            },
        },
        view.picture.size(),
    );
    queue.submit([encoder.finish()]);
    let bytes = read_buffer(device, &staging)?;
    let pixels = bytes
        .chunks_exact(padded as usize)
        .flat_map(|line| &line[..row as usize])
        .copied()
        .collect();
    RgbaImage::from_raw(width, height, pixels)
        .ok_or_else(|| RenderError::Gpu("the picture came back incomplete".into()))
}

/// Reads a view's visibility buffer back: `depth bits << 32 | id`, row-major.
///
/// # Errors
/// [`RenderError::Gpu`] if the device fails.
pub fn read_visibility(
    (device, queue): (&wgpu::Device, &wgpu::Queue),
    view: &View,
) -> Result<Vec<u64>, RenderError> {
    let staging = staging_buffer(device, view.visibility.size());
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    encoder.copy_buffer_to_buffer(&view.visibility, 0, &staging, 0, view.visibility.size());
    queue.submit([encoder.finish()]);
    let bytes = read_buffer(device, &staging)?;
    Ok(words_of(&bytes))
}

/// Words of the visibility buffer from their bytes.
pub(super) fn words_of(bytes: &[u8]) -> Vec<u64> {
    let (words, _) = bytes.as_chunks();
    words.iter().map(|word| u64::from_le_bytes(*word)).collect()
}

fn staging_buffer(device: &wgpu::Device, size: u64) -> wgpu::Buffer {
    device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("headless::staging"),
        size,
        usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    })
}

fn read_buffer(device: &wgpu::Device, staging: &wgpu::Buffer) -> Result<Vec<u8>, RenderError> {
    let failed = |error: &dyn std::fmt::Display| RenderError::Gpu(error.to_string());
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    staging
        .slice(..)
        .map_async(wgpu::MapMode::Read, move |result| {
            // The receiver is gone only if the wait below timed out.
            let _ = sender.send(result);
        });
    device
        .poll(wgpu::PollType::Wait {
            submission_index: None,
            timeout: Some(TIMEOUT),
        })
        .map_err(|e| failed(&e))?;
    receiver
        .recv()
        .map_err(|e| failed(&e))?
        .map_err(|e| failed(&e))?;
    let bytes = staging
        .slice(..)
        .get_mapped_range()
        .map_err(|e| failed(&e))?
        .to_vec();
    Ok(bytes)
}

//! The viewport on a real device, software or not: GPU against CPU, path against path, and the
//! widget in a window without a screen.

mod ghosts;
mod looks;
mod motion;
mod picks;
mod pictures;
mod points;
mod snapshots;
mod surface;
mod trouble;
mod uploads;
mod window;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use glam::DVec3;
use one4d_engine::geometry::{Camera, Intrinsics, WorldFromCamera};
use one4d_engine::scene::{Plane, Points, Scene4d, SceneMeta, validity};
use one4d_studio::viewport::bounds::SceneBounds;
use one4d_studio::viewport::eye::Eye;
use one4d_studio::viewport::frame_data::FrameData;
use one4d_studio::viewport::frame_gpu::FrameGpu;
use one4d_studio::viewport::headless;
use one4d_studio::viewport::orbit::Orbit;
use one4d_studio::viewport::passes::points::RasterPath;
use one4d_studio::viewport::renderer::{DrawnFrame, Picture, PictureEye, Renderer};
use one4d_studio::viewport::scene_lines::Fade;
use one4d_studio::viewport::{Overlays, Palette, SceneRanges, ViewOptions, headless_device};
use one4d_tests::scenes::room;

const SIZE: [u32; 2] = [320, 200];

type Gpu = (wgpu::Device, wgpu::Queue);

/// One device for all tests of the file, as drivers do not like many.
fn gpu() -> Option<&'static Gpu> {
    static GPU: OnceLock<Option<Gpu>> = OnceLock::new();
    let gpu = GPU.get_or_init(|| headless_device().expect("the adapter gives a device"));
    if gpu.is_none() {
        eprintln!("skipped: no graphics adapter, not even a software one");
    }
    gpu.as_ref()
}

/// Points as they are: no overlays, no lighting.
fn points_only() -> ViewOptions {
    ViewOptions {
        overlays: Overlays::NONE,
        eye_dome: None,
        ..ViewOptions::default()
    }
}

fn picture_eye(eye: Eye, bounds: &SceneBounds) -> PictureEye {
    PictureEye {
        eye,
        near: bounds.near(),
        fade: Fade::under(DVec3::ZERO, 1.0, 0.0),
    }
}

struct Raster {
    visibility: Vec<u64>,
    image: image::RgbaImage,
    frame: FrameGpu,
}

impl Raster {
    /// Pixels of the frame that are seen.
    fn pixels(&self) -> Vec<Option<usize>> {
        let layout = self.frame.id_layout();
        let pixel = |word: u64| (word != 0).then(|| layout.unpack(word as u32).pixel as usize);
        self.visibility.iter().map(|word| pixel(*word)).collect()
    }

    fn covered(&self) -> usize {
        self.visibility.iter().filter(|w| **w != 0).count()
    }
}

fn best_path((device, _): &Gpu) -> RasterPath {
    RasterPath::best(device.features())
}

/// One frame on a picture of [`SIZE`], in its scene's ranges.
fn raster(
    gpu: &Gpu,
    path: RasterPath,
    data: &FrameData,
    (eye, options): (&PictureEye, &ViewOptions),
) -> Raster {
    raster_in(gpu, path, data, (eye, options, &SceneRanges::default()))
}

fn raster_in(
    (device, queue): &Gpu,
    path: RasterPath,
    data: &FrameData,
    (eye, options, ranges): (&PictureEye, &ViewOptions, &SceneRanges),
) -> Raster {
    let renderer = Renderer::with_path(device, queue, path);
    let frame = FrameGpu::upload(device, queue, data).expect("the frame fits");
    let mut view = renderer.view(SIZE);
    let picture = Picture {
        eye: *eye,
        options,
        palette: &Palette::DARK,
        ranges,
        frames: &[DrawnFrame::whole(&frame)],
        segments: &[],
        image_plane: None,
    };
    queue.submit([renderer.record(&mut view, &picture)]);
    Raster {
        visibility: headless::read_visibility((device, queue), &view).expect("the GPU answers"),
        image: headless::read_picture((device, queue), &view).expect("the GPU answers"),
        frame,
    }
}

/// A scene of one frame without cameras.
fn grid_of((height, width): (usize, usize), points: Vec<f32>, rgb: Vec<u8>) -> Scene4d {
    Scene4d {
        num_frames: 1,
        height,
        width,
        rgb: Plane::new(rgb),
        points: Points::F32(Plane::new(points)),
        valid: Plane::new(vec![validity::GOOD; height * width]),
        confidence: None,
        depth: None,
        cameras: None,
        scene_flow: None,
        dynamic: None,
        meta: SceneMeta::default(),
    }
}

/// A scene of one row of points.
fn row_of(points: &[[f32; 3]], colours: &[[u8; 3]]) -> Scene4d {
    grid_of((1, points.len()), points.concat(), colours.concat())
}

/// Looks along +z from the origin; a unit at distance 1 is 100 px.
fn straight_eye() -> Eye {
    let camera = Camera {
        intrinsics: Intrinsics::centred(100.0, SIZE[0] as usize, SIZE[1] as usize),
        world_from_camera: WorldFromCamera::IDENTITY,
    };
    Eye::through_camera(&camera, SIZE[0] as usize, SIZE[1] as usize)
}

fn room_from_its_opening_view() -> (Scene4d, PictureEye) {
    let scene = room(3, 90, 156);
    let bounds = SceneBounds::of(&scene);
    let eye = Orbit::fit(&bounds, DVec3::ZERO).eye();
    let eye = picture_eye(eye, &bounds);
    (scene, eye)
}

fn wait_until(mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(20), "it never came");
        std::thread::sleep(Duration::from_millis(2));
    }
}

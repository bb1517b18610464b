//! What can go wrong with a device: sizes beyond reason, memory that is short, a device that goes.

use one4d_studio::viewport::device::device_descriptor;
use one4d_studio::viewport::frame_store::{DeviceStore, FrameStore, Refusal};
use one4d_studio::viewport::headless::{Look, RenderError, render_with};
use one4d_studio::viewport::upload::{Uploads, Wish};
use one4d_studio::viewport::{DrawMode, GpuWatch, report_problems};

use super::*;

#[test]
fn any_size_is_brought_within_what_the_device_can_draw() {
    let Some((device, queue)) = gpu() else { return };
    let renderer = Renderer::new(device, queue);
    assert_eq!(renderer.fitting_size([0, 0]), [1, 1]);
    assert_eq!(renderer.fitting_size([1280, 720]), [1280, 720]);
    for wanted in [
        [u32::MAX, 1],
        [1, u32::MAX],
        [u32::MAX, u32::MAX],
        [200_000, 100],
    ] {
        let [w, h] = renderer.fitting_size(wanted);
        let bytes = u64::from(w) * u64::from(h) * 16;
        let limits = device.limits();
        assert!(w >= 1 && h >= 1 && bytes <= limits.max_storage_buffer_binding_size);
        assert!(w.max(h) <= limits.max_texture_dimension_2d);
    }
    // The smallest picture is drawn in every way.
    let scene = room(2, 20, 30);
    let data = FrameData::encode(&scene, 0);
    let frame = FrameGpu::upload(device, queue, &data).unwrap();
    let mut view = renderer.view([1, 1]);
    for draw in [
        one4d_studio::viewport::DrawMode::Points,
        one4d_studio::viewport::DrawMode::Surface,
        one4d_studio::viewport::DrawMode::Smooth,
    ] {
        let options = ViewOptions {
            draw,
            ..ViewOptions::default()
        };
        let picture = Picture {
            eye: picture_eye(straight_eye(), &SceneBounds::of(&scene)),
            options: &options,
            palette: &Palette::DARK,
            ranges: &SceneRanges::of(&scene),
            frames: &[DrawnFrame::whole(&frame)],
            segments: &[],
            image_plane: None,
        };
        queue.submit([renderer.record(&mut view, &picture)]);
        let image = headless::read_picture((device, queue), &view).unwrap();
        assert_eq!(image.get_pixel(0, 0).0[3], 255);
    }
}

#[test]
fn a_budget_below_two_frames_still_shows_the_frame_asked_for() {
    let Some((device, queue)) = gpu() else { return };
    let scene = Arc::new(room(6, 12, 16));
    let uploads = Uploads::start(device, queue, 1, || {}).unwrap();
    for frame_idx in [0, 3, 5, 1] {
        wait_until(|| uploads.want(&scene, Wish::frame(frame_idx)).frame.is_some());
        assert!(uploads.resident(&scene).len() <= 2);
    }
}

#[test]
fn a_device_that_goes_is_named_and_nothing_panics() {
    if gpu().is_none() {
        return;
    }
    let Ok(Some((device, queue))) = headless_device() else {
        return;
    };
    report_problems(&device, |_| {});
    let scene = Arc::new(room(4, 20, 30));
    let uploads = Uploads::start(&device, &queue, 1 << 24, || {}).unwrap();
    wait_until(|| uploads.want(&scene, Wish::frame(0)).frame.is_some());
    let held = uploads.want(&scene, Wish::frame(0)).frame.unwrap();
    let renderer = Renderer::new(&device, &queue);
    let mut view = renderer.view(SIZE);
    let options = points_only();
    let mut draw = || {
        let picture = Picture {
            eye: picture_eye(straight_eye(), &SceneBounds::of(&scene)),
            options: &options,
            palette: &Palette::DARK,
            ranges: &held.stats.ranges,
            frames: &[DrawnFrame::whole(&held.gpu)],
            segments: &[],
            image_plane: None,
        };
        let commands = renderer.record(&mut view, &picture);
        queue.submit([commands]);
    };
    draw();
    device.destroy();
    draw();
    wait_until(|| {
        uploads.want(&scene, Wish::frame(2));
        let resident = uploads.want(&scene, Wish::frame(3));
        resident.problem.is_some_and(|p| p.contains("device"))
    });
    assert!(headless::read_visibility((&device, &queue), &view).is_err());
}

#[test]
fn after_a_loss_in_the_middle_of_a_frame_a_new_device_draws_the_same_ids() {
    if gpu().is_none() {
        return;
    }
    let (scene, eye) = room_from_its_opening_view();
    let scene = Arc::new(scene);
    let options = ViewOptions::default();
    let draw = |(device, queue): &Gpu, breaks: bool| {
        let watch = GpuWatch::over(Some(device), || {});
        let uploads = Uploads::start(device, queue, 1 << 24, || {}).unwrap();
        wait_until(|| uploads.want(&scene, Wish::frame(1)).frame.is_some());
        let held = uploads.want(&scene, Wish::frame(1)).frame.unwrap();
        let renderer = Renderer::new(device, queue);
        let mut view = renderer.view(SIZE);
        let picture = Picture {
            eye,
            options: &options,
            palette: &Palette::DARK,
            ranges: &held.stats.ranges,
            frames: &[DrawnFrame::whole(&held.gpu)],
            segments: &[],
            image_plane: None,
        };
        let commands = renderer.record(&mut view, &picture);
        if breaks {
            device.destroy();
        }
        queue.submit([commands]);
        if breaks {
            // The upload thread looks after the device and hears of it.
            wait_until(|| watch.is_lost());
        }
        headless::read_visibility((device, queue), &view).ok()
    };
    let devices: Vec<Gpu> = (0..3)
        .map(|_| headless_device().unwrap().unwrap())
        .collect();
    let before = draw(&devices[0], false).unwrap();
    assert_eq!(draw(&devices[1], true), None);
    let after = draw(&devices[2], false).unwrap();
    assert!(before.iter().filter(|w| **w != 0).count() > 5000);
    assert!(before == after, "the same picture from the same scene");
}

/// A device whose buffers are at most so large for a shader.
fn small_device(most_bytes: u64) -> Option<Gpu> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions {
        power_preference: wgpu::PowerPreference::HighPerformance,
        ..Default::default()
    }));
    let adapter = adapter.ok()?;
    let mut descriptor = device_descriptor(&adapter);
    descriptor.required_limits.max_storage_buffer_binding_size = most_bytes;
    pollster::block_on(adapter.request_device(&descriptor)).ok()
}

#[test]
fn frames_beyond_the_devices_limits_are_named_and_smaller_ones_still_drawn() {
    if gpu().is_none() {
        return;
    }
    let (device, queue) = small_device(64 << 10).unwrap();
    let problems = GpuWatch::over(Some(&device), || {});
    let uploads = Uploads::start(&device, &queue, 1 << 24, || {}).unwrap();
    let large = Arc::new(room(2, 90, 156));
    wait_until(|| uploads.want(&large, Wish::frame(0)).problem.is_some());
    let problem = uploads.want(&large, Wish::frame(0)).problem.unwrap();
    assert!(
        problem.contains("156 x 90") && problem.contains("too large"),
        "{problem}"
    );
    // Beside it a smaller scene is shown in every way.
    let small = Arc::new(room(2, 60, 100));
    wait_until(|| uploads.want(&small, Wish::frame(1)).frame.is_some());
    let renderer = Renderer::new(&device, &queue);
    let size = renderer.fitting_size([1280, 720]);
    assert!(size[0] * size[1] <= 4096 && size[0] > size[1], "{size:?}");
    for draw in [DrawMode::Points, DrawMode::Surface, DrawMode::Smooth] {
        let look = Look {
            options: ViewOptions {
                draw,
                ..ViewOptions::default()
            },
            ..Look::default()
        };
        let gpu = (&device, &queue);
        let image = render_with(gpu, &renderer, &small, 1, (&look, size)).unwrap();
        let colours: std::collections::BTreeSet<_> = image.pixels().map(|p| p.0).collect();
        assert!(colours.len() > 50, "{draw:?}");
        let refused = render_with(gpu, &renderer, &large, 1, (&look, size));
        assert!(matches!(refused, Err(RenderError::TooLarge)));
    }
    let problems = problems.problems();
    assert!(
        problems.is_empty(),
        "asked for more than there is: {problems:?}"
    );
}

/// A device that takes eight frames and then refuses one.
struct Narrow {
    store: DeviceStore,
    taken: usize,
}

impl FrameStore for Narrow {
    fn put(&mut self, frame: &FrameData) -> Result<FrameGpu, Refusal> {
        self.taken += 1;
        if self.taken == 9 {
            return Err(Refusal::OutOfMemory("there is no room".into()));
        }
        self.store.put(frame)
    }
}

#[test]
fn a_device_that_runs_full_keeps_fewer_frames_says_so_and_still_shows_each() {
    let Some((device, queue)) = gpu() else { return };
    let scene = Arc::new(room(12, 12, 16));
    let store = Narrow {
        store: DeviceStore::new(device, queue),
        taken: 0,
    };
    let uploads = Uploads::start_with((device, queue), Box::new(store), 1 << 30, || {}).unwrap();
    assert_eq!(uploads.want(&scene, Wish::frame(0)).short_of_memory, None);
    wait_until(|| {
        let resident = uploads.want(&scene, Wish::frame(0));
        resident.short_of_memory.is_some() && resident.frame.is_some()
    });
    let resident = uploads.want(&scene, Wish::frame(0));
    assert_eq!(resident.short_of_memory, Some(4), "half of what was there");
    assert_eq!(resident.problem, None);
    let [_, budget] = uploads.memory_bytes();
    assert_eq!(budget, 4 * FrameData::gpu_bytes(&scene));
    for frame_idx in [3, 11, 6] {
        wait_until(|| uploads.want(&scene, Wish::frame(frame_idx)).frame.is_some());
        assert!(uploads.resident(&scene).len() <= 4);
    }
}

/// A device without room for anything.
struct Full;

impl FrameStore for Full {
    fn put(&mut self, _frame: &FrameData) -> Result<FrameGpu, Refusal> {
        Err(Refusal::OutOfMemory("there is no room".into()))
    }
}

#[test]
fn a_device_without_room_for_a_single_frame_is_named() {
    let Some((device, queue)) = gpu() else { return };
    let scene = Arc::new(room(3, 12, 16));
    let uploads = Uploads::start_with((device, queue), Box::new(Full), 1 << 30, || {}).unwrap();
    wait_until(|| {
        let resident = uploads.want(&scene, Wish::frame(0));
        resident.problem.is_some_and(|p| p.contains("no room"))
    });
}

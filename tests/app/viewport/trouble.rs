//! What can go wrong with a device: sizes beyond reason, memory that is short, a device that goes.

use std::sync::Arc;

use one4d_studio::viewport::report_problems;
use one4d_studio::viewport::upload::{Uploads, Wish};

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

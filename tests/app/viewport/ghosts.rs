//! Several frames in one picture.

use one4d_studio::viewport::uniforms::place_in_clip;
use one4d_studio::viewport::view::View;

use super::*;

fn two_rows() -> [FrameData; 2] {
    let row = |x: f32, z: f32, colour| {
        let scene = row_of(&[[x, 0.005, z], [x + 0.3, 0.005, z]], &[colour; 2]);
        FrameData::encode(&scene, 0)
    };
    // The second frame's first point hides behind the first frame's second.
    [row(0.005, 2.0, [255, 0, 0]), row(0.4575, 3.0, [0, 255, 0])]
}

fn draw(gpu: &Gpu, frames: &[DrawnFrame<'_>], options: &ViewOptions) -> (View, Vec<u64>) {
    let (device, queue) = gpu;
    let renderer = Renderer::new(device, queue);
    let mut view = renderer.view(SIZE);
    let picture = Picture {
        eye: PictureEye {
            eye: straight_eye(),
            near: 0.01,
            fade: Fade::under(DVec3::ZERO, 1.0, 0.0),
        },
        options,
        palette: &Palette::DARK,
        ranges: &SceneRanges::default(),
        frames,
        segments: &[],
        image_plane: None,
    };
    queue.submit([renderer.record(&mut view, &picture)]);
    let words = headless::read_visibility((device, queue), &view).expect("the GPU answers");
    (view, words)
}

#[test]
fn ids_tell_the_frames_apart_and_the_nearest_point_of_any_frame_wins() {
    let Some(gpu) = gpu() else { return };
    let data = two_rows();
    let frames = data
        .each_ref()
        .map(|d| FrameGpu::upload(&gpu.0, &gpu.1, d).unwrap());
    let options = ViewOptions {
        point_size: one4d_studio::viewport::PointSize::Pixels(1),
        ..points_only()
    };
    let drawn = [0, 1].map(|i| DrawnFrame {
        frame: &frames[i],
        weight: 1.0,
        time: Some(place_in_clip(i, 2)),
        is_ghost: i > 0,
        thinning: 1,
    });
    let (view, words) = draw(gpu, &drawn, &options);
    let layout = frames[0].id_layout();
    let seen: Vec<(u32, u32)> = words
        .iter()
        .filter(|w| **w != 0)
        .map(|w| {
            let id = layout.unpack(*w as u32);
            (id.frame, id.pixel)
        })
        .collect();
    assert_eq!(seen, [(0, 0), (0, 1), (1, 1)]);
    let image = headless::read_picture((&gpu.0, &gpu.1), &view).unwrap();
    let colours: Vec<[u8; 4]> = words
        .iter()
        .zip(image.pixels())
        .filter(|(w, _)| **w != 0)
        .map(|(_, p)| p.0)
        .collect();
    let [red, green] = [[255, 0, 0, 255], [0, 255, 0, 255]];
    assert_eq!(colours, [red, red, green]);
}

#[test]
fn a_fainter_ghost_keeps_its_share_of_points() {
    let Some(gpu) = gpu() else { return };
    // Points three pixels apart, so that none hides another.
    let points = (0..60 * 60).flat_map(|i| {
        let [x, y] = [i % 60, i / 60].map(|n| (n as f32 - 29.5) * 0.06);
        [x, y, 2.0]
    });
    let scene = grid_of((60, 60), points.collect(), vec![200; 60 * 60 * 3]);
    let data = FrameData::encode(&scene, 0);
    let frame = FrameGpu::upload(&gpu.0, &gpu.1, &data).unwrap();
    let options = ViewOptions {
        point_size: one4d_studio::viewport::PointSize::Pixels(1),
        edge_threshold: None,
        ..points_only()
    };
    let count = |weight| {
        let drawn = DrawnFrame {
            weight,
            ..DrawnFrame::whole(&frame)
        };
        let (_, words) = draw(gpu, &[drawn], &options);
        words.iter().filter(|w| **w != 0).count() as f64
    };
    let share = count(0.25) / count(1.0);
    assert!((share - 0.25).abs() < 0.03, "{share}");
    assert!(count(0.0) <= 1.0);
}

#[test]
fn frames_beyond_what_ids_can_tell_apart_are_left_out() {
    let Some(gpu) = gpu() else { return };
    let data = &two_rows()[0];
    let frame = FrameGpu::upload(&gpu.0, &gpu.1, data).unwrap();
    let drawn = vec![DrawnFrame::whole(&frame); 200];
    let (_, words) = draw(gpu, &drawn, &points_only());
    assert!(words.iter().any(|w| *w != 0));
}

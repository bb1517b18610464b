//! Ids and depths of points: where they fall, which win, which are hidden.

use one4d_studio::viewport::eye::Lens;
use one4d_studio::viewport::filter::PointFilter;
use one4d_studio::viewport::uniforms::point_uniforms;
use one4d_studio::viewport::{ClipBox, MaskMode, PointSize, raster as twin};

use super::*;

#[test]
fn five_points_fall_where_they_project_and_the_nearest_wins() {
    let Some(gpu) = gpu() else { return };
    let points = [
        [0.005, 0.005, 2.0],
        [-1.203, 0.404, 2.0],
        [0.806, -0.703, 2.0],
        [1.206, 0.805, 2.0],
        // In front of the first.
        [0.0035, 0.0035, 1.0],
    ];
    let colours = [
        [255, 0, 0],
        [0, 255, 0],
        [0, 0, 255],
        [255, 255, 0],
        [0, 255, 255],
    ];
    let scene = row_of(&points, &colours);
    let data = FrameData::encode(&scene, 0);
    let options = ViewOptions {
        point_size: PointSize::Pixels(1),
        edge_threshold: None,
        ..points_only()
    };
    let eye = picture_eye(straight_eye(), &SceneBounds::of(&scene));
    let out = raster(gpu, best_path(gpu), &data, (&eye, &options));
    let drawn: Vec<(usize, u32, f64)> = out
        .visibility
        .iter()
        .enumerate()
        .filter(|(_, word)| **word != 0)
        .map(|(at, word)| {
            let id = out.frame.id_layout().unpack(*word as u32);
            let distance = eye.eye.distance_of((*word >> 32) as u32, eye.near).unwrap();
            (at, id.pixel, distance)
        })
        .collect();
    let at = |pixel: usize| {
        let p = DVec3::from_array(points[pixel].map(f64::from));
        let image = straight_eye().project(p, SIZE).unwrap();
        image.y as usize * SIZE[0] as usize + image.x as usize
    };
    let mut expected = [1, 2, 3, 4].map(|pixel| (at(pixel), pixel as u32));
    expected.sort_unstable();
    assert_eq!(at(0), at(4), "the fifth point hides the first");
    let found: Vec<(usize, u32)> = drawn.iter().map(|d| (d.0, d.1)).collect();
    assert_eq!(found, expected);
    for (at, pixel, distance) in drawn {
        assert!((distance - f64::from(points[pixel as usize][2])).abs() < 1e-3);
        let [r, g, b] = colours[pixel as usize];
        let (x, y) = (at as u32 % SIZE[0], at as u32 / SIZE[0]);
        assert_eq!(out.image.get_pixel(x, y).0, [r, g, b, 255]);
    }
}

#[test]
fn the_two_pass_fallback_writes_the_same_words_as_the_64_bit_path() {
    let Some(gpu) = gpu() else { return };
    if RasterPath::best(gpu.0.features()) != RasterPath::Atomic64 {
        eprintln!("skipped: the device has no 64-bit atomics");
        return;
    }
    let (scene, eye) = room_from_its_opening_view();
    let data = FrameData::encode(&scene, 1);
    for point_size in [
        PointSize::Auto(1.0),
        PointSize::Auto(3.0),
        PointSize::Pixels(1),
    ] {
        let options = ViewOptions {
            point_size,
            ..points_only()
        };
        let words = [RasterPath::Atomic64, RasterPath::TwoPass32]
            .map(|path| raster(gpu, path, &data, (&eye, &options)).visibility);
        assert!(words[0].iter().filter(|w| **w != 0).count() > 5000);
        assert!(words[0] == words[1], "{point_size:?}");
    }
}

/// Options that between them use every rule of size and every filter.
fn every_filter() -> Vec<(&'static str, ViewOptions)> {
    let plain = points_only();
    let clip_box = ClipBox {
        centre: [0.2, 0.6, 4.0],
        half: [1.1, 0.9, 1.3],
        yaw_rad: 0.4,
    };
    vec![
        ("plain", plain),
        (
            "world size",
            ViewOptions {
                point_size: PointSize::World(0.12),
                ..plain
            },
        ),
        (
            "fixed size",
            ViewOptions {
                point_size: PointSize::Pixels(4),
                ..plain
            },
        ),
        (
            "confidence",
            ViewOptions {
                min_confidence: 0.4,
                ..plain
            },
        ),
        (
            "only moving",
            ViewOptions {
                mask: MaskMode::OnlyMoving,
                ..plain
            },
        ),
        (
            "only still",
            ViewOptions {
                mask: MaskMode::OnlyStill,
                ..plain
            },
        ),
        (
            "clip box",
            ViewOptions {
                clip_box: Some(clip_box),
                ..plain
            },
        ),
        (
            "all at once",
            ViewOptions {
                min_confidence: 0.2,
                mask: MaskMode::OnlyStill,
                clip_box: Some(clip_box),
                edge_threshold: Some(0.03),
                ..plain
            },
        ),
    ]
}

/// The room with a confidence that runs from 0 to 1 over the columns.
fn confident_room() -> (Scene4d, PictureEye) {
    let (mut scene, eye) = room_from_its_opening_view();
    let width = scene.width;
    let confidence = (0..scene.valid.as_slice().len())
        .map(|pixel| one4d_engine::scene::Half::from_f32((pixel % width) as f32 / width as f32))
        .collect();
    scene.confidence = Some(Plane::new(confidence));
    (scene, eye)
}

#[test]
fn the_gpu_draws_what_its_cpu_twin_draws_under_every_filter_and_lens() {
    let Some(gpu) = gpu() else { return };
    let (scene, eye) = confident_room();
    let data = FrameData::encode(&scene, 2);
    let parallel = PictureEye {
        eye: Eye {
            lens: Lens::Orthographic(5.0),
            ..eye.eye
        },
        ..eye
    };
    let mut counts = Vec::new();
    for (name, options) in every_filter() {
        for (lens, eye) in [("perspective", &eye), ("parallel", &parallel)] {
            let on_gpu = raster(gpu, best_path(gpu), &data, (eye, &options));
            let drawn = DrawnFrame::whole(&on_gpu.frame);
            let uniforms = point_uniforms(&drawn, 0, eye, &options, SIZE);
            let on_cpu = twin::rasterize(&data, &uniforms);
            let id = |w: u64| (w != 0).then_some(w as u32);
            let pairs = || on_gpu.visibility.iter().zip(&on_cpu);
            let differ = pairs().filter(|(a, b)| id(**a) != id(**b)).count();
            // Fused multiply-adds move a point that lies on the border of two pixels.
            assert!(
                differ * 500 < on_cpu.len(),
                "{name}, {lens}: {differ} of {} pixels",
                on_cpu.len()
            );
            for (a, b) in pairs().filter(|(a, b)| id(**a) == id(**b)) {
                let depths = [a, b].map(|w| f32::from_bits((*w >> 32) as u32));
                assert!(
                    (depths[0] - depths[1]).abs() <= 1e-5 * depths[1],
                    "{name}, {lens}: {depths:?}"
                );
            }
            assert!(on_gpu.covered() > 100, "{name}, {lens}");
            counts.push(on_gpu.covered());
        }
    }
    counts.dedup();
    assert!(counts.len() > 10, "the filters differ: {counts:?}");
}

#[test]
fn the_hidden_share_is_that_of_the_points_that_are_not_drawn() {
    let (scene, _) = confident_room();
    let data = FrameData::encode(&scene, 2);
    let share = |options: &ViewOptions| PointFilter::of(options).hidden_share(&data);
    let all = ViewOptions {
        edge_threshold: None,
        required_valid: 0,
        ..points_only()
    };
    assert_eq!(share(&all), 0.0);
    let half = share(&ViewOptions {
        min_confidence: 0.5,
        ..all
    });
    assert!((half - 0.5).abs() < 0.1, "{half}");
    let [moving, still] =
        [MaskMode::OnlyMoving, MaskMode::OnlyStill].map(|mask| share(&ViewOptions { mask, ..all }));
    assert!((moving + still - 1.0).abs() < 1e-6 && still > 0.0 && still < 0.2);
    let nothing = share(&ViewOptions {
        min_confidence: 1.0,
        ..all
    });
    assert!(nothing > 0.98);
}

#[test]
fn hidden_points_are_those_that_lack_a_bit_or_step_too_far() {
    let Some(gpu) = gpu() else { return };
    let (mut scene, eye) = room_from_its_opening_view();
    let path = best_path(gpu);
    let covered = |scene: &Scene4d, options: &ViewOptions| {
        let data = FrameData::encode(scene, 0);
        let words = raster(gpu, path, &data, (&eye, options)).visibility;
        words.iter().filter(|w| **w != 0).count()
    };
    let all = ViewOptions {
        edge_threshold: None,
        ..points_only()
    };
    let strict = ViewOptions {
        edge_threshold: Some(0.02),
        ..all
    };
    let everything = covered(&scene, &all);
    assert!(covered(&scene, &strict) < everything);
    scene.valid = Plane::new(vec![validity::FINITE; scene.rgb.as_slice().len() / 3]);
    assert_eq!(covered(&scene, &all), 0);
    let any_finite = ViewOptions {
        required_valid: 0,
        ..all
    };
    assert_eq!(covered(&scene, &any_finite), everything);
}

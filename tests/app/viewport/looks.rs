//! Colour modes against their formulas, lighting of a known step, and what costs no raster.

use glam::Vec3;
use one4d_studio::viewport::frame_data::pack_attributes;
use one4d_studio::viewport::{ColourMap, ColourMode, EyeDome, MaskMode, PointSize};

use super::*;

/// A slanted wall `z = 3 + 0.5 x` of 24 x 32 points, all in view of the straight eye.
fn wall() -> Scene4d {
    let (height, width) = (24, 32);
    let mut points = Vec::new();
    let mut rgb = Vec::new();
    for row in 0..height {
        for column in 0..width {
            let x = (column as f32 - 15.5) * 0.08;
            let y = (row as f32 - 11.5) * 0.08;
            points.extend([x, y, 3.0 + 0.5 * x]);
            rgb.extend([column as u8 * 8, row as u8 * 10, 77]);
        }
    }
    grid_of((height, width), points, rgb)
}

/// The wall in a colour mode: drawn pixels with their colours.
fn coloured(gpu: &Gpu, data: &FrameData, options: &ViewOptions) -> Vec<(usize, [u8; 3])> {
    let ranges = SceneRanges {
        depth: [2.0, 4.0],
        height: [-1.0, 1.0],
        flow: 0.5,
        floor_y: 0.25,
    };
    let eye = PictureEye {
        eye: straight_eye(),
        near: 0.01,
        fade: Fade::under(DVec3::ZERO, 1.0, 0.0),
    };
    let out = raster_in(gpu, best_path(gpu), data, (&eye, options, &ranges));
    let drawn: Vec<(usize, [u8; 3])> = out
        .pixels()
        .into_iter()
        .zip(out.image.pixels())
        .filter_map(|(pixel, colour)| Some((pixel?, [colour.0[0], colour.0[1], colour.0[2]])))
        .collect();
    assert!(drawn.len() >= 24 * 32 / 2);
    drawn
}

fn options(colour: ColourMode, colour_map: ColourMap) -> ViewOptions {
    ViewOptions {
        point_size: PointSize::Pixels(1),
        colour,
        colour_map,
        ..points_only()
    }
}

fn assert_close(found: [u8; 3], expected: [u8; 3], tolerance: u8, what: &str) {
    let near = found
        .iter()
        .zip(expected)
        .all(|(a, b)| a.abs_diff(b) <= tolerance);
    assert!(near, "{what}: {found:?} instead of {expected:?}");
}

#[test]
fn depth_and_height_lie_on_every_scale_of_colours() {
    let Some(gpu) = gpu() else { return };
    let scene = wall();
    let data = FrameData::encode(&scene, 0);
    for map in ColourMap::ALL {
        for mode in [ColourMode::Depth, ColourMode::Height] {
            for (pixel, colour) in coloured(gpu, &data, &options(mode, map)) {
                let point = &scene.frame_points(0)[pixel * 3..pixel * 3 + 3];
                let place = match mode {
                    ColourMode::Depth => (f64::from(point[2]) - 2.0) / 2.0,
                    _ => (0.25 - f64::from(point[1]) + 1.0) / 2.0,
                };
                // Straight between 33 places of the map, which bends between them.
                assert_close(colour, map.at(place), 8, map.label());
            }
        }
    }
}

#[test]
fn a_chosen_range_replaces_that_of_the_scene() {
    let Some(gpu) = gpu() else { return };
    let data = FrameData::encode(&wall(), 0);
    let far = ViewOptions {
        colour_range: Some([10.0, 20.0]),
        ..options(ColourMode::Depth, ColourMap::Viridis)
    };
    for (_, colour) in coloured(gpu, &data, &far) {
        assert_close(colour, ColourMap::Viridis.at(0.0), 1, "below the range");
    }
}

#[test]
fn normals_confidence_and_time_have_their_colours() {
    let Some(gpu) = gpu() else { return };
    let mut scene = wall();
    let confidence = (0..24 * 32).map(|i| one4d_engine::scene::Half::from_f32(i as f32 / 767.0));
    scene.confidence = Some(Plane::new(confidence.collect()));
    let data = FrameData::encode(&scene, 0);
    // z = 3 + x / 2 faces the camera with (1, 0, -2) / sqrt 5.
    let normal = Vec3::new(1.0, 0.0, -2.0) / 5_f32.sqrt();
    let shown = (normal * Vec3::new(0.5, -0.5, -0.5) + 0.5) * 255.0;
    let shown = shown.to_array().map(|v| v.round() as u8);
    for (_, colour) in coloured(gpu, &data, &options(ColourMode::Normal, ColourMap::Turbo)) {
        assert_close(colour, shown, 3, "normal");
    }
    for (pixel, colour) in coloured(
        gpu,
        &data,
        &options(ColourMode::Confidence, ColourMap::Turbo),
    ) {
        let expected = ColourMap::Magma.at(pixel as f64 / 767.0);
        assert_close(colour, expected, 4, "confidence");
    }
    for (_, colour) in coloured(gpu, &data, &options(ColourMode::Frame, ColourMap::Turbo)) {
        assert_close(colour, ColourMap::Viridis.at(0.0), 1, "first frame");
    }
}

#[test]
fn flow_and_mask_come_from_the_attributes() {
    let Some(gpu) = gpu() else { return };
    let mut data = FrameData::encode(&wall(), 0);
    // The left half stands still, the right half moves to the right at the range's end.
    data.flow_scale = 0.5;
    let moves = |pixel: usize| pixel % 32 >= 16;
    let words = (0..24 * 32).map(|pixel| {
        if moves(pixel) {
            pack_attributes(255, Vec3::X)
        } else {
            pack_attributes(0, Vec3::ZERO)
        }
    });
    data.attributes = Some(words.collect());
    for (pixel, colour) in coloured(gpu, &data, &options(ColourMode::Flow, ColourMap::Turbo)) {
        let expected = if moves(pixel) { [255, 0, 0] } else { [51; 3] };
        assert_close(colour, expected, 1, "flow");
    }
    let accent = [0, 1, 2].map(|i| Palette::DARK.accent[i]);
    for (pixel, colour) in coloured(gpu, &data, &options(ColourMode::Mask, ColourMap::Turbo)) {
        assert_eq!(colour == accent, moves(pixel), "mask at {pixel}");
    }
    let tinted = ViewOptions {
        mask: MaskMode::Tint,
        ..options(ColourMode::Rgb, ColourMap::Turbo)
    };
    for (pixel, colour) in coloured(gpu, &data, &tinted) {
        let own = [0, 1, 2].map(|i| data.colours[pixel][i]);
        let mixed = [0, 1, 2]
            .map(|i| (f32::from(own[i]) * 0.55 + f32::from(accent[i]) * 0.45).round() as u8);
        let expected = if moves(pixel) { mixed } else { own };
        assert_close(colour, expected, 1, "tint");
    }
}

/// Two planes that face the eye, the left one nearer by a tenth.
fn step() -> FrameData {
    let (height, width) = (100, 160);
    let mut points = Vec::new();
    for row in 0..height {
        for column in 0..width {
            let z = if column < width / 2 { 1.8 } else { 2.0 };
            // Off the borders of pixels, where rounding would decide.
            let x = (column as f32 + 0.75 - 80.0) * 0.02 * z / 2.0;
            let y = (row as f32 + 0.75 - 50.0) * 0.02 * z / 2.0;
            points.extend([x, y, z]);
        }
    }
    let scene = grid_of((height, width), points, vec![200; height * width * 3]);
    FrameData::encode(&scene, 0)
}

#[test]
fn lighting_darkens_the_far_side_of_a_step_and_nothing_else() {
    let Some(gpu) = gpu() else { return };
    let data = step();
    let eye = PictureEye {
        eye: straight_eye(),
        near: 0.01,
        fade: Fade::under(DVec3::ZERO, 1.0, 0.0),
    };
    let lit = |strength| {
        let options = ViewOptions {
            edge_threshold: None,
            point_size: PointSize::Pixels(2),
            eye_dome: Some(EyeDome {
                radius_px: 2.0,
                strength,
            }),
            ..points_only()
        };
        raster(gpu, best_path(gpu), &data, (&eye, &options))
    };
    let out = lit(1.0);
    let dark = |x: u32| out.image.get_pixel(x, 100).0[0];
    let far = |x: u32| out.pixels()[100 * SIZE[0] as usize + x as usize].unwrap() % 160 >= 80;
    let edge = (90..230).find(|x| far(*x)).expect("the step is in view");
    // A step of 0.1 of the depth, less the slack of 0.008.
    let expected = 200.0 * (-8.0_f64 * (2.0 / 1.8 - 1.0 - 0.008)).exp();
    for x in [edge, edge + 1] {
        assert!(
            (f64::from(dark(x)) - expected).abs() < 3.0,
            "{} at {x}",
            dark(x)
        );
    }
    for x in (90..edge).chain(edge + 2..230) {
        assert_eq!(dark(x), 200, "at {x}, the step is at {edge}");
    }
    assert!(lit(2.0).image.get_pixel(edge, 100).0[0] < dark(edge));
    assert_eq!(lit(0.0).image.get_pixel(edge, 100).0[0], 200);
}

#[test]
fn another_look_costs_no_raster() {
    let Some((device, queue)) = gpu() else { return };
    let (scene, eye) = room_from_its_opening_view();
    let frame = FrameGpu::upload(device, queue, &FrameData::encode(&scene, 0)).unwrap();
    let frames = [DrawnFrame::whole(&frame)];
    let renderer = Renderer::new(device, queue);
    let mut view = renderer.view(SIZE);
    let mut draw = |options: &ViewOptions| {
        let picture = Picture {
            eye,
            options,
            palette: &Palette::DARK,
            ranges: &SceneRanges::of(&scene),
            frames: &frames,
            segments: &[],
            image_plane: None,
        };
        queue.submit([renderer.record(&mut view, &picture)]);
        let image = headless::read_picture((device, queue), &view).unwrap();
        (view.rasters, image)
    };
    let plain = points_only();
    let (first, rgb) = draw(&plain);
    let mut previous = rgb;
    for colour in [ColourMode::Depth, ColourMode::Normal, ColourMode::Mask] {
        let (rasters, image) = draw(&ViewOptions { colour, ..plain });
        assert_eq!(rasters, first);
        assert_ne!(image.as_raw(), previous.as_raw());
        previous = image;
    }
    let lit = ViewOptions {
        eye_dome: Some(EyeDome::default()),
        mask: MaskMode::Tint,
        ..plain
    };
    assert_eq!(draw(&lit).0, first);
    let larger = ViewOptions {
        point_size: PointSize::Auto(2.0),
        ..plain
    };
    assert_eq!(draw(&larger).0, first + 1);
    let hidden = ViewOptions {
        mask: MaskMode::OnlyMoving,
        ..larger
    };
    assert_eq!(draw(&hidden).0, first + 2);
}

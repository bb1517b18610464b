//! Whole pictures without a window.

use glam::DVec2;
use one4d_studio::viewport::eye::Lens;
use one4d_studio::viewport::headless::{Look, RenderError};
use one4d_studio::viewport::{Background, render_to_image};

use super::*;

#[test]
fn through_the_camera_the_picture_is_the_frame() {
    let Some((device, queue)) = gpu() else { return };
    let scene = room(2, 100, 160);
    let camera = scene.cameras.as_ref().unwrap()[1];
    let look = Look {
        eye: Some(Eye::through_camera(&camera, scene.width, scene.height)),
        options: ViewOptions {
            edge_threshold: None,
            ..points_only()
        },
        ..Look::default()
    };
    let renderer = Renderer::new(device, queue);
    let size = [160, 100];
    let image =
        headless::render_with((device, queue), &renderer, &scene, 1, (&look, size)).unwrap();
    let expected = scene.frame_rgb(1).chunks_exact(3);
    let valid = scene.frame_valid(1);
    let (mut drawn, mut equal) = (0, 0);
    for ((pixel, rgb), valid) in image.pixels().zip(expected).zip(valid) {
        if *valid != 0 {
            drawn += 1;
            equal += usize::from(pixel.0[..3] == *rgb);
        }
    }
    assert!(drawn > 10_000);
    assert!(equal * 100 >= drawn * 97, "{equal} of {drawn}");
}

#[test]
fn a_frame_that_does_not_exist_is_named() {
    let Some((device, queue)) = gpu() else { return };
    let scene = room(2, 8, 8);
    let error = render_to_image((device, queue), &scene, 2, None, SIZE).unwrap_err();
    assert!(matches!(
        error,
        RenderError::NoFrame {
            frame_idx: 2,
            num_frames: 2
        }
    ));
}

#[test]
fn scenes_without_a_single_point_or_camera_still_give_a_picture() {
    let Some((device, queue)) = gpu() else { return };
    let scene = row_of(&[[f32::NAN; 3], [f32::MAX; 3], [0.0; 3]], &[[9, 9, 9]; 3]);
    let image = render_to_image((device, queue), &scene, 0, None, SIZE).unwrap();
    assert_eq!(image.dimensions(), (SIZE[0], SIZE[1]));
}

#[test]
fn frustums_of_all_cameras_are_on_the_opening_picture() {
    let Some((device, queue)) = gpu() else { return };
    let scene = room(5, 60, 100);
    let renderer = Renderer::new(device, queue);
    let render = |overlays| {
        let look = Look {
            options: ViewOptions {
                overlays,
                ..ViewOptions::default()
            },
            ..Look::default()
        };
        headless::render_with((device, queue), &renderer, &scene, 2, (&look, SIZE)).unwrap()
    };
    let [r, g, b, _] = Palette::DARK.accent;
    let accents = |image: &image::RgbaImage| {
        image
            .pixels()
            .filter(|p| {
                p.0[0].abs_diff(r) < 40 && p.0[1].abs_diff(g) < 40 && p.0[2].abs_diff(b) < 40
            })
            .count()
    };
    let bare = render(Overlays::NONE);
    let full = render(Overlays::ALL);
    assert!(accents(&full) > accents(&bare) + 20);
    // The eye of a lens with an angle sees the centre of the first camera.
    let eye = Orbit::fit(&SceneBounds::of(&scene), DVec3::ZERO).eye();
    assert!(matches!(eye.lens, Lens::FieldOfView(_)));
    let at = eye.project(DVec3::ZERO, SIZE).unwrap();
    assert!(at.cmpgt(DVec2::ZERO).all() && at.x < 320.0 && at.y < 200.0);
}

#[test]
fn a_transparent_background_keeps_its_alpha_and_full_colours() {
    let Some((device, queue)) = gpu() else { return };
    let scene = row_of(&[[0.0, 0.0, 2.0]], &[[200, 100, 50]]);
    let look = Look {
        eye: Some(straight_eye()),
        options: ViewOptions {
            background: Background::Transparent,
            ..points_only()
        },
        ..Look::default()
    };
    let renderer = Renderer::new(device, queue);
    let image = headless::render_with((device, queue), &renderer, &scene, 0, (&look, SIZE));
    let image = image.unwrap();
    assert_eq!(image.get_pixel(0, 0).0, [0; 4]);
    assert_eq!(image.get_pixel(160, 100).0, [200, 100, 50, 255]);
}

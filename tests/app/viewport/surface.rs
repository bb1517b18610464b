//! The surface and blended points.

use glam::DMat3;
use one4d_engine::geometry::Camera;
use one4d_studio::viewport::{DrawMode, PointSize};

use super::*;

fn surface() -> ViewOptions {
    ViewOptions {
        draw: DrawMode::Surface,
        edge_threshold: Some(0.05),
        ..points_only()
    }
}

/// Looks at (0, 0, 2) from a distance, turned to the side.
fn side_eye(turn_rad: f64, distance: f64) -> PictureEye {
    let rotation = DMat3::from_rotation_y(turn_rad);
    let camera = Camera {
        intrinsics: Intrinsics::centred(100.0, SIZE[0] as usize, SIZE[1] as usize),
        world_from_camera: WorldFromCamera {
            rotation,
            translation: DVec3::new(0.0, 0.0, 2.0) - rotation * DVec3::Z * distance,
        },
    };
    PictureEye {
        eye: Eye::through_camera(&camera, SIZE[0] as usize, SIZE[1] as usize),
        near: 0.01,
        fade: Fade::under(DVec3::ZERO, 1.0, 0.0),
    }
}

/// A wall of `height x width` points at z = 2, `spacing` apart; the right half further by `step`.
fn wall((height, width): (usize, usize), spacing: f32, step: f32) -> Scene4d {
    let mut points = Vec::new();
    for row in 0..height {
        for column in 0..width {
            let x = (column as f32 - (width as f32 - 1.0) / 2.0) * spacing;
            let y = (row as f32 - (height as f32 - 1.0) / 2.0) * spacing;
            let z = if column < width / 2 { 2.0 } else { 2.0 + step };
            points.extend([x, y, z]);
        }
    }
    let rgb = (0..height * width).flat_map(|i| if i % 2 == 0 { [250; 3] } else { [50; 3] });
    grid_of((height, width), points, rgb.collect())
}

#[test]
fn a_plane_has_no_holes_from_the_side_nor_from_near() {
    let Some(gpu) = gpu() else { return };
    // The second is so near that its triangles are large ones.
    for (size, spacing, turn_rad, distance) in [
        ((60, 80), 0.03, 1.0, 2.0),
        ((12, 16), 0.15, 0.5, 0.9),
        ((4, 4), 0.6, 0.3, 1.2),
    ] {
        let scene = wall(size, spacing, 0.0);
        let data = FrameData::encode(&scene, 0);
        let eye = side_eye(turn_rad, distance);
        let out = raster(gpu, best_path(gpu), &data, (&eye, &surface()));
        let half = [
            f64::from(spacing) * (size.1 as f64 - 1.0) / 2.0,
            f64::from(spacing) * (size.0 as f64 - 1.0) / 2.0,
        ];
        let (mut inside, mut outside) = (0, 0);
        for (at, word) in out.visibility.iter().enumerate() {
            let px = glam::DVec2::new(
                (at % SIZE[0] as usize) as f64 + 0.5,
                (at / SIZE[0] as usize) as f64 + 0.5,
            );
            // Where the ray through the pixel meets the plane z = 2.
            let through = eye.eye.unproject(px, 1.0, SIZE);
            let ray = through - eye.eye.position;
            let hit = eye.eye.position + ray * ((2.0 - eye.eye.position.z) / ray.z);
            let margin = 0.01 * f64::from(spacing) + 0.002;
            if hit.x.abs() < half[0] - margin && hit.y.abs() < half[1] - margin {
                inside += 1;
                assert!(*word != 0, "a hole at {px} for {size:?}");
                let distance = eye.eye.distance_of((*word >> 32) as u32, eye.near).unwrap();
                assert!((distance / eye.eye.distance(hit) - 1.0).abs() < 1e-3);
                // The id is that of the point nearest to the place on the grid.
                let pixel = out.frame.id_layout().unpack(*word as u32).pixel as usize;
                let x = (pixel % size.1) as f64 * f64::from(spacing) - half[0];
                let y = (pixel / size.1) as f64 * f64::from(spacing) - half[1];
                let reach = 0.52 * f64::from(spacing);
                assert!((hit.x - x).abs() < reach && (hit.y - y).abs() < reach);
            } else if hit.x.abs() > half[0] + margin || hit.y.abs() > half[1] + margin {
                outside += usize::from(*word != 0);
            }
        }
        assert!(inside > 1000, "{inside}");
        assert_eq!(outside, 0);
    }
}

#[test]
fn a_step_of_depth_is_cut_and_a_hidden_point_takes_its_triangles_along() {
    let Some(gpu) = gpu() else { return };
    let scene = wall((60, 80), 0.02, 0.4);
    let eye = side_eye(-0.9, 2.0);
    let covered = |scene: &Scene4d, options: &ViewOptions| {
        let data = FrameData::encode(scene, 0);
        raster(gpu, best_path(gpu), &data, (&eye, options)).covered()
    };
    let cut = covered(&scene, &surface());
    let bridged = covered(
        &scene,
        &ViewOptions {
            edge_threshold: None,
            ..surface()
        },
    );
    assert!(bridged > cut + 300, "{bridged} and {cut}");
    let mut holed = scene.clone();
    let mut valid = vec![validity::GOOD; 60 * 80];
    for row in 20..40 {
        valid[row * 80 + 10..row * 80 + 30].fill(0);
    }
    holed.valid = Plane::new(valid);
    assert!(covered(&holed, &surface()) + 150 < cut);
}

#[test]
fn surfaces_are_the_same_on_both_paths() {
    let Some(gpu) = gpu() else { return };
    if best_path(gpu) != RasterPath::Atomic64 {
        eprintln!("skipped: the device has no 64-bit atomics");
        return;
    }
    let (scene, eye) = room_from_its_opening_view();
    let data = FrameData::encode(&scene, 1);
    let words = [RasterPath::Atomic64, RasterPath::TwoPass32]
        .map(|path| raster(gpu, path, &data, (&eye, &surface())).visibility);
    assert!(words[0].iter().filter(|w| **w != 0).count() > 5000);
    assert!(words[0] == words[1]);
}

#[test]
fn blended_points_average_one_surface_and_nothing_behind_it() {
    let Some(gpu) = gpu() else { return };
    let eye = side_eye(0.0, 2.0);
    // Columns of 250 and 50, a pixel apart: wide points mix them half and half.
    let scene = wall((80, 120), 0.02, 0.0);
    let smooth = ViewOptions {
        draw: DrawMode::Smooth,
        point_size: PointSize::Pixels(4),
        edge_threshold: None,
        ..points_only()
    };
    let data = FrameData::encode(&scene, 0);
    let out = raster(gpu, best_path(gpu), &data, (&eye, &smooth));
    for x in 130..190 {
        let [r, _, _, a] = out.image.get_pixel(x, 100).0;
        assert!((110..=190).contains(&r) && a == 255, "{r} at {x}");
    }
    // A black wall a tenth behind a white one leaves it white.
    let mut points = Vec::new();
    let mut rgb = Vec::new();
    for (z, grey) in [(2.0_f32, 255_u8), (2.2, 0)] {
        for i in 0..60 * 60 {
            let (x, y) = ((i % 60) as f32 - 29.5, (i / 60) as f32 - 29.5);
            points.extend([x * 0.02, y * 0.02, z]);
            rgb.extend([grey; 3]);
        }
    }
    let walls = grid_of((120, 60), points, rgb);
    let data = FrameData::encode(&walls, 0);
    let out = raster(gpu, best_path(gpu), &data, (&eye, &smooth));
    for x in 140..180 {
        assert_eq!(out.image.get_pixel(x, 100).0, [255; 4]);
    }
}

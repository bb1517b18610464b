//! The viewport on a real device, software or not: GPU against CPU, path against path, and the
//! widget in a window without a screen.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use egui_kittest::kittest::Queryable as _;
use glam::{DVec2, DVec3};
use one4d_engine::geometry::Intrinsics;
use one4d_engine::scene::{Plane, Points, Scene4d, SceneMeta, validity};
use one4d_studio::viewport::bounds::SceneBounds;
use one4d_studio::viewport::eye::{Eye, Lens};
use one4d_studio::viewport::frame_data::FrameData;
use one4d_studio::viewport::headless::{self, Look, RenderError};
use one4d_studio::viewport::orbit::Orbit;
use one4d_studio::viewport::passes::points::RasterPath;
use one4d_studio::viewport::picking::distance_from_depth_bits;
use one4d_studio::viewport::raster;
use one4d_studio::viewport::renderer::{self, FrameGpu, Picture, PictureEye, Renderer};
use one4d_studio::viewport::scene_lines::Fade;
use one4d_studio::viewport::upload::Uploads;
use one4d_studio::viewport::{
    Overlays, Palette, PointSize, ViewOptions, ViewportInput, ViewportState, headless_device,
    render_to_image, viewport_ui, wanted_wgpu_setup,
};
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

fn points_only() -> ViewOptions {
    ViewOptions {
        overlays: Overlays::NONE,
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

fn raster(
    (device, queue): &Gpu,
    path: RasterPath,
    data: &FrameData,
    (eye, options): (&PictureEye, &ViewOptions),
) -> Raster {
    let renderer = Renderer::with_path(device, queue, path);
    let frame = FrameGpu::upload(device, queue, data).expect("the frame fits");
    let mut view = renderer.view(SIZE);
    let picture = Picture {
        eye: *eye,
        options,
        palette: &Palette::DARK,
        frame: Some(&frame),
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

/// A scene of one row of points.
fn row_of(points: &[[f32; 3]], colours: &[[u8; 3]]) -> Scene4d {
    Scene4d {
        num_frames: 1,
        height: 1,
        width: points.len(),
        rgb: Plane::new(colours.concat()),
        points: Points::F32(Plane::new(points.concat())),
        valid: Plane::new(vec![validity::GOOD; points.len()]),
        confidence: None,
        depth: None,
        cameras: None,
        scene_flow: None,
        dynamic: None,
        meta: SceneMeta::default(),
    }
}

/// Looks along +z from the origin; a unit at distance 1 is 100 px.
fn straight_eye() -> Eye {
    let camera = one4d_engine::geometry::Camera {
        intrinsics: Intrinsics::centred(100.0, SIZE[0] as usize, SIZE[1] as usize),
        world_from_camera: one4d_engine::geometry::WorldFromCamera::IDENTITY,
    };
    Eye::through_camera(&camera, SIZE[0] as usize, SIZE[1] as usize)
}

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
    let out = raster(
        gpu,
        RasterPath::best(gpu.0.features()),
        &data,
        (&eye, &options),
    );
    let drawn: Vec<(usize, u32, f64)> = out
        .visibility
        .iter()
        .enumerate()
        .filter(|(_, word)| **word != 0)
        .map(|(at, word)| {
            let id = out.frame.id_layout().unpack(*word as u32);
            let distance = distance_from_depth_bits((*word >> 32) as u32, eye.near).unwrap();
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

fn room_from_its_opening_view() -> (Scene4d, PictureEye) {
    let scene = room(3, 90, 156);
    let bounds = SceneBounds::of(&scene);
    let eye = Orbit::fit(&bounds, DVec3::ZERO).eye();
    let eye = picture_eye(eye, &bounds);
    (scene, eye)
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

#[test]
fn the_gpu_draws_what_its_cpu_twin_draws() {
    let Some(gpu) = gpu() else { return };
    let (scene, eye) = room_from_its_opening_view();
    let data = FrameData::encode(&scene, 2);
    let options = points_only();
    let gpu_words = raster(
        gpu,
        RasterPath::best(gpu.0.features()),
        &data,
        (&eye, &options),
    );
    let uniforms = renderer::point_uniforms(&gpu_words.frame, &eye, &options, SIZE);
    let cpu_words = raster::rasterize(&data, &uniforms);
    let pairs = gpu_words.visibility.iter().zip(&cpu_words);
    let pixel = |w: u64| (w != 0).then_some(w as u32);
    let differ = pairs.filter(|(a, b)| pixel(**a) != pixel(**b)).count();
    // Fused multiply-adds move a point that lies on the border of two pixels.
    assert!(
        differ * 1000 < cpu_words.len(),
        "{differ} of {} pixels",
        cpu_words.len()
    );
}

#[test]
fn hidden_points_are_those_that_lack_a_bit_or_step_too_far() {
    let Some(gpu) = gpu() else { return };
    let (mut scene, eye) = room_from_its_opening_view();
    let path = RasterPath::best(gpu.0.features());
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

fn wait_until(mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(20), "it never came");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn uploads_bring_the_wanted_frame_then_those_ahead_and_stay_in_their_budget() {
    let Some((device, queue)) = gpu() else { return };
    let scene = Arc::new(room(12, 12, 16));
    let budget = 4 * FrameData::gpu_bytes(16, 12);
    let uploads = Uploads::start(device, queue, budget, || {}).unwrap();
    assert!(uploads.want(&scene, 5).frame.is_none(), "never waits");
    wait_until(|| uploads.resident(&scene) == [5, 6, 7, 8]);
    uploads.want(&scene, 4);
    wait_until(|| uploads.resident(&scene) == [1, 2, 3, 4]);
    assert!(uploads.want(&scene, 4).frame.is_some());
}

#[test]
fn a_scene_that_was_dropped_is_let_go() {
    let Some((device, queue)) = gpu() else { return };
    let uploads = Uploads::start(device, queue, 1 << 20, || {}).unwrap();
    let first = Arc::new(room(2, 8, 8));
    uploads.want(&first, 0);
    wait_until(|| uploads.resident(&first).len() == 2);
    let kept = Arc::downgrade(&first);
    drop(first);
    wait_until(|| kept.strong_count() == 0);
    let second = Arc::new(room(2, 8, 8));
    uploads.want(&second, 1);
    wait_until(|| uploads.resident(&second).len() == 2);
}

struct Window {
    state: ViewportState,
    scene: Option<Arc<Scene4d>>,
    frame_idx: usize,
    shown: Option<usize>,
    picked: Option<DVec3>,
}

/// A window of its own device, as the studio makes it.
fn window(scene: Option<Arc<Scene4d>>) -> egui_kittest::Harness<'static, Window> {
    let render_state = egui_kittest::wgpu::create_render_state(
        wanted_wgpu_setup(),
        egui_wgpu::RendererOptions::PREDICTABLE,
    );
    let renderer = egui_kittest::wgpu::WgpuTestRenderer::from_render_state(render_state.clone());
    egui_kittest::Harness::builder()
        .with_size(egui::vec2(420.0, 300.0))
        .with_step_dt(0.05)
        .renderer(renderer)
        .build_ui_state(
            move |ui, window: &mut Window| {
                let input = ViewportInput {
                    view_id: egui::Id::unique("a"),
                    scene: window.scene.as_ref(),
                    frame_idx: window.frame_idx,
                    palette: &Palette::DARK,
                    render_state: &render_state,
                    reduced_motion: false,
                };
                let out = viewport_ui(ui, &mut window.state, &input);
                assert_eq!(out.problem, None);
                window.shown = out.shown_frame;
                window.picked = out.picked.map(|p| p.1).or(window.picked);
            },
            Window {
                state: ViewportState::default(),
                scene,
                frame_idx: 0,
                shown: None,
                picked: None,
            },
        )
}

fn show(harness: &mut egui_kittest::Harness<'static, Window>, frame_idx: usize) {
    harness.state_mut().frame_idx = frame_idx;
    wait_until(|| {
        harness.step();
        harness.state().shown == Some(frame_idx)
    });
}

#[test]
fn the_widget_shows_orbits_dollies_and_picks() {
    if gpu().is_none() {
        return;
    }
    let scene = Arc::new(room(3, 90, 156));
    let mut harness = window(Some(Arc::clone(&scene)));
    show(&mut harness, 0);
    let first = harness.render().unwrap();
    let canvas = Palette::DARK.canvas_top;
    let lit = first.pixels().filter(|p| p.0[0] > canvas[0] + 40).count();
    assert!(lit > 5000, "the room is on the picture: {lit}");
    assert_eq!(first.as_raw(), harness.render().unwrap().as_raw());

    show(&mut harness, 2);
    assert_ne!(first.as_raw(), harness.render().unwrap().as_raw());

    let before = harness.state().state.orbit;
    let view = harness.get_by_label("3D view").rect();
    harness.drag_at(view.center());
    harness.step();
    harness.hover_at(view.center() + egui::vec2(40.0, 0.0));
    harness.step();
    harness.drop_at(view.center() + egui::vec2(40.0, 0.0));
    harness.step();
    let turned = harness.state().state.orbit;
    assert!(turned.yaw_rad != before.yaw_rad && turned.distance == before.distance);

    double_click(&mut harness, view.center() + egui::vec2(0.0, 30.0));
    wait_until(|| {
        harness.step();
        // The copy of the ids is submitted with a picture.
        harness.render().unwrap();
        harness.state().picked.is_some()
    });
    let picked = harness.state().picked.unwrap();
    harness.run_steps(10);
    let focused = harness.state().state.orbit;
    assert!(
        focused.target.distance(picked) < 1e-9,
        "the eye looks at what was picked"
    );
    let points = scene.frame_points(2);
    let known = points
        .chunks_exact(3)
        .any(|p| DVec3::from_array([0, 1, 2].map(|i| f64::from(p[i]))) == picked);
    assert!(
        known,
        "what was picked is a point of the scene, in full precision"
    );
}

fn double_click(harness: &mut egui_kittest::Harness<'static, Window>, at: egui::Pos2) {
    for _ in 0..2 {
        for pressed in [true, false] {
            harness.event(egui::Event::PointerMoved(at));
            harness.event(egui::Event::PointerButton {
                pos: at,
                button: egui::PointerButton::Primary,
                pressed,
                modifiers: egui::Modifiers::NONE,
            });
            harness.step();
        }
    }
}

#[test]
fn looking_through_the_camera_follows_time_and_a_drag_leaves_it() {
    if gpu().is_none() {
        return;
    }
    let scene = Arc::new(room(3, 60, 100));
    let mut harness = window(Some(Arc::clone(&scene)));
    show(&mut harness, 0);
    harness.state_mut().state.toggle_look_through(&scene, 0);
    let first = harness.render().unwrap();
    show(&mut harness, 2);
    assert_ne!(first.as_raw(), harness.render().unwrap().as_raw());
    assert!(harness.state().state.look_through);
    let view = harness.get_by_label("3D view").rect();
    harness.drag_at(view.center());
    harness.step();
    harness.hover_at(view.center() + egui::vec2(9.0, 0.0));
    harness.step();
    harness.hover_at(view.center() + egui::vec2(19.0, 0.0));
    harness.step();
    let state = harness.state().state;
    assert!(!state.look_through);
    let camera = scene.cameras.as_ref().unwrap()[2]
        .world_from_camera
        .centre();
    assert!(state.orbit.position().distance(camera) < 1.0);
}

#[test]
fn a_view_without_a_scene_shows_its_grid() {
    if gpu().is_none() {
        return;
    }
    let mut harness = window(None);
    harness.step();
    let image = harness.render().unwrap();
    let colours: std::collections::BTreeSet<[u8; 4]> = image.pixels().map(|p| p.0).collect();
    assert!(colours.len() > 20, "{} colours", colours.len());
}

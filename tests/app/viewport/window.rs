//! The widget in a window without a screen.

use egui_kittest::kittest::Queryable as _;
use one4d_studio::viewport::{
    Detail, Pick, ViewportInput, ViewportState, viewport_ui, wanted_wgpu_setup,
};

use super::*;

pub(super) struct Window {
    pub(super) state: ViewportState,
    scene: Option<Arc<Scene4d>>,
    frame_idx: usize,
    shown: Option<usize>,
    /// Pictures of the window until the frame was on it.
    pictures: usize,
    picked: Option<DVec3>,
    /// What each click met.
    pub(super) clicks: Vec<Option<(Pick, DVec3)>>,
    out: Option<(Detail, [u64; 2])>,
}

/// A window of its own device, as the studio makes it.
fn window(scene: Option<Arc<Scene4d>>) -> egui_kittest::Harness<'static, Window> {
    window_of(scene, 1.0, 0.0)
}

/// The same with so many pixels a point and a margin around the view.
pub(super) fn window_of(
    scene: Option<Arc<Scene4d>>,
    pixels_per_point: f32,
    margin: f32,
) -> egui_kittest::Harness<'static, Window> {
    let render_state = egui_kittest::wgpu::create_render_state(
        wanted_wgpu_setup(),
        egui_wgpu::RendererOptions::PREDICTABLE,
    );
    let renderer = egui_kittest::wgpu::WgpuTestRenderer::from_render_state(render_state.clone());
    egui_kittest::Harness::builder()
        .with_size(egui::vec2(420.0, 300.0))
        .with_step_dt(0.05)
        .with_pixels_per_point(pixels_per_point)
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
                let place = ui.max_rect().shrink(margin);
                let mut ui = ui.new_child(egui::UiBuilder::new().max_rect(place));
                let out = viewport_ui(&mut ui, &mut window.state, &input);
                assert_eq!(out.problem, None);
                window.shown = out.shown_frame;
                window.pictures += 1;
                window.picked = out.picked.map(|p| p.1).or(window.picked);
                window.clicks.extend(out.clicked);
                window.out = Some((out.detail, out.memory_bytes));
            },
            Window {
                state: ViewportState::default(),
                scene,
                frame_idx: 0,
                shown: None,
                pictures: 0,
                picked: None,
                clicks: Vec::new(),
                out: None,
            },
        )
}

pub(super) fn show(harness: &mut egui_kittest::Harness<'static, Window>, frame_idx: usize) {
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
fn any_resident_frame_is_on_the_very_next_picture_and_its_memory_is_told() {
    if gpu().is_none() {
        return;
    }
    let scene = Arc::new(room(12, 30, 50));
    let mut harness = window(Some(Arc::clone(&scene)));
    show(&mut harness, 0);
    let all = 12 * FrameData::gpu_bytes(&scene);
    wait_until(|| {
        harness.step();
        harness
            .state()
            .out
            .is_some_and(|(_, [used, _])| used >= all)
    });
    harness.render().unwrap();
    harness.step();
    let (detail, [used, budget]) = harness.state().out.unwrap();
    assert_eq!(detail, Detail::WHOLE);
    let size = harness.get_by_label("3D view").rect().size();
    let views = (size.x * size.y) as u64 * 16;
    assert_eq!(used, all + views);
    assert!(budget >= all);
    for frame_idx in [7, 3, 11, 0, 6, 5, 1] {
        harness.state_mut().frame_idx = frame_idx;
        let before = harness.state().pictures;
        harness.step();
        let window = harness.state();
        assert_eq!(window.shown, Some(frame_idx));
        assert_eq!(window.pictures - before, 1, "one displayed frame");
    }
}

#[test]
fn a_new_device_shows_the_same_view_from_the_same_state() {
    if gpu().is_none() {
        return;
    }
    let scene = Arc::new(room(3, 60, 100));
    let mut harness = window(Some(Arc::clone(&scene)));
    show(&mut harness, 1);
    let before = harness.render().unwrap();
    let state = harness.state().state;
    drop(harness);
    let mut harness = window(Some(Arc::clone(&scene)));
    harness.state_mut().state = state;
    show(&mut harness, 1);
    assert_eq!(before.as_raw(), harness.render().unwrap().as_raw());
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

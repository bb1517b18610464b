//! The timeline and playback in the window's hands.

use std::sync::Arc;

use egui::Key;
use egui_kittest::kittest::Queryable as _;
use glam::{DMat3, DVec3};
use one4d_engine::geometry::{Camera, Intrinsics, WorldFromCamera};
use one4d_engine::scene::{Plane, Points, Scene4d, SceneMeta, SolverFlag, validity};
use one4d_studio::state::AppState;
use one4d_studio::state::command::{Action, AppCommand, TimeEdit};
use one4d_studio::timeline::LoopMode;

use super::stage::Stage4d;

/// A plane three units away, seen by a camera that moves right; every frame has its own grey.
pub(super) fn small_scene(num_frames: usize) -> Arc<Scene4d> {
    let (width, height) = (8, 5);
    let pixels = width * height;
    let intrinsics = Intrinsics::centred(6.0, width, height);
    let rgb = (0..num_frames)
        .flat_map(|frame| vec![40 + 20 * frame as u8; pixels * 3])
        .collect();
    let mut points = Vec::with_capacity(num_frames * pixels * 3);
    for _ in 0..num_frames {
        for row in 0..height {
            for column in 0..width {
                let ray = intrinsics.ray(column, row) * 3.0;
                points.extend([ray.x as f32, ray.y as f32, ray.z as f32]);
            }
        }
    }
    let cameras: Vec<_> = (0..num_frames)
        .map(|frame| Camera {
            intrinsics,
            world_from_camera: WorldFromCamera {
                rotation: DMat3::IDENTITY,
                translation: DVec3::new(0.1 * frame as f64, 0.0, 0.0),
            },
        })
        .collect();
    let scene = Scene4d {
        num_frames,
        height,
        width,
        rgb: Plane::new(rgb),
        points: Points::F32(Plane::new(points)),
        valid: Plane::new(vec![validity::GOOD; num_frames * pixels]),
        confidence: None,
        depth: None,
        cameras: Some(cameras.into()),
        scene_flow: None,
        dynamic: None,
        meta: SceneMeta {
            fps: 10.0,
            prompt: Some("a grey wall".to_owned()),
            seed: Some(7),
            flags: vec![(None, SolverFlag::Planar)],
            ..SceneMeta::default()
        },
    };
    scene.check().unwrap();
    Arc::new(scene)
}

fn paused(num_frames: usize) -> Stage4d {
    let mut stage = Stage4d::with_scene(num_frames);
    stage.command(AppCommand::Time(TimeEdit::Seek(0)));
    stage
}

fn is_playing(state: &AppState) -> bool {
    state.clock.is_playing(state.now_secs)
}

#[test]
fn a_scene_plays_as_soon_as_it_arrives_and_space_stops_it() {
    let mut stage = Stage4d::with_scene(5);
    assert!(is_playing(stage.state()));
    let first = stage.state().frame();
    stage.harness.run_steps(3);
    assert_ne!(stage.state().frame(), first);
    stage.harness.key_press(Key::Space);
    stage.harness.run_steps(2);
    assert!(!is_playing(stage.state()));
    let stopped = stage.state().frame();
    stage.harness.run_steps(10);
    assert_eq!(stage.state().frame(), stopped);
}

#[test]
fn keys_step_and_jump_by_whole_frames() {
    let mut stage = paused(5);
    for (key, expected) in [
        (Key::ArrowRight, 1),
        (Key::Period, 2),
        (Key::ArrowLeft, 1),
        (Key::End, 4),
        (Key::ArrowRight, 4),
        (Key::Home, 0),
        (Key::Comma, 0),
    ] {
        stage.harness.key_press(key);
        stage.harness.run_steps(2);
        assert_eq!(stage.state().frame(), expected, "{key:?}");
    }
}

#[test]
fn clicking_the_strip_shows_the_frame_under_the_pointer() {
    let mut stage = paused(5);
    stage.harness.run_steps(8);
    let rect = stage.harness.get_by_label("Scrub the timeline").rect();
    for frame in [3_usize, 0, 4] {
        let x = rect.left() + rect.width() * (frame as f32 + 0.5) / 5.0;
        let at = egui::pos2(x, rect.center().y);
        stage.harness.drag_at(at);
        stage.harness.run_steps(2);
        assert_eq!(stage.state().frame(), frame);
        stage.harness.drop_at(at);
        stage.harness.run_steps(2);
    }
}

#[test]
fn in_and_out_confine_playback_and_are_cleared() {
    let mut stage = paused(5);
    stage.command(AppCommand::Time(TimeEdit::Seek(1)));
    stage.harness.key_press(Key::I);
    stage.harness.run_steps(2);
    stage.command(AppCommand::Time(TimeEdit::Seek(3)));
    stage.harness.key_press(Key::O);
    stage.harness.run_steps(2);
    assert_eq!(stage.state().clock.range(), (1, 3));
    stage.harness.get_by_label("Plays 2 to 4");
    stage.command(AppCommand::Act(Action::PlayPause));
    for _ in 0..20 {
        stage.harness.step();
        assert!((1..=3).contains(&stage.state().frame()));
    }
    stage.harness.key_press(Key::X);
    stage.harness.run_steps(2);
    assert!(!stage.state().clock.has_range());
}

#[test]
fn the_strip_gets_a_picture_of_every_frame() {
    let mut stage = Stage4d::with_scene(5);
    stage.until("all pictures are made", |s| {
        let open = s.scene.as_ref().unwrap();
        open.strip.iter().all(Option::is_some) && open.facts.is_some()
    });
    let open = stage.state().scene.as_ref().unwrap();
    let greys: Vec<_> = open
        .strip
        .iter()
        .map(|p| p.as_ref().unwrap().pixels[0].r())
        .collect();
    assert_eq!(greys, [40, 60, 80, 100, 120]);
    let facts = open.facts.clone().unwrap();
    assert_eq!((facts.good_share, facts.finite_share), (1.0, 1.0));
    let (near, far) = facts.distance.unwrap();
    assert!(near >= 3.0 && far > near && far < 5.0);
}

#[test]
fn loop_mode_and_speed_change_by_their_keys_and_stay_for_the_next_scene() {
    let mut stage = paused(5);
    assert_eq!(stage.state().clock.mode(), LoopMode::Loop);
    stage
        .harness
        .key_press_modifiers(egui::Modifiers::SHIFT, Key::L);
    stage.harness.run_steps(2);
    assert_eq!(stage.state().clock.mode(), LoopMode::PingPong);
    for (speed, key) in [(1.0, Key::L), (2.0, Key::L), (1.0, Key::J), (2.0, Key::J)] {
        stage.harness.key_press(key);
        stage.harness.run_steps(2);
        assert_eq!(stage.state().clock.speed(), speed, "{key:?}");
        assert_eq!(stage.state().clock.is_backwards(), key == Key::J);
        assert!(is_playing(stage.state()));
    }
    stage.harness.key_press(Key::K);
    stage.harness.run_steps(2);
    assert!(!is_playing(stage.state()));
    let next = stage.state().clock.for_scene(9, 24.0);
    assert_eq!(
        (next.mode(), next.speed(), next.num_frames()),
        (LoopMode::PingPong, 2.0, 9)
    );
}

#[test]
fn the_inspect_panel_explains_the_scene() {
    let mut stage = paused(5);
    stage.harness.run_steps(8);
    for words in [
        "Frames 5",
        "Frame size 8 × 5 px",
        "Scale up to scale",
        "Focal length 6.0 px",
        "Seed 7",
        "Nearly flat",
        "a grey wall",
    ] {
        assert!(
            stage.harness.query_all_by_label(words).next().is_some(),
            "{words}"
        );
    }
}

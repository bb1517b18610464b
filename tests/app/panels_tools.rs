//! The studio's tools in a person's hands: palette, keys, clicks, undo.

use std::sync::Arc;

use egui::{Event, Key, Modifiers};
use egui_kittest::kittest::Queryable as _;
use one4d_engine::scene::{Half, Plane, Scene4d};
use one4d_engine::worker::{JobRequest, Output, SceneSource};
use one4d_studio::state::command::{Action, AppCommand, InspectPage, Target, TimeEdit};
use one4d_studio::state::measures::{Anchor, MeasureEdit, MeasureKind, Tool};
use one4d_studio::viewport::{ColourMode, DrawMode, headless_device};
use one4d_tests::scenes::room;

use super::panels_session::open_file;
use super::stage::{Do, Stage4d};
use super::timeline::small_scene;

pub(super) fn paused(num_frames: usize) -> Stage4d {
    let mut stage = Stage4d::with_scene(num_frames);
    stage.command(AppCommand::Time(TimeEdit::Seek(0)));
    stage.harness.run_steps(8);
    stage
}

pub(super) fn press(stage: &mut Stage4d, modifiers: Modifiers, key: Key) {
    stage.harness.key_press_modifiers(modifiers, key);
    stage.harness.run_steps(2);
}

/// Clicks the middle of a pixel of the frame, which is shown flat without a graphics adapter.
pub(super) fn click_pixel(stage: &mut Stage4d, column: usize, row: usize) {
    let place = stage.harness.get_by_label("Flat view").rect();
    let scene = Arc::clone(&stage.state().scene.as_ref().unwrap().scene);
    let at = place.min
        + egui::vec2(
            (column as f32 + 0.5) / scene.width as f32 * place.width(),
            (row as f32 + 0.5) / scene.height as f32 * place.height(),
        );
    click(stage, at);
}

pub(super) fn click(stage: &mut Stage4d, at: egui::Pos2) {
    stage.harness.event(Event::PointerMoved(at));
    for pressed in [true, false] {
        stage.harness.event(Event::PointerButton {
            pos: at,
            button: egui::PointerButton::Primary,
            pressed,
            modifiers: Modifiers::NONE,
        });
        stage.harness.step();
    }
    // Long enough that two clicks are no double click.
    stage.harness.run_steps(10);
}

/// A studio with a distance between two pixels of the first frame.
pub(super) fn with_distance(num_frames: usize) -> Stage4d {
    let mut stage = paused(num_frames);
    press(&mut stage, Modifiers::NONE, Key::M);
    assert_eq!(stage.state().tool, Tool::Measure(MeasureKind::Distance));
    click_pixel(&mut stage, 1, 2);
    click_pixel(&mut stage, 6, 2);
    stage
}

#[test]
fn the_palette_finds_an_action_by_a_few_letters_and_does_it() {
    let mut stage = paused(3);
    press(&mut stage, Modifiers::COMMAND, Key::K);
    assert!(stage.state().finder.is_some());
    stage.check_names();
    stage.harness.event(Event::Text("colour by dep".to_owned()));
    stage.harness.run_steps(2);
    assert_eq!(
        stage.state().finder.as_ref().unwrap().query,
        "colour by dep"
    );
    press(&mut stage, Modifiers::NONE, Key::Enter);
    assert!(stage.state().finder.is_none());
    assert_eq!(stage.state().view.options.colour, ColourMode::Depth);
    press(&mut stage, Modifiers::COMMAND, Key::K);
    press(&mut stage, Modifiers::NONE, Key::ArrowDown);
    assert_eq!(stage.state().finder.as_ref().unwrap().marked, 1);
    press(&mut stage, Modifiers::NONE, Key::Escape);
    assert!(stage.state().finder.is_none());
}

#[test]
fn every_key_of_the_look_does_what_the_table_says() {
    let mut stage = paused(3);
    for (key, colour) in [
        Key::Num1,
        Key::Num2,
        Key::Num3,
        Key::Num4,
        Key::Num5,
        Key::Num6,
        Key::Num7,
        Key::Num8,
    ]
    .into_iter()
    .zip(ColourMode::ALL)
    {
        press(&mut stage, Modifiers::NONE, key);
        assert_eq!(stage.state().view.options.colour, colour);
    }
    press(&mut stage, Modifiers::NONE, Key::S);
    assert_eq!(stage.state().view.options.draw, DrawMode::Surface);
    press(&mut stage, Modifiers::NONE, Key::P);
    assert_eq!(stage.state().view.options.draw, DrawMode::Points);
    for _ in 0..2 {
        let before = stage.state().view.options;
        for key in [Key::G, Key::T, Key::B] {
            press(&mut stage, Modifiers::NONE, key);
        }
        let after = stage.state().view.options;
        assert_ne!(before.ghosts.is_some(), after.ghosts.is_some());
        assert_ne!(before.eye_dome.is_some(), after.eye_dome.is_some());
        assert_ne!(before.clip_box.is_some(), after.clip_box.is_some());
    }
    press(&mut stage, Modifiers::NONE, Key::C);
    assert!(stage.state().view.look_through);
}

#[test]
fn letters_fly_while_the_right_button_is_held() {
    let mut stage = paused(3);
    let at = stage.harness.get_by_label("Flat view").rect().center();
    stage.harness.event(Event::PointerMoved(at));
    stage.harness.event(Event::PointerButton {
        pos: at,
        button: egui::PointerButton::Secondary,
        pressed: true,
        modifiers: Modifiers::NONE,
    });
    stage.harness.step();
    press(&mut stage, Modifiers::NONE, Key::S);
    assert_eq!(stage.state().view.options.draw, DrawMode::Points);
}

#[test]
fn a_click_without_a_tool_chooses_a_point_and_f_goes_there() {
    let mut stage = paused(2);
    click_pixel(&mut stage, 5, 1);
    let anchor = stage.state().selection.unwrap();
    assert_eq!((anchor.column, anchor.row, anchor.frame_idx), (5, 1, 0));
    press(&mut stage, Modifiers::NONE, Key::F);
    let goal = stage.state().view.goal();
    assert!(goal.target.distance(anchor.position()) < 1e-12);
    press(&mut stage, Modifiers::SHIFT, Key::F);
    assert!(stage.state().view.goal().target.distance(anchor.position()) > 1e-3);
}

#[test]
fn a_click_in_the_3d_view_chooses_the_exact_point_of_the_pixel_it_met() {
    if headless_device().ok().flatten().is_none() {
        println!("skipped: no graphics adapter, not even a software one");
        return;
    }
    let mut stage = Stage4d::in_3d();
    let path = stage.folder.path().join("room.one4d");
    let scene = Arc::new(room(3, 60, 100));
    open_file(&mut stage, &path, Arc::clone(&scene), Target::ByKind);
    stage.command(AppCommand::Time(TimeEdit::Seek(1)));
    let view = stage.harness.get_by_label("3D view").rect();
    let begin = std::time::Instant::now();
    while stage.state().selection.is_none() {
        assert!(begin.elapsed().as_secs() < 60, "no point was chosen");
        click(&mut stage, view.center() + egui::vec2(0.0, 20.0));
        // The copy of the ids is submitted with a picture.
        stage.harness.render().unwrap();
        stage.harness.run_steps(3);
    }
    let chosen = stage.state().selection.unwrap();
    let exact = Anchor::of(&scene, 1, chosen.column, chosen.row).unwrap();
    assert_eq!(chosen, exact, "frame, pixel and point in full precision");
    let at = stage
        .state()
        .view
        .eye(&scene, 1)
        .project(
            chosen.position(),
            [view.width() as u32, view.height() as u32],
        )
        .unwrap();
    let pointer = view.size() / 2.0 + egui::vec2(0.0, 20.0);
    let off = (at - glam::DVec2::new(f64::from(pointer.x), f64::from(pointer.y))).length();
    assert!(off < 12.0, "{off} pixels from the pointer");
}

#[test]
fn what_moves_is_found_in_the_scene_on_screen_and_nothing_else_changes() {
    let mut stage = with_distance(3);
    while stage.asked.try_recv().is_ok() {}
    stage.command(AppCommand::Time(TimeEdit::Seek(2)));
    stage.command(AppCommand::Act(Action::FindMotion));
    stage.until("it is asked for", |s| s.jobs.num_active() > 0);
    let Ok(JobRequest::FindMotion(request)) = stage.asked.recv() else {
        panic!("another job");
    };
    let SceneSource::Open(scene) = request.scene else {
        panic!("another scene");
    };
    let before = Arc::clone(&stage.state().scene.as_ref().unwrap().scene);
    assert!(Arc::ptr_eq(&before, &scene) && request.out.is_none());
    let pixels = scene.num_frames * scene.pixels_per_frame();
    stage.send(Do::Show(Arc::new(Scene4d {
        dynamic: Some(Plane::new(vec![255; pixels])),
        ..(*scene).clone()
    })));
    stage.send(Do::Finish(Output::default()));
    stage.until("it is done", |s| s.jobs.num_active() == 0);
    let state = stage.state();
    assert!(state.scene.as_ref().unwrap().scene.dynamic.is_some());
    assert_eq!((state.frame(), state.measures.list().len()), (2, 1));
    assert!(
        state
            .notices
            .list()
            .iter()
            .any(|n| n.title == "Found what moves")
    );
}

#[test]
fn undo_takes_back_step_by_step_and_redo_does_it_again() {
    let mut stage = with_distance(3);
    press(&mut stage, Modifiers::NONE, Key::Num3);
    let id = stage.state().measures.list()[0].id;
    for name in ["a", "ab", "abc"] {
        let edit = MeasureEdit::Rename(id, name.to_owned());
        stage.command(AppCommand::Measure(edit));
    }
    stage.command(AppCommand::Measure(MeasureEdit::Delete(id)));
    let names = |stage: &Stage4d| -> Vec<String> {
        let list = stage.state().measures.list();
        list.iter().map(|m| m.name.clone()).collect()
    };
    assert!(names(&stage).is_empty());
    press(&mut stage, Modifiers::COMMAND, Key::Z);
    assert_eq!(names(&stage), ["abc"]);
    press(&mut stage, Modifiers::COMMAND, Key::Z);
    assert_eq!(names(&stage), ["Distance 1"], "typing is one step");
    press(&mut stage, Modifiers::COMMAND, Key::Z);
    assert_eq!(stage.state().view.options.colour, ColourMode::Rgb);
    press(&mut stage, Modifiers::COMMAND, Key::Z);
    assert!(names(&stage).is_empty(), "the measure itself");
    for _ in 0..3 {
        press(
            &mut stage,
            Modifiers::COMMAND.plus(Modifiers::SHIFT),
            Key::Z,
        );
    }
    assert_eq!(names(&stage), ["abc"]);
    assert_eq!(stage.state().view.options.colour, ColourMode::Height);
}

/// Opens the scene of a file through the puppet.
#[test]
fn every_page_of_the_inspect_panel_has_names_for_its_controls() {
    let mut scene = (*small_scene(3)).clone();
    let pixels = 3 * scene.pixels_per_frame();
    scene.confidence = Some(Plane::new(vec![Half::from_f32(0.5); pixels]));
    scene.dynamic = Some(Plane::new(vec![9; pixels]));
    let mut stage = Stage4d::showing(Arc::new(scene));
    stage.command(AppCommand::Act(Action::ToggleClipBox));
    stage.command(AppCommand::Act(Action::ToggleGhosts));
    stage.command(AppCommand::Act(Action::ColourDepth));
    for (page, words) in [
        (InspectPage::Look, "Range by hand"),
        (InspectPage::Filter, "Least confidence"),
        (InspectPage::Camera, "Field of view"),
        (InspectPage::Measure, "Chosen point"),
    ] {
        let scene = Arc::clone(&stage.state().scene.as_ref().unwrap().scene);
        stage.command(AppCommand::Clicked(Anchor::of(&scene, 0, 1, 1)));
        stage.command(AppCommand::Inspect(page));
        stage.harness.run_steps(3);
        assert!(
            stage.harness.query_all_by_label(words).next().is_some(),
            "{words}"
        );
        stage.check_names();
    }
}

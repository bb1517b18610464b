//! What outlives a moment: markers, a second scene, the session, the way out.

use std::path::PathBuf;
use std::sync::Arc;

use egui::{Key, Modifiers, ViewportEvent, ViewportId};
use egui_kittest::kittest::Queryable as _;
use one4d_engine::scene::Scene4d;
use one4d_engine::worker::Output;
use one4d_studio::state::arrangement::{Arrangement, Pane};
use one4d_studio::state::command::{Action, AppCommand, Target, TimeEdit};
use one4d_studio::state::compare::{Comparing, second_frame};
use one4d_studio::state::measures::Anchor;
use one4d_studio::state::quit::Quit;
use one4d_studio::state::session::{Session, restored_arrangement};
use one4d_studio::viewport::ColourMode;

use super::panels_tools::{click, paused, press};
use super::stage::{Do, Stage4d};
use super::timeline::small_scene;

pub(super) fn open_file(stage: &mut Stage4d, path: &PathBuf, scene: Arc<Scene4d>, target: Target) {
    std::fs::write(path, b"the puppet does not read it").unwrap();
    stage.command(AppCommand::OpenPaths(vec![path.clone()], target));
    stage.send(Do::Show(scene));
    stage.send(Do::Finish(Output::default()));
    stage.until("it has been asked for", |s| s.jobs.num_active() > 0);
    stage.until("it has been opened", |s| s.jobs.num_active() == 0);
}

#[test]
fn markers_are_set_jumped_between_and_outlive_the_session() {
    let mut stage = paused(9);
    for frame in [2, 6] {
        stage.command(AppCommand::Time(TimeEdit::Seek(frame)));
        press(&mut stage, Modifiers::SHIFT, Key::M);
    }
    stage.command(AppCommand::Time(TimeEdit::Seek(4)));
    press(&mut stage, Modifiers::NONE, Key::PageUp);
    assert_eq!(stage.state().frame(), 2);
    press(&mut stage, Modifiers::NONE, Key::PageDown);
    assert_eq!(stage.state().frame(), 6);
    stage.harness.get_by_label("Marker Frame 3").click();
    stage.harness.run_steps(2);
    assert_eq!(stage.state().frame(), 2);
    stage.harness.get_by_label("Remove marker").click();
    stage.harness.run_steps(2);
    assert_eq!(stage.state().markers.list().len(), 1);
    stage.check_names();
}

#[test]
fn a_second_scene_is_compared_at_the_same_time_and_let_go() {
    let mut stage = paused(9);
    let path = stage.folder.path().join("other.one4d");
    let mut other = (*small_scene(5)).clone();
    other.meta.fps = 5.0;
    open_file(&mut stage, &path, Arc::new(other), Target::Compare);
    assert!(stage.state().comparing.both().is_some());
    assert_eq!(stage.state().scene.as_ref().unwrap().scene.num_frames, 9);
    stage.command(AppCommand::Time(TimeEdit::Seek(6)));
    assert_eq!(second_frame(stage.state()), Some(3), "0.6 s at 5 a second");
    stage.command(AppCommand::Time(TimeEdit::Seek(8)));
    assert_eq!(second_frame(stage.state()), Some(4));
    stage.harness.run_steps(2);
    stage.check_names();
    stage.harness.get_by_label("Wipe").click();
    stage.harness.run_steps(2);
    let line = stage.harness.get_by_label("Line between the scenes").rect();
    let from = line.center() + egui::vec2(0.0, 60.0);
    stage.harness.hover_at(from);
    stage.harness.step();
    stage.harness.drag_at(from);
    stage.harness.step();
    for by in [-40.0, -90.0] {
        stage.harness.hover_at(from + egui::vec2(by, 0.0));
        stage.harness.step();
    }
    stage.harness.drop_at(from + egui::vec2(-90.0, 0.0));
    stage.harness.run_steps(2);
    assert!(stage.state().comparing.both().unwrap().split < 0.45);
    stage.harness.get_by_label("Linked").click();
    stage.harness.run_steps(2);
    stage.command(AppCommand::Time(TimeEdit::Seek(0)));
    assert_eq!(
        second_frame(stage.state()),
        Some(4),
        "it stays where it was"
    );
    stage.harness.run_steps(2);
    stage.harness.get_by_label("End the comparison").click();
    stage.until("it is over", |s| matches!(s.comparing, Comparing::No));
}

#[test]
fn a_scene_is_found_as_it_was_left_and_a_broken_session_starts_afresh() {
    let mut stage = paused(9);
    let path = stage.folder.path().join("kept.one4d");
    open_file(&mut stage, &path, small_scene(9), Target::ByKind);
    stage.command(AppCommand::Time(TimeEdit::Seek(5)));
    stage.command(AppCommand::Act(Action::ColourHeight));
    stage.command(AppCommand::Act(Action::AddMarker));
    stage.command(AppCommand::Act(Action::MeasureDistance));
    for (column, row) in [(0, 0), (3, 3)] {
        let scene = Arc::clone(&stage.state().scene.as_ref().unwrap().scene);
        let anchor = Anchor::of(&scene, 5, column, row);
        stage.command(AppCommand::Clicked(anchor));
    }
    stage.command(AppCommand::Act(Action::ToggleInspect));
    stage.command(AppCommand::Act(Action::ViewSide));
    // Without a graphics adapter no view fits the eye, so the test says that it has been.
    let mut view = stage.state().view;
    view.fitted = true;
    stage.command(AppCommand::View(Box::new(view)));
    let eye = stage.state().view.goal();
    let file = stage.folder.path().join("config/session.json");
    stage.until_file("the session is written", &file, 700);

    let folder = stage.into_folder();
    let mut again = Stage4d::at(folder, Vec::new());
    again.send(Do::Show(small_scene(9)));
    again.send(Do::Finish(Output::default()));
    again.until("the last scene is back", |s| s.scene.is_some());
    let state = again.state();
    assert_eq!(state.frame(), 5);
    assert_eq!(state.view.options.colour, ColourMode::Height);
    assert_eq!(state.view.goal(), eye);
    assert_eq!(state.measures.list().len(), 1);
    assert_eq!(state.markers.list()[0].frame_idx, 5);
    assert!(!state.layout.inspect);

    let folder = again.into_folder();
    std::fs::write(folder.path().join("config/session.json"), "{\"scenes\": 7").unwrap();
    let fresh = Stage4d::at(folder, Vec::new());
    assert!(fresh.state().scene.is_none() && fresh.state().layout.inspect);
}

#[test]
fn the_source_frame_gets_a_place_of_its_own_and_comes_back_next_time() {
    let mut stage = paused(3);
    press(&mut stage, Modifiers::SHIFT, Key::V);
    assert!(stage.state().arrangement.has(Pane::Source));
    stage.harness.run_steps(3);
    stage.check_names();
    // A click on it chooses the pixel under the pointer.
    let place = stage.harness.get_by_label("Docked source frame").rect();
    let at = place.lerp_inside(egui::vec2(3.5 / 8.0, 0.5 / 5.0));
    click(&mut stage, at);
    let anchor = stage.state().selection.unwrap();
    assert_eq!((anchor.column, anchor.row), (3, 0));
    let mut session = Session {
        arrangement: Some(stage.state().arrangement.clone()),
        ..Session::default()
    };
    assert!(restored_arrangement(&session).has(Pane::Source));
    session.arrangement = Some(Arrangement::Row(Vec::new()));
    assert_eq!(restored_arrangement(&session), Arrangement::default());
    stage.harness.get_by_label("Close the source frame").click();
    stage.until("it is closed", |s| !s.arrangement.has(Pane::Source));
}

#[test]
fn quitting_asks_only_while_something_runs() {
    let mut stage = Stage4d::with_image();
    stage.command(AppCommand::Act(Action::Generate));
    stage.until("the job runs", |s| s.jobs.running().is_some());
    press(&mut stage, Modifiers::COMMAND, Key::Q);
    assert!(stage.state().quit.is_asking());
    stage.harness.run_steps(2);
    stage.check_names();
    stage.harness.get_by_label("Keep working").click();
    stage.until("work goes on", |s| s.quit == Quit::Stay);
    let viewport = stage
        .harness
        .input_mut()
        .viewports
        .entry(ViewportId::ROOT)
        .or_default();
    viewport.events.push(ViewportEvent::Close);
    stage.harness.step();
    assert!(stage.state().quit.is_asking(), "the window's own button");
    stage.harness.run_steps(2);
    stage.harness.get_by_label("Stop and quit").click();
    stage.until("it leaves", |s| s.quit == Quit::Leave);

    let mut idle = paused(2);
    press(&mut idle, Modifiers::COMMAND, Key::Q);
    assert_eq!(idle.state().quit, Quit::Leave);
}

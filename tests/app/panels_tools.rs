//! The studio's tools in a person's hands: palette, measures, plot, undo, markers, comparison, quitting.

use std::path::PathBuf;
use std::sync::Arc;

use egui::{Event, Key, Modifiers, Role, ViewportEvent, ViewportId, pos2};
use egui_kittest::kittest::Queryable as _;
use one4d_engine::scene::{Half, Plane, ScaleTag, Scene4d};
use one4d_engine::worker::{JobRequest, Output, SceneSource};
use one4d_studio::state::arrangement::{Arrangement, Pane};
use one4d_studio::state::command::{Action, AppCommand, ExportEdit, InspectPage, Target, TimeEdit};
use one4d_studio::state::compare::{Comparing, second_frame};
use one4d_studio::state::measures::{Anchor, Followed, LengthUnit, MeasureEdit, MeasureKind, Tool};
use one4d_studio::state::quit::Quit;
use one4d_studio::state::session::{Session, restored_arrangement};
use one4d_studio::viewport::{ColourMode, DrawMode, headless_device};
use one4d_tests::scenes::room;

use super::stage::{Do, Stage4d};
use super::timeline::small_scene;

fn paused(num_frames: usize) -> Stage4d {
    let mut stage = Stage4d::with_scene(num_frames);
    stage.command(AppCommand::Time(TimeEdit::Seek(0)));
    stage.harness.run_steps(8);
    stage
}

fn press(stage: &mut Stage4d, modifiers: Modifiers, key: Key) {
    stage.harness.key_press_modifiers(modifiers, key);
    stage.harness.run_steps(2);
}

/// Clicks the middle of a pixel of the frame, which is shown flat without a graphics adapter.
fn click_pixel(stage: &mut Stage4d, column: usize, row: usize) {
    let place = stage.harness.get_by_label("Flat view").rect();
    let scene = Arc::clone(&stage.state().scene.as_ref().unwrap().scene);
    let at = place.min
        + egui::vec2(
            (column as f32 + 0.5) / scene.width as f32 * place.width(),
            (row as f32 + 0.5) / scene.height as f32 * place.height(),
        );
    click(stage, at);
}

fn click(stage: &mut Stage4d, at: egui::Pos2) {
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
fn with_distance(num_frames: usize) -> Stage4d {
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
fn a_distance_is_measured_between_the_exact_points_of_two_clicks() {
    let stage = with_distance(4);
    let state = stage.state();
    assert_eq!(state.tool, Tool::Select, "the tool is put down");
    let measure = &state.measures.list()[0];
    let scene = &state.scene.as_ref().unwrap().scene;
    let [a, b] = [(1, 2), (6, 2)].map(|(x, y)| Anchor::of(scene, 0, x, y).unwrap());
    assert_eq!(measure.anchors, [a, b]);
    let expected = a.position().distance(b.position());
    assert_eq!(measure.value(), expected);
    let words = format!("Distance 1 {expected:.3} units");
    stage.harness.get_by_label(&words);
    stage.check_names();
}

#[test]
fn an_angle_takes_three_clicks_and_escape_takes_points_back() {
    let mut stage = paused(2);
    press(&mut stage, Modifiers::NONE, Key::A);
    click_pixel(&mut stage, 0, 0);
    assert_eq!(stage.state().measures.pending.len(), 1);
    press(&mut stage, Modifiers::NONE, Key::Escape);
    assert!(stage.state().measures.pending.is_empty());
    assert_ne!(stage.state().tool, Tool::Select);
    for (column, row) in [(0, 2), (4, 2), (4, 0)] {
        click_pixel(&mut stage, column, row);
    }
    let angle = stage.state().measures.list()[0].value().to_degrees();
    assert!((angle - 90.0).abs() < 1e-3, "{angle}");
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
fn a_known_length_scales_what_is_shown_and_can_be_undone() {
    let mut stage = with_distance(2);
    let id = stage.state().measures.list()[0].id;
    let edit = MeasureEdit::KnownLength(id, 250.0, LengthUnit::Centimetre);
    stage.command(AppCommand::Measure(edit));
    stage.harness.run_steps(2);
    stage.harness.get_by_label("Distance 1 250.0 cm");
    assert_eq!(
        stage.state().notices.list()[0].title,
        "Lengths are now in cm",
        "a scale is never set silently"
    );
    press(&mut stage, Modifiers::COMMAND, Key::Z);
    assert_eq!(stage.state().lengths.known, None);
    let nonsense = MeasureEdit::KnownLength(id, 0.0, LengthUnit::Metre);
    stage.command(AppCommand::Measure(nonsense));
    assert_eq!(stage.state().lengths.known, None);
}

#[test]
fn an_export_after_a_known_length_is_in_metres_unless_told_otherwise() {
    let mut stage = with_distance(2);
    while stage.asked.try_recv().is_ok() {}
    let id = stage.state().measures.list()[0].id;
    let raw = stage.state().measures.list()[0].value();
    let edit = MeasureEdit::KnownLength(id, 2.0 * raw * 100.0, LengthUnit::Centimetre);
    stage.command(AppCommand::Measure(edit));
    for (in_metres, factor) in [(true, 2.0), (false, 1.0)] {
        stage.command(AppCommand::Act(Action::Export));
        stage.harness.run_steps(4);
        stage
            .harness
            .get_by_role_and_label(Role::CheckBox, "Lengths in metres");
        stage.command(AppCommand::Export(ExportEdit::InMetres(in_metres)));
        stage.pick_export_folder();
        stage.command(AppCommand::Export(ExportEdit::Start));
        stage.until("the export is asked for", |s| s.jobs.num_active() > 0);
        stage.send(Do::Finish(Output::default()));
        stage.until("the export is done", |s| s.jobs.num_active() == 0);
        let Ok(JobRequest::Export(request)) = stage.asked.recv() else {
            panic!("another job");
        };
        let before = stage.state().scene.as_ref().unwrap().scene.frame_points(0)[2];
        let after = request.scene.frame_points(0)[2];
        assert!((after - before * factor).abs() < 1e-4, "{after} {before}");
        assert_eq!(request.scene.meta.scale == ScaleTag::Metric, in_metres);
    }
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
fn a_measure_over_time_is_plotted_scrubbed_and_saved_as_a_table() {
    let mut stage = with_distance(5);
    stage.harness.get_by_label("Plot over time").click();
    let id = stage.state().measures.list()[0].id;
    stage.until("it is computed", |s| s.plots.series.contains_key(&id));
    stage.check_names();
    let series = Arc::clone(&stage.state().plots.series[&id]);
    assert_eq!(series.followed, Followed::SamePixels);
    assert_eq!(series.values.len(), 5);
    let rect = stage
        .harness
        .get_by_role_and_label(Role::Slider, "Distance 1 over time")
        .rect();
    let at = pos2(rect.right() - 12.0, rect.center().y);
    click(&mut stage, at);
    assert_eq!(stage.state().frame(), 4);
    let file = stage.folder.path().join("distance");
    stage.command(AppCommand::SaveSeries(id, file.clone()));
    let file = file.with_extension("csv");
    stage.until("it is written", |s| {
        s.notices
            .list()
            .iter()
            .any(|n| n.title.contains("is saved"))
    });
    let text = std::fs::read_to_string(file).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!((lines.len(), lines[0]), (6, "frame,time_s,distance_units"));
    assert!(lines[3].starts_with("3,0.2000,"));
    stage.harness.get_by_label("Close the plot").click();
    stage.until("it is closed", |s| s.plots.open.is_none());
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

/// Opens the scene of a file through the puppet.
fn open_file(stage: &mut Stage4d, path: &PathBuf, scene: Arc<Scene4d>, target: Target) {
    std::fs::write(path, b"the puppet does not read it").unwrap();
    stage.command(AppCommand::OpenPaths(vec![path.clone()], target));
    stage.send(Do::Show(scene));
    stage.send(Do::Finish(Output::default()));
    stage.until("it has been asked for", |s| s.jobs.num_active() > 0);
    stage.until("it has been opened", |s| s.jobs.num_active() == 0);
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

//! Two people's ways through the studio, by what they see and press: from an image to an export, and
//! from a scene file to a distance over time.

use std::sync::Arc;

use egui::{Event, Key, Modifiers, Role};
use egui_kittest::kittest::Queryable as _;
use one4d_engine::job::Stage;
use one4d_engine::worker::{JobRequest, Output};
use one4d_studio::state::command::{AppCommand, ExportEdit, Target};
use one4d_studio::state::jobs::Phase;
use one4d_studio::viewport::ColourMode;

use super::stage::{Do, Stage4d};
use super::timeline::small_scene;

fn click_label(stage: &mut Stage4d, label: &str) {
    stage.harness.get_by_label(label).click();
    stage.harness.run_steps(3);
}

#[test]
fn an_artist_goes_from_an_image_to_an_export() {
    let mut stage = Stage4d::with_model();
    let image = stage.image("cat.png", 64, 64);
    stage.drop_files(&[image]);
    stage.until("the image is taken", |s| s.create.image.is_some());
    stage.harness.get_by_label("Prompt").focus();
    stage.harness.step();
    stage
        .harness
        .get_by_label("Prompt")
        .type_text("a cat turns its head");
    stage.harness.run_steps(2);
    click_label(&mut stage, "Generate scene");
    stage.until("the job runs", |s| s.jobs.running().is_some());
    stage.send(Do::Step(Stage::Sample, 6, 12));
    stage.until("steps are counted", |s| {
        s.jobs.cards()[0].progress.is_some_and(|p| p.done == 6)
    });
    stage.send(Do::Show(small_scene(9)));
    stage.until("the first frames are there", |s| s.scene.is_some());
    stage.send(Do::Finish(Output::default()));
    stage.until("it is done", |s| s.jobs.cards()[0].phase == Phase::Done);
    assert!(stage.state().clock.is_playing(stage.state().now_secs));
    // Playing, so a look around and then the export.
    click_label(&mut stage, "Pause");
    click_label(&mut stage, "Export…");
    stage.check_names();
    stage.command(AppCommand::Export(ExportEdit::Folder(
        stage.folder.path().join("out"),
    )));
    stage.harness.run_steps(2);
    while stage.asked.try_recv().is_ok() {}
    click_label(&mut stage, "Export 9 frames");
    stage.send(Do::Finish(Output::default()));
    stage.until("it is exported", |s| {
        s.notices.list().iter().any(|n| n.title == "Exported")
    });
    let asked = stage.asked.recv().unwrap();
    assert!(matches!(asked, JobRequest::Export(request) if request.end == 9));
}

#[test]
fn a_researcher_finds_a_frame_and_measures_a_distance_over_time() {
    let mut stage = Stage4d::with_model();
    let path = stage.folder.path().join("run.one4d");
    std::fs::write(&path, b"the puppet does not read it").unwrap();
    stage.command(AppCommand::OpenPaths(vec![path], Target::ByKind));
    stage.send(Do::Show(small_scene(41)));
    stage.send(Do::Finish(Output::default()));
    stage.until("the scene is open", |s| s.scene.is_some());
    stage.harness.run_steps(8);
    // Frame 37, by typing into the box.
    stage
        .harness
        .get_by_role_and_label(Role::SpinButton, "Frame")
        .click();
    stage.harness.run_steps(3);
    stage
        .harness
        .key_press_modifiers(Modifiers::COMMAND, Key::A);
    stage.harness.step();
    stage.harness.event(Event::Text("37".to_owned()));
    stage.harness.step();
    stage.harness.key_press(Key::Enter);
    stage.harness.run_steps(3);
    assert_eq!(stage.state().frame(), 36);
    // The pages of the panel, by their names.
    click_label(&mut stage, "Filter");
    stage.harness.get_by_label("Hide flying pixels");
    click_label(&mut stage, "Camera");
    click_label(&mut stage, "Measure");
    // Two buttons are called so: in the tools and in the panel.
    click_label(&mut stage, "Distance");
    let place = stage.harness.get_by_label("Flat view").rect();
    for x in [0.2, 0.8] {
        let at = place.lerp_inside(egui::vec2(x, 0.5));
        stage.harness.drag_at(at);
        stage.harness.step();
        stage.harness.drop_at(at);
        stage.harness.run_steps(10);
    }
    let id = stage.state().measures.list()[0].id;
    assert_eq!(stage.state().measures.list()[0].anchors[0].frame_idx, 36);
    click_label(&mut stage, "Plot over time");
    stage.until("it is computed", |s| s.plots.series.contains_key(&id));
    stage.harness.get_by_label("Export CSV…").click();
    stage.harness.step();
    let file = stage.folder.path().join("d.csv");
    stage.command(AppCommand::SaveSeries(id, file.clone()));
    stage.until_file("the table is written", &file, 2000);
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text.lines().count(), 42);
    stage.harness.key_press(Key::Num2);
    stage.harness.run_steps(2);
    assert_eq!(stage.state().view.options.colour, ColourMode::Depth);
    assert_eq!(Arc::strong_count(&small_scene(1)), 1);
}

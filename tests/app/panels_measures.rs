//! Measures: distances, angles, known lengths, measures over time.

use std::sync::Arc;

use egui::{Key, Modifiers, Role, pos2};
use egui_kittest::kittest::Queryable as _;
use one4d_engine::scene::ScaleTag;
use one4d_engine::worker::{JobRequest, Output};
use one4d_studio::state::command::{Action, AppCommand, ExportEdit};
use one4d_studio::state::measures::{Anchor, Followed, LengthUnit, MeasureEdit, Tool};

use super::panels_tools::{click, click_pixel, paused, press, with_distance};
use super::stage::Do;

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

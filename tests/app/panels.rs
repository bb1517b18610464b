//! The studio's panels, empty and filled, driven by their labels.

use std::time::{Duration, Instant};

use egui::{Key, Modifiers, Role};
use egui_kittest::kittest::Queryable as _;
use one4d_engine::Error;
use one4d_engine::job::Stage;
use one4d_engine::pipeline::Observed;
use one4d_engine::worker::{ExportFormat, JobRequest, Output};
use one4d_studio::state::AppState;
use one4d_studio::state::command::{Action, AppCommand, CreateEdit, ExportEdit, JobEdit};
use one4d_studio::state::create::InputMode;
use one4d_studio::state::jobs::Phase;
use one4d_studio::state::settings::ThemeChoice;
use one4d_studio::theme;
use one4d_studio::video::VideoKind;

use super::stage::{Do, Stage4d, write_manifest};
use super::timeline::small_scene;

#[test]
fn the_first_launch_shows_one_thing_to_do() {
    let stage = Stage4d::new();
    assert!(stage.state().is_empty());
    let words = if stage.state().platform.no_drop {
        "Open or paste an image, a video or a folder"
    } else {
        "Drop an image, a video or a folder"
    };
    stage.harness.get_by_label(words);
    stage.harness.get_by_label("Start from a prompt");
    assert!(stage.harness.query_by_label("Generate scene").is_none());
    assert!(stage.harness.query_by_label("Scrub the timeline").is_none());
    stage.check_names();
}

#[test]
fn an_image_becomes_a_scene_by_way_of_a_card() {
    let mut stage = Stage4d::with_model();
    assert_eq!(stage.state().create.steps, 12);
    let image = stage.image("cat.png", 64, 64);
    stage.drop_files(std::slice::from_ref(&image));
    stage.until("the image is taken", |s| s.create.image.is_some());
    stage.until("its picture is read", |s| {
        s.media.picture(s.create.image.as_ref().unwrap()).is_some()
    });
    stage.check_names();
    stage.harness.get_by_label("Prompt").focus();
    stage.harness.step();
    stage.harness.get_by_label("Prompt").type_text("a cat");
    stage.harness.run_steps(2);
    assert_eq!(stage.state().create.prompt, "a cat");
    stage.harness.get_by_label("Generate scene").click();
    stage.until("the job runs", |s| s.jobs.running().is_some());
    let JobRequest::Generate { request, out } = stage.asked.recv().unwrap() else {
        panic!("another job");
    };
    let Observed::Frames(frames) = &request.observed else {
        panic!("another input");
    };
    assert_eq!(
        (frames.len(), &frames[0].path, frames[0].at),
        (1, &image, 0)
    );
    assert_eq!(request.prompt, "a cat");
    assert!(out.unwrap().starts_with(stage.folder.path()));

    stage.send(Do::Step(Stage::Sample, 3, 12));
    stage.send(Do::Preview);
    stage.until("the preview is there", |s| {
        s.jobs.cards()[0].preview.is_some()
    });
    stage.harness.get_by_label("Step 3 of 12");
    stage.check_names();
    stage.send(Do::Warn("the prompt was cut after 512 bytes"));
    stage.send(Do::Show(small_scene(5)));
    stage.until("a first scene is there", |s| s.scene.is_some());
    stage.send(Do::Finish(Output::default()));
    stage.until("the card is done", |s| {
        s.jobs.cards()[0].phase == Phase::Done
    });
    stage
        .harness
        .get_by_label("the prompt was cut after 512 bytes");
    stage.harness.get_by_label("Scrub the timeline");
    stage.check_names();
}

#[test]
fn generate_waits_for_what_is_missing() {
    let mut stage = Stage4d::with_model();
    stage.command(AppCommand::Create(CreateEdit::Mode(InputMode::Text)));
    stage.harness.run_steps(8);
    stage.harness.get_by_label("Generate scene").click();
    stage.harness.run_steps(2);
    assert_eq!(stage.state().jobs.cards().len(), 0);
    stage.harness.get_by_label("Write a prompt first");
    stage.command(AppCommand::Create(CreateEdit::Prompt("a hall".to_owned())));
    stage.harness.run_steps(2);
    stage.harness.get_by_label("Generate scene").click();
    stage.until("the job is there", |s| s.jobs.cards().len() == 1);
}

#[test]
fn a_job_is_cancelled_and_retried_with_the_same_inputs() {
    let mut stage = Stage4d::with_image();
    stage
        .harness
        .key_press_modifiers(Modifiers::COMMAND, Key::Enter);
    stage.until("the job runs", |s| s.jobs.running().is_some());
    stage.harness.get_by_label("Cancel").click();
    stage.until("the job is cancelled", |s| {
        s.jobs.cards()[0].phase == Phase::Cancelled
    });
    stage.harness.get_by_label("Cancelled");
    assert!(stage.state().notices.list().is_empty());
    stage.harness.get_by_label("Retry").click();
    stage.until("it runs again", |s| s.jobs.running().is_some());
    let requests: Vec<_> = (0..2)
        .map(|_| match stage.asked.recv().unwrap() {
            JobRequest::Generate { request, .. } => request,
            other => panic!("another job: {other:?}"),
        })
        .collect();
    assert_eq!(requests[0], requests[1]);
    assert_eq!(stage.state().jobs.cards().len(), 1);
}

#[test]
fn a_queued_job_waits_and_is_cancelled_without_running() {
    let mut stage = Stage4d::with_image();
    stage.command(AppCommand::Act(Action::Generate));
    stage.until("the first job runs", |s| s.jobs.running().is_some());
    stage.command(AppCommand::Act(Action::Generate));
    stage.harness.run_steps(2);
    stage.harness.get_by_label("Waiting");
    let second = stage.state().jobs.cards()[1].id;
    stage.command(AppCommand::Job(second, JobEdit::Cancel));
    stage.send(Do::Finish(Output::default()));
    stage.until("both have ended", |s| s.jobs.num_active() == 0);
    let phases: Vec<_> = stage
        .state()
        .jobs
        .cards()
        .iter()
        .map(|c| &c.phase)
        .collect();
    assert_eq!(phases, [&Phase::Done, &Phase::Cancelled]);
}

#[test]
fn a_failure_says_what_and_why_and_loses_nothing() {
    let mut stage = Stage4d::with_scene(3);
    let before = stage.state().create.clone();
    stage.command(AppCommand::Act(Action::Generate));
    stage.send(Do::Fail(Error::weights(
        "/models/x",
        "3 tensors are missing",
    )));
    stage.until("the card has failed", |s| {
        matches!(s.jobs.cards()[1].phase, Phase::Failed(_))
    });
    let notice = stage.state().notices.list()[0].clone();
    assert_eq!(notice.title, "The model's weights cannot be used");
    assert!(notice.body.contains("3 tensors are missing"));
    stage.harness.get_by_label("Choose a model…");
    stage.check_names();
    assert_eq!(stage.state().create, before);
    assert!(stage.state().scene.is_some());
    stage.harness.key_press(Key::Escape);
    stage.until("the notice is gone", |s| s.notices.list().is_empty());
}

#[test]
fn a_panic_in_a_job_becomes_a_failed_card_and_the_next_job_runs() {
    let mut stage = Stage4d::with_image();
    stage.command(AppCommand::Act(Action::Generate));
    stage.send(Do::Panic);
    stage.until("the card has failed", |s| {
        matches!(s.jobs.cards()[0].phase, Phase::Failed(_))
    });
    let first = stage.state().jobs.cards()[0].id;
    stage.command(AppCommand::Job(first, JobEdit::Retry));
    stage.send(Do::Finish(Output::default()));
    stage.until("the next one is done", |s| {
        s.jobs
            .cards()
            .last()
            .is_some_and(|c| c.phase == Phase::Done)
    });
}

#[test]
fn bad_files_are_named_and_good_ones_beside_them_taken() {
    let mut stage = Stage4d::with_model();
    let good = stage.image("good.png", 32, 32);
    let broken = stage.folder.path().join("broken.png");
    let bytes = std::fs::read(&good).unwrap();
    std::fs::write(&broken, &bytes[..bytes.len() / 2]).unwrap();
    let text = stage.folder.path().join("notes.txt");
    std::fs::write(&text, "hello").unwrap();
    stage.drop_files(&[good, broken, text]);
    stage.until("both bad files are told", |s| s.notices.list().len() == 2);
    let titles: Vec<_> = stage
        .state()
        .notices
        .list()
        .iter()
        .map(|n| n.title.as_str())
        .collect();
    assert!(titles.contains(&"notes.txt cannot be opened"), "{titles:?}");
    assert!(titles.contains(&"broken.png cannot be read"), "{titles:?}");
    assert_eq!(stage.state().create.mode, InputMode::Frames);
    assert_eq!(stage.state().create.placed.len(), 2);
    stage.check_names();
}

#[test]
fn several_images_are_spread_over_the_clip_and_moved() {
    let mut stage = Stage4d::with_model();
    let images = ["a.png", "b.png", "c.png"].map(|name| stage.image(name, 32, 18));
    stage.drop_files(&images);
    stage.until("they are placed", |s| s.create.placed.len() == 3);
    let at = |s: &AppState| s.create.placed.iter().map(|f| f.at).collect::<Vec<_>>();
    assert_eq!(at(stage.state()), [0, 4, 8]);
    stage.command(AppCommand::Create(CreateEdit::MoveFrame {
        index: 1,
        at: 6,
    }));
    assert_eq!(at(stage.state()), [0, 6, 8]);
    stage.harness.run_steps(8);
    stage.harness.get_by_label("Remove b.png").click();
    stage.until("one is gone", |s| s.create.placed.len() == 2);
    stage.check_names();
}

#[test]
fn missing_weights_are_said_and_viewing_still_works() {
    let mut stage = Stage4d::new();
    let image = stage.image("cat.png", 32, 32);
    stage.drop_files(&[image]);
    stage.until("the image is taken", |s| s.create.image.is_some());
    let gone = stage.folder.path().join("nothing");
    std::fs::create_dir_all(&gone).unwrap();
    write_manifest(&gone);
    std::fs::write(gone.join("model.json"), "{").unwrap();
    stage.open(&gone);
    stage.until("the problem is known", |s| s.model.problem.is_some());
    stage.harness.get_by_label("Weights missing");
    stage.harness.get_by_label("Generate scene").click();
    stage.harness.run_steps(2);
    assert!(stage.state().jobs.cards().is_empty());
    stage.check_names();
}

#[test]
fn an_export_is_set_up_and_started() {
    let mut stage = Stage4d::with_scene(5);
    stage
        .harness
        .key_press_modifiers(Modifiers::COMMAND, Key::E);
    stage.until("the dialog is open", |s| s.export.is_some());
    stage.check_names();
    stage
        .harness
        .get_by_role_and_label(Role::CheckBox, "PLY per frame")
        .click();
    stage.harness.run_steps(2);
    stage.harness.get_by_label("Choose a folder first");
    stage.command(AppCommand::Export(ExportEdit::Range(1, 3)));
    stage.harness.run_steps(2);
    stage.harness.get_by_label("Export 3 frames").click();
    stage.harness.run_steps(2);
    assert!(stage.state().export.is_some(), "no folder was chosen yet");
    stage.harness.key_press(Key::Escape);
    stage.until("the dialog is closed", |s| s.export.is_none());
}

#[test]
fn videos_are_chosen_beside_the_points() {
    let mut stage = Stage4d::with_scene(5);
    let folder = stage.folder.path().join("out");
    let start = [
        AppCommand::Export(ExportEdit::Toggle(ExportFormat::GlbAnimated)),
        AppCommand::Export(ExportEdit::Folder(folder)),
        AppCommand::Export(ExportEdit::Start),
    ];
    stage.command(AppCommand::Act(Action::Export));
    stage.harness.run_steps(2);
    stage
        .harness
        .get_by_role_and_label(Role::CheckBox, "MP4 of the depth")
        .click();
    stage.until("it is chosen", |s| {
        let form = s.export.as_ref();
        form.is_some_and(|form| form.videos == [VideoKind::Depth])
    });
    for command in start.clone() {
        stage.command(command);
    }
    let wait = Duration::from_secs(10);
    let mut asked = std::iter::from_fn(|| stage.asked.recv_timeout(wait).ok());
    let request = asked.find_map(|request| match request {
        JobRequest::Export(request) => Some(request),
        _ => None,
    });
    let request = request.unwrap();
    assert!(request.formats.is_empty() && request.brought.len() == 1);
    assert_eq!(request.brought[0].num_steps(&request), 5);
    // Nothing can draw the third here, which is said instead of a job that fails.
    stage.command(AppCommand::Act(Action::Export));
    let orbit = ExportEdit::ToggleVideo(VideoKind::Orbit);
    stage.command(AppCommand::Export(orbit));
    for command in start {
        stage.command(command);
    }
    let notices = stage.state().notices.list();
    let notice = notices
        .iter()
        .find(|n| n.title == "The export cannot start");
    assert!(notice.is_some_and(|n| n.body.contains("graphics adapter")));
}

#[test]
fn an_exports_request_says_what_the_dialog_said() {
    let mut stage = Stage4d::with_scene(5);
    stage.command(AppCommand::Act(Action::Export));
    let mut form = stage.state().export.clone().unwrap();
    form.folder = Some(stage.folder.path().join("out"));
    form.edit(&ExportEdit::Toggle(ExportFormat::Ply), 5);
    form.edit(&ExportEdit::Range(1, 3), 5);
    form.edit(&ExportEdit::OnlyGood(false), 5);
    let open = stage.state().scene.as_ref().unwrap();
    let request = form.request(open).unwrap();
    assert_eq!((request.first, request.end), (1, 4));
    assert_eq!(
        request.formats,
        [ExportFormat::Ply, ExportFormat::GlbAnimated]
    );
    assert_eq!(
        request.required_validity,
        one4d_engine::scene::validity::FINITE
    );
    assert!(form.estimate_bytes(open) > 0);
}

#[test]
fn panels_hide_and_come_back_and_the_sheet_lists_shortcuts() {
    let mut stage = Stage4d::with_scene(3);
    stage.harness.run_steps(8);
    stage.harness.get_by_label("Made with");
    stage.harness.key_press(Key::H);
    stage.harness.run_steps(8);
    assert!(stage.harness.query_by_label("Made with").is_none());
    assert!(stage.harness.query_by_label("Generate scene").is_none());
    stage.harness.key_press(Key::H);
    stage.harness.run_steps(8);
    stage.harness.get_by_label("Made with");
    stage.harness.key_press(Key::F1);
    stage.until("the sheet is open", |s| s.shortcuts_open);
    stage.check_names();
    stage.harness.get_by_label("Close").click();
    stage.until("the sheet is closed", |s| !s.shortcuts_open);
}

#[test]
fn settings_and_recent_files_outlive_the_studio() {
    let mut stage = Stage4d::with_model();
    stage.command(AppCommand::Act(Action::ToggleTheme));
    let file = stage.folder.path().join("config/settings.json");
    let begin = Instant::now();
    while !file.exists() {
        assert!(begin.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(1));
    }
    let settings: one4d_studio::state::settings::Settings =
        one4d_studio::services::store::read_or_default(&file);
    assert_eq!(settings.theme, stage.state().settings.theme);
    assert_ne!(settings.theme, ThemeChoice::Dark);
}

#[test]
fn letters_typed_into_the_prompt_are_no_shortcuts() {
    let mut stage = Stage4d::with_scene(3);
    let playing = |s: &AppState| s.clock.is_playing(s.now_secs);
    assert!(playing(stage.state()));
    stage.harness.get_by_label("Prompt").focus();
    stage.harness.run_steps(2);
    stage.harness.key_press(Key::Space);
    stage.harness.key_press(Key::H);
    stage.harness.run_steps(2);
    assert!(playing(stage.state()) && stage.state().layout.create);
}

/// Renders the first launch and looks at pixels whose colour the tokens decide.
#[test]
fn the_window_has_the_colours_of_its_theme() {
    for (choice, tokens) in [
        (ThemeChoice::Dark, theme::DARK),
        (ThemeChoice::Light, theme::LIGHT),
    ] {
        let mut stage = Stage4d::new();
        stage.command(AppCommand::Theme(choice));
        stage.harness.run_steps(3);
        let picture = match stage.harness.render() {
            Ok(picture) => picture,
            Err(reason) => {
                println!("skipped: {reason}");
                return;
            }
        };
        let at = |x, y| {
            let [r, g, b, _] = picture.get_pixel(x, y).0;
            [r, g, b]
        };
        let of = |color: egui::Color32| [color.r(), color.g(), color.b()];
        assert_eq!(at(640, 10), of(tokens.panel), "top bar");
        assert_eq!(at(20, 400), of(tokens.canvas), "canvas");
        assert_eq!(at(300, 300), of(tokens.raised), "well");
    }
}

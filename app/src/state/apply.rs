//! The one place where commands change the state.

use std::hash::{BuildHasher as _, Hasher as _};
use std::path::{Path, PathBuf};

use one4d_engine::worker::{JobId, JobRequest};

use super::command::{Action, AppCommand, CreateEdit, ExportEdit, JobEdit, Pick, Target, TimeEdit};
use super::create::{CreateForm, InputMode};
use super::export::ExportForm;
use super::jobs::scene_file;
use super::notices::{Notice, Severity};
use super::settings::ThemeChoice;
use super::{AppState, file_name, view};
use crate::services::{MediaTask, Services};

/// Applies one command.
pub fn apply(state: &mut AppState, services: &mut Services, command: AppCommand) {
    match command {
        AppCommand::Act(action) => act(state, services, action),
        AppCommand::Pick(pick) => state.picking = Some(pick),
        AppCommand::OpenPaths(paths, target) => open_paths(services, paths, target),
        AppCommand::Create(edit) => edit_create(state, services, edit),
        AppCommand::Export(edit) => edit_export(state, services, &edit),
        AppCommand::Time(edit) => edit_time(state, edit),
        AppCommand::View(view) => state.view = view,
        AppCommand::ViewOptions(options) => state.view.options = options,
        AppCommand::Inspect(page) => state.inspect_page = page,
        AppCommand::Job(job, edit) => edit_job(state, services, job, edit),
        AppCommand::DismissNotice(id) => state.notices.dismiss(id),
        AppCommand::Theme(theme) => set_theme(state, services, theme),
        AppCommand::ClearRecent => {
            state.recent.clear();
            save_recent(state, services);
        }
        AppCommand::CloseShortcuts => state.shortcuts_open = false,
    }
}

fn act(state: &mut AppState, services: &mut Services, action: Action) {
    let now = state.now_secs;
    match action {
        Action::NewInput => new_input(state),
        Action::Open => state.picking = Some(Pick::Anything),
        Action::OpenFolder => state.picking = Some(Pick::Folder),
        Action::Export => open_export(state),
        Action::Quit => state.quitting = true,
        Action::Generate => generate(state, services),
        Action::PlayPause => state.clock.toggle(now),
        Action::PreviousFrame => state.clock.step(-1, now),
        Action::NextFrame => state.clock.step(1, now),
        Action::BackTen => state.clock.step(-10, now),
        Action::ForwardTen => state.clock.step(10, now),
        Action::FirstFrame => state.clock.seek(0),
        Action::LastFrame => state.clock.seek(usize::MAX),
        Action::SetIn => {
            let last = state.clock.range().1.max(state.frame());
            state.clock.set_range(state.frame(), last, now);
        }
        Action::SetOut => {
            let first = state.clock.range().0.min(state.frame());
            state.clock.set_range(first, state.frame(), now);
        }
        Action::ClearRange => state.clock.set_range(0, usize::MAX, now),
        Action::CycleLoop => state.clock.set_mode(state.clock.mode().next(), now),
        Action::Slower => state.clock.nudge_speed(false, now),
        Action::Faster => state.clock.nudge_speed(true, now),
        Action::ToggleCreate
        | Action::ToggleInspect
        | Action::ToggleTimeline
        | Action::TogglePanels => state.layout.toggle(action),
        Action::ToggleTheme => {
            let theme = match state.settings.theme {
                ThemeChoice::Light => ThemeChoice::Dark,
                ThemeChoice::Dark | ThemeChoice::System => ThemeChoice::Light,
            };
            set_theme(state, services, theme);
        }
        Action::ToggleMotion => {
            state.settings.reduce_motion = !state.settings.reduce_motion;
            save_settings(state, services);
        }
        Action::ShowShortcuts => state.shortcuts_open = !state.shortcuts_open,
        Action::Dismiss => {
            state.notices.dismiss_newest();
        }
        Action::Focus
        | Action::LookThrough
        | Action::ToggleFrustums
        | Action::ToggleGrid
        | Action::ToggleAxes
        | Action::LargerPoints
        | Action::SmallerPoints => view::act(state, action),
    }
}

/// Clears the inputs and leaves the settings and the model as they are.
fn new_input(state: &mut AppState) {
    let old = &state.create;
    state.create = CreateForm {
        num_frames: old.num_frames,
        steps: old.steps,
        guidance: old.guidance,
        seed: old.seed,
        model: old.model.clone(),
        ..CreateForm::new(&state.model.facts)
    };
    state.layout.create = true;
}

/// Asks the media thread what paths are; the rest follows from its answer.
pub(super) fn open_paths(services: &Services, paths: Vec<PathBuf>, target: Target) {
    if !paths.is_empty() {
        services.media.ask(MediaTask::Classify(paths, target));
    }
}

/// Asks for the picture of an input, once.
pub(super) fn ask_picture(state: &mut AppState, services: &Services, path: &Path) {
    if state.media.ask(path) {
        services.media.ask(MediaTask::Picture(path.to_owned()));
    }
}

/// Opens a scene file through the engine.
pub(super) fn open_scene(state: &mut AppState, services: &Services, path: PathBuf) {
    submit(state, services, JobRequest::Open(path));
}

/// Takes another model, or the bundled one.
pub(super) fn choose_model(state: &mut AppState, services: &Services, folder: Option<PathBuf>) {
    state.create.model.clone_from(&folder);
    services.media.ask(MediaTask::Model(folder));
}

/// Opens the export dialog for the scene on screen.
pub(super) fn open_export(state: &mut AppState) {
    if state.scene.is_some() {
        let folder = state.settings.export_folder.clone();
        state.export = Some(ExportForm::new(state.clock.range(), folder));
    }
}

/// Writes the settings, on the media thread.
pub(super) fn save_settings(state: &AppState, services: &Services) {
    save(services, services.store.settings_file(), &state.settings);
}

/// Writes the recent files, on the media thread.
pub(super) fn save_recent(state: &AppState, services: &Services) {
    save(services, services.store.recent_file(), &state.recent);
}

fn save(services: &Services, path: PathBuf, value: &impl serde::Serialize) {
    match serde_json::to_value(value) {
        Ok(value) => services.media.ask(MediaTask::Write(path, value)),
        Err(error) => tracing::error!(%error, path = %path.display(), "could not be saved"),
    }
}

fn set_theme(state: &mut AppState, services: &Services, theme: ThemeChoice) {
    state.settings.theme = theme;
    save_settings(state, services);
}

fn submit(state: &mut AppState, services: &Services, request: JobRequest) {
    let id = services.engine.submit(request.clone());
    state.jobs.add(id, request);
}

fn generate(state: &mut AppState, services: &Services) {
    let Some(request) = state.create.request() else {
        let reason = state.create.missing().unwrap_or_default();
        let notice = Notice::new(
            Severity::Info,
            reason,
            "Then the studio can make a scene of it.",
        );
        state.notices.post(notice, state.now_secs);
        return;
    };
    let out = services
        .store
        .new_scene_folder(&request.prompt, request.seed);
    let request = JobRequest::Generate {
        request,
        out: Some(out),
    };
    submit(state, services, request);
}

fn edit_create(state: &mut AppState, services: &Services, edit: CreateEdit) {
    let create = &mut state.create;
    match edit {
        CreateEdit::Mode(mode) => create.mode = mode,
        CreateEdit::RemoveImage => create.image = None,
        CreateEdit::MoveFrame { index, at } => create.move_placed(index, at),
        CreateEdit::RemoveFrame(index) if index < create.placed.len() => {
            create.placed.remove(index);
        }
        CreateEdit::RemoveFrame(_) => {}
        CreateEdit::RemoveVideo => create.video = None,
        CreateEdit::Prompt(prompt) => create.prompt = prompt,
        CreateEdit::Frames(frames) => create.set_num_frames(frames),
        CreateEdit::Steps(steps) => create.steps = steps.clamp(1, 200),
        CreateEdit::Guidance(guidance) => create.guidance = guidance.clamp(1.0, 20.0),
        CreateEdit::Seed(seed) => create.seed = seed,
        CreateEdit::RollSeed => create.seed = roll_seed(),
        CreateEdit::BundledModel => choose_model(state, services, None),
        CreateEdit::Sample(index) => {
            let folder = services.store.inputs();
            services.media.ask(MediaTask::SaveSample(index, folder));
        }
    }
    forget_unused_pictures(state);
}

/// A seed that is short enough to be read out.
fn roll_seed() -> u64 {
    let mut hasher = std::hash::RandomState::new().build_hasher();
    hasher.write_u8(0);
    hasher.finish() % 1_000_000
}

fn forget_unused_pictures(state: &mut AppState) {
    let create = &state.create;
    state.media.retain(|path| {
        create.image.as_deref() == Some(path)
            || create.video.as_deref() == Some(path)
            || create.placed.iter().any(|frame| frame.path == path)
    });
}

fn edit_export(state: &mut AppState, services: &Services, edit: &ExportEdit) {
    let Some(form) = &mut state.export else {
        return;
    };
    form.edit(edit, state.clock.num_frames());
    match edit {
        ExportEdit::Cancel => state.export = None,
        ExportEdit::Start => {
            let request = state.scene.as_ref().and_then(|open| form.request(open));
            if let Some(request) = request {
                state.export = None;
                submit(state, services, JobRequest::Export(request));
            }
        }
        _ => {}
    }
}

fn edit_time(state: &mut AppState, edit: TimeEdit) {
    let now = state.now_secs;
    match edit {
        TimeEdit::Seek(frame) => state.clock.seek(frame),
        TimeEdit::Range(first, last) => state.clock.set_range(first, last, now),
        TimeEdit::Speed(speed) => state.clock.set_speed(speed, now),
        TimeEdit::Mode(mode) => state.clock.set_mode(mode, now),
    }
}

fn edit_job(state: &mut AppState, services: &Services, job: JobId, edit: JobEdit) {
    let Some(card) = state.jobs.card(job) else {
        return;
    };
    let request = card.request.clone();
    let result = card.output.as_ref().and_then(scene_file).cloned();
    match edit {
        JobEdit::Cancel => {
            services.engine.cancel(job);
            state.jobs.mark_stopping(job);
        }
        JobEdit::Retry => {
            state.jobs.remove(job);
            submit(state, services, request);
        }
        JobEdit::Remove => state.jobs.remove(job),
        JobEdit::Reuse => {
            if let JobRequest::Generate { request, .. } = request {
                reuse(state, services, &request);
            }
        }
        JobEdit::OpenResult => {
            if let Some(path) = result {
                open_scene(state, services, path);
            }
        }
        JobEdit::Reveal => {
            let files = card.output.as_ref().map(|output| output.files.clone());
            reveal(state, files.unwrap_or_default().first());
        }
    }
}

fn reuse(state: &mut AppState, services: &Services, request: &one4d_engine::pipeline::Request) {
    state.create.take_over(request);
    state.layout.create = true;
    let files: Vec<_> = state
        .create
        .observed()
        .into_iter()
        .map(|f| f.path)
        .collect();
    for path in files.iter().chain(state.create.video.clone().as_ref()) {
        ask_picture(state, services, path);
    }
    if state.create.mode == InputMode::Text {
        forget_unused_pictures(state);
    }
}

/// Shows the folder of a file in the system's file manager.
fn reveal(state: &mut AppState, file: Option<&PathBuf>) {
    let Some(folder) = file.and_then(|file| file.parent()) else {
        return;
    };
    let program = if cfg!(target_os = "macos") {
        "open"
    } else if cfg!(windows) {
        "explorer"
    } else {
        "xdg-open"
    };
    if let Err(error) = std::process::Command::new(program).arg(folder).spawn() {
        let title = format!("{} could not be shown", file_name(folder));
        let body = format!("{}: {program}: {error}", folder.display());
        let notice = Notice::new(Severity::Warning, title, body);
        state.notices.post(notice, state.now_secs);
    }
}

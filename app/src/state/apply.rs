//! The one place where commands change the state.

use std::hash::{BuildHasher as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use one4d_engine::worker::{JobId, JobRequest, MotionRequest, SceneSource};

use super::arrangement::{Arrangement, Pane};
use super::command::{Action, AppCommand, CreateEdit, Group, JobEdit, Pick, Target};
use super::compare::{self, Comparing};
use super::create::{CreateForm, InputMode};
use super::finder::{Finder, FinderEdit, Hit};
use super::history::History;
use super::jobs::scene_file;
use super::notices::{Notice, Severity};
use super::settings::ThemeChoice;
use super::{AppState, export, file_name, gpu, models, saving, time, tools, view};
use crate::services::{MediaTask, Services};

/// Applies one command, and notes what undo brings back.
pub fn apply(state: &mut AppState, services: &mut Services, command: AppCommand) {
    let before = History::before(state, &command);
    dispatch(state, services, command);
    if let Some(before) = before {
        History::note(state, before);
    }
}

fn dispatch(state: &mut AppState, services: &mut Services, command: AppCommand) {
    match command {
        AppCommand::Act(action) => act(state, services, action),
        AppCommand::Pick(pick) => state.picking = Some(pick),
        AppCommand::OpenPaths(paths, target) => open_paths(services, paths, target),
        AppCommand::Create(edit) => edit_create(state, services, edit),
        AppCommand::Export(edit) => export::edit(state, services, &edit),
        AppCommand::Time(edit) => time::edit(state, edit),
        AppCommand::View(view) => state.view = *view,
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
        AppCommand::Shown(shown) => gpu::on_shown(state, shown),
        AppCommand::Clicked(anchor) => tools::click(state, services, anchor),
        AppCommand::Measure(edit) => tools::edit_measures(state, services, edit),
        AppCommand::SaveSeries(id, path) => saving::save_series(state, services, id, path),
        AppCommand::Marker(edit) => state.markers.edit(edit),
        AppCommand::Underlay(opacity) => state.companions.underlay = opacity.clamp(0.0, 1.0),
        AppCommand::Compare(edit) => compare::edit(state, edit),
        AppCommand::Shot(edit) => saving::edit_shot(state, edit),
        AppCommand::SaveShot(path) => saving::save_shot(state, services, path),
        AppCommand::Arrange(arrangement) => arrange(state, arrangement),
        AppCommand::Reveal(path) => reveal(state, Some(&path)),
        AppCommand::Lighten => view::lighten(&mut state.view.options),
        AppCommand::Finder(edit) => edit_finder(state, services, edit),
        AppCommand::Models(edit) => models::edit(state, services, edit),
        AppCommand::Quit(answer) => state.quit.answer(answer),
    }
}

fn act(state: &mut AppState, services: &mut Services, action: Action) {
    match action.spec().group {
        Group::File => act_on_files(state, services, action),
        Group::Time => time::act(state, action),
        Group::View => view::act(state, services, action),
        Group::Look => view::look(&mut state.view.options, action),
        Group::Tools => tools::act(state, action),
        Group::Window => act_on_window(state, services, action),
    }
}

fn act_on_files(state: &mut AppState, services: &mut Services, action: Action) {
    match action {
        Action::NewInput => new_input(state),
        Action::Open => state.picking = Some(Pick::Anything),
        Action::OpenFolder => state.picking = Some(Pick::Folder),
        Action::Export => export::open(state),
        Action::Screenshot => saving::open_shot(state),
        Action::Undo => History::undo(state),
        Action::Redo => History::redo(state),
        Action::Quit => state.quit.ask(state.is_working()),
        Action::Generate => generate(state, services),
        Action::FindMotion => find_motion(state, services),
        _ => {}
    }
}

fn act_on_window(state: &mut AppState, services: &mut Services, action: Action) {
    match action {
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
        Action::ShowModels => models::toggle(state, services),
        Action::ShowShortcuts => state.shortcuts_open = !state.shortcuts_open,
        _ => {}
    }
}

fn edit_finder(state: &mut AppState, services: &mut Services, edit: FinderEdit) {
    match edit {
        FinderEdit::Query(query) => state.finder = Some(Finder { query, marked: 0 }),
        FinderEdit::Mark(marked) => {
            if let Some(finder) = &mut state.finder {
                finder.marked = marked;
            }
        }
        FinderEdit::Close => state.finder = None,
        FinderEdit::Take(hit) => {
            state.finder = None;
            match hit {
                Hit::Action(action) => act(state, services, action),
                Hit::File(path) => open_paths(services, vec![path], Target::ByKind),
            }
        }
    }
}

/// Clears the inputs and leaves the settings and the model as they are.
fn new_input(state: &mut AppState) {
    let old = &state.create;
    state.create = CreateForm {
        num_frames: old.num_frames,
        steps: old.steps,
        guidance: old.guidance,
        step_cache: old.step_cache,
        seed: old.seed,
        model: old.model.clone(),
        ..CreateForm::new(&state.model.facts)
    };
    state.layout.create = true;
}

/// Asks the media thread what paths are; the rest follows from its answer.
pub(super) fn open_paths(services: &Services, paths: Vec<PathBuf>, target: Target) {
    if !paths.is_empty() {
        // Recent files and the session outlive the folder that the studio was started in.
        let whole = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        let paths = paths.into_iter().map(whole).collect();
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

/// Opens a scene file beside the one on screen; alone if there is none.
pub(super) fn open_beside(state: &mut AppState, services: &Services, path: PathBuf) {
    if state.scene.is_none() {
        open_scene(state, services, path);
        return;
    }
    let id = submit(state, services, JobRequest::Open(path));
    state.comparing = Comparing::Opening(id);
}

/// Opens two scenes beside each other.
pub(super) fn open_pair(
    state: &mut AppState,
    services: &Services,
    first: PathBuf,
    second: PathBuf,
) {
    submit(state, services, JobRequest::Open(first));
    let id = submit(state, services, JobRequest::Open(second));
    state.comparing = Comparing::Opening(id);
}

/// Divides the middle anew; a plot that is no longer there is closed.
fn arrange(state: &mut AppState, arrangement: Arrangement) {
    state.arrangement = arrangement;
    if !state.arrangement.has(Pane::Plot) {
        state.plots.open = None;
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

pub(super) fn submit(state: &mut AppState, services: &Services, request: JobRequest) -> JobId {
    let id = services.engine.submit(request.clone());
    state.jobs.add(id, request);
    id
}

/// Finds what moves in the scene on screen, which then shows it.
fn find_motion(state: &mut AppState, services: &Services) {
    let Some(open) = &state.scene else {
        return;
    };
    let request = JobRequest::FindMotion(MotionRequest {
        scene: SceneSource::Open(Arc::clone(&open.scene)),
        flow: None,
        out: None,
    });
    submit(state, services, request);
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
        CreateEdit::StepCache(threshold) => create.step_cache = threshold.clamp(0.0, 1.0),
        CreateEdit::Preset(preset) => create.set_preset(preset, &state.model.facts),
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
        JobEdit::CompareResult => {
            if let Some(path) = result {
                open_beside(state, services, path);
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

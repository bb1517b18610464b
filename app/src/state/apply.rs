//! The one place where commands change the state.

use std::path::PathBuf;
use std::sync::Arc;

use one4d_engine::worker::{JobId, JobRequest, MotionRequest, SceneSource};

use super::arrangement::{Arrangement, Pane};
use super::command::{Action, AppCommand, Group, JobEdit, Pick, Target};
use super::compare::{self, Comparing};
use super::finder::{Finder, FinderEdit, Hit};
use super::history::History;
use super::jobs::scene_file;
use super::notices::{Notice, Severity};
use super::settings::ThemeChoice;
use super::{AppState, creating, export, file_name, gpu, models, saving, time, tools, view};
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
        AppCommand::Create(edit) => creating::edit(state, services, edit),
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
        Action::NewInput => creating::new_input(state),
        Action::Open => state.picking = Some(Pick::Anything),
        Action::OpenFolder => state.picking = Some(Pick::Folder),
        Action::AddLoras => state.picking = Some(Pick::Loras),
        Action::Export => export::open(state),
        Action::Screenshot => saving::open_shot(state),
        Action::Undo => History::undo(state),
        Action::Redo => History::redo(state),
        Action::Quit => state.quit.ask(state.is_working()),
        Action::Generate => creating::generate(state, services),
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

/// Asks the media thread what paths are; the rest follows from its answer.
pub(super) fn open_paths(services: &Services, paths: Vec<PathBuf>, target: Target) {
    if !paths.is_empty() {
        // Recent files and the session outlive the folder that the studio was started in.
        let whole = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        let paths = paths.into_iter().map(whole).collect();
        services.media.ask(MediaTask::Classify(paths, target));
    }
}

/// Opens a scene file through the engine.
pub(super) fn open_scene(state: &mut AppState, services: &Services, path: PathBuf) {
    submit(state, services, JobRequest::Open(path));
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
                creating::reuse(state, services, &request);
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

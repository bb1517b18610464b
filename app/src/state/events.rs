//! What the engine, the media thread and the dialogs report, put into the state.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use one4d_engine::scene::Scene4d;
use one4d_engine::worker::{Event, JobId, JobRequest, MotionRequest, Outcome, Output, SceneSource};

use super::arrangement::Pane;
use super::command::{Action, AppCommand, Pick, Target};
use super::compare::{self, Comparing};
use super::history::History;
use super::jobs::{Phase, scene_file};
use super::markers::Markers;
use super::measures::{Measures, Plots, Tool};
use super::media::Media;
use super::notices::{Notice, Severity};
use super::scene::OpenScene;
use super::{
    AppState, apply, arriving, creating, explain, export, file_name, models, picked, session,
    tools, view,
};
use crate::samples::SAMPLES;
use crate::services::{MediaResult, MediaTask, Services};

/// Takes everything that has come since the last frame.
pub fn drain(state: &mut AppState, services: &mut Services) {
    for event in services.engine.drain() {
        on_engine(state, services, event);
    }
    if let Some(status) = services.engine.status() {
        state.jobs.report(&status, state.now_secs);
    }
    for result in services.media.drain() {
        on_media(state, services, result);
    }
    for shot in services.shots.drain() {
        match shot {
            Ok(path) => post_written(state, path),
            Err((path, reason)) => {
                let title = format!("{} could not be saved", file_name(&path));
                let notice = Notice::new(Severity::Error, title, reason);
                state.notices.post(notice, state.now_secs);
            }
        }
    }
    models::drain(state, services);
    for picked in services.dialogs.drain() {
        picked::on_picked(state, services, picked);
    }
}

fn on_engine(state: &mut AppState, services: &mut Services, event: Event) {
    match event {
        Event::Started { job, plan } => state.jobs.started(job, plan, state.now_secs),
        Event::Planned { job, words } => state.jobs.planned(job, words),
        Event::Scene { job, scene } => match state.comparing {
            Comparing::Opening(opening) if opening == job => show_second(state, job, scene),
            _ => show_scene(state, services, job, scene),
        },
        Event::Warning { job, warning } => state.jobs.warned(job, warning.message),
        Event::Ended { job, outcome } => on_ended(state, services, job, outcome),
    }
}

/// Puts a scene on screen; one that refines the scene of the same job keeps the frame that shows.
fn show_scene(state: &mut AppState, services: &Services, job: JobId, scene: Arc<Scene4d>) {
    session::remember(state);
    let previous = state.scene.as_ref();
    let serial = previous.map_or(1, |open| open.serial + 1);
    let completes = previous.filter(|open| is_motion_of(state, job, &open.scene));
    let refines = completes.is_some()
        || previous
            .is_some_and(|open| open.job == job && open.scene.num_frames == scene.num_frames);
    let path = completes.map_or_else(|| path_of(state, job), |open| open.path.clone());
    services
        .media
        .ask(MediaTask::Facts(serial, Arc::clone(&scene)));
    services
        .media
        .ask(MediaTask::Strip(serial, Arc::clone(&scene)));
    state.export = None;
    state.shot = None;
    state.lengths.tag = scene.meta.scale;
    let (num_frames, fps) = (scene.num_frames, scene.meta.fps);
    state.scene = Some(OpenScene {
        path,
        ..OpenScene::new(scene, serial, job)
    });
    state.plots = Plots::default();
    state.arrangement.hide(Pane::Plot);
    if !refines {
        start_afresh(state, num_frames, fps);
    }
}

/// What belongs to the scene before this one goes; what is known of this one comes back.
fn start_afresh(state: &mut AppState, num_frames: usize, fps: f64) {
    state.view.fitted = false;
    state.view.options.clip_box = None;
    state.view.options.colour_range = None;
    state.clock = state.clock.for_scene(num_frames, fps);
    state.measures = Measures::default();
    state.lengths.known = None;
    state.markers = Markers::default();
    state.selection = None;
    if state.comparing.both().is_some() {
        state.comparing = Comparing::No;
    }
    state.history = History::default();
    tools::set_tool(state, Tool::Select);
    let known = session::restore_scene(state);
    if !known && num_frames > 1 {
        state.clock.play(state.now_secs);
    }
}

/// The file that a job reads its scene from.
fn path_of(state: &AppState, job: JobId) -> Option<PathBuf> {
    match &state.jobs.card(job)?.request {
        JobRequest::Open(path) => Some(path.clone()),
        _ => None,
    }
}

/// True if a job finds what moves in this very scene.
fn is_motion_of(state: &AppState, job: JobId, scene: &Arc<Scene4d>) -> bool {
    let request = state.jobs.card(job).map(|card| &card.request);
    matches!(
        request,
        Some(JobRequest::FindMotion(MotionRequest { scene: SceneSource::Open(of), .. }))
            if Arc::ptr_eq(of, scene)
    )
}

/// Puts a scene beside the one on screen.
fn show_second(state: &mut AppState, job: JobId, scene: Arc<Scene4d>) {
    let path = path_of(state, job);
    let open = OpenScene {
        path,
        ..OpenScene::new(scene, 0, job)
    };
    compare::show(state, open);
}

fn on_ended(state: &mut AppState, services: &Services, job: JobId, outcome: Outcome) {
    let Some(request) = state.jobs.card(job).map(|card| card.request.clone()) else {
        return;
    };
    let now_secs = state.now_secs;
    match outcome {
        Outcome::Done(output) => {
            on_done(state, services, job, &request, &output);
            state.jobs.ended(job, Phase::Done, Some(output), now_secs);
            remember_timings(state, services);
        }
        Outcome::Cancelled => state.jobs.ended(job, Phase::Cancelled, None, now_secs),
        Outcome::Failed(error) => {
            let failure = explain::failure(&request, &error);
            state
                .jobs
                .ended(job, Phase::Failed(failure), None, now_secs);
            let notice = explain::notice(job, &request, &error);
            state.notices.post(notice, now_secs);
            if let JobRequest::Open(path) = &request {
                state.recent.forget(path);
            }
        }
    }
    if matches!(state.comparing, Comparing::Opening(opening) if opening == job) {
        state.comparing = Comparing::No;
    }
    // Opening is a moment, not work: it leaves a scene or a notice, and no card.
    if matches!(request, JobRequest::Open(_)) {
        state.jobs.remove(job);
    }
}

fn on_done(
    state: &mut AppState,
    services: &Services,
    job: JobId,
    request: &JobRequest,
    output: &Output,
) {
    match request {
        JobRequest::Open(path) => remember_file(state, services, path),
        JobRequest::Generate { .. } => {
            if let Some(path) = scene_file(output).cloned() {
                if let Some(open) = state.scene.as_mut().filter(|open| open.job == job) {
                    open.path = Some(path.clone());
                }
                remember_file(state, services, &path);
            }
        }
        JobRequest::Export(export) => {
            let count = output.files.len();
            let files = if count == 1 { "file" } else { "files" };
            let body = format!("{count} {files} in {}", export.out.display());
            let notice = Notice::new(Severity::Good, "Exported", body).with_remedy(
                "Show files",
                AppCommand::Job(job, super::command::JobEdit::Reveal),
            );
            state.notices.post(notice, state.now_secs);
        }
        JobRequest::FindMotion(_) => {
            let said = output.report["text"].as_str().unwrap_or_default();
            let notice = Notice::new(Severity::Good, "Found what moves", said)
                .with_remedy("Show it in colour", AppCommand::Act(Action::ColourMask));
            state.notices.post(notice, state.now_secs);
        }
        JobRequest::Train(_)
        | JobRequest::Join(_)
        | JobRequest::EvalSynthetic(_)
        | JobRequest::EvalBenchmark(_)
        | JobRequest::CheckDataset(_)
        | JobRequest::Import { .. }
        | JobRequest::Inspect(_)
        | JobRequest::Render(_) => {}
    }
}

fn remember_timings(state: &mut AppState, services: &Services) {
    if state.settings.timings != state.jobs.timings {
        state.settings.timings = state.jobs.timings.clone();
        apply::save_settings(state, services);
    }
}

fn remember_file(state: &mut AppState, services: &Services, path: &Path) {
    state.recent.add(path);
    apply::save_recent(state, services);
}

fn on_media(state: &mut AppState, services: &mut Services, result: MediaResult) {
    match result {
        MediaResult::Classified(kinds, target) => {
            arriving::on_classified(state, services, kinds, target);
        }
        MediaResult::Picture(path, picture) => on_picture(state, path, picture),
        MediaResult::Pasted(Ok(path)) => {
            arriving::take_images(state, services, vec![path], Target::ByKind);
        }
        MediaResult::Pasted(Err(reason)) | MediaResult::Sample(_, Err(reason)) => {
            let notice = Notice::new(Severity::Error, "The image could not be kept", reason);
            state.notices.post(notice, state.now_secs);
        }
        MediaResult::Sample(index, Ok(path)) => {
            if let Some(sample) = SAMPLES.get(index) {
                sample.prompt.trim().clone_into(&mut state.create.prompt);
            }
            arriving::take_images(state, services, vec![path], Target::Image);
        }
        MediaResult::SamplePicture(index, picture) => {
            if let Some(slot) = state.samples.get_mut(index) {
                *slot = Some(picture);
            }
        }
        MediaResult::Model(folder, model) => {
            if folder == state.create.model {
                creating::on_model(state, services, model);
            }
        }
        MediaResult::LoraChecked(model, path, checked) => {
            if model == state.create.model {
                state.create.loras.tell(&path, checked);
            }
        }
        MediaResult::Facts(serial, facts) => {
            if let Some(open) = state.scene.as_mut().filter(|open| open.serial == serial) {
                open.facts = Some(facts);
            }
        }
        MediaResult::StripFrame(serial, frame_idx, picture) => {
            let open = state.scene.as_mut().filter(|open| open.serial == serial);
            if let Some(slot) = open.and_then(|open| open.strip.get_mut(frame_idx)) {
                *slot = Some(picture);
            }
        }
        MediaResult::Followed(serial, id, series) => {
            if state
                .scene
                .as_ref()
                .is_some_and(|open| open.serial == serial)
            {
                state.plots.series.insert(id, series);
            }
        }
        MediaResult::Ground(serial, up) => {
            if state
                .scene
                .as_ref()
                .is_some_and(|open| open.serial == serial)
            {
                view::level(state, up);
            }
        }
        MediaResult::Prepared(request) => export::start(state, services, *request),
        MediaResult::Written(path) => post_written(state, path),
        MediaResult::WriteFailed(path, reason) => {
            let title = format!("{} could not be saved", file_name(&path));
            let body = format!("{}: {reason}", path.display());
            let notice = Notice::new(Severity::Warning, title, body);
            state.notices.post(notice, state.now_secs);
        }
    }
}

/// Tells where a file is that a person asked for.
fn post_written(state: &mut AppState, path: PathBuf) {
    let title = format!("{} is saved", file_name(&path));
    let notice = Notice::new(Severity::Good, title, path.display().to_string())
        .with_remedy("Show file", AppCommand::Reveal(path));
    state.notices.post(notice, state.now_secs);
}

fn on_picture(
    state: &mut AppState,
    path: PathBuf,
    picture: Result<super::media::SourcePicture, String>,
) {
    match picture {
        Ok(picture) => state.media.tell(path, Media::Ready(picture)),
        Err(reason) => {
            let title = format!("{} cannot be read", file_name(&path));
            let notice = Notice::new(
                Severity::Error,
                title,
                format!("{}: {reason}", path.display()),
            )
            .with_remedy("Choose another…", AppCommand::Pick(Pick::Image));
            state.notices.post(notice, state.now_secs);
            state.media.tell(path, Media::Bad(reason));
        }
    }
}

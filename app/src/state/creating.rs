//! Edits of the inputs of the next scene: the form, its files, its model and LoRA files.

use std::hash::{BuildHasher as _, Hasher as _};
use std::path::{Path, PathBuf};

use one4d_engine::pipeline::Request;
use one4d_engine::worker::JobRequest;

use super::apply::submit;
use super::command::CreateEdit;
use super::create::{CreateForm, InputMode};
use super::model::ModelState;
use super::notices::{Notice, Severity};
use super::{AppState, file_name};
use crate::services::{MediaTask, Services};

/// Carries out an edit of the form.
pub(super) fn edit(state: &mut AppState, services: &Services, edit: CreateEdit) {
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
        CreateEdit::Lora(path, edit) => create.edit_lora(&path, &edit, &state.model.facts),
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

/// Clears the inputs and leaves the settings, the model and its LoRA files as they are.
pub(super) fn new_input(state: &mut AppState) {
    let old = &state.create;
    state.create = CreateForm {
        num_frames: old.num_frames,
        steps: old.steps,
        guidance: old.guidance,
        step_cache: old.step_cache,
        shift: old.shift,
        preset: old.preset,
        loras: old.loras.clone(),
        seed: old.seed,
        model: old.model.clone(),
        ..CreateForm::new(&state.model.facts)
    };
    state.layout.create = true;
}

/// Hands what the form stands for to the engine, or says what it lacks.
pub(super) fn generate(state: &mut AppState, services: &Services) {
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

/// Puts the inputs of a request back into the form.
pub(super) fn reuse(state: &mut AppState, services: &Services, request: &Request) {
    let other_model = state.create.model != request.model;
    state.create.take_over(request);
    state.layout.create = true;
    if other_model {
        // A model brings its own defaults; the request's numbers come after them.
        state.reusing = Some(request.clone());
        choose_model(state, services, request.model.clone());
    } else {
        check_loras(state, services);
    }
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

/// Asks for the picture of an input, once.
pub(super) fn ask_picture(state: &mut AppState, services: &Services, path: &Path) {
    if state.media.ask(path) {
        services.media.ask(MediaTask::Picture(path.to_owned()));
    }
}

/// Takes another model, or the bundled one.
pub(super) fn choose_model(state: &mut AppState, services: &Services, folder: Option<PathBuf>) {
    state.create.model.clone_from(&folder);
    services.media.ask(MediaTask::Model(folder));
}

/// Takes what is known of the chosen model; the form takes its defaults, its LoRA files are checked anew.
pub(super) fn on_model(state: &mut AppState, services: &Services, model: ModelState) {
    state.create.adopt(&model.facts);
    state.model = model;
    let reused = state.reusing.take();
    if let Some(request) = reused.filter(|request| request.model == state.create.model) {
        state.create.take_over(&request);
    }
    check_loras(state, services);
}

/// Adds LoRA files to the form and shows it.
pub(super) fn add_loras(state: &mut AppState, services: &Services, paths: Vec<PathBuf>) {
    let title = match paths.as_slice() {
        [one] => format!("{} is among the LoRA files", file_name(one)),
        many => format!("{} files are among the LoRA files", many.len()),
    };
    for path in paths {
        state.create.loras.add(path);
    }
    state.layout.create = true;
    check_loras(state, services);
    let body = "Create lists them below the model, with strength and whether they fit.";
    let notice = Notice::new(Severity::Info, title, body);
    state.notices.post(notice, state.now_secs);
}

/// Finds out which LoRA files fit the chosen model.
fn check_loras(state: &mut AppState, services: &Services) {
    for path in state.create.loras.forget_checks() {
        let model = state.create.model.clone();
        services.media.ask(MediaTask::CheckLora(model, path));
    }
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

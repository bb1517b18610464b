//! Files that have arrived, once it is known what they are.

use std::path::PathBuf;

use super::command::{AppCommand, Pick, Target};
use super::create::InputMode;
use super::notices::{Notice, Severity};
use super::{AppState, apply, creating, file_name};
use crate::services::Services;
use crate::services::kinds::Kind;

/// Takes files of known kinds: scenes open, media become inputs, models are chosen.
pub(super) fn on_classified(
    state: &mut AppState,
    services: &mut Services,
    kinds: Vec<Kind>,
    target: Target,
) {
    if let [Kind::Scene(first), Kind::Scene(second)] = kinds.as_slice() {
        apply::open_pair(state, services, first.clone(), second.clone());
        return;
    }
    let (mut images, mut loras) = (Vec::new(), Vec::new());
    for kind in kinds {
        match kind {
            Kind::Image(path) => images.push(path),
            Kind::Lora(path) => loras.push(path),
            Kind::Video(path) => {
                state.create.mode = InputMode::Video;
                creating::ask_picture(state, services, &path);
                state.create.video = Some(path);
            }
            Kind::Scene(path) if target == Target::Compare => {
                apply::open_beside(state, services, path);
            }
            Kind::Scene(path) => apply::open_scene(state, services, path),
            Kind::Model(path) => creating::choose_model(state, services, Some(path)),
            Kind::Unknown(path, reason) => {
                let title = format!("{} cannot be opened", file_name(&path));
                let body = format!("{}: {reason}", path.display());
                let notice = Notice::new(Severity::Error, title, body)
                    .with_remedy("Open another…", AppCommand::Pick(Pick::Anything));
                state.notices.post(notice, state.now_secs);
                state.recent.forget(&path);
            }
        }
    }
    if !images.is_empty() {
        take_images(state, services, images, target);
    }
    if !loras.is_empty() {
        creating::add_loras(state, services, loras);
    }
}

/// One image fills the well; several, or one beside others, are placed at frames.
pub(super) fn take_images(
    state: &mut AppState,
    services: &Services,
    images: Vec<PathBuf>,
    target: Target,
) {
    for path in &images {
        creating::ask_picture(state, services, path);
    }
    let create = &mut state.create;
    let place = match target {
        Target::Frames => true,
        Target::Image => false,
        Target::ByKind | Target::Video | Target::Compare => {
            images.len() > 1 || create.mode == InputMode::Frames
        }
    };
    if !place {
        create.mode = InputMode::Image;
        create.image = images.into_iter().next();
        return;
    }
    create.mode = InputMode::Frames;
    let offered = images.len();
    let placed = create.place_evenly(images);
    if placed < offered {
        let body = format!(
            "A clip of {} frames holds no more. Raise the number of frames first.",
            create.num_frames
        );
        let title = format!("{} images were left out", offered - placed);
        let notice = Notice::new(Severity::Warning, title, body);
        state.notices.post(notice, state.now_secs);
    }
}

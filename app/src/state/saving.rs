//! What leaves the studio on a person's wish: pictures of the view and tables.

use std::path::PathBuf;
use std::sync::Arc;

use super::AppState;
use super::notices::{Notice, Severity};
use super::settings::ThemeChoice;
use super::shot::{ShotEdit, ShotForm};
use crate::services::{MediaTask, Services, ShotJob};
use crate::viewport::headless::Look;
use crate::viewport::{Background, Palette};

/// Sets up a picture of the view in its own size.
pub(super) fn open_shot(state: &mut AppState) {
    if state.scene.is_some() {
        state.shot = Some(ShotForm::new(state.shown.size_px));
    }
}

pub(super) fn edit_shot(state: &mut AppState, edit: ShotEdit) {
    if edit == ShotEdit::Cancel {
        state.shot = None;
    } else if let Some(form) = &mut state.shot {
        form.edit(edit);
    }
}

/// How the view looks, from wherever.
pub(super) fn look_of(state: &AppState) -> Look {
    Look {
        eye: None,
        options: state.view.options,
        palette: match state.settings.theme {
            ThemeChoice::Light => Palette::LIGHT,
            ThemeChoice::Dark | ThemeChoice::System => Palette::DARK,
        },
        up: state.view.goal().up,
    }
}

/// Takes a picture of the view as it is now.
pub(super) fn save_shot(state: &mut AppState, services: &Services, path: PathBuf) {
    let (Some(form), Some(open)) = (state.shot.take(), &state.scene) else {
        return;
    };
    let frame_idx = state.frame();
    let mut look = look_of(state);
    look.eye = Some(state.view.eye(&open.scene, frame_idx));
    if form.transparent {
        look.options.background = Background::Transparent;
    }
    let job = ShotJob {
        scene: Arc::clone(&open.scene),
        frame_idx,
        look,
        size_px: form.picture_px(),
        path: ending_in(path, "png"),
    };
    let wake = services.wake.clone();
    if let Err(reason) = services.shots.start(job, move || wake.call()) {
        let notice = Notice::new(Severity::Error, "The picture could not be taken", reason);
        state.notices.post(notice, state.now_secs);
    }
}

/// Writes a measure over time as a table.
pub(super) fn save_series(state: &mut AppState, services: &Services, id: u64, path: PathBuf) {
    let (Some(measure), Some(series)) = (state.measures.measure(id), state.plots.series.get(&id))
    else {
        return;
    };
    let text = series.csv(measure.kind, &state.lengths, state.clock.fps());
    let path = ending_in(path, "csv");
    services.media.ask(MediaTask::WriteText(path, text));
}

/// A path with an ending, where the person typed none.
fn ending_in(path: PathBuf, ending: &str) -> PathBuf {
    if path.extension().is_some() {
        path
    } else {
        path.with_extension(ending)
    }
}

//! Files that were chosen in a dialog, by what the dialog was opened for.

use super::AppState;
use super::apply;
use super::command::{AppCommand, ExportEdit, Pick, Target};
use super::creating;
use super::export;
use super::models::ModelsEdit;
use super::notices::{Notice, Severity};
use crate::services::Services;
use crate::services::dialogs::Picked;

/// Takes the answer of a dialog.
pub fn on_picked(state: &mut AppState, services: &mut Services, picked: Picked) {
    state.picking = None;
    let Some(first) = picked.paths.first().cloned() else {
        if picked.unseen {
            let notice = Notice::new(
                Severity::Warning,
                "The system showed no file dialog",
                "Install a desktop portal (xdg-desktop-portal) or zenity. Until then, drop files \
                 on the window or copy a file's path and paste it here.",
            );
            state.notices.post(notice, state.now_secs);
        }
        return;
    };
    match picked.pick {
        Pick::Anything | Pick::Folder => apply::open_paths(services, picked.paths, Target::ByKind),
        Pick::Image => apply::open_paths(services, picked.paths, Target::Image),
        Pick::Frames => apply::open_paths(services, picked.paths, Target::Frames),
        Pick::Video => apply::open_paths(services, picked.paths, Target::Video),
        Pick::Model => creating::choose_model(state, services, Some(first)),
        Pick::Loras => creating::add_loras(state, services, picked.paths),
        Pick::ModelFolder => {
            let edit = ModelsEdit::AddFolder(first);
            apply::apply(state, services, AppCommand::Models(edit));
        }
        Pick::Adapters(entry) => {
            let edit = ModelsEdit::UseWith(entry, first);
            apply::apply(state, services, AppCommand::Models(edit));
        }
        Pick::Compare => apply::open_beside(state, services, first),
        Pick::Series(id) => apply::apply(state, services, AppCommand::SaveSeries(id, first)),
        Pick::Screenshot => apply::apply(state, services, AppCommand::SaveShot(first)),
        Pick::ExportFolder => {
            state.settings.export_folder = Some(first.clone());
            apply::save_settings(state, services);
            if state.export.is_none() {
                export::open(state);
            }
            let edit = ExportEdit::Folder(first);
            apply::apply(state, services, AppCommand::Export(edit));
        }
    }
}

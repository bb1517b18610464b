//! What arrives at the window from outside: files that are dropped, and what is pasted.

use std::sync::Arc;

use egui::{Context, Event};

use crate::services::kinds::paths_in_text;
use crate::services::{MediaTask, Services};
use crate::state::AppCommand;
use crate::state::command::Target;

/// Files dropped on the window, meant for a target, and things pasted outside a text field.
pub(crate) fn arrived(ctx: &Context, services: &Services, target: Target) -> Vec<AppCommand> {
    let typing = ctx.egui_wants_keyboard_input();
    ctx.input(|input| {
        let dropped: Vec<_> = input
            .raw
            .dropped_files
            .iter()
            .map(|file| file.path().to_owned())
            .collect();
        let mut commands = Vec::new();
        if !dropped.is_empty() {
            commands.push(AppCommand::OpenPaths(dropped, target));
        }
        for event in &input.events {
            match event {
                Event::PasteImage(pixels) => {
                    let folder = services.store.inputs();
                    let task = MediaTask::SavePasted(Arc::clone(pixels), folder);
                    services.media.ask(task);
                }
                Event::Paste(text) if !typing => {
                    let paths = paths_in_text(text);
                    if !paths.is_empty() {
                        commands.push(AppCommand::OpenPaths(paths, Target::ByKind));
                    }
                }
                _ => {}
            }
        }
        commands
    })
}

//! The sheet of keyboard shortcuts.

use egui::Ui;

use super::Panel;
use super::dialog::dialog_ui;
use crate::shortcuts;
use crate::state::command::Group;
use crate::state::{Action, AppCommand};
use crate::theme::space;
use crate::widgets::{self, PushButton, fact_row};

/// Width of a column, points.
const COLUMN: f32 = 226.0;
/// What stands in which column.
const COLUMNS: [&[Group]; 4] = [
    &[Group::File, Group::Window],
    &[Group::Time],
    &[Group::View],
    &[Group::Look, Group::Tools],
];

/// Shows the sheet while it is open.
pub fn sheet_ui(ctx: &egui::Context, panel: &mut Panel<'_>) {
    if !panel.state.shortcuts_open {
        return;
    }
    let width = COLUMNS.len() as f32 * (COLUMN + space::XL) - space::XL;
    let height = ctx.content_rect().height() - 180.0;
    let modal = dialog_ui(ctx, "shortcuts", width, |ui| {
        widgets::heading(ui, "Keyboard shortcuts");
        egui::ScrollArea::vertical()
            .max_height(height)
            .min_scrolled_height(height)
            .show(ui, columns_ui);
        ui.add_space(space::M);
        ui.vertical_centered(|ui| ui.add(PushButton::secondary("Close")).clicked())
            .inner
    });
    if modal.inner || modal.should_close() {
        panel.push(AppCommand::CloseShortcuts);
    }
}

fn columns_ui(ui: &mut Ui) {
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = space::XL;
        for groups in COLUMNS {
            ui.vertical(|ui| {
                ui.set_width(COLUMN);
                ui.spacing_mut().item_spacing.y = 0.0;
                for &group in groups {
                    group_ui(ui, group);
                }
            });
        }
    });
}

fn group_ui(ui: &mut Ui, group: Group) {
    ui.add_space(space::M);
    widgets::strong(ui, group.label());
    for action in Action::ALL {
        let spec = action.spec();
        if spec.group == group && !spec.keys.is_empty() {
            let keys: Vec<_> = spec.keys.iter().map(|key| shortcuts::text(*key)).collect();
            fact_row(ui, spec.name.trim_end_matches('…'), &keys.join(" or "), "");
        }
    }
    match group {
        Group::File => {
            fact_row(ui, "Paste an image or a path", "Ctrl+V", "");
        }
        Group::View => {
            fact_row(ui, "Orbit", "drag", "");
            fact_row(ui, "Pan", "Shift+drag", "");
            fact_row(ui, "Fly", "right drag, WASDQE", "");
            fact_row(ui, "Move to a point", "double click", "");
        }
        _ => {}
    }
}

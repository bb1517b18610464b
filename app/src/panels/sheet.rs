//! The sheet of keyboard shortcuts.

use egui::{Frame, Id, Margin, Modal, Ui};

use super::Panel;
use crate::shortcuts;
use crate::state::command::Group;
use crate::state::{Action, AppCommand};
use crate::theme::{self, space};
use crate::widgets::{self, PushButton, fact_row};

/// Width of a column, points.
const COLUMN: f32 = 250.0;

/// Shows the sheet while it is open.
pub fn sheet_ui(ctx: &egui::Context, panel: &mut Panel<'_>) {
    if !panel.state.shortcuts_open {
        return;
    }
    let tokens = theme::tokens_of(ctx);
    let frame = Frame::new()
        .fill(tokens.panel)
        .corner_radius(10)
        .stroke(egui::Stroke::new(1.0, tokens.line))
        .inner_margin(Margin::same(space::XL as i8));
    let modal = Modal::new(Id::unique("shortcuts"))
        .frame(frame)
        .backdrop_color(tokens.backdrop)
        .show(ctx, |ui| {
            ui.set_width(2.0 * COLUMN + space::XL);
            widgets::heading(ui, "Keyboard shortcuts");
            ui.horizontal_top(|ui| {
                ui.spacing_mut().item_spacing.x = space::XL;
                for groups in [[Group::File, Group::Window], [Group::Time, Group::View]] {
                    ui.vertical(|ui| {
                        ui.set_width(COLUMN);
                        ui.spacing_mut().item_spacing.y = 0.0;
                        for group in groups {
                            group_ui(ui, group);
                        }
                    });
                }
            });
            ui.vertical_centered(|ui| ui.add(PushButton::secondary("Close")).clicked())
                .inner
        });
    if modal.inner || modal.should_close() {
        panel.push(AppCommand::CloseShortcuts);
    }
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
    if group == Group::File {
        fact_row(ui, "Paste an image or a path", "Ctrl+V", "");
    }
}

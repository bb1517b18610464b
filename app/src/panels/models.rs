//! The page of public models: a card an entry, by groups.

use egui::{Align, Frame, Layout, Margin, ScrollArea, Ui, UiBuilder, vec2};
use egui_material_icons::icons;
use one4d_engine::hub::{CATALOGUE, Group};

use super::Panel;
use super::model_card::{FIGURES, LICENCE_COLUMN, SIZE_COLUMN, card_ui};
use crate::state::AppCommand;
use crate::state::command::Pick;
use crate::state::models::ModelsEdit;
use crate::theme::{self, space};
use crate::widgets::{self, PushButton};

/// Widest that the page becomes, points.
const WIDTH: f32 = 980.0;
/// Shows the page.
pub fn models_ui(ui: &mut Ui, panel: &mut Panel<'_>) {
    let room = ui.max_rect();
    let side = ((room.width() - WIDTH) / 2.0).max(space::XL);
    let mut page = room.shrink2(vec2(side, 0.0));
    page.min.y += space::XL;
    let mut ui = ui.new_child(
        UiBuilder::new()
            .max_rect(page)
            .layout(Layout::top_down(Align::Min)),
    );
    let ui = &mut ui;
    head_ui(ui, panel);
    ui.add_space(space::S);
    ScrollArea::vertical()
        .id_salt("models-scroll")
        .auto_shrink([false, false])
        .show(ui, |ui| {
            for group in Group::ALL {
                group_ui(ui, panel, group);
            }
            folders_ui(ui, panel);
            ui.add_space(space::XL);
        });
}

fn head_ui(ui: &mut Ui, panel: &mut Panel<'_>) {
    let tokens = theme::tokens(ui);
    ui.horizontal(|ui| {
        ui.label(
            egui::RichText::new("Models")
                .font(theme::title())
                .color(tokens.text),
        );
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let close = PushButton::icon(icons::ICON_CLOSE, "Close the list of models")
                .height(theme::TOUCH)
                .tooltip("Goes back to the scene (Esc)");
            if ui.add(close).clicked() {
                panel.push(AppCommand::Models(ModelsEdit::Close));
            }
            let add = PushButton::secondary("Add folder…")
                .with_icon(icons::ICON_CREATE_NEW_FOLDER)
                .tooltip("Searches a folder for models too, such as ComfyUI's");
            if ui.add(add).clicked() {
                panel.push(AppCommand::Pick(Pick::ModelFolder));
            }
        });
    });
    let models = &panel.state.models;
    if let Some(problem) = &models.problem {
        widgets::wrapped(ui, problem, tokens.bad);
    }
    let Some(looked) = &models.looked else {
        widgets::muted(ui, "Looking around…");
        return;
    };
    let free = looked.free_bytes.map_or_else(String::new, |free| {
        format!(", {} free", widgets::bytes(free))
    });
    let words = format!(
        "Kept in the cache that other tools share: {}{free}. Nothing is downloaded before you have seen \
         size and licence and agreed.",
        looked.cache.display()
    );
    widgets::wrapped(ui, words, tokens.muted);
    if looked.offline {
        let words = "HF_HUB_OFFLINE is set: nothing is asked of any server.";
        widgets::status_word(ui, icons::ICON_CLOUD_OFF, words, tokens.warn);
    }
}

fn group_ui(ui: &mut Ui, panel: &mut Panel<'_>, group: Group) {
    ui.add_space(space::M);
    ui.horizontal(|ui| {
        let left = ui.available_width() - FIGURES - space::M;
        ui.allocate_ui_with_layout(
            vec2(left, 20.0),
            Layout::left_to_right(Align::Center),
            |ui| {
                ui.set_width(left);
                widgets::heading(ui, group.label());
            },
        );
        for (width, name) in [(SIZE_COLUMN, "Size"), (LICENCE_COLUMN, "Licence")] {
            ui.allocate_ui_with_layout(
                vec2(width, 20.0),
                Layout::left_to_right(Align::Center),
                |ui| {
                    ui.set_width(width);
                    widgets::caption(ui, name);
                },
            );
        }
    });
    ui.add_space(space::XS);
    for (index, entry) in CATALOGUE.iter().enumerate() {
        if entry.group == group {
            ui.push_id(entry.name, |ui| {
                // Outlined, not raised: the buttons on it are.
                Frame::new()
                    .stroke(theme::hairline(ui))
                    .corner_radius(theme::RADIUS)
                    .inner_margin(Margin::same(space::M as i8))
                    .show(ui, |ui| {
                        ui.set_width(ui.available_width());
                        card_ui(ui, panel, index, entry);
                    });
            });
        }
    }
}

/// Folders that are searched besides the cache.
fn folders_ui(ui: &mut Ui, panel: &mut Panel<'_>) {
    let Some(looked) = &panel.state.models.looked else {
        return;
    };
    if looked.folders.is_empty() {
        return;
    }
    ui.add_space(space::M);
    widgets::heading(ui, "Folders that are searched too");
    for folder in &looked.folders {
        ui.horizontal(|ui| {
            let name = folder.display().to_string();
            widgets::muted(ui, &name);
            let label = format!("Search {name} no longer");
            let remove = PushButton::icon(icons::ICON_CLOSE, &label)
                .height(20.0)
                .tooltip("Searches it no longer; its files stay");
            if ui.add(remove).clicked() {
                panel.push(AppCommand::Models(ModelsEdit::RemoveFolder(folder.clone())));
            }
        });
    }
}

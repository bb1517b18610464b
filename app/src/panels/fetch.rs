//! The question before a download: what it is, how large, under which licence, and where it goes.

use egui::{Align, Layout, ScrollArea, Ui};
use one4d_engine::hub::{CATALOGUE, Entry, FetchPlan};

use super::Panel;
use super::dialog::dialog_ui;
use crate::state::AppCommand;
use crate::state::models::ModelsEdit;
use crate::theme::{self, space};
use crate::widgets::{self, PushButton, fact_row};

/// Width of the dialog, points.
const WIDTH: f32 = 520.0;
/// Height of the list of files, points.
const LIST_HEIGHT: f32 = 164.0;

/// Shows the question while it stands.
pub fn fetch_ui(ctx: &egui::Context, panel: &mut Panel<'_>) {
    let Some((index, plan)) = &panel.state.models.sheet else {
        return;
    };
    let (entry, plan) = (&CATALOGUE[*index], plan.clone());
    let modal = dialog_ui(ctx, "fetch", WIDTH, |ui| sheet_ui(ui, panel, entry, &plan));
    if modal.should_close() {
        panel.push(AppCommand::Models(ModelsEdit::Decline));
    }
}

fn sheet_ui(ui: &mut Ui, panel: &mut Panel<'_>, entry: &Entry, plan: &FetchPlan) {
    let tokens = theme::tokens(ui);
    widgets::heading(ui, format!("Download {}?", entry.title));
    widgets::wrapped(ui, entry.purpose, tokens.muted);
    ui.add_space(space::S);
    ui.spacing_mut().item_spacing.y = 2.0;
    fact_row(ui, "Model", &plan.hub_id, "");
    let commit = plan.commit.get(..12).unwrap_or(&plan.commit);
    fact_row(
        ui,
        "Revision",
        &format!("{} at {commit}", plan.revision),
        "",
    )
    .on_hover_text(&plan.commit);
    let licence = plan
        .licence
        .as_deref()
        .unwrap_or("none named by its publisher");
    fact_row(ui, "Licence", licence, "");
    let (total, missing) = (plan.total_bytes(), plan.missing_bytes());
    let files = match plan.files.len() {
        1 => "in 1 file".to_owned(),
        n => format!("in {n} files"),
    };
    fact_row(ui, "Size", &widgets::bytes(total), &files);
    if missing < total {
        fact_row(ui, "Already here", &widgets::bytes(total - missing), "");
    }
    fact_row(ui, "Folder", &plan.folder.display().to_string(), "");
    if let Some(free) = plan.free_bytes {
        fact_row(ui, "Free on its disk", &widgets::bytes(free), "");
    }
    ui.add_space(space::XS);
    if let Some(note) = entry.licence_note {
        widgets::wrapped(ui, format!("Note: {note}."), tokens.warn);
    }
    if plan.is_gated {
        let words = "Its publisher asks for consent to terms on the model's page, and for a token (HF_TOKEN).";
        widgets::wrapped(ui, words, tokens.warn);
    }
    ui.add_space(space::S);
    list_ui(ui, plan);
    ui.add_space(space::M);
    buttons_ui(ui, panel, plan);
}

fn list_ui(ui: &mut Ui, plan: &FetchPlan) {
    widgets::card(ui, |ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        ScrollArea::vertical()
            .id_salt("fetch-files")
            .max_height(LIST_HEIGHT)
            .auto_shrink([false, true])
            .show(ui, |ui| {
                for file in &plan.files {
                    let note = if file.is_present() { "here" } else { "" };
                    fact_row(ui, &file.name, &widgets::bytes(file.bytes), note)
                        .on_hover_text(&file.name);
                }
            });
    });
}

fn buttons_ui(ui: &mut Ui, panel: &mut Panel<'_>, plan: &FetchPlan) {
    let tokens = theme::tokens(ui);
    let missing = plan.missing_bytes();
    let label = match missing {
        0 => "Complete".to_owned(),
        bytes => format!("Download {}", widgets::bytes(bytes)),
    };
    ui.horizontal(|ui| {
        if plan.is_too_large() {
            let short = missing - plan.free_bytes.unwrap_or_default();
            let words = format!("{} more room is needed", widgets::bytes(short));
            let icon = egui_material_icons::icons::ICON_ERROR;
            widgets::status_word(ui, icon, &words, tokens.bad);
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let agree = PushButton::primary(&label)
                .height(theme::TOUCH)
                .tooltip("Downloads into the shared cache; it can be paused");
            if ui.add_enabled(!plan.is_too_large(), agree).clicked() {
                panel.push(AppCommand::Models(ModelsEdit::Agree));
            }
            let decline = PushButton::quiet("Cancel").height(theme::TOUCH);
            if ui.add(decline).clicked() {
                panel.push(AppCommand::Models(ModelsEdit::Decline));
            }
        });
    });
}

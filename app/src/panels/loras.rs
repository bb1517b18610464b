//! LoRA files of the Create panel: a row each, with strength and whether it fits.

use egui::{Align, Id, Layout, Ui};
use egui_material_icons::icons;
use one4d_engine::pipeline::Preset;

use super::Panel;
use crate::state::command::{CreateEdit, Pick};
use crate::state::loras::{LoraEdit, LoraEntry, LoraState, STRENGTHS};
use crate::state::{AppCommand, file_name};
use crate::theme::{self, space};
use crate::widgets::{self, PushButton, SliderSpec, slider};

/// Problems of a file that are listed in its tooltip.
const LISTED: usize = 3;

/// Shows the list and the way to add to it.
pub fn loras_ui(ui: &mut Ui, panel: &mut Panel<'_>) {
    let state = panel.state;
    ui.horizontal(|ui| {
        widgets::caption(ui, "LoRA files");
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let add = PushButton::quiet("Add LoRA…")
                .height(20.0)
                .color(theme::tokens(ui).muted)
                .tooltip(
                    "Adds small files that change the model: styles, or models distilled to few \
                     steps. Drop .safetensors files on the window, or choose them",
                );
            if ui.add(add).clicked() {
                panel.push(AppCommand::Pick(Pick::Loras));
            }
        });
    });
    let entries = state.create.loras.entries();
    for entry in entries {
        ui.push_id(&entry.path, |ui| {
            widgets::card(ui, |ui| entry_ui(ui, panel, entry));
        });
    }
    // What has just been added comes into sight.
    let seen = Id::unique("loras-seen");
    let before = ui.data(|data| data.get_temp::<usize>(seen));
    if before.is_some_and(|before| entries.len() > before) {
        ui.scroll_to_cursor(Some(Align::BOTTOM));
    }
    ui.data_mut(|data| data.insert_temp(seen, entries.len()));
}

fn entry_ui(ui: &mut Ui, panel: &mut Panel<'_>, entry: &LoraEntry) {
    ui.spacing_mut().item_spacing.y = space::XS;
    let mut edits = Vec::new();
    let name = file_name(&entry.path);
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = space::XS;
        edits.extend(on_ui(ui, entry, &name));
        let width = ui.available_width() - theme::ROW - 2.0 * space::XS;
        ui.vertical(|ui| {
            ui.set_width(width);
            edits.extend(strength_ui(ui, entry));
        });
        let remove = format!("Remove {name}");
        let button = PushButton::icon(icons::ICON_CLOSE, &remove).tooltip(&remove);
        if ui.add(button).clicked() {
            edits.push(LoraEdit::Remove);
        }
    });
    fit_ui(ui, panel, entry);
    if entry.on && !matches!(entry.state, LoraState::Bad(_)) {
        edits.extend(distilled_ui(ui, panel, entry));
    }
    for edit in edits {
        let edit = CreateEdit::Lora(entry.path.clone(), edit);
        panel.push(AppCommand::Create(edit));
    }
}

fn on_ui(ui: &mut Ui, entry: &LoraEntry, name: &str) -> Option<LoraEdit> {
    let icon = if entry.on {
        icons::ICON_CHECK_BOX
    } else {
        icons::ICON_CHECK_BOX_OUTLINE_BLANK
    };
    let use_it = format!("Use {name}");
    let tooltip = if entry.on {
        "In use; click to leave it out"
    } else {
        "Left out; click to use it"
    };
    let mut button = PushButton::icon(icon, &use_it).tooltip(tooltip);
    if entry.on {
        button = button.color(theme::tokens(ui).accent);
    }
    let clicked = ui.add(button).clicked();
    clicked.then_some(LoraEdit::On(!entry.on))
}

/// The file's name over its strength.
fn strength_ui(ui: &mut Ui, entry: &LoraEntry) -> Option<LoraEdit> {
    let stem = entry.path.file_stem().unwrap_or_default();
    let name = &*stem.to_string_lossy();
    if !entry.on {
        ui.add_space(4.0);
        widgets::muted(ui, name).on_hover_text(entry.path.display().to_string());
        return None;
    }
    let spec = SliderSpec {
        name,
        range: STRENGTHS,
        decimals: 2,
        suffix: "",
        default: 1.0,
    };
    slider(ui, &spec, entry.strength).map(LoraEdit::Strength)
}

/// Whether it fits, and if not, why.
fn fit_ui(ui: &mut Ui, panel: &Panel<'_>, entry: &LoraEntry) {
    let tokens = theme::tokens(ui);
    match &entry.state {
        LoraState::Checking => {
            widgets::caption(ui, "Checking…");
        }
        LoraState::Fits(fit) => {
            let size = widgets::bytes(fit.bytes);
            let words = if fit.rank.is_empty() {
                size
            } else {
                format!("Fits; rank {}, {size}", fit.rank)
            };
            widgets::caption(ui, words).on_hover_text(entry.path.display().to_string());
            for note in &fit.notes {
                widgets::wrapped_caption(ui, note);
            }
        }
        LoraState::Bad(problems) => {
            let model = &panel.state.model.facts.name;
            let words = format!("Does not fit {model}");
            widgets::status_word(ui, icons::ICON_ERROR, &words, tokens.bad);
            let first = problems.first().map_or("", String::as_str);
            let more = problems.len().saturating_sub(1);
            let words = match more {
                0 => first.to_owned(),
                1 => format!("{first}, and one more like it"),
                n => format!("{first}, and {n} more"),
            };
            let listed: Vec<_> = problems.iter().take(LISTED).map(String::as_str).collect();
            widgets::wrapped_caption(ui, words).on_hover_text(listed.join("\n\n"));
        }
    }
}

/// Whether it is taken for distilled, and by what.
fn distilled_ui(ui: &mut Ui, panel: &Panel<'_>, entry: &LoraEntry) -> Option<LoraEdit> {
    let (clicked, response) = widgets::switch(ui, "Distilled to few steps", entry.distilled);
    response.on_hover_text(
        "Such files need few steps and no guidance. They are used with the preset Fast only, which \
         sets both",
    );
    let named = entry.named().map(|few| few.word);
    let words = match (entry.distilled, named) {
        (true, Some(word)) => Some(format!("Its name says so (“{word}”)")),
        (false, Some(word)) => Some(format!(
            "Its name says so (“{word}”), yet it is not used so"
        )),
        _ => None,
    };
    if let Some(words) = words {
        widgets::caption(ui, words);
    }
    if entry.distilled {
        let create = &panel.state.create;
        let own = panel.state.model.facts.fast.is_some();
        let words = match (create.preset, own) {
            (Preset::Standard, _) => Some("Waits for Fast, above"),
            (Preset::Fast, true) => Some("On top of the model's own distilled LoRA"),
            (Preset::Fast, false) => None,
        };
        if let Some(words) = words {
            widgets::caption(ui, words);
        }
    }
    clicked.map(LoraEdit::Distilled)
}

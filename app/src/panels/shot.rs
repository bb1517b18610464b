//! The screenshot dialog.

use egui::{Align, Layout, Ui};

use super::Panel;
use super::dialog::dialog_ui;
use crate::state::AppCommand;
use crate::state::command::Pick;
use crate::state::shot::{MAX_SIDE_PX, ShotEdit, ShotForm};
use crate::theme::{self, space};
use crate::widgets::{self, NumberField, PushButton, number_field, segmented, switch};

/// Shows the dialog while a screenshot is being set up.
pub fn shot_ui(ctx: &egui::Context, panel: &mut Panel<'_>) {
    let Some(form) = panel.state.shot else {
        return;
    };
    let modal = dialog_ui(ctx, "screenshot", 340.0, |ui| form_ui(ui, panel, form));
    if modal.should_close() {
        panel.push(AppCommand::Shot(ShotEdit::Cancel));
    }
}

fn form_ui(ui: &mut Ui, panel: &mut Panel<'_>, form: ShotForm) {
    widgets::heading(ui, "Save a picture of the view");
    ui.add_space(space::XS);
    let [width, height] = form.size_px;
    let room = (ui.available_width() - space::S) / 2.0;
    let field = |name, tooltip| NumberField {
        name,
        tooltip,
        range: 16.0..=f64::from(MAX_SIDE_PX),
        speed: 2.0,
        decimals: 0,
        suffix: " px",
        default: None,
    };
    ui.horizontal(|ui| {
        let columns = field("Width", "Columns of the picture before the scale");
        if let Some(value) = number_field(ui, &columns, f64::from(width), room) {
            panel.push(AppCommand::Shot(ShotEdit::Size([value as u32, height])));
        }
        let rows = field("Height", "Rows of the picture before the scale");
        if let Some(value) = number_field(ui, &rows, f64::from(height), room) {
            panel.push(AppCommand::Shot(ShotEdit::Size([width, value as u32])));
        }
    });
    widgets::caption(ui, "Scale");
    let scales = [(1, "1 ×", None), (2, "2 ×", None), (4, "4 ×", None)];
    if let Some(scale) = segmented(ui, &scales, form.scale) {
        panel.push(AppCommand::Shot(ShotEdit::Scale(scale)));
    }
    let (changed, response) = switch(ui, "Transparent background", form.transparent);
    response.on_hover_text("Keeps an alpha channel instead of a ground");
    if let Some(transparent) = changed {
        panel.push(AppCommand::Shot(ShotEdit::Transparent(transparent)));
    }
    ui.add_space(space::M);
    ui.horizontal(|ui| {
        let [width, height] = form.picture_px();
        let problem = form.problem();
        let words = problem.map_or_else(|| format!("PNG, {width} × {height} px"), str::to_owned);
        widgets::caption(ui, words);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let save = PushButton::primary("Save picture…").height(theme::TOUCH);
            if ui.add_enabled(problem.is_none(), save).clicked() {
                panel.push(AppCommand::Pick(Pick::Screenshot));
            }
            if ui
                .add(PushButton::quiet("Cancel").height(theme::TOUCH))
                .clicked()
            {
                panel.push(AppCommand::Shot(ShotEdit::Cancel));
            }
        });
    });
}

//! Notices over the lower right of the scene.

use egui::{
    Align, Area, CollapsingHeader, Frame, Id, Layout, Margin, Order, Rect, Stroke, Ui, pos2,
};
use egui_material_icons::{MaterialIcon, icons};

use super::Panel;
use crate::state::AppCommand;
use crate::state::notices::{Notice, Severity};
use crate::theme::{self, Tokens, space};
use crate::widgets::{self, PushButton};

/// Width of a notice, points.
const WIDTH: f32 = 360.0;

/// Shows the notices in the lower right of `stage`.
pub fn notices_ui(ctx: &egui::Context, panel: &mut Panel<'_>, stage: Rect) {
    if panel.state.notices.list().is_empty() {
        return;
    }
    let corner = pos2(stage.right() - space::M, stage.bottom() - space::M);
    Area::new(Id::unique("notices"))
        .order(Order::Foreground)
        .pivot(egui::Align2::RIGHT_BOTTOM)
        .fixed_pos(corner)
        .show(ctx, |ui| {
            ui.set_width(WIDTH.min(stage.width() - space::XL));
            ui.spacing_mut().item_spacing.y = space::S;
            for notice in panel.state.notices.list() {
                ui.push_id(notice.id, |ui| notice_ui(ui, panel, notice));
            }
        });
}

fn look(tokens: &Tokens, severity: Severity) -> (MaterialIcon, egui::Color32) {
    match severity {
        Severity::Good => (icons::ICON_CHECK_CIRCLE, tokens.good),
        Severity::Info => (icons::ICON_INFO, tokens.accent),
        Severity::Warning => (icons::ICON_WARNING, tokens.warn),
        Severity::Error => (icons::ICON_ERROR, tokens.bad),
    }
}

fn notice_ui(ui: &mut Ui, panel: &mut Panel<'_>, notice: &Notice) {
    let tokens = theme::tokens(ui);
    let (icon, color) = look(tokens, notice.severity);
    Frame::new()
        .fill(tokens.raised)
        .stroke(Stroke::new(1.0, tokens.line))
        .corner_radius(8)
        .shadow(ui.visuals().popup_shadow)
        .inner_margin(Margin::same(space::M as i8))
        .show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.spacing_mut().item_spacing.y = space::XS;
            ui.with_layout(Layout::right_to_left(Align::Min), |ui| {
                let close = PushButton::icon(icons::ICON_CLOSE, "Dismiss the notice")
                    .height(20.0)
                    .tooltip("Dismisses the notice (Esc)");
                if ui.add(close).clicked() {
                    panel.push(AppCommand::DismissNotice(notice.id));
                }
                ui.with_layout(Layout::left_to_right(Align::Min), |ui| {
                    let text = egui::RichText::new(icon.codepoint)
                        .font(theme::icon_font(icon, 18.0))
                        .color(color);
                    ui.label(text).widget_info(|| {
                        let word = notice.severity.label();
                        egui::WidgetInfo::labeled(egui::Role::Label, true, word)
                    });
                    let title = egui::RichText::new(&notice.title).font(theme::strong());
                    ui.add(egui::Label::new(title.color(tokens.text)).wrap());
                });
            });
            if !notice.body.is_empty() {
                widgets::wrapped(ui, &notice.body, tokens.muted);
            }
            if let Some(details) = &notice.details {
                details_ui(ui, details);
            }
            remedy_ui(ui, panel, notice);
        });
}

fn remedy_ui(ui: &mut Ui, panel: &mut Panel<'_>, notice: &Notice) {
    let Some((label, command)) = &notice.remedy else {
        return;
    };
    ui.add_space(space::XS);
    if ui.add(PushButton::primary(label)).clicked() {
        panel.push(command.clone());
        panel.push(AppCommand::DismissNotice(notice.id));
    }
}

/// Text for a report behind "Details", with a button that copies it.
pub fn details_ui(ui: &mut Ui, details: &str) {
    let tokens = theme::tokens(ui);
    let head = egui::RichText::new("Details").color(tokens.muted);
    CollapsingHeader::new(head).show(ui, |ui| {
        egui::ScrollArea::vertical()
            .max_height(140.0)
            .auto_shrink([false, true])
            .show(ui, |ui| {
                let text = egui::RichText::new(details).monospace().color(tokens.muted);
                ui.add(egui::Label::new(text).wrap());
            });
        let copy = PushButton::secondary("Copy details").with_icon(icons::ICON_CONTENT_COPY);
        if ui.add(copy).clicked() {
            ui.ctx().copy_text(details.to_owned());
        }
    });
}

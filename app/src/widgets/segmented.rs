//! A row of choices of which one is taken.

use egui::{Align2, Response, Role, Sense, Ui, WidgetInfo, pos2, vec2};
use egui_material_icons::MaterialIcon;

use super::focus_ring;
use crate::theme::{self, space};

/// Shows the choices over the whole width, longer words wider; returns the one that was clicked.
pub fn segmented<T: Copy + PartialEq>(
    ui: &mut Ui,
    choices: &[(T, &str, Option<MaterialIcon>)],
    taken: T,
) -> Option<T> {
    let tokens = theme::tokens(ui);
    let (rect, _) =
        ui.allocate_exact_size(vec2(ui.available_width(), theme::ROW + 4.0), Sense::hover());
    ui.painter().rect_filled(rect, theme::RADIUS, tokens.raised);
    let inner = rect.shrink(2.0);
    let widths = widths(ui, choices, inner.width());
    let mut left = inner.left();
    let mut clicked = None;
    for (&(value, name, icon), width) in choices.iter().zip(widths) {
        let cell = egui::Rect::from_min_size(pos2(left, inner.top()), vec2(width, inner.height()));
        let response = ui.interact(cell, ui.scope_id().with(("segment", name)), Sense::click());
        response.widget_info(|| {
            WidgetInfo::selected(Role::RadioButton, ui.is_enabled(), value == taken, name)
        });
        segment(ui, &response, cell, (name, icon), value == taken);
        if response.clicked() {
            clicked = Some(value);
        }
        left += width;
    }
    clicked
}

/// Equal shares where every word fits its own; else what the words need and equal room around them.
fn widths<T>(ui: &Ui, choices: &[(T, &str, Option<MaterialIcon>)], whole: f32) -> Vec<f32> {
    let needs: Vec<f32> = choices
        .iter()
        .map(|(_, name, icon)| {
            let color = theme::tokens(ui).text;
            let galley = ui
                .painter()
                .layout_no_wrap((*name).to_owned(), theme::body(), color);
            galley.size().x + icon.map_or(0.0, |_| theme::ICON + space::XS)
        })
        .collect();
    let share = whole / choices.len().max(1) as f32;
    if needs.iter().all(|need| need + space::S <= share) {
        return vec![share; choices.len()];
    }
    let around = (whole - needs.iter().sum::<f32>()) / choices.len().max(1) as f32;
    needs.into_iter().map(|need| need + around).collect()
}

fn segment(
    ui: &Ui,
    response: &Response,
    cell: egui::Rect,
    (name, icon): (&str, Option<MaterialIcon>),
    taken: bool,
) {
    let tokens = theme::tokens(ui);
    let color = if taken || response.hovered() {
        tokens.text
    } else {
        tokens.muted
    };
    if taken {
        let ground = if ui.visuals().dark_mode {
            tokens.line
        } else {
            tokens.panel
        };
        ui.painter().rect_filled(cell, theme::RADIUS_SMALL, ground);
    }
    let galley = ui
        .painter()
        .layout_no_wrap(name.to_owned(), theme::body(), color);
    let icon_width = icon.map_or(0.0, |_| theme::ICON + space::XS);
    let width = galley.size().x + icon_width;
    let mut x = cell.center().x - width / 2.0;
    if let Some(icon) = icon {
        let color = if taken { tokens.accent } else { color };
        ui.painter().text(
            pos2(x + theme::ICON / 2.0, cell.center().y),
            Align2::CENTER_CENTER,
            icon.codepoint,
            theme::icon_font(icon, theme::ICON),
            color,
        );
        x += icon_width;
    }
    let y = cell.center().y - galley.size().y / 2.0;
    ui.painter().galley(pos2(x, y), galley, color);
    focus_ring(ui, response, cell);
}

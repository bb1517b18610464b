//! A row of choices of which one is taken.

use egui::{Align2, Response, Role, Sense, Ui, WidgetInfo, pos2, vec2};
use egui_material_icons::MaterialIcon;

use super::focus_ring;
use crate::theme::{self, space};

/// Shows the choices over the whole width; returns the one that was clicked.
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
    let width = inner.width() / choices.len().max(1) as f32;
    let mut clicked = None;
    for (i, &(value, name, icon)) in choices.iter().enumerate() {
        let left = inner.left() + width * i as f32;
        let cell = egui::Rect::from_min_size(pos2(left, inner.top()), vec2(width, inner.height()));
        let response = ui.interact(cell, ui.scope_id().with(("segment", name)), Sense::click());
        response.widget_info(|| {
            WidgetInfo::selected(Role::RadioButton, ui.is_enabled(), value == taken, name)
        });
        segment(ui, &response, cell, (name, icon), value == taken);
        if response.clicked() {
            clicked = Some(value);
        }
    }
    clicked
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

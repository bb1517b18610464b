//! A switch: something that is on or off at once.

use egui::{Response, Role, Sense, Ui, WidgetInfo, pos2, vec2};

use super::{elided, focus_ring};
use crate::theme;

/// Shows a switch over the whole width; returns the new value if it was clicked.
pub fn switch(ui: &mut Ui, name: &str, on: bool) -> (Option<bool>, Response) {
    let tokens = theme::tokens(ui);
    let (rect, response) =
        ui.allocate_exact_size(vec2(ui.available_width(), theme::ROW), Sense::click());
    response.widget_info(|| WidgetInfo::selected(Role::CheckBox, ui.is_enabled(), on, name));
    let galley = elided(ui, name, theme::body(), tokens.text, rect.width() - 40.0);
    let y = rect.center().y - galley.size().y / 2.0;
    ui.painter()
        .galley(pos2(rect.left(), y), galley, tokens.text);
    let track =
        egui::Rect::from_center_size(pos2(rect.right() - 14.0, rect.center().y), vec2(28.0, 16.0));
    let slide = ui.ctx().animate_bool(response.id, on);
    let ground = if on { tokens.accent } else { tokens.hover };
    ui.painter().rect_filled(track, 8.0, ground);
    let knob = pos2(track.left() + 8.0 + 12.0 * slide, track.center().y);
    let color = if on { tokens.on_accent } else { tokens.muted };
    ui.painter().circle_filled(knob, 5.5, color);
    focus_ring(ui, &response, rect);
    (response.clicked().then_some(!on), response)
}

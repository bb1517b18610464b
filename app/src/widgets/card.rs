//! Grounds: cards, wells, sections and the lines between them.

use egui::{Frame, InnerResponse, Margin, Rect, Ui};

use super::text;
use crate::theme::{self, space};

/// Raised ground with room inside.
pub fn card<R>(ui: &mut Ui, add_contents: impl FnOnce(&mut Ui) -> R) -> InnerResponse<R> {
    Frame::new()
        .fill(theme::tokens(ui).raised)
        .corner_radius(theme::RADIUS)
        .inner_margin(Margin::same(space::M as i8))
        .show(ui, |ui| {
            ui.set_width(ui.available_width());
            add_contents(ui)
        })
}

/// A head and what belongs to it, with room above.
pub fn section<R>(ui: &mut Ui, head: &str, add_contents: impl FnOnce(&mut Ui) -> R) -> R {
    ui.add_space(space::S);
    text::heading(ui, head);
    let result = add_contents(ui);
    ui.add_space(space::S);
    result
}

/// A hairline at the lower edge of `rect`.
pub fn hairline_below(ui: &Ui, rect: Rect) {
    ui.painter()
        .hline(rect.x_range(), rect.bottom(), theme::hairline(ui));
}

/// The dashed edge of a place that takes files.
pub fn well_frame(ui: &Ui, rect: Rect, lit: bool) {
    let tokens = theme::tokens(ui);
    let (fill, edge) = if lit {
        (tokens.accent_soft, tokens.accent)
    } else {
        (tokens.raised, theme::fade(tokens.muted, 0.55))
    };
    ui.painter().rect_filled(rect, theme::RADIUS, fill);
    let radius = f32::from(theme::RADIUS);
    let inner = rect.shrink(0.5);
    let corners = rounded_outline(inner, radius);
    ui.painter().extend(egui::Shape::dashed_line(
        &corners,
        egui::Stroke::new(1.0, edge),
        5.0,
        4.0,
    ));
}

/// The outline of a rounded rectangle as a closed line.
fn rounded_outline(rect: Rect, radius: f32) -> Vec<egui::Pos2> {
    let centres = [
        (rect.right_top() + egui::vec2(-radius, radius), -90.0_f32),
        (rect.right_bottom() + egui::vec2(-radius, -radius), 0.0),
        (rect.left_bottom() + egui::vec2(radius, -radius), 90.0),
        (rect.left_top() + egui::vec2(radius, radius), 180.0),
    ];
    let mut line: Vec<_> = centres
        .into_iter()
        .flat_map(|(centre, start)| {
            (0..=4).map(move |i| {
                let angle = (start + 22.5 * i as f32).to_radians();
                centre + radius * egui::vec2(angle.cos(), angle.sin())
            })
        })
        .collect();
    line.extend(line.first().copied());
    line
}

//! What lies over a view: measures, the clip box, the source frame, figures.

pub mod clip_box;
pub mod figures;
pub mod measures;
pub mod source;

use egui::{Align2, Color32, Pos2, Rect, Ui, vec2};

use crate::theme;

/// A line of small text from its lower left corner, on a ground that keeps it legible over anything;
/// returns the ground.
pub(super) fn caption_over(ui: &Ui, left_bottom: Pos2, text: &str, color: Color32) -> Rect {
    let galley = ui
        .painter()
        .layout_no_wrap(text.to_owned(), theme::caption(), color);
    let at = left_bottom - vec2(0.0, galley.size().y);
    let ground = Rect::from_min_size(at, galley.size()).expand2(vec2(4.0, 1.0));
    let fill = theme::fade(theme::tokens(ui).panel, 0.72);
    ui.painter().rect_filled(ground, theme::RADIUS_SMALL, fill);
    ui.painter().galley(at, galley, color);
    ground
}

/// A word on a ground of its own, centred; returns the ground.
pub(super) fn chip(ui: &Ui, centre: Pos2, text: &str, color: Color32) -> Rect {
    let tokens = theme::tokens(ui);
    let galley = ui
        .painter()
        .layout_no_wrap(text.to_owned(), theme::caption(), color);
    let ground = Rect::from_center_size(centre, galley.size() + vec2(12.0, 6.0));
    let fill = theme::fade(tokens.panel, 0.92);
    ui.painter().rect_filled(ground, theme::RADIUS_SMALL, fill);
    ui.painter().text(
        ground.center(),
        Align2::CENTER_CENTER,
        text,
        theme::caption(),
        color,
    );
    ground
}

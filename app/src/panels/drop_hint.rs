//! What the window says while files hang over it.

use egui::{Align2, Context, Id, LayerId, Order, Stroke, StrokeKind, vec2};
use egui_material_icons::icons;

use super::Panel;
use crate::theme::{self, space};

/// Dims the window and names what a drop will do.
pub fn drop_hint_ui(ctx: &Context, panel: &Panel<'_>) {
    let hanging = ctx.input(|input| input.raw.hovered_files.len());
    // The first launch has a well of its own that lights up.
    if hanging == 0 || panel.state.is_empty() {
        return;
    }
    let tokens = theme::tokens_of(ctx);
    let layer = LayerId::new(Order::Tooltip, Id::unique("drop-hint"));
    let painter = ctx.layer_painter(layer);
    let rect = ctx.content_rect();
    painter.rect_filled(rect, 0.0, tokens.backdrop);
    let edge = Stroke::new(2.0, tokens.accent);
    painter.rect_stroke(
        rect.shrink(space::S),
        theme::RADIUS,
        edge,
        StrokeKind::Inside,
    );
    let icon = icons::ICON_UPLOAD_FILE;
    painter.text(
        rect.center() - vec2(0.0, 28.0),
        Align2::CENTER_CENTER,
        icon.codepoint,
        theme::icon_font(icon, 40.0),
        tokens.accent,
    );
    let words = if hanging == 1 {
        "Drop it to open it".to_owned()
    } else {
        format!("Drop {hanging} files to open them")
    };
    painter.text(
        rect.center() + vec2(0.0, 18.0),
        Align2::CENTER_CENTER,
        words,
        theme::title(),
        theme::DARK.text,
    );
}

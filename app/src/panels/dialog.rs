//! The ground of a dialog of our own.

use egui::{Context, Frame, Id, Margin, Modal, ModalResponse, Stroke, Ui};

use crate::theme::{self, space};

/// Shows a dialog in the middle of the window, which it dims.
pub(super) fn dialog_ui<R>(
    ctx: &Context,
    name: &str,
    width: f32,
    add_contents: impl FnOnce(&mut Ui) -> R,
) -> ModalResponse<R> {
    let tokens = theme::tokens_of(ctx);
    let frame = Frame::new()
        .fill(tokens.panel)
        .corner_radius(10)
        .stroke(Stroke::new(1.0, tokens.line))
        .inner_margin(Margin::same(space::XL as i8));
    Modal::new(Id::unique(name))
        .frame(frame)
        .backdrop_color(tokens.backdrop)
        .show(ctx, |ui| {
            ui.set_width(width);
            add_contents(ui)
        })
}

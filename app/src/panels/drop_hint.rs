//! What the window says while files hang over it.

use egui::{Align2, Context, Id, LayerId, Order, Rect, Stroke, StrokeKind, vec2};
use egui_material_icons::icons;

use super::Panel;
use crate::state::AppState;
use crate::state::command::Target;
use crate::theme::{self, space};

/// What a drop is meant for: the right half of the stage compares with the scene on screen.
///
/// Some window systems do not say where files hang; then the pointer's last place counts, which is
/// why the hint shows it.
pub fn target(ctx: &Context, state: &AppState, stage: Rect) -> Target {
    let half = right_half(stage);
    let over = ctx.input(|input| input.pointer.latest_pos());
    if state.scene.is_some() && over.is_some_and(|at| half.contains(at)) {
        Target::Compare
    } else {
        Target::ByKind
    }
}

fn right_half(stage: Rect) -> Rect {
    stage.split_left_right_at_fraction(0.5).1
}

/// Dims the window and names what a drop will do.
pub fn drop_hint_ui(ctx: &Context, panel: &Panel<'_>, stage: Rect) {
    let hanging = ctx.input(|input| input.raw.hovered_files.len());
    // The first launch has a well of its own that lights up.
    if hanging == 0 || panel.state.is_empty() {
        return;
    }
    let tokens = theme::tokens_of(ctx);
    let layer = LayerId::new(Order::Tooltip, Id::unique("drop-hint"));
    let painter = ctx.layer_painter(layer);
    let whole = ctx.content_rect();
    painter.rect_filled(whole, 0.0, tokens.backdrop);
    let compares = target(ctx, panel.state, stage) == Target::Compare;
    let rect = if compares { right_half(stage) } else { whole };
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
    let words = match (compares, hanging) {
        (true, _) => "Drop a scene here to compare".to_owned(),
        (false, 1) => "Drop it to open it".to_owned(),
        (false, n) => format!("Drop {n} files to open them"),
    };
    painter.text(
        rect.center() + vec2(0.0, 18.0),
        Align2::CENTER_CENTER,
        words,
        theme::title(),
        theme::DARK.text,
    );
}

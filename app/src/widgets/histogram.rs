//! How often values occur, as bars; dragging over them sets a limit.

use egui::{CursorIcon, Rect, Role, Sense, Ui, WidgetInfo, pos2, vec2};

use crate::theme;

/// Height of the bars, points.
const HEIGHT: f32 = 40.0;

/// What a histogram shows.
pub struct Histogram<'a> {
    /// What screen readers call the limit.
    pub name: &'a str,
    /// Counts, from the least value to the greatest.
    pub counts: &'a [u32],
    /// Where the limit is, share of the width.
    pub limit: f32,
    /// Values above the limit are the ones that are kept.
    pub keeps_above: bool,
}

/// Shows a histogram; returns where the limit was dragged to, share of the width.
pub fn histogram(ui: &mut Ui, shown: &Histogram<'_>) -> Option<f32> {
    let (rect, response) =
        ui.allocate_exact_size(vec2(ui.available_width(), HEIGHT), Sense::click_and_drag());
    response.widget_info(|| {
        let mut info = WidgetInfo::labeled(Role::Slider, ui.is_enabled(), shown.name);
        info.value = Some(f64::from(shown.limit));
        info
    });
    let tokens = theme::tokens(ui);
    ui.painter()
        .rect_filled(rect, theme::RADIUS_SMALL, tokens.raised);
    let inner = rect.shrink2(vec2(2.0, 3.0));
    bars(ui, inner, shown);
    let x = inner.left() + inner.width() * shown.limit.clamp(0.0, 1.0);
    let stroke = egui::Stroke::new(1.5, tokens.text);
    ui.painter().vline(x, rect.y_range(), stroke);
    let response = response
        .on_hover_cursor(CursorIcon::ResizeHorizontal)
        .on_hover_text("Points by value; drag the line");
    let pointer = response.interact_pointer_pos()?;
    Some(((pointer.x - inner.left()) / inner.width()).clamp(0.0, 1.0))
}

/// Heights are logarithms of counts, so that rare values show.
fn bars(ui: &Ui, inner: Rect, shown: &Histogram<'_>) {
    let tokens = theme::tokens(ui);
    let most = shown.counts.iter().copied().max().unwrap_or(0).max(1);
    let log = |count: u32| (1.0 + count as f32).ln();
    let width = inner.width() / shown.counts.len().max(1) as f32;
    for (i, &count) in shown.counts.iter().enumerate() {
        let height = inner.height() * log(count) / log(most);
        let left = inner.left() + width * i as f32;
        let bar = Rect::from_min_max(
            pos2(left, inner.bottom() - height),
            pos2(left + (width - 0.5).max(0.5), inner.bottom()),
        );
        let middle = (i as f32 + 0.5) / shown.counts.len() as f32;
        let kept = (middle > shown.limit) == shown.keeps_above;
        let color = if kept { tokens.accent } else { tokens.muted };
        ui.painter().rect_filled(bar, 0.0, color);
    }
}

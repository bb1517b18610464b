//! Text in the studio's sizes, and numbers in people's words.

use std::sync::Arc;

use egui::text::{LayoutJob, TextWrapping};
use egui::{Color32, FontId, Galley, Label, Response, RichText, TextFormat, Ui};

use crate::theme;

/// Body text.
pub fn label(ui: &mut Ui, text: impl Into<String>) -> Response {
    let color = theme::tokens(ui).text;
    ui.add(Label::new(RichText::new(text).color(color)).truncate())
}

/// Body text that stands back.
pub fn muted(ui: &mut Ui, text: impl Into<String>) -> Response {
    let color = theme::tokens(ui).muted;
    ui.add(Label::new(RichText::new(text).color(color)).truncate())
}

/// Body text over as many lines as it needs.
pub fn wrapped(ui: &mut Ui, text: impl Into<String>, color: Color32) -> Response {
    ui.add(Label::new(RichText::new(text).color(color)).wrap())
}

/// Small text that stands back: labels and units.
pub fn caption(ui: &mut Ui, text: impl Into<String>) -> Response {
    let color = theme::tokens(ui).muted;
    ui.add(Label::new(RichText::new(text).font(theme::caption()).color(color)).truncate())
}

/// Small text that stands back, over as many lines as it needs.
pub fn wrapped_caption(ui: &mut Ui, text: impl Into<String>) -> Response {
    let color = theme::tokens(ui).muted;
    ui.add(Label::new(RichText::new(text).font(theme::caption()).color(color)).wrap())
}

/// The name of a thing.
pub fn strong(ui: &mut Ui, text: impl Into<String>) -> Response {
    let color = theme::tokens(ui).text;
    ui.add(Label::new(RichText::new(text).font(theme::strong()).color(color)).truncate())
}

/// The head of a section.
pub fn heading(ui: &mut Ui, text: impl Into<String>) -> Response {
    let color = theme::tokens(ui).text;
    ui.add(Label::new(RichText::new(text).font(theme::heading()).color(color)).truncate())
}

/// A name at the left and a value with its unit at the right; the whole value is in the tooltip.
pub fn fact_row(ui: &mut Ui, name: &str, value: &str, unit: &str) -> Response {
    let tokens = theme::tokens(ui);
    let (rect, response) =
        ui.allocate_exact_size(egui::vec2(ui.available_width(), 20.0), egui::Sense::hover());
    let gap = if unit.is_empty() {
        0.0
    } else {
        theme::space::XS
    };
    let unit_galley = elided(ui, unit, theme::caption(), tokens.muted, rect.width() * 0.4);
    let tail = unit_galley.size().x + gap;
    let most = rect.width() * 0.72 - tail;
    let value_galley = elided(ui, value, theme::body(), tokens.text, most);
    let value_width = value_galley.size().x;
    let left_for_name = rect.width() - value_width - tail - theme::space::M;
    let name_galley = elided(ui, name, theme::body(), tokens.muted, left_for_name);
    let top = rect.center().y - value_galley.size().y / 2.0;
    // The unit stands on the value's baseline, as near as two sizes of one font get.
    let unit_top = top + value_galley.size().y - unit_galley.size().y - 1.0;
    let unit_left = rect.right() - unit_galley.size().x;
    let painter = ui.painter();
    painter.galley(egui::pos2(rect.left(), top), name_galley, tokens.muted);
    painter.galley(egui::pos2(unit_left, unit_top), unit_galley, tokens.muted);
    painter.galley(
        egui::pos2(unit_left - gap - value_width, top),
        value_galley.clone(),
        tokens.text,
    );
    response.widget_info(|| {
        egui::WidgetInfo::labeled(
            egui::Role::Label,
            true,
            format!("{name} {value} {unit}").trim_end(),
        )
    });
    if value_galley.elided {
        response.on_hover_text(value)
    } else {
        response
    }
}

/// One line of text, cut with an ellipsis at `max_width`.
pub fn elided(ui: &Ui, text: &str, font: FontId, color: Color32, max_width: f32) -> Arc<Galley> {
    let mut job = LayoutJob::single_section(text.to_owned(), TextFormat::simple(font, color));
    job.wrap = TextWrapping::truncate_at_width(max_width.max(0.0));
    ui.painter().layout_job(job)
}

/// Seconds in people's words: "8 s", "1 min 20 s", "2 h 5 min", "38 days".
pub fn duration(secs: f64) -> String {
    let secs = secs.max(0.0).round() as u64;
    match secs {
        0..60 => format!("{secs} s"),
        60..3600 => format!("{} min {} s", secs / 60, secs % 60),
        3600..172_800 => format!("{} h {} min", secs / 3600, secs / 60 % 60),
        _ => format!("{} days", (secs + 43_200) / 86_400),
    }
}

/// Bytes in people's words: "640 KB", "12.4 MB".
pub fn bytes(bytes: u64) -> String {
    let (value, unit) = match bytes {
        0..1_000 => return format!("{bytes} B"),
        1_000..1_000_000 => (bytes as f64 / 1e3, "KB"),
        1_000_000..1_000_000_000 => (bytes as f64 / 1e6, "MB"),
        _ => (bytes as f64 / 1e9, "GB"),
    };
    if value < 10.0 {
        format!("{value:.1} {unit}")
    } else {
        format!("{value:.0} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_in_peoples_words() {
        assert_eq!(duration(7.6), "8 s");
        assert_eq!(duration(80.0), "1 min 20 s");
        assert_eq!(duration(7500.0), "2 h 5 min");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_500), "1.5 KB");
        assert_eq!(bytes(12_400_000), "12 MB");
    }
}

//! A number with its name above and its unit behind.

use std::ops::RangeInclusive;

use egui::{DragValue, Ui, vec2};

use super::text;
use crate::theme;

/// What a number field is about.
pub struct NumberField<'a> {
    /// Its name.
    pub name: &'a str,
    /// One sentence, with the field's own term.
    pub tooltip: &'a str,
    /// Least and greatest value.
    pub range: RangeInclusive<f64>,
    /// Points of drag per unit.
    pub speed: f64,
    /// Digits after the point.
    pub decimals: usize,
    /// Its unit, muted.
    pub suffix: &'a str,
    /// What a double click on the name goes back to.
    pub default: Option<f64>,
}

/// Shows a number field of the given width; returns the new value if it changed.
pub fn number_field(ui: &mut Ui, field: &NumberField<'_>, value: f64, width: f32) -> Option<f64> {
    shown(ui, field, (value, None), width)
}

/// A number field in which one value means that nothing is done: it reads "off", and takes that word.
pub fn number_or_off_field(
    ui: &mut Ui,
    field: &NumberField<'_>,
    (value, off): (f64, f64),
    width: f32,
) -> Option<f64> {
    shown(ui, field, (value, Some(off)), width)
}

fn shown(
    ui: &mut Ui,
    field: &NumberField<'_>,
    (value, off): (f64, Option<f64>),
    width: f32,
) -> Option<f64> {
    let mut edited = value;
    ui.vertical(|ui| {
        ui.set_width(width);
        ui.spacing_mut().item_spacing.y = 2.0;
        let name = text::caption(ui, field.name).interact(egui::Sense::click());
        if name.double_clicked()
            && let Some(default) = field.default
        {
            edited = default;
        }
        let drag = DragValue::new(&mut edited)
            .range(field.range.clone())
            .speed(field.speed)
            .fixed_decimals(field.decimals)
            .update_while_editing(false)
            .custom_formatter(|value, _| words(value, off, field.decimals))
            .custom_parser(|text| parsed(text, off))
            .suffix(field.suffix);
        let tooltip = match field.default {
            Some(default) => format!(
                "{}. Double-click the name for {}",
                field.tooltip,
                words(default, off, field.decimals)
            ),
            None => field.tooltip.to_owned(),
        };
        ui.add_sized(vec2(width, theme::ROW), drag)
            .labelled_by(name.id)
            .on_hover_text(tooltip);
    });
    // What is shown is what counts.
    (edited != value).then(|| snapped(edited, field.decimals))
}

/// The value that its digits stand for.
fn snapped(value: f64, decimals: usize) -> f64 {
    let steps = 10.0_f64.powi(decimals as i32);
    (value * steps).round() / steps
}

/// A value as it is shown.
fn words(value: f64, off: Option<f64>, decimals: usize) -> String {
    let number = format!("{value:.decimals$}");
    match off {
        Some(off) if value == off => "off".to_owned(),
        _ => number,
    }
}

/// The value that was typed.
fn parsed(text: &str, off: Option<f64>) -> Option<f64> {
    let text = text.trim();
    match off {
        Some(off) if text.eq_ignore_ascii_case("off") => Some(off),
        // A comma for the point, as in many languages.
        _ => text.replace(',', ".").parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_does_nothing_reads_off_and_is_typed_so() {
        assert_eq!(words(0.0, Some(0.0), 2), "off");
        assert_eq!(words(0.08, Some(0.0), 2), "0.08");
        assert_eq!(words(1.0, None, 1), "1.0");
        assert_eq!(snapped(0.004, 2), 0.0);
        assert_eq!(snapped(0.0799, 2), 0.08);
        assert_eq!(parsed(" Off ", Some(1.0)), Some(1.0));
        assert_eq!(parsed("0,08", Some(0.0)), Some(0.08));
        assert_eq!(parsed("off", None), None);
    }
}

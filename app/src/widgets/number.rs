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
            .suffix(field.suffix);
        let tooltip = match field.default {
            Some(default) => format!(
                "{}. Double-click the name for {default:.*}",
                field.tooltip, field.decimals
            ),
            None => field.tooltip.to_owned(),
        };
        ui.add_sized(vec2(width, theme::ROW), drag)
            .labelled_by(name.id)
            .on_hover_text(tooltip);
    });
    (edited != value).then_some(edited)
}

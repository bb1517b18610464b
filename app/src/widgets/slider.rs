//! A slider with its name, its value as an editable number, and a way back to the default.

use std::ops::RangeInclusive;

use egui::{Align, DragValue, Key, Layout, Role, Sense, Ui, WidgetInfo, pos2, vec2};

use super::{focus_ring, text};
use crate::theme;

/// What a slider is about.
pub struct SliderSpec<'a> {
    /// Its name.
    pub name: &'a str,
    /// Least and greatest value.
    pub range: RangeInclusive<f64>,
    /// Digits after the point.
    pub decimals: usize,
    /// Its unit.
    pub suffix: &'a str,
    /// What a double click goes back to.
    pub default: f64,
}

/// Shows a slider; returns the new value if it changed. Acts live.
pub fn slider(ui: &mut Ui, spec: &SliderSpec<'_>, value: f64) -> Option<f64> {
    let mut edited = value;
    let (low, high) = (*spec.range.start(), *spec.range.end());
    ui.vertical(|ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        ui.horizontal(|ui| {
            let name = text::muted(ui, spec.name);
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let drag = DragValue::new(&mut edited)
                    .range(spec.range.clone())
                    .speed((high - low) / 200.0)
                    .fixed_decimals(spec.decimals)
                    .suffix(spec.suffix);
                ui.add(drag).labelled_by(name.id);
            });
        });
        rail(ui, spec, &mut edited);
    });
    (edited != value).then_some(edited)
}

fn rail(ui: &mut Ui, spec: &SliderSpec<'_>, value: &mut f64) {
    let tokens = theme::tokens(ui);
    let (low, high) = (*spec.range.start(), *spec.range.end());
    let (rect, response) =
        ui.allocate_exact_size(vec2(ui.available_width(), 18.0), Sense::click_and_drag());
    let inner = rect.shrink2(vec2(6.0, 0.0));
    if let Some(pointer) = response.interact_pointer_pos() {
        let share = ((pointer.x - inner.left()) / inner.width()).clamp(0.0, 1.0);
        *value = low + (high - low) * f64::from(share);
    }
    if response.has_focus() {
        let step = (high - low) / 50.0;
        let pressed = |key| ui.input(|input| input.num_presses(key)) as f64;
        let by = step * (pressed(Key::ArrowRight) - pressed(Key::ArrowLeft));
        *value = (*value + by).clamp(low, high);
    }
    if response.double_clicked() {
        *value = spec.default;
    }
    response.widget_info(|| {
        let mut info = WidgetInfo::slider(ui.is_enabled(), *value, format!("{} slider", spec.name));
        info.role = Role::Slider;
        info
    });
    let share = ((*value - low) / (high - low)).clamp(0.0, 1.0) as f32;
    let handle = pos2(inner.left() + inner.width() * share, rect.center().y);
    let bar = |from: f32, to: f32| {
        egui::Rect::from_x_y_ranges(from..=to, handle.y - 1.5..=handle.y + 1.5)
    };
    let painter = ui.painter();
    painter.rect_filled(bar(inner.left(), inner.right()), 2.0, tokens.line);
    painter.rect_filled(bar(inner.left(), handle.x), 2.0, tokens.accent);
    let radius = if response.hovered() || response.dragged() {
        6.5
    } else {
        5.5
    };
    painter.circle_filled(handle, radius, tokens.accent);
    painter.circle_filled(handle, radius - 2.0, tokens.panel);
    focus_ring(ui, &response, rect);
    response.on_hover_text("Double-click to reset");
}

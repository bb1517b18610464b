//! A slider with its name, its value as an editable number, and a way back to the default.

use std::ops::RangeInclusive;

use egui::{Align, DragValue, Key, Layout, Role, Sense, Ui, WidgetInfo, pos2, vec2};

use super::{focus_ring, text};
use crate::theme;

/// Room for the number behind a slider's name, points.
const NUMBER: f32 = 60.0;

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

/// How values lie along a rail.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scale {
    Linear,
    /// Equal ratios take equal room; the least value is above zero.
    Logarithmic,
}

impl Scale {
    /// Where a value lies, share of the rail.
    fn share(self, range: &RangeInclusive<f64>, value: f64) -> f64 {
        let (low, high) = (*range.start(), *range.end());
        let share = match self {
            Self::Linear => (value - low) / (high - low),
            Self::Logarithmic => (value.max(low) / low).ln() / (high / low).ln(),
        };
        share.clamp(0.0, 1.0)
    }

    /// The value at a share of the rail.
    fn value(self, range: &RangeInclusive<f64>, share: f64) -> f64 {
        let (low, high) = (*range.start(), *range.end());
        match self {
            Self::Linear => low + (high - low) * share,
            Self::Logarithmic => low * (high / low).powf(share),
        }
    }
}

/// Shows a slider; returns the new value if it changed. Acts live.
pub fn slider(ui: &mut Ui, spec: &SliderSpec<'_>, value: f64) -> Option<f64> {
    scaled(ui, spec, Scale::Linear, value)
}

/// A slider on which equal ratios take equal room, as under a logarithmic histogram.
pub fn log_slider(ui: &mut Ui, spec: &SliderSpec<'_>, value: f64) -> Option<f64> {
    scaled(ui, spec, Scale::Logarithmic, value)
}

fn scaled(ui: &mut Ui, spec: &SliderSpec<'_>, scale: Scale, value: f64) -> Option<f64> {
    let mut edited = value;
    let (low, high) = (*spec.range.start(), *spec.range.end());
    let speed = match scale {
        Scale::Linear => (high - low) / 200.0,
        Scale::Logarithmic => value.max(low) / 50.0,
    };
    ui.vertical(|ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        ui.horizontal(|ui| {
            // A long name gives way to the number.
            let room = (ui.available_width() - NUMBER).max(0.0);
            let name = ui.scope(|ui| {
                ui.set_max_width(room);
                text::muted(ui, spec.name)
            });
            let name = name.inner;
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let drag = DragValue::new(&mut edited)
                    .range(spec.range.clone())
                    .speed(speed)
                    .fixed_decimals(spec.decimals)
                    .suffix(spec.suffix);
                ui.add(drag).labelled_by(name.id);
            });
        });
        rail(ui, spec, scale, &mut edited);
    });
    (edited != value).then_some(edited)
}

fn rail(ui: &mut Ui, spec: &SliderSpec<'_>, scale: Scale, value: &mut f64) {
    let tokens = theme::tokens(ui);
    let (rect, response) =
        ui.allocate_exact_size(vec2(ui.available_width(), 18.0), Sense::click_and_drag());
    let inner = rect.shrink2(vec2(6.0, 0.0));
    if let Some(pointer) = response.interact_pointer_pos() {
        let share = ((pointer.x - inner.left()) / inner.width()).clamp(0.0, 1.0);
        *value = scale.value(&spec.range, f64::from(share));
    }
    if response.has_focus() {
        let pressed = |key| ui.input(|input| input.num_presses(key)) as f64;
        let by = (pressed(Key::ArrowRight) - pressed(Key::ArrowLeft)) / 50.0;
        if by != 0.0 {
            let share = scale.share(&spec.range, *value) + by;
            *value = scale.value(&spec.range, share.clamp(0.0, 1.0));
        }
    }
    if response.double_clicked() {
        *value = spec.default;
    }
    response.widget_info(|| {
        let mut info = WidgetInfo::slider(ui.is_enabled(), *value, format!("{} slider", spec.name));
        info.role = Role::Slider;
        info
    });
    let share = scale.share(&spec.range, *value) as f32;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_lies_where_its_share_leads_back_to_it() {
        let range = 0.1..=1000.0;
        for scale in [Scale::Linear, Scale::Logarithmic] {
            for value in [0.1, 0.5, 10.0, 999.0, 1000.0] {
                let share = scale.share(&range, value);
                assert!((scale.value(&range, share) / value - 1.0).abs() < 1e-9);
            }
            assert_eq!(scale.share(&range, 0.0), 0.0);
            assert_eq!(scale.share(&range, 1e9), 1.0);
        }
        assert!((Scale::Logarithmic.share(&range, 10.0) - 0.5).abs() < 1e-9);
    }
}

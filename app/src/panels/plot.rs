//! A measure over time: a line with the playhead, which can be scrubbed, and its export as a table.

use egui::{
    Align, Align2, Layout, Margin, Pos2, Rect, Role, Sense, Stroke, Ui, WidgetInfo, pos2, vec2,
};
use egui_material_icons::icons;

use super::{Panel, centre};
use crate::state::AppCommand;
use crate::state::command::{Pick, TimeEdit};
use crate::state::measures::{Measure, MeasureEdit, MeasureKind, Series, figures};
use crate::theme::{self, space};
use crate::timeline::Scale;
use crate::widgets::{self, PushButton};

/// Room for the figures left of the plot, points.
const GUTTER: f32 = 64.0;

/// Shows the plot that is open; true if the pane is dragged by its head.
pub fn plot_ui(ui: &mut Ui, panel: &mut Panel<'_>) -> bool {
    let state = panel.state;
    let Some(measure) = state.plots.open.and_then(|id| state.measures.measure(id)) else {
        panel.push(AppCommand::Measure(MeasureEdit::Plot(None)));
        return false;
    };
    let ground = theme::tokens(ui).panel;
    let whole = ui.max_rect();
    ui.painter().rect_filled(whole, 0.0, ground);
    let strip = Rect::from_min_size(whole.min, vec2(whole.width(), theme::ROW + 8.0));
    let dragged = centre::handle_ui(ui, strip, "plot");
    let series = state.plots.series.get(&measure.id).cloned();
    egui::Frame::new()
        .inner_margin(Margin {
            left: 12,
            right: 12,
            top: 6,
            bottom: 6,
        })
        .show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = space::XS;
            head_ui(ui, panel, (measure, series.as_deref()));
            let (rect, response) =
                ui.allocate_exact_size(ui.available_size(), Sense::click_and_drag());
            response.widget_info(|| {
                let name = format!("{} over time", measure.name);
                WidgetInfo::labeled(Role::Slider, true, name)
            });
            match series {
                Some(series) => line_ui(ui, panel, (rect, &response), (measure, &series)),
                None => {
                    let circle = Rect::from_center_size(rect.center(), vec2(24.0, 24.0));
                    widgets::spinner(ui, circle, theme::tokens(ui).accent);
                }
            }
        });
    dragged
}

/// Name, value at the frame on screen, how points were followed, export and close.
fn head_ui(ui: &mut Ui, panel: &mut Panel<'_>, (measure, series): (&Measure, Option<&Series>)) {
    let row = vec2(ui.available_width(), theme::ROW);
    ui.allocate_ui_with_layout(row, Layout::right_to_left(Align::Center), |ui| {
        let close =
            PushButton::icon(icons::ICON_CLOSE, "Close the plot").tooltip("Closes the plot");
        if ui.add(close).clicked() {
            panel.push(AppCommand::Measure(MeasureEdit::Plot(None)));
        }
        let export = PushButton::secondary("Export CSV…")
            .with_icon(icons::ICON_DOWNLOAD)
            .tooltip("Saves frame, time and value as a table");
        if ui.add_enabled(series.is_some(), export).clicked() {
            panel.push(AppCommand::Pick(Pick::Series(measure.id)));
        }
        ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
            widgets::strong(ui, format!("{} over time", measure.name));
            let Some(series) = series else {
                return;
            };
            let lengths = &panel.state.lengths;
            let frame = panel.state.frame();
            let now = match series.values.get(frame).copied().flatten() {
                Some(value) => lengths.words(measure.kind, value),
                None => "no point here".to_owned(),
            };
            widgets::label(ui, format!("{now} at frame {}", frame + 1));
        });
    });
}

fn line_ui(
    ui: &Ui,
    panel: &mut Panel<'_>,
    (rect, response): (Rect, &egui::Response),
    (measure, series): (&Measure, &Series),
) {
    let tokens = theme::tokens(ui);
    let mut plot = rect;
    plot.set_left(rect.left() + GUTTER);
    plot.set_bottom(rect.bottom() - 14.0);
    ui.painter()
        .rect_filled(plot, theme::RADIUS_SMALL, tokens.raised);
    let Some((low, high)) = series.extent() else {
        ui.painter().text(
            plot.center(),
            Align2::CENTER_CENTER,
            "Its points are in no frame",
            theme::body(),
            tokens.muted,
        );
        return;
    };
    let axis = Axis::around(low, high, plot);
    let factor = match measure.kind {
        MeasureKind::Distance => panel.state.lengths.factor(),
        MeasureKind::Angle => 1.0_f64.to_degrees(),
    };
    let unit = match measure.kind {
        MeasureKind::Distance => panel.state.lengths.unit(),
        MeasureKind::Angle => "°",
    };
    for share in [0.0, 0.5, 1.0] {
        let value = axis.low + (axis.high - axis.low) * share;
        let y = axis.y(value);
        ui.painter().hline(plot.x_range(), y, theme::hairline(ui));
        ui.painter().text(
            pos2(plot.left() - 6.0, y),
            Align2::RIGHT_CENTER,
            format!("{} {unit}", figures(value * factor)),
            theme::caption(),
            tokens.muted,
        );
    }
    ui.painter().text(
        plot.right_top() + vec2(-space::S, 4.0),
        Align2::RIGHT_TOP,
        series.followed.label(),
        theme::caption(),
        tokens.muted,
    );
    let scale = Scale::new(plot.x_range(), series.values.len());
    labels(ui, rect, &scale, series.values.len());
    curve(ui, &scale, &axis, series);
    let x = scale.centre(panel.state.frame());
    ui.painter()
        .vline(x, plot.y_range(), Stroke::new(2.0, tokens.accent));
    if let Some(Some(value)) = series.values.get(panel.state.frame()) {
        let at = pos2(x, axis.y(*value));
        ui.painter().circle_filled(at, 4.0, tokens.accent);
    }
    if let Some(pointer) = response.interact_pointer_pos()
        && (response.clicked() || response.dragged() || response.is_pointer_button_down_on())
    {
        let frame = scale.frame_at(pointer.x);
        panel.push(AppCommand::Time(TimeEdit::Seek(frame)));
    }
}

/// Values to heights, with room above and below.
struct Axis {
    low: f64,
    high: f64,
    place: Rect,
}

impl Axis {
    fn around(low: f64, high: f64, place: Rect) -> Self {
        // A value that does not change lies in the middle of a tenth of itself.
        let room = ((high - low) * 0.1).max(high.abs() * 0.02).max(1e-9);
        Self {
            low: low - room,
            high: high + room,
            place: place.shrink2(vec2(0.0, 6.0)),
        }
    }

    fn y(&self, value: f64) -> f32 {
        let share = (value - self.low) / (self.high - self.low);
        self.place.bottom() - self.place.height() * share as f32
    }
}

/// A line through the values, broken where one is missing; a lone value is a dot.
fn curve(ui: &Ui, scale: &Scale, axis: &Axis, series: &Series) {
    let color = theme::tokens(ui).text;
    let mut run: Vec<Pos2> = Vec::new();
    let finish = |run: &mut Vec<Pos2>| {
        match run.as_slice() {
            [] => {}
            [lone] => {
                ui.painter().circle_filled(*lone, 2.0, color);
            }
            _ => {
                let stroke = Stroke::new(1.75, color);
                ui.painter().add(egui::Shape::line(run.clone(), stroke));
            }
        }
        run.clear();
    };
    for (frame, value) in series.values.iter().enumerate() {
        match value {
            Some(value) => run.push(pos2(scale.centre(frame), axis.y(*value))),
            None => finish(&mut run),
        }
    }
    finish(&mut run);
}

fn labels(ui: &Ui, rect: Rect, scale: &Scale, num_frames: usize) {
    let tokens = theme::tokens(ui);
    let step = scale.label_step(52.0);
    for frame in (0..num_frames).step_by(step) {
        ui.painter().text(
            pos2(scale.centre(frame), rect.bottom()),
            Align2::CENTER_BOTTOM,
            frame + 1,
            theme::caption(),
            tokens.muted,
        );
    }
}

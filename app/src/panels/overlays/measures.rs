//! Measures as lines over the view, and the points that are chosen or being placed.

use egui::{Color32, CursorIcon, Pos2, Rect, Role, Sense, Stroke, Ui, WidgetInfo, pos2};
use glam::DVec3;

use super::chip;
use crate::panels::{Panel, measure, toolbar};
use crate::state::AppCommand;
use crate::state::measures::{Anchor, Measure, MeasureEdit, MeasureKind, Tool};
use crate::theme;
use crate::viewport::Projection;

/// What a tool in hand waits for, below the tools of a view: who looks at the scene does not look at
/// the panel.
pub fn hint_ui(ui: &Ui, panel: &Panel<'_>, view: Rect) {
    if let Some(words) = measure::next_click(panel.state) {
        let y = view.top() + toolbar::height(view) + 14.0;
        chip(
            ui,
            pos2(view.center().x, y),
            &words,
            theme::tokens(ui).accent,
        );
    }
}

/// Draws every measure, what is being placed and what is chosen.
pub fn measures_ui(
    ui: &Ui,
    panel: &mut Panel<'_>,
    projection: &Projection,
    hovered: Option<DVec3>,
) {
    let state = panel.state;
    for measure in state.measures.list() {
        measure_ui(ui, panel, projection, measure);
    }
    let tokens = theme::tokens(ui);
    if let Tool::Measure(kind) = state.tool {
        let placed: Vec<DVec3> = state
            .measures
            .pending
            .iter()
            .map(Anchor::position)
            .collect();
        pending_ui(ui, panel, projection, (kind, &placed, hovered));
    } else if let Some(at) = state
        .selection
        .and_then(|anchor| projection.to_window(anchor.position()))
    {
        let stroke = Stroke::new(1.5, tokens.accent);
        ui.painter().circle_stroke(at, 5.0, stroke);
        ui.painter().circle_filled(at, 1.5, tokens.accent);
    }
}

fn measure_ui(ui: &Ui, panel: &mut Panel<'_>, projection: &Projection, measure: &Measure) {
    let state = panel.state;
    let tokens = theme::tokens(ui);
    let marked = state.measures.selected == Some(measure.id);
    // While it is plotted it goes with the frames.
    let series = state.plots.series.get(&measure.id);
    let followed = series
        .filter(|_| state.plots.open == Some(measure.id))
        .and_then(|series| series.points.get(state.frame()))
        .filter(|points| !points.is_empty());
    let here = followed.is_some()
        || measure
            .anchors
            .iter()
            .any(|anchor| anchor.frame_idx == state.frame());
    let color = match (marked, here) {
        (true, _) => tokens.accent,
        (false, true) => tokens.text,
        // Its points belong to another moment.
        (false, false) => theme::fade(tokens.text, 0.45),
    };
    let points: Vec<DVec3> = match followed {
        Some(points) => points.clone(),
        None => measure.anchors.iter().map(Anchor::position).collect(),
    };
    let Some(places) = lines(ui, projection, &points, color) else {
        return;
    };
    let label = match measure.kind {
        MeasureKind::Distance => places[0].lerp(places[1], 0.5),
        MeasureKind::Angle => places[1],
    };
    let value = measure.kind.value(&points).unwrap_or(f64::NAN);
    let words = state.lengths.words(measure.kind, value);
    let centre = label - egui::vec2(0.0, 16.0);
    if !ui.clip_rect().contains(centre) {
        return;
    }
    let ground = chip(ui, centre, &words, color);
    let id = ui.scope_id().with(("measure", measure.id));
    let response = ui
        .interact(ground, id, Sense::click())
        .on_hover_cursor(CursorIcon::PointingHand)
        .on_hover_text(&measure.name);
    response.widget_info(|| {
        let name = format!("{} in the view", measure.name);
        WidgetInfo::labeled(Role::Button, true, name)
    });
    if response.clicked() {
        panel.push(AppCommand::Measure(MeasureEdit::Select(Some(measure.id))));
    }
}

/// Lines and dots; `None` if a point is behind the eye.
fn lines(ui: &Ui, projection: &Projection, points: &[DVec3], color: Color32) -> Option<Vec<Pos2>> {
    let places: Option<Vec<Pos2>> = points.iter().map(|p| projection.to_window(*p)).collect();
    let places = places?;
    let tokens = theme::tokens(ui);
    let painter = ui.painter();
    for pair in places.windows(2) {
        // A dark edge keeps the line readable on any picture.
        let edge = Stroke::new(3.5, theme::fade(tokens.canvas, 0.6));
        painter.line_segment([pair[0], pair[1]], edge);
        painter.line_segment([pair[0], pair[1]], Stroke::new(1.5, color));
    }
    for place in &places {
        painter.circle_filled(*place, 4.5, theme::fade(tokens.canvas, 0.6));
        painter.circle_filled(*place, 3.0, color);
    }
    Some(places)
}

/// What has been placed, with a line to the point under the pointer and the value so far.
fn pending_ui(
    ui: &Ui,
    panel: &Panel<'_>,
    projection: &Projection,
    (kind, placed, hovered): (MeasureKind, &[DVec3], Option<DVec3>),
) {
    let tokens = theme::tokens(ui);
    let mut points = placed.to_vec();
    points.extend(hovered);
    let Some(places) = lines(ui, projection, &points, tokens.accent) else {
        return;
    };
    if let (Some(value), Some(at)) = (kind.value(&points), places.last()) {
        let words = panel.state.lengths.words(kind, value);
        chip(ui, *at - egui::vec2(0.0, 18.0), &words, tokens.accent);
    }
}

//! The Measure page of the Inspect panel: the list of measures, and the scale of lengths.

use egui::{Align, DragValue, Layout, Popup, Role, Sense, TextEdit, Ui, WidgetInfo, vec2};
use egui_material_icons::icons;

use super::Panel;
use crate::state::measures::{LengthUnit, Measure, MeasureEdit, MeasureKind, Tool, figures};
use crate::state::scene::{OpenScene, explain_scale};
use crate::state::{Action, AppCommand, AppState};
use crate::theme::{self, space};
use crate::widgets::{self, PushButton, section};

/// Shows the page.
pub fn measure_ui(ui: &mut Ui, panel: &mut Panel<'_>, open: &OpenScene) {
    ui.add_space(space::S);
    tools_ui(ui, panel);
    selection_ui(ui, panel);
    section(ui, "Measures", |ui| list_ui(ui, panel));
    section(ui, "Scale", |ui| scale_ui(ui, panel, open));
}

fn tools_ui(ui: &mut Ui, panel: &mut Panel<'_>) {
    let width = (ui.available_width() - space::S) / 2.0;
    ui.horizontal(|ui| {
        for (action, kind, word) in [
            (Action::MeasureDistance, MeasureKind::Distance, "Distance"),
            (Action::MeasureAngle, MeasureKind::Angle, "Angle"),
        ] {
            let button = PushButton::secondary(word)
                .with_icon(action.spec().icon)
                .selected(panel.state.tool == Tool::Measure(kind))
                .width(width)
                .height(theme::TOUCH)
                .tooltip(widgets::tooltip_with_keys(action));
            if ui.add(button).clicked() {
                panel.push(AppCommand::Act(action));
            }
        }
    });
    if let Some(words) = next_click(panel.state) {
        widgets::wrapped(ui, words, theme::tokens(ui).accent);
    }
}

/// What a measuring tool in hand waits for.
pub(super) fn next_click(state: &AppState) -> Option<String> {
    let Tool::Measure(kind) = state.tool else {
        return None;
    };
    Some(format!(
        "Click point {} of {} in the view; Esc puts the tool down.",
        state.measures.pending.len() + 1,
        kind.num_points()
    ))
}

/// The chosen point in full figures.
fn selection_ui(ui: &mut Ui, panel: &Panel<'_>) {
    let Some(anchor) = panel.state.selection else {
        return;
    };
    let lengths = &panel.state.lengths;
    section(ui, "Chosen point", |ui| {
        for (name, value) in ["x", "y", "z"].into_iter().zip(anchor.point) {
            let text = format!("{:.5}", value * lengths.factor());
            widgets::fact_row(ui, name, &text, lengths.unit());
        }
        let pixel = format!("{}, {}", anchor.column, anchor.row);
        widgets::fact_row(ui, "Pixel", &pixel, "");
        widgets::fact_row(ui, "Frame", &(anchor.frame_idx + 1).to_string(), "");
    });
}

fn list_ui(ui: &mut Ui, panel: &mut Panel<'_>) {
    let state = panel.state;
    if state.measures.list().is_empty() {
        let words = "None yet. Choose Distance, then click two points of the scene.";
        widgets::wrapped(ui, words, theme::tokens(ui).muted);
        return;
    }
    for measure in state.measures.list() {
        ui.push_id(measure.id, |ui| row_ui(ui, panel, measure));
    }
    let selected = state.measures.selected;
    if let Some(measure) = selected.and_then(|id| state.measures.measure(id)) {
        ui.add_space(space::XS);
        chosen_ui(ui, panel, measure);
    }
}

/// Name and value; a click marks it.
fn row_ui(ui: &mut Ui, panel: &mut Panel<'_>, measure: &Measure) {
    let state = panel.state;
    let tokens = theme::tokens(ui);
    let marked = state.measures.selected == Some(measure.id);
    let words = measure.words(&state.lengths);
    let (rect, response) =
        ui.allocate_exact_size(vec2(ui.available_width(), theme::TOUCH), Sense::click());
    response.widget_info(|| {
        let name = format!("{} {words}", measure.name);
        WidgetInfo::selected(Role::Button, true, marked, name)
    });
    let fill = match (marked, response.hovered()) {
        (true, _) => tokens.accent_soft,
        (false, true) => tokens.hover,
        (false, false) => tokens.raised,
    };
    ui.painter().rect_filled(rect, theme::RADIUS_SMALL, fill);
    let mut row = ui.new_child(
        egui::UiBuilder::new()
            .max_rect(rect.shrink2(vec2(space::S, 0.0)))
            .layout(Layout::left_to_right(Align::Center)),
    );
    let icon = match measure.kind {
        MeasureKind::Distance => icons::ICON_SQUARE_FOOT,
        MeasureKind::Angle => icons::ICON_ARCHITECTURE,
    };
    row.label(
        egui::RichText::new(icon.codepoint)
            .font(theme::icon_font(icon, theme::ICON))
            .color(tokens.muted),
    );
    row.with_layout(Layout::right_to_left(Align::Center), |ui| {
        widgets::strong(ui, &words);
        ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
            widgets::label(ui, &measure.name);
        });
    });
    widgets::focus_ring(ui, &response, rect);
    if response.clicked() {
        let next = (!marked).then_some(measure.id);
        panel.push(AppCommand::Measure(MeasureEdit::Select(next)));
    }
}

/// What can be done with the marked measure.
fn chosen_ui(ui: &mut Ui, panel: &mut Panel<'_>, measure: &Measure) {
    let id = measure.id;
    let mut name = measure.name.clone();
    let label = widgets::caption(ui, "Name");
    let edit = TextEdit::singleline(&mut name)
        .desired_width(f32::INFINITY)
        .margin(egui::Margin::symmetric(8, 5));
    if ui.add(edit).labelled_by(label.id).changed() {
        panel.push(AppCommand::Measure(MeasureEdit::Rename(id, name)));
    }
    let plotted = panel.state.plots.open == Some(id);
    let plot = PushButton::secondary("Plot over time")
        .with_icon(icons::ICON_SHOW_CHART)
        .selected(plotted)
        .width(ui.available_width())
        .tooltip("Follows its points over all frames; the plot can be exported as CSV");
    if ui.add(plot).clicked() {
        let next = (!plotted).then_some(id);
        panel.push(AppCommand::Measure(MeasureEdit::Plot(next)));
    }
    ui.horizontal(|ui| {
        if measure.kind == MeasureKind::Distance {
            known_length_ui(ui, panel, measure);
        }
        let delete = PushButton::quiet("Delete").with_icon(icons::ICON_DELETE);
        if ui.add(delete).clicked() {
            panel.push(AppCommand::Measure(MeasureEdit::Delete(id)));
        }
    });
}

/// Sets the scale from what a person knows of a distance.
fn known_length_ui(ui: &mut Ui, panel: &mut Panel<'_>, measure: &Measure) {
    let button = PushButton::quiet("Set length…")
        .with_icon(icons::ICON_STRAIGHTEN)
        .tooltip("You know how long this is? Then all lengths get a unit");
    let response = ui.add(button);
    let memory = response.id.with("known-length");
    Popup::menu(&response)
        .close_behavior(egui::PopupCloseBehavior::CloseOnClickOutside)
        .style(egui::style::StyleModifier::default())
        .gap(4.0)
        .show(|ui| {
            ui.set_width(220.0);
            let known = panel.state.lengths.known;
            let (mut length, mut unit) = ui
                .data(|data| data.get_temp::<(f64, LengthUnit)>(memory))
                .unwrap_or((
                    measure.value() * known.map_or(1.0, |k| k.factor),
                    known.map_or(LengthUnit::Metre, |k| k.unit),
                ));
            widgets::strong(ui, "This distance is");
            let drag = DragValue::new(&mut length)
                .range(1e-6..=1e6)
                .speed(0.01)
                .max_decimals(4);
            ui.add_sized(vec2(ui.available_width(), theme::ROW), drag)
                .accessible_name("Known length");
            let units = LengthUnit::ALL.map(|unit| (unit, unit.label(), None));
            if let Some(chosen) = widgets::segmented(ui, &units, unit) {
                unit = chosen;
            }
            ui.data_mut(|data| data.insert_temp(memory, (length, unit)));
            let set = PushButton::primary("Set scale").width(ui.available_width());
            if ui.add(set).clicked() {
                let edit = MeasureEdit::KnownLength(measure.id, length, unit);
                panel.push(AppCommand::Measure(edit));
                ui.close();
            }
        });
}

/// What lengths mean, and the way back to the scene's own unit.
fn scale_ui(ui: &mut Ui, panel: &mut Panel<'_>, open: &OpenScene) {
    let tokens = theme::tokens(ui);
    let Some(known) = panel.state.lengths.known else {
        let (word, sentence) = explain_scale(open.scene.meta.scale);
        widgets::fact_row(ui, "Scale", word, "");
        widgets::wrapped(ui, sentence, tokens.muted);
        let hint = "Measure something whose length you know, then choose “Set length…”.";
        widgets::wrapped(ui, hint, tokens.muted);
        return;
    };
    widgets::fact_row(
        ui,
        "A scene unit is",
        &figures(known.factor),
        known.unit.label(),
    );
    let words = "Set by you from a known length. Measures, plots and exports use it.";
    widgets::wrapped(ui, words, tokens.muted);
    let back = PushButton::quiet("Back to the scene's own unit").with_icon(icons::ICON_RESTART_ALT);
    if ui.add(back).clicked() {
        panel.push(AppCommand::Measure(MeasureEdit::ForgetScale));
    }
}

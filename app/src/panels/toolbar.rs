//! The tools over the upper left corner of the view.

use egui::{Align, Frame, Layout, Margin, Popup, Rect, Ui, UiBuilder, vec2};
use egui_material_icons::icons;

use super::Panel;
use crate::shortcuts;
use crate::state::measures::{MeasureKind, Tool};
use crate::state::{Action, AppCommand};
use crate::theme::{self, space};
use crate::viewport::{ColourMode, DrawMode, Overlay};
use crate::widgets::{self, PushButton, action_icon, switch};

/// Room that the axes in the other corner take, points.
const AXES: f32 = 120.0;
/// Room in which all tools fit into one row, points.
const WIDE: f32 = 470.0;
/// Height of a row, points.
const ROW: f32 = 34.0;

/// Shows the tools, in two rows where one is too short.
pub fn toolbar_ui(ui: &mut Ui, panel: &mut Panel<'_>, view: Rect) {
    let place = Rect::from_min_size(
        view.min + vec2(space::M, space::M),
        vec2(view.width() - AXES, ROW),
    );
    if place.width() > WIDE {
        bar_ui(ui, view, place, |ui| {
            look_ui(ui, panel);
            divider(ui);
            tools_ui(ui, panel);
        });
    } else {
        bar_ui(ui, view, place, |ui| look_ui(ui, panel));
        let below = place.translate(vec2(0.0, ROW + space::XS));
        bar_ui(ui, view, below, |ui| tools_ui(ui, panel));
    }
}

/// Height that the tools take from the top of a view, points.
pub(super) fn height(view: Rect) -> f32 {
    let rows = if view.width() - AXES > WIDE { 1.0 } else { 2.0 };
    space::M + rows * (ROW + space::XS) + space::XS
}

fn bar_ui(ui: &mut Ui, view: Rect, place: Rect, add_contents: impl FnOnce(&mut Ui)) {
    let tokens = theme::tokens(ui);
    let mut row = ui.new_child(
        UiBuilder::new()
            .max_rect(place)
            .layout(Layout::left_to_right(Align::Center)),
    );
    row.set_clip_rect(view.intersect(ui.clip_rect()));
    Frame::new()
        .fill(theme::fade(tokens.panel, 0.92))
        .corner_radius(8)
        .stroke(theme::hairline(ui))
        .inner_margin(Margin::same(3))
        .show(&mut row, |ui| {
            ui.spacing_mut().item_spacing.x = 2.0;
            add_contents(ui);
        });
}

fn look_ui(ui: &mut Ui, panel: &mut Panel<'_>) {
    let view = panel.state.view;
    let options = view.options;
    action_icon(ui, Action::Focus, false, panel.commands);
    action_icon(ui, Action::LookThrough, view.look_through, panel.commands);
    divider(ui);
    for (action, draw) in [
        (Action::DrawPoints, DrawMode::Points),
        (Action::DrawSurface, DrawMode::Surface),
    ] {
        action_icon(ui, action, options.draw == draw, panel.commands);
    }
    colour_menu(ui, panel);
}

fn tools_ui(ui: &mut Ui, panel: &mut Panel<'_>) {
    let state = panel.state;
    let options = state.view.options;
    for (action, on) in [
        (Action::ToggleEyeDome, options.eye_dome.is_some()),
        (Action::ToggleGhosts, options.ghosts.is_some()),
        (Action::ToggleSource, state.companions.source),
    ] {
        action_icon(ui, action, on, panel.commands);
    }
    overlay_menu(ui, panel);
    divider(ui);
    let measuring = |kind| state.tool == Tool::Measure(kind);
    for (action, on) in [
        (Action::MeasureDistance, measuring(MeasureKind::Distance)),
        (Action::MeasureAngle, measuring(MeasureKind::Angle)),
        (Action::ToggleClipBox, options.clip_box.is_some()),
    ] {
        action_icon(ui, action, on, panel.commands);
    }
}

/// What colours the points, with the keys.
fn colour_menu(ui: &mut Ui, panel: &mut Panel<'_>) {
    let colour = panel.state.view.options.colour;
    let name = format!("Colour: {}", colour.label());
    let button = if ui.available_width() > 150.0 {
        PushButton::quiet(&name).with_icon(icons::ICON_PALETTE)
    } else {
        PushButton::icon(icons::ICON_PALETTE, &name)
    };
    let button = button.tooltip("What the colours of points show (1 to 8)");
    let response = ui.add(button);
    Popup::menu(&response).gap(6.0).show(|ui| {
        ui.spacing_mut().item_spacing.y = 2.0;
        for (action, mode) in COLOURS.into_iter().zip(ColourMode::ALL) {
            let keys = action.spec().keys.first().map(|key| shortcuts::text(*key));
            let choice = egui::Button::selectable(mode == colour, mode.label())
                .shortcut_text(keys.unwrap_or_default())
                .min_size(vec2(150.0, theme::ROW));
            let choice = ui.add(choice).on_hover_text(action.spec().tooltip);
            if choice.clicked() {
                panel.push(AppCommand::Act(action));
                ui.close();
            }
        }
    });
}

const COLOURS: [Action; 8] = [
    Action::ColourRgb,
    Action::ColourDepth,
    Action::ColourHeight,
    Action::ColourConfidence,
    Action::ColourNormal,
    Action::ColourFrame,
    Action::ColourFlow,
    Action::ColourMask,
];

/// What is drawn besides the points.
fn overlay_menu(ui: &mut Ui, panel: &mut Panel<'_>) {
    let button = PushButton::icon(icons::ICON_LAYERS, "Shown around the points")
        .tooltip("Cameras, path, grid, axes, flow and tracks");
    let response = ui.add(button);
    Popup::menu(&response)
        .close_behavior(egui::PopupCloseBehavior::CloseOnClickOutside)
        .style(egui::style::StyleModifier::default())
        .gap(6.0)
        .show(|ui| {
            ui.set_width(180.0);
            ui.spacing_mut().item_spacing.y = 0.0;
            let mut options = panel.state.view.options;
            widgets::caption(ui, "Around the points");
            for overlay in Overlay::ALL {
                let (changed, _) = switch(ui, overlay.label(), options.overlays.has(overlay));
                if let Some(shown) = changed {
                    options.overlays = options.overlays.with(overlay, shown);
                    panel.push(AppCommand::ViewOptions(options));
                }
            }
        });
}

fn divider(ui: &mut Ui) {
    let (rect, _) = ui.allocate_exact_size(vec2(7.0, 18.0), egui::Sense::hover());
    ui.painter()
        .vline(rect.center().x, rect.y_range(), theme::hairline(ui));
}

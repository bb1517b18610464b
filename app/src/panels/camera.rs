//! The Camera page of the Inspect panel: where the scene is seen from.

use egui::Ui;
use egui_material_icons::icons;

use super::{Panel, inspect};
use crate::state::scene::OpenScene;
use crate::state::{Action, AppCommand};
use crate::theme::{self, space};
use crate::viewport::Orbit;
use crate::widgets::{self, PushButton, SliderSpec, action_button, section, slider, switch};

/// Shows the page.
pub fn camera_page_ui(ui: &mut Ui, panel: &mut Panel<'_>, open: &OpenScene) {
    section(ui, "Source camera", |ui| source_ui(ui, panel, open));
    section(ui, "Free view", |ui| free_ui(ui, panel));
    section(ui, "Up", |ui| {
        action_button(ui, Action::LevelToGround, panel.commands);
        action_button(ui, Action::LevelToCamera, panel.commands);
    });
    inspect::camera_ui(ui, panel, open);
    section(ui, "Picture", |ui| {
        let save = PushButton::secondary(Action::Screenshot.spec().name)
            .with_icon(icons::ICON_PHOTO_CAMERA_BACK)
            .width(ui.available_width())
            .tooltip(widgets::tooltip_with_keys(Action::Screenshot));
        if ui.add(save).clicked() {
            panel.push(AppCommand::Act(Action::Screenshot));
        }
    });
}

fn source_ui(ui: &mut Ui, panel: &mut Panel<'_>, open: &OpenScene) {
    let state = panel.state;
    if open.scene.cameras.is_some() {
        toggle(ui, panel, Action::LookThrough, state.view.look_through);
        let spec = SliderSpec {
            name: "Picture over the view",
            range: 0.0..=100.0,
            decimals: 0,
            suffix: " %",
            default: 0.0,
        };
        let value = f64::from(state.companions.underlay) * 100.0;
        ui.add_enabled_ui(state.view.look_through, |ui| {
            if let Some(percent) = slider(ui, &spec, value) {
                panel.push(AppCommand::Underlay(percent as f32 / 100.0));
            }
        });
        if !state.view.look_through {
            let words = "Look through the camera first: the picture lies over that view.";
            widgets::wrapped(ui, words, theme::tokens(ui).muted);
        }
    } else {
        widgets::muted(ui, "This scene has no cameras.");
    }
    toggle(ui, panel, Action::ToggleSource, state.companions.source);
}

fn free_ui(ui: &mut Ui, panel: &mut Panel<'_>) {
    let state = panel.state;
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = space::XS;
        let width = (ui.available_width() - 2.0 * space::XS) / 3.0;
        for (action, word) in [
            (Action::ViewFront, "Front"),
            (Action::ViewTop, "Top"),
            (Action::ViewSide, "Side"),
        ] {
            let button = PushButton::secondary(word)
                .width(width)
                .tooltip(widgets::tooltip_with_keys(action));
            if ui.add(button).clicked() {
                panel.push(AppCommand::Act(action));
            }
        }
    });
    toggle(
        ui,
        panel,
        Action::Orthographic,
        state.view.goal().orthographic,
    );
    let spec = SliderSpec {
        name: "Field of view",
        range: 10.0..=120.0,
        decimals: 0,
        suffix: "°",
        default: Orbit::default().field_of_view_rad.to_degrees(),
    };
    let orbit = state.view.goal();
    let degrees = orbit.field_of_view_rad.to_degrees();
    if let Some(degrees) = slider(ui, &spec, degrees) {
        let mut view = state.view;
        view.motion = None;
        view.orbit = orbit.with_field_of_view(degrees.to_radians());
        panel.push(AppCommand::View(Box::new(view)));
    }
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 2.0;
        action_button(ui, Action::Focus, panel.commands);
        action_button(ui, Action::ShowAll, panel.commands);
    });
    toggle(ui, panel, Action::ToggleStats, state.companions.stats);
    let words = "Drag orbits, Shift and drag pans, the wheel goes nearer, a double click moves to \
                 a point, the right button with W A S D Q E flies.";
    widgets::wrapped(ui, words, theme::tokens(ui).muted);
}

/// A switch for an action that is on or off.
fn toggle(ui: &mut Ui, panel: &mut Panel<'_>, action: Action, on: bool) {
    let (changed, response) = switch(ui, action.spec().name, on);
    response.on_hover_text(widgets::tooltip_with_keys(action));
    if changed.is_some() {
        panel.push(AppCommand::Act(action));
    }
}

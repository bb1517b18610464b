//! The View page of the Inspect panel: how the scene is shown.

use egui::Ui;

use super::Panel;
use crate::state::AppCommand;
use crate::theme::{self, space};
use crate::viewport::{Overlay, PointSize, ViewOptions};
use crate::widgets::{self, SliderSpec, section, segmented, slider, switch};
use one4d_engine::scene::validity;

/// Shows the page.
pub fn view_ui(ui: &mut Ui, panel: &mut Panel<'_>) {
    let before = panel.state.view.options;
    let mut options = before;
    section(ui, "Points", |ui| points_ui(ui, &mut options));
    section(ui, "Filters", |ui| filters_ui(ui, &mut options));
    section(ui, "Around the points", |ui| {
        for overlay in Overlay::ALL {
            let (changed, _) = switch(ui, overlay.label(), options.overlays.has(overlay));
            if let Some(shown) = changed {
                options.overlays = options.overlays.with(overlay, shown);
            }
        }
    });
    if options != before {
        panel.push(AppCommand::ViewOptions(options));
    }
}

fn points_ui(ui: &mut Ui, options: &mut ViewOptions) {
    let is_auto = matches!(options.point_size, PointSize::Auto(_));
    let modes = [(true, "Fill gaps", None), (false, "Fixed size", None)];
    match segmented(ui, &modes, is_auto) {
        Some(true) => options.point_size = PointSize::Auto(1.0),
        Some(false) => options.point_size = PointSize::Pixels(2),
        None => {}
    }
    ui.add_space(space::XS);
    let (spec, value) = match options.point_size {
        PointSize::Auto(factor) => (
            SliderSpec {
                name: "Size",
                range: 0.5..=3.0,
                decimals: 2,
                suffix: " ×",
                default: 1.0,
            },
            f64::from(factor),
        ),
        PointSize::Pixels(px) => (
            SliderSpec {
                name: "Size",
                range: 1.0..=5.0,
                decimals: 0,
                suffix: " px",
                default: 2.0,
            },
            f64::from(px),
        ),
    };
    if let Some(value) = slider(ui, &spec, value) {
        options.point_size = match options.point_size {
            PointSize::Auto(_) => PointSize::Auto(value as f32),
            PointSize::Pixels(_) => PointSize::Pixels(value.round() as u8),
        };
    }
}

fn filters_ui(ui: &mut Ui, options: &mut ViewOptions) {
    let (changed, response) = switch(ui, "Hide flying pixels", options.edge_threshold.is_some());
    response.on_hover_text("Points on steps of depth, which hang between near and far");
    if let Some(on) = changed {
        options.edge_threshold = on.then_some(DEFAULT_EDGE);
    }
    if let Some(threshold) = options.edge_threshold {
        let spec = SliderSpec {
            name: "Step of depth",
            range: 1.0..=50.0,
            decimals: 0,
            suffix: " %",
            default: f64::from(DEFAULT_EDGE) * 100.0,
        };
        if let Some(percent) = slider(ui, &spec, f64::from(threshold) * 100.0) {
            options.edge_threshold = Some(percent as f32 / 100.0);
        }
    }
    for (name, tooltip, bit) in [
        (
            "Hide marked edges",
            "Pixels that the scene marks as depth edges",
            validity::NOT_EDGE,
        ),
        (
            "Hide clipped points",
            "Points on the wall of the model's box",
            validity::NOT_CLIPPED,
        ),
        (
            "Hide sky",
            "Pixels that the scene marks as sky",
            validity::NOT_SKY,
        ),
        (
            "Hide inconsistent points",
            "Points off their pixel's ray or behind the camera",
            validity::CONSISTENT,
        ),
    ] {
        let (changed, response) = switch(ui, name, options.required_valid & bit != 0);
        response.on_hover_text(tooltip);
        match changed {
            Some(true) => options.required_valid |= bit,
            Some(false) => options.required_valid &= !bit,
            None => {}
        }
    }
    widgets::wrapped(
        ui,
        "Filters hide points here; the export has its own.",
        theme::tokens(ui).muted,
    );
}

/// Share of depth beyond which a step counts as an edge.
const DEFAULT_EDGE: f32 = 0.1;

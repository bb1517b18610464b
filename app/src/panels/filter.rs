//! The Filter page of the Inspect panel: which points are shown.

use egui::Ui;
use one4d_engine::scene::validity;

use super::Panel;
use crate::state::scene::OpenScene;
use crate::state::{Action, AppCommand};
use crate::theme::{self, space};
use crate::viewport::frame_data::{MAX_EDGE_CODE, edge_code};
use crate::viewport::{ClipBox, FrameStats, MaskMode, ViewOptions};
use crate::widgets::{
    self, Histogram, NumberField, SliderSpec, histogram, log_slider, number_field, section,
    segmented, slider, switch,
};

/// Share of depth beyond which a step counts as an edge.
const DEFAULT_EDGE: f32 = 0.1;

/// Steps of depth that can be told apart, percent: the codes of `edge_code`, which are logarithmic, so
/// that the slider's handle stands under the histogram's line.
const STEPS_PERCENT: std::ops::RangeInclusive<f64> = 0.1..=1000.0;

/// Shows the page.
pub fn filter_ui(ui: &mut Ui, panel: &mut Panel<'_>, open: &OpenScene) {
    let before = panel.state.view.options;
    let mut options = before;
    let stats = panel.state.shown.stats.clone();
    hidden_ui(ui, panel);
    section(ui, "Flying pixels", |ui| {
        edge_ui(ui, &mut options, stats.as_deref());
    });
    section(ui, "Confidence", |ui| {
        if open.scene.confidence.is_some() {
            confidence_ui(ui, &mut options, stats.as_deref());
        } else {
            widgets::muted(ui, "This scene has no confidence.");
        }
    });
    section(ui, "Moving points", |ui| {
        if open.scene.dynamic.is_some() {
            mask_ui(ui, &mut options);
        } else {
            widgets::muted(ui, "This scene does not say what moves.");
        }
    });
    section(ui, "Marked points", |ui| marks_ui(ui, &mut options));
    section(ui, "Clip box", |ui| clip_ui(ui, panel, &mut options));
    let words = "Filters hide points here and, if you wish, in an export.";
    widgets::wrapped(ui, words, theme::tokens(ui).muted);
    if options != before {
        panel.push(AppCommand::ViewOptions(options));
    }
}

/// "12 % hidden", once it has been counted.
fn hidden_ui(ui: &mut Ui, panel: &Panel<'_>) {
    ui.add_space(space::XS);
    let words = match panel.state.shown.hidden_share {
        Some(share) => format!("{} hidden", percent(share)),
        None => "Counting hidden points…".to_owned(),
    };
    widgets::strong(ui, words);
}

/// "12 %"; what is little and not nothing is not rounded to nothing.
pub fn percent(share: f32) -> String {
    match share * 100.0 {
        p if p > 0.0 && p < 0.1 => "< 0.1 %".to_owned(),
        p if p < 10.0 => format!("{p:.1} %"),
        p => format!("{p:.0} %"),
    }
}

fn edge_ui(ui: &mut Ui, options: &mut ViewOptions, stats: Option<&FrameStats>) {
    let (changed, response) = switch(ui, "Hide flying pixels", options.edge_threshold.is_some());
    response.on_hover_text("Points on steps of depth, which hang between near and far");
    if let Some(on) = changed {
        options.edge_threshold = on.then_some(DEFAULT_EDGE);
    }
    let Some(threshold) = options.edge_threshold else {
        return;
    };
    if let Some(stats) = stats.filter(|stats| !stats.edges.is_empty()) {
        let shown = Histogram {
            name: "Steps of depth",
            counts: &stats.edges,
            limit: (f32::from(edge_code(threshold)) + 1.0) / (f32::from(MAX_EDGE_CODE) + 1.0),
            keeps_above: false,
        };
        if let Some(share) = histogram(ui, &shown) {
            let (least, most) = (*STEPS_PERCENT.start(), *STEPS_PERCENT.end());
            let percent = least * (most / least).powf(f64::from(share));
            options.edge_threshold = Some(percent as f32 / 100.0);
        }
    }
    let spec = SliderSpec {
        name: "Step of depth",
        range: STEPS_PERCENT,
        decimals: 1,
        suffix: " %",
        default: f64::from(DEFAULT_EDGE) * 100.0,
    };
    if let Some(percent) = log_slider(ui, &spec, f64::from(threshold) * 100.0) {
        options.edge_threshold = Some(percent as f32 / 100.0);
    }
}

fn confidence_ui(ui: &mut Ui, options: &mut ViewOptions, stats: Option<&FrameStats>) {
    if let Some(stats) = stats.filter(|stats| !stats.confidences.is_empty()) {
        let shown = Histogram {
            name: "Confidences",
            counts: &stats.confidences,
            limit: options.min_confidence,
            keeps_above: true,
        };
        if let Some(share) = histogram(ui, &shown) {
            options.min_confidence = share;
        }
    }
    let spec = SliderSpec {
        name: "Least confidence",
        range: 0.0..=1.0,
        decimals: 2,
        suffix: "",
        default: 0.0,
    };
    if let Some(value) = slider(ui, &spec, f64::from(options.min_confidence)) {
        options.min_confidence = value as f32;
    }
}

fn mask_ui(ui: &mut Ui, options: &mut ViewOptions) {
    let modes = [
        (MaskMode::Off, "All", None),
        (MaskMode::Tint, "Tint", None),
        (MaskMode::OnlyMoving, "Moving", None),
        (MaskMode::OnlyStill, "Still", None),
    ];
    if let Some(mask) = segmented(ui, &modes, options.mask) {
        options.mask = mask;
    }
}

fn marks_ui(ui: &mut Ui, options: &mut ViewOptions) {
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
}

fn clip_ui(ui: &mut Ui, panel: &mut Panel<'_>, options: &mut ViewOptions) {
    let (changed, response) = switch(ui, "Show only a box", options.clip_box.is_some());
    response.on_hover_text(widgets::tooltip_with_keys(Action::ToggleClipBox));
    if changed.is_some() {
        panel.push(AppCommand::Act(Action::ToggleClipBox));
    }
    let Some(clip) = &mut options.clip_box else {
        return;
    };
    triple(ui, "Middle", clip.centre, -1e6..=1e6, |axis, value| {
        clip.centre[axis] = value;
    });
    let size = clip.half.map(|half| 2.0 * half);
    triple(ui, "Size", size, 1e-4..=1e6, |axis, value| {
        clip.half[axis] = 0.5 * value;
    });
    turn_ui(ui, clip);
    widgets::caption(ui, "Drag the knobs on its sides in the view.");
}

fn turn_ui(ui: &mut Ui, clip: &mut ClipBox) {
    let spec = SliderSpec {
        name: "Turn",
        range: -90.0..=90.0,
        decimals: 0,
        suffix: "°",
        default: 0.0,
    };
    if let Some(degrees) = slider(ui, &spec, clip.yaw_rad.to_degrees()) {
        clip.yaw_rad = degrees.to_radians();
    }
}

/// Three numbers along x, y and z.
fn triple(
    ui: &mut Ui,
    what: &str,
    values: [f64; 3],
    range: std::ops::RangeInclusive<f64>,
    mut set: impl FnMut(usize, f64),
) {
    let width = (ui.available_width() - 2.0 * space::S) / 3.0;
    ui.horizontal(|ui| {
        for (axis, (name, value)) in ["x", "y", "z"].into_iter().zip(values).enumerate() {
            let name = format!("{what} {name}");
            let field = NumberField {
                name: &name,
                tooltip: "Scene units; x is right, y down, z forward",
                range: range.clone(),
                speed: 0.01,
                decimals: 2,
                suffix: "",
                default: None,
            };
            if let Some(value) = number_field(ui, &field, value, width) {
                set(axis, value);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_little_is_not_nothing() {
        assert_eq!(percent(0.0), "0.0 %");
        assert_eq!(percent(0.0004), "< 0.1 %");
        assert_eq!(percent(0.123), "12 %");
    }
}

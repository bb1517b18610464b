//! The Inspect panel: what the scene on screen is, where it comes from and what deserves doubt.

use egui::{Margin, ScrollArea, Ui};
use egui_material_icons::icons;
use one4d_engine::geometry::Camera;
use one4d_engine::plan::bytes_for_people;
use one4d_engine::scene::ScaleTag;

use super::{Panel, camera, filter, look, measure};
use crate::state::command::InspectPage;
use crate::state::scene::{OpenScene, explain_flag, explain_scale};
use crate::state::{AppCommand, file_name};
use crate::theme::{self, space};
use crate::widgets::{self, fact_row, section, segmented};

/// Shows the panel.
pub fn inspect_ui(ui: &mut Ui, panel: &mut Panel<'_>) {
    ScrollArea::vertical()
        .id_salt("inspect-scroll")
        .auto_shrink([false, false])
        .show(ui, |ui| {
            egui::Frame::new()
                .inner_margin(Margin::symmetric(16, 12))
                .show(ui, |ui| {
                    ui.spacing_mut().item_spacing.y = space::XS;
                    match &panel.state.scene {
                        Some(open) => pages_ui(ui, panel, open),
                        None => nothing_ui(ui, panel),
                    }
                });
        });
}

fn nothing_ui(ui: &mut Ui, panel: &Panel<'_>) {
    let tokens = theme::tokens(ui);
    widgets::heading(ui, "Inspect");
    let words = if panel.state.jobs.num_active() > 0 {
        "Figures of the scene appear here as soon as its first frames are there."
    } else {
        "Figures of the scene appear here once there is one."
    };
    widgets::wrapped(ui, words, tokens.muted);
    ui.add_space(space::S);
    let facts = &panel.state.model.facts;
    section(ui, "Model", |ui| {
        fact_row(ui, "Name", &facts.name, "");
        let size = format!("{} × {}", facts.width, facts.height);
        fact_row(ui, "Frame size", &size, "px");
        fact_row(ui, "Clip", &facts.num_frames.to_string(), "frames");
        if facts.trained_steps > 0 {
            fact_row(
                ui,
                "Trained",
                &thousands(facts.trained_steps as usize),
                "steps",
            );
        }
        if !facts.licence.is_empty() {
            fact_row(ui, "Licence", &facts.licence, "");
        }
        if let Some(plan) = panel.state.model.plan(&panel.state.create) {
            let words = super::create::plan_words(&plan);
            let short = if plan.fits { "" } else { ", too much" };
            let memory = format!("{}{short}", bytes_for_people(plan.peak_bytes));
            fact_row(ui, "Memory", &memory, "").on_hover_text(&words);
            let streamed = if plan.holding.streamed {
                ", streamed"
            } else {
                ""
            };
            let weights = format!("{}{streamed}", plan.holding.form.label());
            fact_row(ui, "Weights", &weights, "").on_hover_text(words);
        }
        if !facts.description.is_empty() {
            ui.add_space(space::XS);
            widgets::wrapped(ui, &facts.description, tokens.muted);
        }
    });
}

fn pages_ui(ui: &mut Ui, panel: &mut Panel<'_>, open: &OpenScene) {
    let page = panel.state.inspect_page;
    let pages = [
        (InspectPage::Scene, "Scene", None),
        (InspectPage::Look, "Look", None),
        (InspectPage::Filter, "Filter", None),
        (InspectPage::Camera, "Camera", None),
        (InspectPage::Measure, "Measure", None),
    ];
    if let Some(page) = segmented(ui, &pages, page) {
        panel.push(AppCommand::Inspect(page));
    }
    match page {
        InspectPage::Scene => scene_ui(ui, panel, open),
        InspectPage::Look => look::look_ui(ui, panel, open),
        InspectPage::Filter => filter::filter_ui(ui, panel, open),
        InspectPage::Camera => camera::camera_page_ui(ui, panel, open),
        InspectPage::Measure => measure::measure_ui(ui, panel, open),
    }
}

fn scene_ui(ui: &mut Ui, panel: &Panel<'_>, open: &OpenScene) {
    ui.add_space(space::XS);
    size_ui(ui, open);
    quality_ui(ui, open);
    camera_ui(ui, panel, open);
    flags_ui(ui, panel, open);
    origin_ui(ui, open);
}

fn size_ui(ui: &mut Ui, open: &OpenScene) {
    let scene = &open.scene;
    fact_row(ui, "Frames", &scene.num_frames.to_string(), "");
    let size = format!("{} × {}", scene.width, scene.height);
    fact_row(ui, "Frame size", &size, "px");
    if scene.meta.fps > 0.0 {
        fact_row(ui, "Rate", &Short(scene.meta.fps).to_string(), "fps");
        let secs = scene.num_frames as f64 / scene.meta.fps;
        fact_row(ui, "Length", &format!("{secs:.2}"), "s");
    }
    fact_row(ui, "Points", &thousands(open.num_points()), "");
    let (word, sentence) = explain_scale(scene.meta.scale);
    fact_row(ui, "Scale", word, "").on_hover_text(sentence);
}

fn quality_ui(ui: &mut Ui, open: &OpenScene) {
    let tokens = theme::tokens(ui);
    section(ui, "Quality", |ui| {
        let Some(facts) = &open.facts else {
            widgets::muted(ui, "Counting…");
            return;
        };
        let percent = format!("{:.1}", facts.good_share * 100.0);
        fact_row(ui, "Fit for measuring", &percent, "%").on_hover_text(
            "Pixels that are finite, off depth edges, inside the model's box, not sky, and \
             consistent with their camera",
        );
        let color = match facts.good_share {
            share if share >= 0.7 => tokens.good,
            share if share >= 0.4 => tokens.warn,
            _ => tokens.bad,
        };
        widgets::progress_bar(
            ui,
            "Share fit for measuring",
            facts.good_share as f32,
            color,
        );
        let percent = format!("{:.1}", facts.finite_share * 100.0);
        fact_row(ui, "With a point", &percent, "%");
        if let Some((near, far)) = facts.distance {
            fact_row(
                ui,
                "Distance",
                &format!("{near:.2} – {far:.2}"),
                length_unit(open),
            )
            .on_hover_text("5th to 95th percentile of the distance from the first camera");
        }
    });
}

/// The camera of the frame on screen.
pub(super) fn camera_ui(ui: &mut Ui, panel: &Panel<'_>, open: &OpenScene) {
    let frame = panel.state.frame();
    section(ui, "Camera", |ui| {
        let Some(camera) = open.scene.cameras.as_ref().and_then(|all| all.get(frame)) else {
            widgets::muted(ui, "This scene has no cameras.");
            return;
        };
        fact_row(ui, "Frame", &(frame + 1).to_string(), "");
        lens_ui(ui, camera, open);
        let p = camera.world_from_camera.centre();
        let place = format!("{:.2}, {:.2}, {:.2}", p.x, p.y, p.z);
        fact_row(ui, "Position", &place, length_unit(open))
            .on_hover_text("In the world of the first camera: x right, y down, z forward");
    });
}

fn lens_ui(ui: &mut Ui, camera: &Camera, open: &OpenScene) {
    let k = camera.intrinsics;
    fact_row(ui, "Focal length", &format!("{:.1}", k.fx_px), "px");
    let fov = k.fov_y_rad(open.scene.height).to_degrees();
    fact_row(ui, "Field of view", &format!("{fov:.1}"), "° vertical");
}

/// The unit of lengths: metres where the scene knows them.
fn length_unit(open: &OpenScene) -> &'static str {
    match open.scene.meta.scale {
        ScaleTag::Metric => "m",
        ScaleTag::UpToScale | ScaleTag::UpToScaleAndShift => "units",
    }
}

/// Every kind of flag once, with the frames that it concerns.
fn flags_ui(ui: &mut Ui, panel: &Panel<'_>, open: &OpenScene) {
    let flags = &open.scene.meta.flags;
    if flags.is_empty() {
        return;
    }
    let tokens = theme::tokens(ui);
    let now = panel.state.frame();
    section(ui, "Flags", |ui| {
        let mut seen = Vec::new();
        for &(_, flag) in flags {
            if seen.contains(&flag) {
                continue;
            }
            seen.push(flag);
            let frames: Vec<_> = flags
                .iter()
                .filter(|(_, other)| *other == flag)
                .filter_map(|(frame, _)| *frame)
                .collect();
            let (word, sentence) = explain_flag(flag);
            let here = frames.is_empty() || frames.contains(&now);
            let color = if here { tokens.warn } else { tokens.muted };
            widgets::status_word(ui, icons::ICON_WARNING, word, color);
            let whole = match frames.len() {
                0 => sentence.to_owned(),
                1 => format!("Frame {}. {sentence}", frames[0] + 1),
                n => format!("{n} frames. {sentence}"),
            };
            widgets::wrapped(ui, whole, tokens.muted);
        }
    });
}

fn origin_ui(ui: &mut Ui, open: &OpenScene) {
    let meta = &open.scene.meta;
    let tokens = theme::tokens(ui);
    section(ui, "Made with", |ui| {
        if let Some(prompt) = meta.prompt.as_ref().filter(|prompt| !prompt.is_empty()) {
            widgets::wrapped(ui, prompt, tokens.text);
        }
        if let Some(model) = &meta.model {
            fact_row(ui, "Model", model, "");
        }
        if let Some(hash) = &meta.model_hash {
            fact_row(ui, "Weights", hash.get(..12).unwrap_or(hash), "")
                .on_hover_text(format!("Hash of the weights: {hash}"));
        }
        if let Some(seed) = meta.seed {
            fact_row(ui, "Seed", &seed.to_string(), "");
        }
        if !meta.observed.is_empty() {
            let count = meta.observed.len();
            fact_row(ui, "Given frames", &count.to_string(), "");
        }
        if let Some(path) = &open.path {
            fact_row(ui, "File", &file_name(path), "").on_hover_text(path.display().to_string());
        } else {
            fact_row(ui, "File", "not saved yet", "");
        }
    });
}

/// A number with at most two digits after the point.
struct Short(f64);

impl std::fmt::Display for Short {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = format!("{:.2}", self.0);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// 1234567 as "1 234 567".
pub fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            // A space that does not break.
            text.push('\u{a0}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_short() {
        assert_eq!(thousands(1_234_567), "1\u{a0}234\u{a0}567");
        assert_eq!(thousands(12), "12");
        assert_eq!(Short(24.0).to_string(), "24");
        assert_eq!(Short(23.976).to_string(), "23.98");
    }
}

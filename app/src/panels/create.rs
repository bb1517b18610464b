//! The Create panel: what the next scene is made from, and the button that makes it.

use egui::{Id, Margin, Panel as EguiPanel, ScrollArea, TextEdit, Ui, vec2};
use egui_material_icons::icons;
use one4d_engine::pipeline::Preset;
use one4d_engine::plan::{Plan, bytes_for_people};

use super::{Panel, inputs, loras};
use crate::state::command::{CreateEdit, Pick};
use crate::state::create::InputMode;
use crate::state::{Action, AppCommand};
use crate::theme::{self, space};
use crate::widgets::{
    self, NumberField, PushButton, number_field, number_or_off_field, segmented, tooltip_with_keys,
};

/// The identity of the prompt field, so that a new image can give it the keyboard.
pub fn prompt_id() -> Id {
    Id::unique("create-prompt")
}

/// Shows the panel.
pub fn create_ui(ui: &mut Ui, panel: &mut Panel<'_>) {
    let frame = egui::Frame::new().inner_margin(Margin::symmetric(16, 12));
    EguiPanel::bottom("create-action")
        .resizable(false)
        .show_separator_line(false)
        .frame(frame)
        .show(ui, |ui| action_ui(ui, panel));
    egui::CentralPanel::no_frame().show(ui, |ui| {
        ScrollArea::vertical()
            .id_salt("create-scroll")
            .auto_shrink([false, false])
            .show(ui, |ui| {
                egui::Frame::new()
                    .inner_margin(Margin {
                        left: 16,
                        right: 16,
                        top: 12,
                        bottom: 4,
                    })
                    .show(ui, |ui| form_ui(ui, panel));
            });
    });
}

fn form_ui(ui: &mut Ui, panel: &mut Panel<'_>) {
    widgets::heading(ui, "Create");
    ui.add_space(space::XS);
    let tabs = InputMode::ALL.map(|mode| (mode, mode.label(), None));
    if let Some(mode) = segmented(ui, &tabs, panel.state.create.mode) {
        panel.push(AppCommand::Create(CreateEdit::Mode(mode)));
    }
    ui.add_space(space::XS);
    match panel.state.create.mode {
        InputMode::Image => inputs::image_ui(ui, panel),
        InputMode::Frames => inputs::frames_ui(ui, panel),
        InputMode::Video => inputs::video_ui(ui, panel),
        InputMode::Text => {
            let muted = theme::tokens(ui).muted;
            widgets::wrapped(ui, "The scene follows from the prompt alone.", muted);
        }
    }
    ui.add_space(space::XS);
    prompt_ui(ui, panel);
    preset_ui(ui, panel);
    settings_ui(ui, panel);
    model_ui(ui, panel);
    loras::loras_ui(ui, panel);
}

fn prompt_ui(ui: &mut Ui, panel: &mut Panel<'_>) {
    let name = widgets::caption(ui, "Prompt");
    let mut prompt = panel.state.create.prompt.clone();
    let rows = if panel.state.create.mode == InputMode::Text {
        6
    } else {
        3
    };
    let edit = TextEdit::multiline(&mut prompt)
        .id(prompt_id())
        .desired_rows(rows)
        .desired_width(f32::INFINITY)
        .margin(Margin::symmetric(8, 6))
        .hint_text("What it shows and how things move");
    if ui.add(edit).labelled_by(name.id).changed() {
        panel.push(AppCommand::Create(CreateEdit::Prompt(prompt)));
    }
}

/// One click to few steps, where the model brings a distilled LoRA or a file is taken for one.
fn preset_ui(ui: &mut Ui, panel: &mut Panel<'_>) {
    let Some(way) = panel.state.create.fast(&panel.state.model.facts) else {
        return;
    };
    let fast = format!("Fast, {} steps", way.steps.max(1));
    let choices = [
        (Preset::Standard, "Standard", None),
        (Preset::Fast, fast.as_str(), None),
    ];
    if let Some(preset) = segmented(ui, &choices, panel.state.create.preset) {
        panel.push(AppCommand::Create(CreateEdit::Preset(preset)));
    }
}

fn settings_ui(ui: &mut Ui, panel: &mut Panel<'_>) {
    let create = &panel.state.create;
    let model = &panel.state.model.facts;
    let (default_steps, default_guidance) = create.defaults(model);
    let width = (ui.available_width() - space::S) / 2.0;
    let mut edits = Vec::new();
    ui.horizontal(|ui| {
        let frames = NumberField {
            name: "Frames",
            tooltip: "Length of the clip; one more than a multiple of four",
            range: 1.0..=161.0,
            speed: 0.2,
            decimals: 0,
            suffix: "",
            default: Some(model.num_frames as f64),
        };
        let value = number_field(ui, &frames, create.num_frames as f64, width);
        edits.extend(value.map(|v| CreateEdit::Frames(round_to_clip(v, create.num_frames))));
        let steps = NumberField {
            name: "Steps",
            tooltip: "Denoising steps; more take longer and may look finer",
            range: 1.0..=200.0,
            speed: 0.2,
            decimals: 0,
            suffix: "",
            default: Some(default_steps as f64),
        };
        let value = number_field(ui, &steps, create.steps as f64, width);
        edits.extend(value.map(|v| CreateEdit::Steps(v as usize)));
    });
    ui.horizontal(|ui| {
        let guidance = NumberField {
            name: "Guidance",
            tooltip: "How strictly the prompt is followed (classifier-free guidance, CFG); 1 is off and takes half the time",
            range: 1.0..=20.0,
            speed: 0.02,
            decimals: 1,
            suffix: "",
            default: Some(default_guidance),
        };
        let value = number_or_off_field(ui, &guidance, (create.guidance, 1.0), width);
        edits.extend(value.map(CreateEdit::Guidance));
        let seed = NumberField {
            name: "Seed",
            tooltip: "The same seed and inputs give the same scene",
            range: 0.0..=9_007_199_254_740_991.0,
            speed: 1.0,
            decimals: 0,
            suffix: "",
            default: None,
        };
        let value = number_field(ui, &seed, create.seed as f64, width - theme::ROW - space::S);
        edits.extend(value.map(|v| CreateEdit::Seed(v as u64)));
        ui.with_layout(egui::Layout::bottom_up(egui::Align::Min), |ui| {
            let dice = PushButton::icon(icons::ICON_CASINO, "Draw another seed")
                .tooltip("Draws another seed");
            if ui.add(dice).clicked() {
                edits.push(CreateEdit::RollSeed);
            }
        });
    });
    edits.extend(step_cache_ui(ui, create.step_cache, width));
    for edit in edits {
        panel.push(AppCommand::Create(edit));
    }
}

/// How much a step may reuse of the one before.
fn step_cache_ui(ui: &mut Ui, threshold: f64, width: f32) -> Option<CreateEdit> {
    let field = NumberField {
        name: "Step cache",
        tooltip: "Reuses a step where the network's first block changed by less than this share: \
                  faster, and less exact. 0 is off, 0.08 is common. The job's report tells the error",
        range: 0.0..=1.0,
        speed: 0.002,
        decimals: 2,
        suffix: "",
        default: Some(0.0),
    };
    let value = ui
        .horizontal(|ui| number_or_off_field(ui, &field, (threshold, 0.0), width))
        .inner;
    value.map(CreateEdit::StepCache)
}

/// A drag of one goes to the next clip length, not back to this one.
fn round_to_clip(value: f64, old: usize) -> usize {
    let value = value as usize;
    match value.cmp(&old) {
        std::cmp::Ordering::Greater => value.max(old + 4),
        std::cmp::Ordering::Less => value.min(old.saturating_sub(4)),
        std::cmp::Ordering::Equal => old,
    }
}

fn model_ui(ui: &mut Ui, panel: &mut Panel<'_>) {
    let model = &panel.state.model;
    let tokens = theme::tokens(ui);
    ui.horizontal(|ui| {
        widgets::caption(ui, "Model");
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            let more = PushButton::quiet("More models…")
                .height(20.0)
                .color(tokens.muted)
                .tooltip(tooltip_with_keys(Action::ShowModels));
            if ui.add(more).clicked() {
                panel.push(AppCommand::Act(Action::ShowModels));
            }
        });
    });
    ui.horizontal(|ui| {
        let width = ui.available_width() - theme::ROW - space::S;
        let button = match model.problem {
            Some(_) => PushButton::secondary("Weights missing")
                .with_icon(icons::ICON_ERROR)
                .color(tokens.bad),
            None => PushButton::secondary(&model.facts.name).with_icon(icons::ICON_MEMORY),
        };
        let button = button.width(width).tooltip(model_tooltip(panel));
        if ui.add(button).clicked() {
            panel.push(AppCommand::Pick(Pick::Model));
        }
        let custom = panel.state.create.model.is_some();
        let (icon, name, command) = if custom {
            (
                icons::ICON_CLOSE,
                "Use the bundled model",
                AppCommand::Create(CreateEdit::BundledModel),
            )
        } else {
            (
                icons::ICON_FOLDER_OPEN,
                "Choose a model folder",
                AppCommand::Pick(Pick::Model),
            )
        };
        if ui.add(PushButton::icon(icon, name).tooltip(name)).clicked() {
            panel.push(command);
        }
    });
    if model.problem.is_some() {
        widgets::wrapped(ui, "Viewing and exporting work without them.", tokens.muted);
    }
}

fn model_tooltip(panel: &Panel<'_>) -> String {
    let model = &panel.state.model;
    if let Some(problem) = &model.problem {
        return format!("{problem}\nClick to choose the folder of a model");
    }
    let facts = &model.facts;
    let size = format!(
        "{} × {} px, {} frames",
        facts.width, facts.height, facts.num_frames
    );
    [
        facts.description.as_str(),
        size.as_str(),
        facts.licence.as_str(),
        "Click to choose the folder of another model",
    ]
    .into_iter()
    .filter(|line| !line.is_empty())
    .collect::<Vec<_>>()
    .join("\n")
}

fn action_ui(ui: &mut Ui, panel: &mut Panel<'_>) {
    let state = panel.state;
    let missing = state.create.missing().or_else(|| {
        state
            .model
            .problem
            .as_ref()
            .map(|_| "The model's weights are missing")
    });
    let tooltip = missing.map_or_else(|| tooltip_with_keys(Action::Generate), str::to_owned);
    let spec = Action::Generate.spec();
    let button = PushButton::primary(spec.name)
        .with_icon(spec.icon)
        .height(34.0)
        .width(ui.available_width())
        .tooltip(tooltip);
    let size = vec2(ui.available_width(), 34.0);
    let response = ui
        .add_enabled_ui(missing.is_none(), |ui| ui.add_sized(size, button))
        .inner;
    if response.clicked() {
        panel.push(AppCommand::Act(Action::Generate));
    }
    ui.add_space(2.0);
    let plan = state.model.plan(&state.create);
    let words = estimate(panel, missing, plan.as_ref());
    let is_short = missing.is_none() && plan.as_ref().is_some_and(|plan| !plan.fits);
    ui.vertical_centered(|ui| {
        let response = if is_short {
            let tokens = theme::tokens(ui);
            let words = egui::RichText::new(words).font(theme::caption());
            ui.label(words.color(tokens.warn))
        } else {
            widgets::caption(ui, words)
        };
        if let Some(plan) = plan {
            response.on_hover_text(plan_words(&plan));
        }
    });
}

/// Where each part of the model will be, and what that comes to.
pub(super) fn plan_words(plan: &Plan) -> String {
    let mut lines: Vec<String> = plan
        .placements
        .iter()
        .map(|part| {
            let held = bytes_for_people(part.held_bytes);
            format!("{}: {held}, {}", part.part, part.place)
        })
        .collect();
    let (peak, limit) = (plan.peak_bytes, plan.limit_bytes);
    let (peak, limit) = (bytes_for_people(peak), bytes_for_people(limit));
    lines.push(format!("At most {peak} at a time, {limit} are free"));
    if plan.time.reused_steps > 0 {
        let (reused, steps) = (plan.time.reused_steps, plan.run.steps);
        lines.push(format!("{reused} of {steps} steps assumed to be reused"));
    }
    lines.extend(plan.advice.iter().skip(1).cloned());
    lines.join("\n")
}

fn estimate(panel: &Panel<'_>, missing: Option<&str>, plan: Option<&Plan>) -> String {
    let state = panel.state;
    if let Some(missing) = missing {
        return missing.to_owned();
    }
    let waiting = state.jobs.num_active();
    let queue = match waiting {
        0 => String::new(),
        1 => ", after the job under way".to_owned(),
        n => format!(", after {n} jobs"),
    };
    if let Some(plan) = plan.filter(|plan| !plan.fits) {
        let (needed, free) = (plan.peak_bytes, plan.limit_bytes);
        let (needed, free) = (bytes_for_people(needed), bytes_for_people(free));
        let way_out = plan.advice.get(1).map(|way| format!("; {way}"));
        let way_out = way_out.unwrap_or_default();
        return format!("Needs {needed}, {free} free{way_out}");
    }
    // What was measured is better than what was reckoned.
    let measured = state.jobs.timings.estimate_secs(state.create.steps);
    let secs = measured.or(plan.map(|plan| plan.time.total_secs));
    let memory = plan.map(|plan| format!(", {}", bytes_for_people(plan.peak_bytes)));
    let memory = memory.unwrap_or_default();
    match secs {
        Some(secs) if secs < 1.0 => format!("Under a second{memory}{queue}"),
        Some(secs) => format!("About {}{memory}{queue}", widgets::duration(secs)),
        None if waiting == 0 => "The first run measures how long it takes".to_owned(),
        None => "Starts after the job under way".to_owned(),
    }
}

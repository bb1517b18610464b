//! Play, step, speed, loop, range, and the frame as a number.

use egui::{Align, DragValue, Layout, Popup, Ui, vec2};
use egui_material_icons::{MaterialIcon, icons};

use super::{LoopMode, SPEEDS};
use crate::panels::Panel;
use crate::state::command::TimeEdit;
use crate::state::{Action, AppCommand};
use crate::theme::{self, space};
use crate::widgets::{self, PushButton, tooltip_with_keys};

/// Shows the row of controls.
pub(super) fn transport_ui(ui: &mut Ui, panel: &mut Panel<'_>) {
    let has_time = panel.state.scene.is_some() && panel.state.clock.num_frames() > 1;
    ui.allocate_ui_with_layout(
        vec2(ui.available_width(), theme::TOUCH),
        Layout::left_to_right(Align::Center),
        |ui| {
            ui.spacing_mut().item_spacing.x = 2.0;
            ui.add_enabled_ui(has_time, |ui| controls(ui, panel));
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                ui.spacing_mut().item_spacing.x = 2.0;
                ui.add_enabled_ui(has_time, |ui| range_ui(ui, panel));
            });
        },
    );
}

fn controls(ui: &mut Ui, panel: &mut Panel<'_>) {
    let state = panel.state;
    let playing = state.clock.is_playing(state.now_secs);
    transport_button(ui, panel, Action::FirstFrame, None);
    transport_button(ui, panel, Action::PreviousFrame, None);
    let (icon, name) = if playing {
        (icons::ICON_PAUSE, "Pause")
    } else {
        (icons::ICON_PLAY_ARROW, "Play")
    };
    transport_button(ui, panel, Action::PlayPause, Some((icon, name)));
    transport_button(ui, panel, Action::NextFrame, None);
    transport_button(ui, panel, Action::LastFrame, None);
    ui.add_space(space::S);
    frame_box(ui, panel);
    ui.add_space(space::S);
    loop_button(ui, panel);
    speed_menu(ui, panel);
}

fn transport_button(
    ui: &mut Ui,
    panel: &mut Panel<'_>,
    action: Action,
    look: Option<(MaterialIcon, &str)>,
) {
    let spec = action.spec();
    let (icon, name) = look.unwrap_or((spec.icon, spec.name));
    let button = PushButton::icon(icon, name)
        .height(theme::TOUCH)
        .tooltip(tooltip_with_keys(action));
    if ui.add(button).clicked() {
        panel.push(AppCommand::Act(action));
    }
}

/// The frame as a number that can be typed, counted from one.
fn frame_box(ui: &mut Ui, panel: &mut Panel<'_>) {
    let state = panel.state;
    let last = match &state.scene {
        Some(_) => state.clock.num_frames(),
        None => state.create.num_frames,
    };
    let mut frame = state.frame() + 1;
    let before = frame;
    widgets::muted(ui, "Frame");
    ui.add_space(space::XS);
    let drag = DragValue::new(&mut frame)
        .range(1..=last)
        .speed(0.1)
        .update_while_editing(false);
    let drag = ui
        .add_sized(vec2(48.0, theme::ROW), drag)
        .on_hover_text("The frame on screen; type to jump")
        .accessible_name("Frame");
    if drag.gained_focus() {
        // Nobody can type into a number that runs away.
        panel.push(AppCommand::Act(Action::ShuttleStop));
    }
    if frame != before {
        panel.push(AppCommand::Time(TimeEdit::Seek(frame - 1)));
    }
    ui.add_space(space::XS);
    widgets::muted(ui, format!("/ {last}"));
    ui.add_space(space::S);
    let secs = state.frame() as f64 / state.clock.fps();
    widgets::caption(ui, format!("{secs:.2} s"));
}

fn loop_button(ui: &mut Ui, panel: &mut Panel<'_>) {
    let mode = panel.state.clock.mode();
    let icon = match mode {
        LoopMode::Once => icons::ICON_ARROW_RIGHT_ALT,
        LoopMode::Loop => icons::ICON_REPEAT,
        LoopMode::PingPong => icons::ICON_SWAP_HORIZ,
    };
    let button = PushButton::icon(icon, mode.label())
        .selected(mode != LoopMode::Once)
        .tooltip(format!(
            "{}. {}",
            mode.label(),
            tooltip_with_keys(Action::CycleLoop)
        ));
    if ui.add(button).clicked() {
        panel.push(AppCommand::Act(Action::CycleLoop));
    }
}

fn speed_menu(ui: &mut Ui, panel: &mut Panel<'_>) {
    let state = panel.state;
    let now = speed_words(state.clock.speed());
    let fps = state.clock.fps() * state.clock.speed();
    let button =
        PushButton::quiet(&now).tooltip(format!("Playback speed: {fps:.1} frames a second (J, L)"));
    let response = ui.add(button);
    Popup::menu(&response).gap(4.0).show(|ui| {
        ui.spacing_mut().item_spacing.y = 2.0;
        ui.set_min_width(80.0);
        for speed in SPEEDS {
            let taken = (state.clock.speed() - speed).abs() < 1e-9;
            let choice = egui::Button::selectable(taken, speed_words(speed))
                .min_size(vec2(80.0, theme::ROW));
            if ui.add(choice).clicked() {
                panel.push(AppCommand::Time(TimeEdit::Speed(speed)));
                ui.close();
            }
        }
    });
}

fn speed_words(speed: f64) -> String {
    format!("{speed}×")
}

/// In and out, at the right end, in reading order.
fn range_ui(ui: &mut Ui, panel: &mut Panel<'_>) {
    let clock = &panel.state.clock;
    let (first, last) = clock.range();
    let has_range = clock.has_range();
    let clear = PushButton::icon(icons::ICON_CLOSE, Action::ClearRange.spec().name)
        .tooltip(tooltip_with_keys(Action::ClearRange));
    if ui.add_enabled(has_range, clear).clicked() {
        panel.push(AppCommand::Act(Action::ClearRange));
    }
    let marked = panel
        .state
        .markers
        .list()
        .iter()
        .any(|marker| marker.frame_idx == panel.state.frame());
    let marker = if marked {
        Action::RemoveMarker
    } else {
        Action::AddMarker
    };
    widgets::action_icon(ui, marker, marked, panel.commands);
    for (action, word) in [(Action::SetOut, "Out"), (Action::SetIn, "In")] {
        let button = PushButton::quiet(word)
            .with_icon(action.spec().icon)
            .tooltip(tooltip_with_keys(action));
        if ui.add(button).clicked() {
            panel.push(AppCommand::Act(action));
        }
    }
    if has_range {
        ui.add_space(space::S);
        widgets::caption(ui, format!("Plays {} to {}", first + 1, last + 1));
    }
}

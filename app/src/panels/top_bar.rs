//! The bar at the top: menus, the scene's name, work under way, export.

use egui::{Align, Layout, Popup, Ui, UiBuilder};
use egui_material_icons::icons;

use super::Panel;
use crate::shortcuts;
use crate::state::command::{Group, Target};
use crate::state::models::stage_word;
use crate::state::settings::ThemeChoice;
use crate::state::{Action, AppCommand, file_name};
use crate::theme::{self, space};
use crate::widgets::{self, PushButton, action_icon, tooltip_with_keys};

/// Shows the bar.
pub fn top_bar_ui(ui: &mut Ui, panel: &mut Panel<'_>) {
    let rect = ui.max_rect();
    widgets::hairline_below(ui, rect);
    let mut row = ui.new_child(
        UiBuilder::new()
            .max_rect(rect.shrink2(egui::vec2(space::M, 0.0)))
            .layout(Layout::left_to_right(Align::Center)),
    );
    let ui = &mut row;
    ui.spacing_mut().item_spacing.x = 2.0;
    brand(ui);
    ui.add_space(space::S);
    file_menu(ui, panel);
    edit_menu(ui, panel);
    view_menu(ui, panel);
    scene_menu(ui, panel);
    help_menu(ui, panel);
    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
        right_side(ui, panel);
        title(ui, panel);
    });
}

fn brand(ui: &mut Ui) {
    let tokens = theme::tokens(ui);
    ui.label(
        egui::RichText::new(icons::ICON_DEPLOYED_CODE.codepoint)
            .font(theme::icon_font(icons::ICON_DEPLOYED_CODE, 20.0))
            .color(tokens.accent),
    );
    ui.add_space(space::XS);
    widgets::strong(ui, "One4D Studio");
}

fn right_side(ui: &mut Ui, panel: &mut Panel<'_>) {
    let state = panel.state;
    if state.is_empty() {
        action_icon(ui, Action::ToggleTheme, false, panel.commands);
        return;
    }
    let export = Action::Export.spec();
    let button = PushButton::secondary("Export…")
        .with_icon(export.icon)
        .tooltip(tooltip_with_keys(Action::Export));
    if ui.add_enabled(state.scene.is_some(), button).clicked() {
        panel.push(AppCommand::Act(Action::Export));
    }
    ui.add_space(space::S);
    action_icon(ui, Action::FindAction, false, panel.commands);
    action_icon(ui, Action::ToggleTheme, false, panel.commands);
    for (action, open) in [
        (Action::ToggleInspect, state.layout.inspect),
        (Action::ToggleTimeline, state.layout.timeline),
        (Action::ToggleCreate, state.layout.create),
    ] {
        action_icon(ui, action, open, panel.commands);
    }
    ui.add_space(space::S);
    running_pill(ui, panel);
}

/// Work under way in a word, visible when the Create panel is closed.
fn running_pill(ui: &mut Ui, panel: &mut Panel<'_>) {
    let tokens = theme::tokens(ui);
    if let Some((_, run)) = panel
        .state
        .models
        .running()
        .filter(|_| !panel.state.models.open)
    {
        let word = stage_word(run.progress.stage);
        let words = format!("{word} {:.0} %", run.fraction() * 100.0);
        widgets::status_word(ui, icons::ICON_DOWNLOADING, &words, tokens.accent);
        ui.add_space(space::S);
    }
    let Some(card) = panel.state.jobs.running() else {
        return;
    };
    let percent = format!("{:.0} %", card.fraction * 100.0);
    let icon = icons::ICON_HOURGLASS_EMPTY;
    let word = match card.progress {
        Some(progress) => format!("{} {percent}", progress.stage.label()),
        None => percent,
    };
    widgets::status_word(ui, icon, &word, tokens.accent);
}

/// The scene's name, in the middle where there is room.
fn title(ui: &mut Ui, panel: &Panel<'_>) {
    let Some(open) = &panel.state.scene else {
        return;
    };
    let tokens = theme::tokens(ui);
    let room = ui
        .available_rect_before_wrap()
        .shrink2(egui::vec2(space::M, 0.0));
    if room.width() < 80.0 {
        return;
    }
    let galley = widgets::elided(ui, &open.title(), theme::body(), tokens.muted, room.width());
    let at = room.center() - galley.size() / 2.0;
    ui.painter().galley(at, galley, tokens.muted);
}

fn menu<R>(ui: &mut Ui, name: &str, add_contents: impl FnOnce(&mut Ui) -> R) {
    let button = ui.add(PushButton::quiet(name));
    Popup::menu(&button).gap(4.0).show(|ui| {
        ui.spacing_mut().item_spacing.y = 2.0;
        ui.set_min_width(220.0);
        add_contents(ui)
    });
}

/// A row of a menu: icon, name, keys.
fn item(ui: &mut Ui, action: Action, checked: Option<bool>, panel: &mut Panel<'_>) {
    let spec = action.spec();
    let keys = spec.keys.first().map(|key| shortcuts::text(*key));
    let mark = match checked {
        Some(true) => icons::ICON_CHECK,
        _ => spec.icon,
    };
    let icon = egui::RichText::new(mark.codepoint).font(theme::icon_font(mark, theme::ICON));
    let button = egui::Button::new((icon, spec.name))
        .shortcut_text(keys.unwrap_or_default())
        .frame_when_inactive(false)
        .min_size(egui::vec2(220.0, theme::ROW));
    let enabled = is_enabled(action, panel);
    let response = ui.add_enabled(enabled, button);
    if response.on_hover_text(spec.tooltip).clicked() {
        panel.push(AppCommand::Act(action));
        ui.close();
    }
}

fn is_enabled(action: Action, panel: &Panel<'_>) -> bool {
    let state = panel.state;
    match action {
        Action::Undo => state.history.can_undo(),
        Action::Redo => state.history.can_redo(),
        Action::Generate => state.create.missing().is_none(),
        Action::CompareWipe | Action::CompareLink | Action::CompareEnd => {
            state.comparing.both().is_some()
        }
        Action::Export | Action::Screenshot | Action::Compare => state.scene.is_some(),
        Action::FindMotion => state.scene.as_ref().is_some_and(|open| {
            let scene = &open.scene;
            scene.num_frames > 1 && scene.cameras.is_some() && scene.depth.is_some()
        }),
        _ => match action.spec().group {
            Group::Time | Group::View | Group::Look => state.scene.is_some(),
            Group::File | Group::Tools | Group::Window => true,
        },
    }
}

fn edit_menu(ui: &mut Ui, panel: &mut Panel<'_>) {
    menu(ui, "Edit", |ui| {
        item(ui, Action::Undo, None, panel);
        item(ui, Action::Redo, None, panel);
        ui.separator();
        item(ui, Action::FindAction, None, panel);
    });
}

fn scene_menu(ui: &mut Ui, panel: &mut Panel<'_>) {
    menu(ui, "Scene", |ui| {
        let state = panel.state;
        for action in [Action::MeasureDistance, Action::MeasureAngle] {
            item(ui, action, None, panel);
        }
        let clips = state.view.options.clip_box.is_some();
        item(ui, Action::ToggleClipBox, Some(clips), panel);
        ui.separator();
        for action in [
            Action::AddMarker,
            Action::PreviousMarker,
            Action::NextMarker,
            Action::RemoveMarker,
        ] {
            item(ui, action, None, panel);
        }
        ui.separator();
        item(ui, Action::LevelToGround, None, panel);
        item(ui, Action::LevelToCamera, None, panel);
        ui.separator();
        item(ui, Action::FindMotion, None, panel);
        ui.separator();
        item(ui, Action::Compare, None, panel);
        if state.comparing.both().is_some() {
            for action in [Action::CompareWipe, Action::CompareLink, Action::CompareEnd] {
                item(ui, action, None, panel);
            }
        }
    });
}

fn file_menu(ui: &mut Ui, panel: &mut Panel<'_>) {
    menu(ui, "File", |ui| {
        for action in [Action::NewInput, Action::Open, Action::OpenFolder] {
            item(ui, action, None, panel);
        }
        recent(ui, panel);
        ui.separator();
        item(ui, Action::Generate, None, panel);
        item(ui, Action::ShowModels, None, panel);
        ui.separator();
        item(ui, Action::Export, None, panel);
        item(ui, Action::Screenshot, None, panel);
        ui.separator();
        item(ui, Action::Quit, None, panel);
    });
}

fn recent(ui: &mut Ui, panel: &mut Panel<'_>) {
    let state = panel.state;
    if state.recent.paths().is_empty() {
        return;
    }
    ui.separator();
    widgets::caption(ui, "Recent");
    for path in state.recent.paths().iter().take(8) {
        // Scenes of ours are all called the same; their folder tells them apart.
        let name = match file_name(path).as_str() {
            "scene.one4d" | "scene.safetensors" => {
                path.parent().map_or_else(String::new, file_name)
            }
            other => other.to_owned(),
        };
        let button = egui::Button::new(name)
            .frame_when_inactive(false)
            .truncate()
            .min_size(egui::vec2(220.0, theme::ROW));
        if ui
            .add(button)
            .on_hover_text(path.display().to_string())
            .clicked()
        {
            panel.push(AppCommand::OpenPaths(vec![path.clone()], Target::ByKind));
            ui.close();
        }
    }
    let clear = egui::Button::new("Clear recent")
        .frame_when_inactive(false)
        .min_size(egui::vec2(220.0, theme::ROW));
    if ui.add(clear).clicked() {
        panel.push(AppCommand::ClearRecent);
        ui.close();
    }
}

fn view_menu(ui: &mut Ui, panel: &mut Panel<'_>) {
    menu(ui, "View", |ui| {
        let state = panel.state;
        for (action, on) in [
            (Action::ToggleCreate, Some(state.layout.create)),
            (Action::ToggleInspect, Some(state.layout.inspect)),
            (Action::ToggleTimeline, Some(state.layout.timeline)),
            (Action::TogglePanels, None),
        ] {
            item(ui, action, on, panel);
        }
        ui.separator();
        for action in [Action::Focus, Action::ShowAll] {
            item(ui, action, None, panel);
        }
        for (action, on) in [
            (Action::LookThrough, state.view.look_through),
            (Action::Orthographic, state.view.goal().orthographic),
            (Action::ToggleSource, state.companions.source),
            (Action::ToggleStats, state.companions.stats),
        ] {
            item(ui, action, Some(on), panel);
        }
        ui.separator();
        for theme in ThemeChoice::ALL {
            let taken = state.settings.theme == theme;
            let button = egui::Button::selectable(taken, theme.label())
                .min_size(egui::vec2(220.0, theme::ROW));
            if ui.add(button).clicked() {
                panel.push(AppCommand::Theme(theme));
                ui.close();
            }
        }
        item(
            ui,
            Action::ToggleMotion,
            Some(state.settings.reduce_motion),
            panel,
        );
    });
}

fn help_menu(ui: &mut Ui, panel: &mut Panel<'_>) {
    menu(ui, "Help", |ui| {
        item(ui, Action::FindAction, None, panel);
        item(ui, Action::ShowShortcuts, None, panel);
    });
}

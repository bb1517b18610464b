//! A public model in the list: its state, its figures and what can be done with it.

use egui::{Align, Layout, Ui, vec2};
use egui_material_icons::{MaterialIcon, icons};
use one4d_engine::hub::{AdapterSource, CATALOGUE, Entry, Found, Group, State, find};

use super::Panel;
use crate::services::hub::EntryIndex;
use crate::state::AppCommand;
use crate::state::command::Target;
use crate::state::models::{ModelsEdit, Run, Work, is_complete, recipe_of, stage_word};
use crate::theme::{self, Tokens, space};
use crate::widgets::{self, PushButton};

/// Columns of figures at the right of a card, points.
pub(super) const SIZE_COLUMN: f32 = 104.0;
pub(super) const LICENCE_COLUMN: f32 = 116.0;
const ACTION_COLUMN: f32 = 206.0;
/// All of them with the gaps between.
pub(super) const FIGURES: f32 = SIZE_COLUMN + LICENCE_COLUMN + ACTION_COLUMN + 3.0 * space::S;
/// A sum of known sizes below this says nothing about a model whose network's size is not known.
const TELLING_BYTES: u64 = 1_000_000_000;
/// What stands where only the hub could tell.
const UNKNOWN: &str = "not known";

/// Shows a model: what it is, what lies here, what can be done with it and what is being done.
pub(super) fn card_ui(
    ui: &mut Ui,
    panel: &mut Panel<'_>,
    index: EntryIndex,
    entry: &'static Entry,
) {
    ui.spacing_mut().item_spacing.y = 2.0;
    let state = panel.state;
    let found = state.models.found(index).cloned().unwrap_or_default();
    let work = state.models.work.get(&index);
    ui.horizontal_top(|ui| {
        let left = ui.available_width() - FIGURES;
        ui.allocate_ui_with_layout(vec2(left, 40.0), Layout::top_down(Align::Min), |ui| {
            ui.set_width(left);
            ui.spacing_mut().item_spacing.y = 2.0;
            ui.horizontal(|ui| {
                widgets::strong(ui, entry.title);
                let (icon, word, color) = status(theme::tokens(ui), &found, work);
                widgets::status_word(ui, icon, word, color);
            });
            widgets::caption(ui, entry.purpose);
        });
        let size_note = match entry.unconfirmed {
            Some(what) => format!("Size; not confirmed before asking: {what}"),
            None => "Size; the hub tells it before a download".to_owned(),
        };
        figure_ui(ui, SIZE_COLUMN, &size(entry, &found), &size_note);
        let licence = found.licence.as_deref().unwrap_or(UNKNOWN);
        let note = entry
            .licence_note
            .unwrap_or("Licence by the model's card; the hub tells it before a download");
        figure_ui(ui, LICENCE_COLUMN, licence, note);
        let column = vec2(ACTION_COLUMN, 40.0);
        ui.allocate_ui_with_layout(column, Layout::right_to_left(Align::Center), |ui| {
            actions_ui(ui, panel, index, entry, &found);
        });
    });
    place_ui(ui, panel, entry, &found);
    work_ui(ui, panel, index);
}

/// A figure in a column of its own, in the middle of the card's height.
fn figure_ui(ui: &mut Ui, width: f32, text: &str, hint: &str) {
    ui.allocate_ui_with_layout(
        vec2(width, 40.0),
        Layout::left_to_right(Align::Center),
        |ui| {
            ui.set_width(width);
            widgets::muted(ui, text).on_hover_text(hint);
        },
    );
}

fn status(
    tokens: &Tokens,
    found: &Found,
    work: Option<&Work>,
) -> (MaterialIcon, &'static str, egui::Color32) {
    match (work, found.state) {
        (Some(Work::Asking), _) => (icons::ICON_CLOUD, "Asking the hub", tokens.accent),
        (Some(Work::Waiting(_)), _) => (icons::ICON_HOURGLASS_EMPTY, "Waiting", tokens.accent),
        (Some(Work::Running(run)), _) => {
            let word = stage_word(run.progress.stage);
            (icons::ICON_DOWNLOADING, word, tokens.accent)
        }
        (Some(Work::Stopping(_)), _) => (icons::ICON_HOURGLASS_EMPTY, "Stopping", tokens.muted),
        (Some(Work::Paused(..)), _) => (icons::ICON_PAUSE, "Paused", tokens.warn),
        (Some(Work::Failed(_)), _) => (icons::ICON_ERROR, "Failed", tokens.bad),
        (None, State::Present) => (
            icons::ICON_CHECK_CIRCLE,
            State::Present.label(),
            tokens.good,
        ),
        (None, State::Partial) => (
            icons::ICON_INCOMPLETE_CIRCLE,
            State::Partial.label(),
            tokens.warn,
        ),
        (None, State::Absent) => (
            icons::ICON_RADIO_BUTTON_UNCHECKED,
            State::Absent.label(),
            tokens.muted,
        ),
    }
}

/// What lies here, else what is documented.
fn size(entry: &Entry, found: &Found) -> String {
    let (known, is_whole) = entry.known_bytes();
    match (found.state, known, is_whole) {
        (State::Present, _, _) => widgets::bytes(found.bytes),
        (_, known, false) if known < TELLING_BYTES => UNKNOWN.to_owned(),
        (_, known, true) => format!("about {}", widgets::bytes(known)),
        (_, known, false) => format!("over {}", widgets::bytes(known)),
    }
}

/// Where it lies, or its address, and what it needs.
fn place_ui(ui: &mut Ui, panel: &Panel<'_>, entry: &Entry, found: &Found) {
    let place = match (&found.root, found.state) {
        (Some(root), State::Present | State::Partial) => root.display().to_string(),
        _ => entry.hub_id.to_owned(),
    };
    let needs: Vec<String> = entry
        .needs
        .iter()
        .filter_map(|need| find(need))
        .filter(|need| panel.state.models.state_of(need.name) != State::Present)
        .map(|need| need.title.to_owned())
        .collect();
    let words = match needs.as_slice() {
        [] => place.clone(),
        needs => format!("{place}  ·  also needs {}", needs.join(", ")),
    };
    widgets::caption(ui, words).on_hover_text(place);
}

fn actions_ui(
    ui: &mut Ui,
    panel: &mut Panel<'_>,
    index: EntryIndex,
    entry: &'static Entry,
    found: &Found,
) {
    let mut edit = None;
    let mut button = |ui: &mut Ui, button: PushButton<'_>, then: ModelsEdit| {
        if ui.add(button).clicked() {
            edit = Some(then);
        }
    };
    match panel.state.models.work.get(&index) {
        Some(Work::Asking | Work::Waiting(_) | Work::Stopping(_)) => {
            let name = format!("Cancel {}", entry.title);
            let cancel = PushButton::icon(icons::ICON_CLOSE, &name).tooltip("Takes it back");
            button(ui, cancel, ModelsEdit::Cancel(index));
        }
        Some(Work::Running(run)) => {
            let name = format!("Cancel {}", entry.title);
            let tooltip = "Stops it and takes away what has arrived";
            let cancel = PushButton::icon(icons::ICON_CLOSE, &name).tooltip(tooltip);
            button(ui, cancel, ModelsEdit::Cancel(index));
            if run.plan.is_some() && !run.stopping {
                let pause = PushButton::secondary("Pause")
                    .with_icon(icons::ICON_PAUSE)
                    .tooltip("Stops it and keeps what has arrived");
                button(ui, pause, ModelsEdit::Pause(index));
            }
        }
        Some(Work::Paused(..)) => {
            let name = format!("Discard {}", entry.title);
            let tooltip = "Takes away what has arrived";
            let discard = PushButton::icon(icons::ICON_CLOSE, &name).tooltip(tooltip);
            button(ui, discard, ModelsEdit::Cancel(index));
            let resume = PushButton::secondary("Resume")
                .with_icon(icons::ICON_PLAY_ARROW)
                .tooltip("Goes on where it stopped");
            button(ui, resume, ModelsEdit::Resume(index));
        }
        Some(Work::Failed(_)) => {
            let name = format!("Dismiss the failure of {}", entry.title);
            let dismiss =
                PushButton::icon(icons::ICON_CLOSE, &name).tooltip("Takes the words away");
            button(ui, dismiss, ModelsEdit::Forgive(index));
            let again = PushButton::secondary("Try again").with_icon(icons::ICON_REFRESH);
            button(ui, again, ModelsEdit::Ask(index));
        }
        None if found.state == State::Present => {
            present_actions_ui(ui, panel, index, entry, found);
        }
        None => {
            let label = if found.state == State::Partial {
                "Complete…"
            } else {
                "Fetch…"
            };
            let fetch = PushButton::secondary(label)
                .with_icon(icons::ICON_DOWNLOAD)
                .tooltip("Asks the hub for size and licence, and then you");
            button(ui, fetch, ModelsEdit::Ask(index));
        }
    }
    if let Some(edit) = edit {
        panel.push(AppCommand::Models(edit));
    }
}

/// Verify, show, use.
fn present_actions_ui(
    ui: &mut Ui,
    panel: &mut Panel<'_>,
    index: EntryIndex,
    entry: &Entry,
    found: &Found,
) {
    let name = format!("Show the folder of {}", entry.title);
    let show = PushButton::icon(icons::ICON_FOLDER_OPEN, &name).tooltip("Shows its folder");
    if ui.add(show).clicked()
        && let Some(root) = &found.root
    {
        // The command shows the folder that a file lies in.
        panel.push(AppCommand::Reveal(root.join("README.md")));
    }
    let name = format!("Verify {}", entry.title);
    let verify = PushButton::icon(icons::ICON_VERIFIED, &name)
        .tooltip("Reads its files again and compares checksums");
    if ui.add(verify).clicked() {
        panel.push(AppCommand::Models(ModelsEdit::Verify(index)));
    }
    if entry.group == Group::Fast {
        let button = PushButton::secondary("Add to LoRA files")
            .tooltip("Lists it in Create, where Fast takes few steps with it");
        if ui.add(button).clicked() {
            let files = found.files();
            panel.push(AppCommand::OpenPaths(files, Target::ByKind));
            panel.push(AppCommand::Models(ModelsEdit::Close));
        }
        return;
    }
    let Some(recipe) = recipe_of(entry) else {
        return;
    };
    let is_complete = is_complete(&panel.state.models, recipe);
    let (label, tooltip) = match recipe.adapters {
        AdapterSource::Entry(_) if is_complete => ("Use as model", "Makes the next scene with it"),
        AdapterSource::Entry(_) => ("Use as model", "Its base model is not here yet"),
        AdapterSource::Own => (
            "Use with adapters…",
            "Makes the next scene with One4D adapters that you have trained on it",
        ),
    };
    let button = PushButton::secondary(label).tooltip(tooltip);
    if ui.add_enabled(is_complete, button).clicked() {
        panel.push(AppCommand::Models(ModelsEdit::Use(index)));
    }
}

/// The bar of what runs, the reason of what failed.
fn work_ui(ui: &mut Ui, panel: &Panel<'_>, index: EntryIndex) {
    let tokens = theme::tokens(ui);
    let title = CATALOGUE[index].title;
    match panel.state.models.work.get(&index) {
        Some(Work::Running(run)) => {
            ui.add_space(space::S);
            widgets::progress_bar(ui, title, run.fraction(), tokens.accent);
            ui.add_space(2.0);
            widgets::caption(ui, figures(run, panel.state.now_secs));
            if let Some(note) = &run.note {
                widgets::caption(ui, note);
            }
        }
        Some(Work::Paused(plan, progress)) => {
            ui.add_space(space::S);
            let total = plan.total_bytes();
            let done = progress.map_or(0, |progress| progress.done as u64);
            widgets::progress_bar(ui, title, done as f32 / total.max(1) as f32, tokens.warn);
            ui.add_space(2.0);
            let words = format!(
                "{} of {} are here",
                widgets::bytes(done),
                widgets::bytes(total)
            );
            widgets::caption(ui, words);
        }
        Some(Work::Failed(reason)) => {
            ui.add_space(space::XS);
            widgets::wrapped(ui, reason, tokens.bad);
        }
        _ => {}
    }
}

/// "3.2 GB of 19 GB, 45 MB a second, 5 min 51 s left".
fn figures(run: &Run, now_secs: f64) -> String {
    let progress = run.progress;
    if !progress.stage.counts_bytes() {
        return format!("Step {} of {}", progress.done, progress.total);
    }
    let bytes = |count: usize| widgets::bytes(count as u64);
    let mut words = format!("{} of {}", bytes(progress.done), bytes(progress.total));
    if let Some(rate) = run.rate(now_secs) {
        let left = (progress.total - progress.done) as f64 / rate;
        words.push_str(&format!(
            ", {} a second, {} left",
            widgets::bytes(rate as u64),
            widgets::duration(left)
        ));
    }
    words
}

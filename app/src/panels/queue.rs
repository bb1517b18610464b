//! The queue: one card a job.

use egui::{Align, Context, Id, Layout, Rect, ScrollArea, Sense, Ui, vec2};
use egui_material_icons::{MaterialIcon, icons};
use one4d_engine::job::Stage;

use super::Panel;
use crate::state::AppCommand;
use crate::state::command::JobEdit;
use crate::state::jobs::{Failure, JobCard, Phase, scene_file};
use crate::theme::{self, Tokens, space};
use crate::widgets::{self, PushButton};

/// Height that shows every card whole, from the last frame's cards; points.
pub fn wanted_height(ctx: &Context) -> f32 {
    let cards = ctx.data(|data| data.get_temp::<f32>(cards_height_id()));
    HEAD + cards.unwrap_or(CARD)
}

/// The head and the room above and below.
const HEAD: f32 = 52.0;
/// A card, until one has been measured.
const CARD: f32 = 64.0;

fn cards_height_id() -> Id {
    Id::unique("queue-cards-height")
}

/// Shows the queue, newest job first.
pub fn queue_ui(ui: &mut Ui, panel: &mut Panel<'_>) {
    let state = panel.state;
    ui.horizontal(|ui| {
        widgets::heading(ui, "Queue");
        let active = state.jobs.num_active();
        if active > 0 {
            widgets::caption(ui, format!("{active} to do"));
        }
    });
    let cards = ScrollArea::vertical()
        .id_salt("queue-scroll")
        .auto_shrink([false, false])
        .show(ui, |ui| {
            for card in state.jobs.cards().iter().rev() {
                ui.push_id(card.id.0, |ui| {
                    widgets::card(ui, |ui| card_ui(ui, panel, card));
                });
            }
        });
    let height = cards.content_size.y;
    ui.data_mut(|data| data.insert_temp(cards_height_id(), height));
}

fn card_ui(ui: &mut Ui, panel: &mut Panel<'_>, card: &JobCard) {
    ui.spacing_mut().item_spacing = vec2(space::S, 6.0);
    ui.horizontal(|ui| {
        picture_ui(ui, panel, card);
        ui.vertical(|ui| {
            ui.spacing_mut().item_spacing.y = 2.0;
            head_ui(ui, panel, card);
            status_ui(ui, panel, card);
        });
    });
    match &card.phase {
        Phase::Running => running_ui(ui, panel, card),
        Phase::Failed(failure) => failed_ui(ui, failure),
        Phase::Queued | Phase::Done | Phase::Cancelled => {}
    }
    for warning in &card.warnings {
        let tokens = theme::tokens(ui);
        ui.horizontal_top(|ui| {
            let icon = icons::ICON_WARNING;
            let text = egui::RichText::new(icon.codepoint)
                .font(theme::icon_font(icon, 14.0))
                .color(tokens.warn);
            ui.label(text);
            widgets::wrapped(ui, warning, tokens.muted);
        });
    }
    actions_ui(ui, panel, card);
}

fn picture_ui(ui: &mut Ui, panel: &mut Panel<'_>, card: &JobCard) {
    if !card.is_generation() {
        return;
    }
    let (rect, _) = ui.allocate_exact_size(vec2(64.0, 38.0), Sense::hover());
    let texture = card
        .preview
        .as_ref()
        .and_then(|preview| Some((preview, panel.textures.preview(ui.ctx(), preview)?)));
    match texture {
        Some((preview, texture)) => {
            let size = [preview.width, preview.height];
            widgets::thumbnail(ui, rect, texture, size, 3.0);
        }
        None => blank(ui, rect),
    }
}

fn blank(ui: &Ui, rect: Rect) {
    let tokens = theme::tokens(ui);
    ui.painter().rect_filled(rect, 3.0, tokens.panel);
    let icon = icons::ICON_AUTO_AWESOME;
    ui.painter().text(
        rect.center(),
        egui::Align2::CENTER_CENTER,
        icon.codepoint,
        theme::icon_font(icon, theme::ICON),
        tokens.muted,
    );
}

/// Title at the left, cancel or remove at the right.
fn head_ui(ui: &mut Ui, panel: &mut Panel<'_>, card: &JobCard) {
    ui.allocate_ui_with_layout(
        vec2(ui.available_width(), 20.0),
        Layout::right_to_left(Align::Center),
        |ui| {
            let (icon, name, edit) = if card.is_active() {
                (icons::ICON_CLOSE, "Cancel", JobEdit::Cancel)
            } else {
                (icons::ICON_CLOSE, "Remove from the queue", JobEdit::Remove)
            };
            let button = PushButton::icon(icon, name).height(20.0).tooltip(name);
            if ui.add_enabled(!card.stopping, button).clicked() {
                panel.push(AppCommand::Job(card.id, edit));
            }
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                let plan = card.memory_plan.as_deref();
                let words = plan.map(|plan| format!("{}\nPlan: {plan}", card.title));
                widgets::strong(ui, &card.title)
                    .on_hover_text(words.unwrap_or_else(|| card.title.clone()));
            });
        },
    );
}

fn status_ui(ui: &mut Ui, panel: &Panel<'_>, card: &JobCard) {
    let tokens = theme::tokens(ui);
    let (icon, word, color) = status(tokens, card, panel.state.now_secs);
    widgets::status_word(ui, icon, &word, color);
}

fn status(tokens: &Tokens, card: &JobCard, now_secs: f64) -> (MaterialIcon, String, egui::Color32) {
    let took = || widgets::duration(card.elapsed_secs(now_secs));
    match &card.phase {
        _ if card.stopping => (
            icons::ICON_STOP_CIRCLE,
            "Stopping after this step".to_owned(),
            tokens.warn,
        ),
        Phase::Queued => (icons::ICON_SCHEDULE, "Waiting".to_owned(), tokens.muted),
        Phase::Running => (
            icons::ICON_HOURGLASS_EMPTY,
            card.progress
                .map_or("Starting", |progress| progress.stage.label())
                .to_owned(),
            tokens.accent,
        ),
        Phase::Done => (
            icons::ICON_CHECK_CIRCLE,
            format!("Done in {}", took()),
            tokens.good,
        ),
        Phase::Cancelled => (icons::ICON_BLOCK, "Cancelled".to_owned(), tokens.muted),
        Phase::Failed(_) => (icons::ICON_ERROR, "Failed".to_owned(), tokens.bad),
    }
}

/// Bar, step and time left.
fn running_ui(ui: &mut Ui, panel: &Panel<'_>, card: &JobCard) {
    let state = panel.state;
    let tokens = theme::tokens(ui);
    let name = format!("Progress of {}", card.title);
    widgets::progress_bar(ui, &name, card.fraction, tokens.accent);
    ui.allocate_ui_with_layout(
        vec2(ui.available_width(), 14.0),
        Layout::right_to_left(Align::Center),
        |ui| {
            if let Some(left) = card.left_secs(&state.jobs.timings, state.now_secs) {
                widgets::caption(ui, format!("{} left", widgets::duration(left)));
            } else {
                let elapsed = card.elapsed_secs(state.now_secs);
                widgets::caption(ui, widgets::duration(elapsed));
            }
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                widgets::caption(ui, step_words(card));
            });
        },
    );
}

/// "Step 7 of 20" for steps, "7 of 17" for everything else that is counted.
fn step_words(card: &JobCard) -> String {
    match card.progress {
        Some(progress) if matches!(progress.stage, Stage::Sample | Stage::Train) => {
            format!("Step {} of {}", progress.done, progress.total)
        }
        Some(progress) if progress.total > 1 => {
            format!("{} of {}", progress.done, progress.total)
        }
        _ => String::new(),
    }
}

fn failed_ui(ui: &mut Ui, failure: &Failure) {
    let tokens = theme::tokens(ui);
    widgets::strong(ui, &failure.title);
    widgets::wrapped(ui, &failure.cause, tokens.muted);
    super::notices::details_ui(ui, &failure.details);
}

fn actions_ui(ui: &mut Ui, panel: &mut Panel<'_>, card: &JobCard) {
    let mut offers: Vec<(&str, MaterialIcon, JobEdit)> = Vec::new();
    match &card.phase {
        Phase::Failed(_) | Phase::Cancelled => {
            offers.push(("Retry", icons::ICON_REFRESH, JobEdit::Retry));
        }
        Phase::Done => {
            let on_screen = panel
                .state
                .scene
                .as_ref()
                .is_some_and(|open| open.job == card.id);
            let saved = card.output.as_ref().and_then(scene_file).is_some();
            if saved && !on_screen {
                offers.push(("Show", icons::ICON_VISIBILITY, JobEdit::OpenResult));
                if panel.state.scene.is_some() {
                    offers.push(("Compare", icons::ICON_COMPARE, JobEdit::CompareResult));
                }
            }
            if card
                .output
                .as_ref()
                .is_some_and(|output| !output.files.is_empty())
            {
                offers.push(("Files", icons::ICON_FOLDER_OPEN, JobEdit::Reveal));
            }
        }
        Phase::Queued | Phase::Running => {}
    }
    if card.is_generation() && !card.is_active() {
        offers.push(("Reuse inputs", icons::ICON_EDIT_NOTE, JobEdit::Reuse));
    }
    if offers.is_empty() {
        return;
    }
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 2.0;
        let narrow = offers.len() > 3;
        for (i, (name, icon, edit)) in offers.into_iter().enumerate() {
            // The first two say what they do; more words do not fit.
            let button = if narrow && i > 1 {
                PushButton::icon(icon, name).tooltip(name)
            } else {
                PushButton::quiet(name).with_icon(icon)
            };
            if ui.add(button).clicked() {
                panel.push(AppCommand::Job(card.id, edit));
            }
        }
    });
}

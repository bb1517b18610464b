//! The middle of the window while no scene is on screen: the inputs, or the work under way.

use egui::{Align2, Rect, Ui, pos2, vec2};
use egui_material_icons::icons;

use super::{Panel, inputs};
use crate::state::create::InputMode;
use crate::state::jobs::JobCard;
use crate::theme::{self, space};
use crate::widgets;

/// Shows the preview of the running job, or the input.
pub fn stage_ui(ui: &mut Ui, panel: &mut Panel<'_>) {
    let whole = ui.max_rect().shrink(space::XL * 2.0);
    match panel
        .state
        .jobs
        .running()
        .filter(|card| card.is_generation())
    {
        Some(card) => running_ui(ui, panel, whole, card),
        None => input_ui(ui, panel, whole),
    }
}

fn running_ui(ui: &Ui, panel: &mut Panel<'_>, whole: Rect, card: &JobCard) {
    let tokens = theme::tokens(ui);
    let model = &panel.state.model.facts;
    let picture = card
        .preview
        .as_ref()
        .and_then(|preview| Some((preview, panel.textures.preview(ui.ctx(), preview)?)));
    let size = picture
        .as_ref()
        .map_or([model.width, model.height], |(p, _)| [p.width, p.height]);
    let rect = fit(whole, size);
    if let Some((_, texture)) = picture {
        widgets::thumbnail(ui, rect, texture, size, 8.0);
    } else {
        ui.painter().rect_filled(rect, 8.0, tokens.raised);
        let circle = Rect::from_center_size(rect.center(), vec2(32.0, 32.0));
        widgets::spinner(ui, circle, tokens.accent);
    }
    bar(ui, rect, card.fraction);
    let stage = match card.progress {
        Some(progress) if progress.total > 1 => format!(
            "{}, {} of {}",
            progress.stage.label(),
            progress.done,
            progress.total
        ),
        Some(progress) => progress.stage.label().to_owned(),
        None => "Starting".to_owned(),
    };
    let left = card
        .left_secs(&panel.state.jobs.timings, panel.state.now_secs)
        .map_or_else(String::new, |secs| {
            format!("{} left", widgets::duration(secs))
        });
    words(ui, rect, &stage, &left);
}

/// A thin bar along the lower edge of the picture.
fn bar(ui: &Ui, rect: Rect, fraction: f32) {
    let tokens = theme::tokens(ui);
    let mut track = rect;
    track.set_top(rect.bottom() + space::S);
    track.set_bottom(rect.bottom() + space::S + 3.0);
    ui.painter().rect_filled(track, 1.5, tokens.line);
    track.set_width(track.width() * fraction);
    ui.painter().rect_filled(track, 1.5, tokens.accent);
}

fn input_ui(ui: &Ui, panel: &mut Panel<'_>, whole: Rect) {
    let create = &panel.state.create;
    let ready = if create.missing().is_none() {
        "Generate scene makes a 4D scene of this"
    } else {
        ""
    };
    let Some(path) = create.leading_file().cloned() else {
        let title = create.missing().unwrap_or("Ready");
        let hint = match create.mode {
            InputMode::Text if create.missing().is_none() => {
                "Generate scene makes a 4D scene of the prompt"
            }
            InputMode::Text => "It says what the scene shows and how things move",
            _ if panel.state.platform.no_drop => "Choose it in the Create panel, or paste it",
            _ => "Drop it anywhere on this window",
        };
        nothing(ui, whole, title, hint);
        return;
    };
    let size = panel
        .state
        .media
        .picture(&path)
        .map_or([16, 9], |source| source.picture.size);
    let rect = fit(whole, size);
    inputs::cropped_picture(ui, panel, rect, &path);
    let model = &panel.state.model.facts;
    let seen = format!(
        "The model sees the part inside the marks, at {} × {} px",
        model.width, model.height
    );
    words(ui, rect, ready, &seen);
}

fn nothing(ui: &Ui, whole: Rect, title: &str, hint: &str) {
    let tokens = theme::tokens(ui);
    let icon = icons::ICON_DEPLOYED_CODE;
    let centre = whole.center();
    ui.painter().text(
        centre - vec2(0.0, 44.0),
        Align2::CENTER_CENTER,
        icon.codepoint,
        theme::icon_font(icon, 44.0),
        tokens.line,
    );
    ui.painter().text(
        centre + vec2(0.0, 4.0),
        Align2::CENTER_CENTER,
        title,
        theme::heading(),
        tokens.text,
    );
    ui.painter().text(
        centre + vec2(0.0, 26.0),
        Align2::CENTER_CENTER,
        hint,
        theme::body(),
        tokens.muted,
    );
}

/// The largest place of the picture's aspect that leaves room for two lines below.
fn fit(whole: Rect, size: [usize; 2]) -> Rect {
    let mut room = whole;
    room.set_bottom(whole.bottom() - 60.0);
    let limit = vec2(760.0, 520.0);
    let room = Rect::from_center_size(room.center(), room.size().min(limit));
    widgets::picture_rect(room, size)
}

fn words(ui: &Ui, rect: Rect, first: &str, second: &str) {
    let tokens = theme::tokens(ui);
    let x = rect.center().x;
    let mut y = rect.bottom() + space::XL + 2.0;
    for (text, font, color) in [
        (first, theme::strong(), tokens.text),
        (second, theme::body(), tokens.muted),
    ] {
        if !text.is_empty() {
            ui.painter()
                .text(pos2(x, y), Align2::CENTER_CENTER, text, font, color);
            y += 20.0;
        }
    }
}

//! The first launch: one well, three samples, nothing else.

use egui::{Align2, Rect, Role, Sense, Ui, WidgetInfo, pos2, vec2};
use egui_material_icons::icons;

use super::Panel;
use crate::samples::SAMPLES;
use crate::state::command::{CreateEdit, Pick};
use crate::state::create::InputMode;
use crate::state::{Action, AppCommand};
use crate::theme::{self, space};
use crate::widgets::{self, PushButton};

/// Width of the column of samples, points.
const SAMPLES_WIDTH: f32 = 208.0;

/// Shows the first launch in the middle of the window.
pub fn empty_ui(ui: &mut Ui, panel: &mut Panel<'_>) {
    let whole = ui.max_rect();
    let samples = if SAMPLES.is_empty() {
        0.0
    } else {
        SAMPLES_WIDTH + space::XL
    };
    let width = (whole.width() - 2.0 * 48.0).min(920.0);
    let height = (whole.height() - 2.0 * 64.0).min(460.0);
    let block = Rect::from_center_size(whole.center() - vec2(0.0, 12.0), vec2(width, height));
    let mut well = block;
    well.set_right(block.right() - samples);
    well_ui(ui, panel, well);
    if samples > 0.0 {
        let mut column = block;
        column.set_left(block.right() - SAMPLES_WIDTH);
        samples_ui(ui, panel, column);
    }
    footer_ui(ui, whole, block.bottom());
}

fn well_ui(ui: &mut Ui, panel: &mut Panel<'_>, rect: Rect) {
    let tokens = theme::tokens(ui);
    let response = ui.interact(rect, ui.scope_id().with("empty-well"), Sense::click());
    let no_drop = panel.state.platform.no_drop;
    let title = if no_drop {
        "Open or paste an image, a video or a folder"
    } else {
        "Drop an image, a video or a folder"
    };
    response.widget_info(|| WidgetInfo::labeled(Role::Button, ui.is_enabled(), title));
    let dropping = ui.input(|input| !input.raw.hovered_files.is_empty());
    widgets::well_frame(ui, rect, dropping || response.hovered());
    widgets::focus_ring(ui, &response, rect);
    let centre = rect.center() - vec2(0.0, 26.0);
    let icon = icons::ICON_ADD_PHOTO_ALTERNATE;
    ui.painter().text(
        centre - vec2(0.0, 52.0),
        Align2::CENTER_CENTER,
        icon.codepoint,
        theme::icon_font(icon, 48.0),
        tokens.accent,
    );
    ui.painter().text(
        centre + vec2(0.0, 8.0),
        Align2::CENTER_CENTER,
        title,
        theme::title(),
        tokens.text,
    );
    ui.painter().text(
        centre + vec2(0.0, 38.0),
        Align2::CENTER_CENTER,
        "and orbit the 4D scene that comes of it. Saved scenes open here too.",
        theme::body(),
        tokens.muted,
    );
    well_buttons(ui, panel, pos2(centre.x, centre.y + 86.0));
    if response.clicked() {
        panel.push(AppCommand::Pick(Pick::Anything));
    }
}

fn well_buttons(ui: &mut Ui, panel: &mut Panel<'_>, centre: egui::Pos2) {
    let rect = Rect::from_center_size(centre, vec2(304.0, theme::TOUCH));
    let mut row = ui.new_child(
        egui::UiBuilder::new()
            .max_rect(rect)
            .layout(egui::Layout::left_to_right(egui::Align::Center)),
    );
    let open = PushButton::primary("Open…")
        .with_icon(icons::ICON_FOLDER_OPEN)
        .height(theme::TOUCH)
        .width(112.0)
        .tooltip(widgets::tooltip_with_keys(Action::Open));
    if row.add(open).clicked() {
        panel.push(AppCommand::Act(Action::Open));
    }
    let prompt = PushButton::secondary("Start from a prompt")
        .with_icon(icons::ICON_EDIT_NOTE)
        .height(theme::TOUCH)
        .width(184.0)
        .tooltip("Makes a scene from words alone");
    if row.add(prompt).clicked() {
        panel.push(AppCommand::Create(CreateEdit::Mode(InputMode::Text)));
    }
}

fn samples_ui(ui: &mut Ui, panel: &mut Panel<'_>, column: Rect) {
    let tokens = theme::tokens(ui);
    let count = SAMPLES.len() as f32;
    let head = 22.0;
    ui.painter().text(
        column.left_top() + vec2(0.0, 2.0),
        Align2::LEFT_TOP,
        "Or try a sample",
        theme::body(),
        tokens.muted,
    );
    let height = (column.height() - head - space::M * (count - 1.0)) / count;
    for (index, sample) in SAMPLES.iter().enumerate() {
        let top = column.top() + head + index as f32 * (height + space::M);
        let rect = Rect::from_min_size(pos2(column.left(), top), vec2(column.width(), height));
        let response = ui.interact(rect, ui.scope_id().with(("sample", index)), Sense::click());
        let name = format!("Sample: {}", sample.name);
        response.widget_info(|| WidgetInfo::labeled(Role::Button, ui.is_enabled(), &name));
        sample_picture(ui, panel, rect, index, response.hovered());
        let name_rect = Rect::from_min_max(pos2(rect.left(), rect.bottom() - 26.0), rect.max);
        let veil = theme::fade(theme::DARK.canvas, 0.72);
        let corners = egui::CornerRadius {
            nw: 0,
            ne: 0,
            sw: theme::RADIUS,
            se: theme::RADIUS,
        };
        ui.painter().rect_filled(name_rect, corners, veil);
        ui.painter().text(
            name_rect.left_center() + vec2(10.0, 0.0),
            Align2::LEFT_CENTER,
            sample.name,
            theme::strong(),
            theme::DARK.text,
        );
        widgets::focus_ring(ui, &response, rect);
        if response.on_hover_text(sample.prompt.trim()).clicked() {
            panel.push(AppCommand::Create(CreateEdit::Sample(index)));
        }
    }
}

fn sample_picture(ui: &Ui, panel: &mut Panel<'_>, rect: Rect, index: usize, lit: bool) {
    let tokens = theme::tokens(ui);
    let radius = f32::from(theme::RADIUS);
    match panel.state.samples.get(index) {
        Some(Some(picture)) => {
            let texture = panel.textures.picture(ui.ctx(), picture);
            widgets::thumbnail(ui, rect, texture, picture.size, radius);
        }
        _ => {
            ui.painter().rect_filled(rect, radius, tokens.raised);
        }
    }
    if lit {
        let stroke = egui::Stroke::new(2.0, tokens.accent);
        ui.painter()
            .rect_stroke(rect, radius, stroke, egui::StrokeKind::Inside);
    }
}

/// What the bundled model can be asked for, said once and plainly.
fn footer_ui(ui: &Ui, whole: Rect, top: f32) {
    let tokens = theme::tokens(ui);
    let y = top.midpoint(whole.bottom());
    ui.painter().text(
        pos2(whole.center().x, y),
        Align2::CENTER_CENTER,
        "The bundled One4D-mini knows rendered worlds; with photographs it does what it can.",
        theme::caption(),
        tokens.muted,
    );
}

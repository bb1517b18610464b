//! The strip: frames as pictures, in and out as brackets, the playhead with its number.

use std::sync::Arc;

use egui::{
    Align2, ColorImage, CursorIcon, Rect, Response, Role, Sense, Stroke, StrokeKind, Ui,
    WidgetInfo, pos2, vec2,
};

use super::{Scale, markers};
use crate::panels::Panel;
use crate::state::AppCommand;
use crate::state::command::TimeEdit;
use crate::theme;
use crate::widgets;

/// Height of the labels above the pictures, points.
const LABELS: f32 = 15.0;
/// Height of the frame under the pointer, points.
const PREVIEW: f32 = 120.0;
/// How near the pointer has to be to take a bracket, points.
const GRIP: f32 = 6.0;

/// Shows the strip over what is left of the timeline.
pub(super) fn strip_ui(ui: &mut Ui, panel: &mut Panel<'_>) {
    let (rect, response) = ui.allocate_exact_size(ui.available_size(), Sense::click_and_drag());
    let state = panel.state;
    let num_frames = match &state.scene {
        Some(open) => open.scene.num_frames,
        None => state.create.num_frames,
    };
    let scale = Scale::new(rect.x_range(), num_frames);
    let mut pictures = rect;
    pictures.set_top(rect.top() + LABELS);
    labels(ui, rect, &scale, num_frames);
    if state.scene.is_some() {
        scene_pictures(ui, panel, pictures, &scale);
        response.widget_info(|| {
            let mut info = WidgetInfo::labeled(Role::Slider, ui.is_enabled(), "Scrub the timeline");
            info.value = Some(state.frame() as f64 + 1.0);
            info
        });
        brackets(ui, panel, pictures, &scale);
        markers::flags_ui(ui, panel, (rect, pictures), &scale);
        playhead(
            ui,
            rect,
            pictures,
            scale.centre(state.frame()),
            state.frame(),
        );
        scrub(ui, panel, &response, &scale);
        preview_ui(ui, panel, (&response, pictures), &scale);
    } else {
        input_pictures(ui, panel, pictures, &scale);
        response.widget_info(|| WidgetInfo::labeled(Role::Label, true, "Frames of the next scene"));
    }
}

fn labels(ui: &Ui, rect: Rect, scale: &Scale, num_frames: usize) {
    let tokens = theme::tokens(ui);
    let step = scale.label_step(44.0);
    let mut frame = 0;
    while frame < num_frames {
        // Counted from one, and round numbers where there is a choice.
        let shown = if step > 1 && frame > 0 {
            frame - 1
        } else {
            frame
        };
        ui.painter().text(
            pos2(scale.centre(shown), rect.top() + 5.0),
            Align2::CENTER_CENTER,
            shown + 1,
            theme::caption(),
            tokens.muted,
        );
        frame += step;
    }
}

/// Cells of the picture's own aspect side by side; each shows the frame at its middle.
fn scene_pictures(ui: &Ui, panel: &mut Panel<'_>, rect: Rect, scale: &Scale) {
    let tokens = theme::tokens(ui);
    let Some(open) = &panel.state.scene else {
        return;
    };
    ui.painter()
        .rect_filled(rect, theme::RADIUS_SMALL, tokens.raised);
    let aspect = open.scene.width as f32 / open.scene.height.max(1) as f32;
    let cells = (rect.width() / (rect.height() * aspect)).ceil().max(1.0);
    let width = rect.width() / cells;
    for i in 0..cells as usize {
        let left = rect.left() + width * i as f32;
        let cell = Rect::from_min_size(pos2(left, rect.top()), vec2(width, rect.height()));
        let frame = scale.frame_at(cell.center().x);
        match nearest_picture(&open.strip, frame) {
            Some(picture) => {
                let texture = panel.textures.picture(ui.ctx(), picture);
                widgets::thumbnail(ui, cell, texture, picture.size, 0.0);
            }
            None => widgets::hatch(ui, cell, tokens.line),
        }
    }
    let missing = open.facts.iter().flat_map(|facts| &facts.empty_frames);
    for &frame in missing {
        let cell = Rect::from_x_y_ranges(scale.edge(frame)..=scale.edge(frame + 1), rect.y_range());
        ui.painter().rect_filled(cell, 0.0, tokens.dim);
        widgets::hatch(ui, cell, tokens.muted);
    }
    round_corners(ui, rect);
}

/// The frame under the pointer, larger, while nothing is dragged.
fn preview_ui(
    ui: &mut Ui,
    panel: &mut Panel<'_>,
    (response, pictures): (&Response, Rect),
    scale: &Scale,
) {
    let Some(pointer) = response.hover_pos() else {
        return;
    };
    if ui.input(|input| input.pointer.any_down()) || !pictures.contains(pointer) {
        return;
    }
    let Some(open) = &panel.state.scene else {
        return;
    };
    let frame = scale.frame_at(pointer.x);
    let Some(Some(picture)) = open.strip.get(frame) else {
        return;
    };
    let texture = panel.textures.picture(ui.ctx(), picture);
    let aspect = picture.size[0] as f32 / picture.size[1].max(1) as f32;
    let height = PREVIEW.min(PREVIEW * 1.6 / aspect);
    let size = vec2(height * aspect, height);
    let screen = ui.ctx().content_rect();
    let centre = pos2(scale.centre(frame), pictures.top() - 34.0 - size.y / 2.0);
    let mut place = Rect::from_center_size(centre, size);
    let within = screen.shrink(8.0);
    let shift = (within.left() - place.left()).max(0.0) - (place.right() - within.right()).max(0.0);
    place = place.translate(vec2(shift, 0.0));
    let layer = egui::LayerId::new(egui::Order::Tooltip, response.id.with("preview"));
    let mut child = ui.new_child(egui::UiBuilder::new().layer_id(layer).max_rect(screen));
    child.set_clip_rect(screen);
    let tokens = theme::tokens(ui);
    let ground = place.expand(3.0);
    child.painter().rect_filled(ground, 6.0, tokens.panel);
    let edge = Stroke::new(1.0, tokens.line);
    child
        .painter()
        .rect_stroke(ground, 6.0, edge, StrokeKind::Outside);
    widgets::thumbnail(&child, place, texture, picture.size, 4.0);
    pill(&child, pos2(place.center().x, place.bottom() - 12.0), frame);
}

/// The picture of a frame, or of one of its neighbours while it is being made.
fn nearest_picture(strip: &[Option<Arc<ColorImage>>], frame: usize) -> Option<&Arc<ColorImage>> {
    let near = [frame, frame.saturating_sub(1), frame + 1];
    near.into_iter().find_map(|i| strip.get(i)?.as_ref())
}

/// The frames of the next scene: given ones as pictures, the rest hatched.
fn input_pictures(ui: &Ui, panel: &mut Panel<'_>, rect: Rect, scale: &Scale) {
    let tokens = theme::tokens(ui);
    let create = &panel.state.create;
    ui.painter()
        .rect_filled(rect, theme::RADIUS_SMALL, tokens.raised);
    widgets::hatch(ui, rect, tokens.line);
    if let (crate::state::create::InputMode::Video, Some(path)) = (create.mode, &create.video)
        && let Some(source) = panel.state.media.picture(path)
    {
        let texture = panel.textures.picture(ui.ctx(), &source.picture);
        let height = rect.height();
        let aspect = source.picture.size[0] as f32 / source.picture.size[1].max(1) as f32;
        let first = Rect::from_min_size(rect.min, vec2(height * aspect, height));
        widgets::thumbnail(ui, first, texture, source.picture.size, 0.0);
    }
    let model = &panel.state.model.facts;
    let aspect = model.width as f32 / model.height as f32;
    for frame in create.observed() {
        let Some(source) = panel.state.media.picture(&frame.path) else {
            continue;
        };
        let texture = panel.textures.picture(ui.ctx(), &source.picture);
        let size = vec2(rect.height() * aspect, rect.height());
        let mut cell = Rect::from_center_size(pos2(scale.centre(frame.at), rect.center().y), size);
        let shift = (rect.left() - cell.left()).max(0.0) - (cell.right() - rect.right()).max(0.0);
        cell = cell.translate(vec2(shift, 0.0));
        widgets::thumbnail(ui, cell, texture, source.picture.size, 3.0);
        let stroke = Stroke::new(1.5, tokens.accent);
        ui.painter()
            .rect_stroke(cell, 3.0, stroke, StrokeKind::Inside);
        pill(
            ui,
            // The number stands where the frame is, though its picture may reach further.
            pos2(scale.centre(frame.at), rect.top() - LABELS / 2.0 - 2.0),
            frame.at,
        );
    }
    round_corners(ui, rect);
}

/// Paints the panel's colour over the corners, where pictures would stick out.
fn round_corners(ui: &Ui, rect: Rect) {
    let tokens = theme::tokens(ui);
    let stroke = Stroke::new(2.0, tokens.panel);
    ui.painter()
        .rect_stroke(rect, theme::RADIUS_SMALL, stroke, StrokeKind::Outside);
}

/// Dims what does not play and marks its ends.
fn brackets(ui: &Ui, panel: &Panel<'_>, rect: Rect, scale: &Scale) {
    let tokens = theme::tokens(ui);
    let clock = &panel.state.clock;
    let (first, last) = clock.range();
    let (left, right) = (scale.edge(first), scale.edge(last + 1));
    for outside in [rect.left()..=left, right..=rect.right()] {
        let veil = Rect::from_x_y_ranges(outside, rect.y_range());
        ui.painter().rect_filled(veil, 0.0, tokens.dim);
    }
    let color = if clock.has_range() {
        tokens.text
    } else {
        theme::fade(tokens.text, 0.5)
    };
    let stroke = Stroke::new(2.5, color);
    for (x, arm) in [(left + 1.5, 6.0), (right - 1.5, -6.0)] {
        ui.painter().vline(x, rect.y_range(), stroke);
        for y in [rect.top() + 1.0, rect.bottom() - 1.0] {
            ui.painter()
                .line_segment([pos2(x, y), pos2(x + arm, y)], stroke);
        }
    }
}

fn playhead(ui: &Ui, rect: Rect, pictures: Rect, x: f32, frame: usize) {
    let tokens = theme::tokens(ui);
    let stroke = Stroke::new(2.0, tokens.accent);
    ui.painter()
        .vline(x, rect.top() + 8.0..=pictures.bottom(), stroke);
    pill(ui, pos2(x, rect.top() + 5.0), frame);
}

/// A frame's number, counted from one, on accent ground.
fn pill(ui: &Ui, centre: egui::Pos2, frame: usize) {
    let tokens = theme::tokens(ui);
    let text = (frame + 1).to_string();
    let galley = ui
        .painter()
        .layout_no_wrap(text, theme::caption(), tokens.on_accent);
    let size = vec2((galley.size().x + 10.0).max(20.0), 15.0);
    let mut ground = Rect::from_center_size(centre, size);
    let within = ui.max_rect();
    let shift =
        (within.left() - ground.left()).max(0.0) - (ground.right() - within.right()).max(0.0);
    ground = ground.translate(vec2(shift, 0.0));
    ui.painter().rect_filled(ground, 7.5, tokens.accent);
    let at = ground.center() - galley.size() / 2.0;
    ui.painter().galley(at, galley, tokens.on_accent);
}

/// Dragging near a bracket moves it; anywhere else moves the playhead.
fn scrub(ui: &Ui, panel: &mut Panel<'_>, response: &Response, scale: &Scale) {
    let clock = &panel.state.clock;
    let (first, last) = clock.range();
    let id = response.id.with("grip");
    let near = |x: f32| {
        let at = |edge: usize| (x - scale.edge(edge)).abs() <= GRIP;
        if at(first) {
            Grip::In
        } else if at(last + 1) {
            Grip::Out
        } else {
            Grip::Playhead
        }
    };
    if let Some(hover) = response.hover_pos()
        && near(hover.x) != Grip::Playhead
    {
        ui.ctx().set_cursor_icon(CursorIcon::ResizeHorizontal);
    }
    let Some(pointer) = response.interact_pointer_pos() else {
        return;
    };
    if response.drag_started() {
        let from = ui
            .input(|input| input.pointer.press_origin())
            .unwrap_or(pointer);
        ui.data_mut(|data| data.insert_temp(id, near(from.x)));
    }
    let grip = if response.dragged() {
        ui.data(|data| data.get_temp(id)).unwrap_or(Grip::Playhead)
    } else {
        Grip::Playhead
    };
    let frame = scale.frame_at(pointer.x);
    let edit = match grip {
        Grip::In => TimeEdit::Range(frame.min(last), last),
        Grip::Out => TimeEdit::Range(first, frame.max(first)),
        Grip::Playhead => TimeEdit::Seek(frame),
    };
    if response.clicked() || response.dragged() || response.is_pointer_button_down_on() {
        panel.push(AppCommand::Time(edit));
    }
}

/// What the pointer has taken hold of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grip {
    In,
    Out,
    Playhead,
}

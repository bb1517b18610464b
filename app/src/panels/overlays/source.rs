//! The source frame: over the view through its camera, and in a corner.

use egui::{
    Align, Color32, CursorIcon, Layout, Rect, Response, Role, Sense, Stroke, StrokeKind, Ui,
    UiBuilder, WidgetInfo, pos2, vec2,
};
use egui_material_icons::icons;

use super::chip;
use crate::panels::{Panel, centre};
use crate::state::arrangement::Pane;
use crate::state::measures::Anchor;
use crate::state::scene::OpenScene;
use crate::state::{Action, AppCommand};
use crate::theme::{self, space};
use crate::viewport::Pick;
use crate::widgets::{self, PushButton};

/// Width of the picture in the corner, points.
const WIDTH: f32 = 220.0;

/// Lays the source frame over a view that looks through its camera.
pub fn underlay_ui(ui: &Ui, panel: &mut Panel<'_>, view: Rect, open: &OpenScene) {
    let opacity = panel.state.companions.underlay;
    if opacity <= 0.0 || !panel.state.view.look_through {
        return;
    }
    let scene = &open.scene;
    let texture = panel.textures.frame(ui.ctx(), scene, panel.state.frame());
    // The camera's lens fits its whole image into the view, centred.
    let place = widgets::picture_rect(view, [scene.width, scene.height]);
    let whole = Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));
    let tint = theme::fade(Color32::WHITE, opacity);
    ui.painter().image(texture, place, whole, tint);
}

/// Shows the source frame in the lower right corner; a click chooses the pixel's point.
pub fn source_ui(
    ui: &mut Ui,
    panel: &mut Panel<'_>,
    view: Rect,
    (open, hovered): (&OpenScene, Option<Pick>),
) {
    if !panel.state.companions.source || panel.state.arrangement.has(Pane::Source) {
        return;
    }
    let scene = &open.scene;
    let frame_idx = panel.state.frame();
    let limit = vec2(WIDTH.min(view.width() * 0.4), view.height() * 0.4);
    let fitted = widgets::picture_rect(
        Rect::from_min_size(view.min, limit),
        [scene.width, scene.height],
    );
    let corner = view.right_bottom() - vec2(space::M, space::M);
    let place = Rect::from_min_max(corner - fitted.size(), corner);
    let texture = panel.textures.frame(ui.ctx(), scene, frame_idx);
    let size = [scene.width, scene.height];
    widgets::thumbnail(ui, place, texture, size, f32::from(theme::RADIUS_SMALL));
    ui.painter().rect_stroke(
        place,
        theme::RADIUS_SMALL,
        theme::hairline(ui),
        StrokeKind::Outside,
    );
    let tokens = theme::tokens(ui);
    let name = format!("Frame {}", frame_idx + 1);
    chip(ui, place.left_top() + vec2(34.0, 14.0), &name, tokens.text);
    let cell = vec2(
        place.width() / scene.width as f32,
        place.height() / scene.height as f32,
    );
    if let Some(pick) = hovered {
        let at = place.min + vec2(pick.column as f32 + 0.5, pick.row as f32 + 0.5) * cell;
        let stroke = Stroke::new(1.5, tokens.accent);
        ui.painter().circle_stroke(at, 4.0, stroke);
    }
    let id = ui.scope_id().with("source-frame");
    let response = ui
        .interact(place, id, Sense::click())
        .on_hover_cursor(CursorIcon::Crosshair);
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, "Source frame picture"));
    choose(panel, &response, place, (open, frame_idx));
    let corner = Rect::from_min_size(place.right_top() - vec2(30.0, -4.0), vec2(26.0, 26.0));
    let spec = Action::DockSource.spec();
    let dock = PushButton::icon(spec.icon, spec.name).tooltip(spec.tooltip);
    let mut child = ui.new_child(UiBuilder::new().max_rect(corner));
    if child.add(dock).clicked() {
        panel.push(AppCommand::Act(Action::DockSource));
    }
}

/// A click on a picture of a frame chooses the pixel's point.
pub fn choose(
    panel: &mut Panel<'_>,
    response: &Response,
    place: Rect,
    (open, frame_idx): (&OpenScene, usize),
) {
    let scene = &open.scene;
    if let (true, Some(at)) = (response.clicked(), response.interact_pointer_pos()) {
        let share = (at - place.min) / place.size();
        let column = (share.x * scene.width as f32).max(0.0) as usize;
        let row = (share.y * scene.height as f32).max(0.0) as usize;
        let anchor = Anchor::of(scene, frame_idx, column, row);
        panel.push(AppCommand::Clicked(anchor));
    }
}

/// The source frame in a pane of its own; true if the pane is dragged by its head.
pub fn docked_ui(ui: &mut Ui, panel: &mut Panel<'_>, open: &OpenScene) -> bool {
    let whole = ui.max_rect();
    let tokens = theme::tokens(ui);
    ui.painter().rect_filled(whole, 0.0, tokens.canvas);
    let mut strip = whole;
    strip.set_height(theme::ROW + 8.0);
    ui.painter().rect_filled(strip, 0.0, tokens.panel);
    let dragged = centre::handle_ui(ui, strip, "source");
    let mut head = ui.new_child(
        UiBuilder::new()
            .max_rect(strip.shrink2(vec2(space::M, 0.0)))
            .layout(Layout::right_to_left(Align::Center)),
    );
    let close = PushButton::icon(icons::ICON_CLOSE, "Close the source frame")
        .tooltip(widgets::tooltip_with_keys(Action::DockSource));
    if head.add(close).clicked() {
        panel.push(AppCommand::Act(Action::DockSource));
    }
    let frame_idx = panel.state.frame();
    head.with_layout(Layout::left_to_right(Align::Center), |ui| {
        widgets::strong(ui, "Source frame");
        widgets::caption(ui, (frame_idx + 1).to_string());
    });
    let mut below = whole;
    below.set_top(strip.bottom());
    let scene = &open.scene;
    let size = [scene.width, scene.height];
    let place = widgets::picture_rect(below.shrink(space::S), size);
    let texture = panel.textures.frame(ui.ctx(), scene, frame_idx);
    widgets::thumbnail(ui, place, texture, size, f32::from(theme::RADIUS_SMALL));
    let response = ui
        .interact(place, ui.scope_id().with("docked-frame"), Sense::click())
        .on_hover_cursor(CursorIcon::Crosshair);
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, "Docked source frame"));
    choose(panel, &response, place, (open, frame_idx));
    dragged
}

/// Shows a frame as large as a view allows; returns where.
pub fn whole_ui(
    ui: &Ui,
    panel: &mut Panel<'_>,
    view: Rect,
    (open, frame_idx): (&OpenScene, usize),
) -> Rect {
    let scene = &open.scene;
    let size = [scene.width, scene.height];
    let texture = panel.textures.frame(ui.ctx(), scene, frame_idx);
    let place = widgets::picture_rect(view.shrink(64.0), size);
    widgets::thumbnail(ui, place, texture, size, 8.0);
    place
}

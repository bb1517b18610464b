//! Markers on the strip: a flag a marker, which jumps to its frame and is named and removed there.

use egui::{CursorIcon, Popup, Rect, Role, Sense, Stroke, TextEdit, Ui, WidgetInfo, pos2, vec2};
use egui_material_icons::icons;

use super::Scale;
use crate::panels::Panel;
use crate::state::AppCommand;
use crate::state::command::TimeEdit;
use crate::state::markers::{Marker, MarkerEdit};
use crate::theme;
use crate::widgets::{self, PushButton};

/// Side of a flag, points.
const FLAG: f32 = 10.0;

/// Shows the flags at the lower edge of the labels.
pub(super) fn flags_ui(
    ui: &mut Ui,
    panel: &mut Panel<'_>,
    (rect, pictures): (Rect, Rect),
    scale: &Scale,
) {
    for marker in panel.state.markers.list() {
        let x = scale.centre(marker.frame_idx);
        let flag = Rect::from_center_size(
            pos2(x, f32::midpoint(rect.top(), pictures.top()) + 3.0),
            vec2(FLAG + 4.0, FLAG + 4.0),
        );
        flag_ui(ui, panel, (flag, pictures), marker);
    }
}

fn flag_ui(ui: &mut Ui, panel: &mut Panel<'_>, (flag, pictures): (Rect, Rect), marker: &Marker) {
    let id = ui.scope_id().with(("marker", marker.frame_idx));
    let response = ui
        .interact(flag, id, Sense::click())
        .on_hover_cursor(CursorIcon::PointingHand)
        .on_hover_text(format!(
            "{}, frame {}. Right-click to name or remove it",
            marker.name,
            marker.frame_idx + 1
        ));
    let spoken = format!("Marker {}", marker.name);
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, &spoken));
    let tokens = theme::tokens(ui);
    let x = flag.center().x;
    let (top, bottom) = (flag.center().y - FLAG / 2.0, flag.center().y + FLAG / 2.0);
    let shape = vec![
        pos2(x - FLAG / 2.0, top),
        pos2(x + FLAG / 2.0, top),
        pos2(x + FLAG / 2.0, bottom - 3.0),
        pos2(x, bottom),
        pos2(x - FLAG / 2.0, bottom - 3.0),
    ];
    let fill = if response.hovered() {
        tokens.text
    } else {
        tokens.warn
    };
    ui.painter()
        .add(egui::Shape::convex_polygon(shape, fill, Stroke::NONE));
    let line = Stroke::new(1.0, theme::fade(tokens.warn, 0.8));
    ui.painter().vline(x, pictures.y_range(), line);
    if response.clicked() {
        panel.push(AppCommand::Time(TimeEdit::Seek(marker.frame_idx)));
    }
    Popup::context_menu(&response)
        .close_behavior(egui::PopupCloseBehavior::CloseOnClickOutside)
        .style(egui::style::StyleModifier::default())
        .show(|ui| edit_ui(ui, panel, marker));
}

fn edit_ui(ui: &mut Ui, panel: &mut Panel<'_>, marker: &Marker) {
    ui.set_width(180.0);
    let mut name = marker.name.clone();
    let label = widgets::caption(ui, "Name of the marker");
    let edit = TextEdit::singleline(&mut name).desired_width(f32::INFINITY);
    if ui.add(edit).labelled_by(label.id).changed() {
        let edit = MarkerEdit::Rename(marker.frame_idx, name);
        panel.push(AppCommand::Marker(edit));
    }
    let remove = PushButton::quiet("Remove marker").with_icon(icons::ICON_DELETE);
    if ui.add(remove).clicked() {
        panel.push(AppCommand::Marker(MarkerEdit::Remove(marker.frame_idx)));
        ui.close();
    }
}

//! The axes in the corner: shows where x, y and z point and turns the view when clicked.

use egui::{Align2, Color32, CursorIcon, FontId, Rect, Role, Sense, Stroke, Ui, Vec2, WidgetInfo};
use glam::DVec3;

use super::eye::Eye;
use super::options::Palette;
use super::orbit::Axis;

const REACH: f32 = 30.0;
const KNOB: f32 = 8.5;
const MARGIN: f32 = 14.0;

/// Draws the axes into the top right corner of a view; returns the axis that was clicked.
pub(super) fn gizmo_ui(ui: &mut Ui, view: Rect, eye: &Eye, palette: &Palette) -> Option<Axis> {
    let reach = REACH + KNOB + MARGIN;
    let centre = view.right_top() + Vec2::new(-reach, reach);
    let mut axes = [
        (Axis::X, DVec3::X, "X"),
        (Axis::Y, DVec3::Y, "Y"),
        (Axis::Z, DVec3::Z, "Z"),
    ]
    .map(|(axis, direction, name)| (axis, eye.view_from_world * direction, name));
    let colour_of = |axis: Axis| palette.axes[axis as usize];
    // From back to front, so that the nearest knob lies on top.
    axes.sort_by(|a, b| a.1.z.total_cmp(&b.1.z));
    let mut clicked = None;
    for (axis, in_view, name) in axes {
        let tip = centre + Vec2::new(in_view.x as f32, -in_view.y as f32) * REACH;
        let [r, g, b, _] = colour_of(axis);
        let colour = Color32::from_rgb(r, g, b);
        let knob = Rect::from_center_size(tip, Vec2::splat(2.0 * KNOB));
        let label = format!("View along {name}");
        let response = ui
            .interact(knob, ui.scope_id().with(("axis", name)), Sense::click())
            .on_hover_cursor(CursorIcon::PointingHand)
            .on_hover_text(&label);
        response.widget_info(|| WidgetInfo::labeled(Role::Button, true, &label));
        let painter = ui.painter();
        painter.line_segment([centre, tip], Stroke::new(2.0, colour));
        let [r, g, b] = palette.canvas_top;
        painter.circle_filled(tip, KNOB + f32::from(response.hovered()), colour);
        painter.text(
            tip,
            Align2::CENTER_CENTER,
            name,
            FontId::proportional(10.5),
            Color32::from_rgb(r, g, b),
        );
        if response.clicked() {
            clicked = Some(axis);
        }
    }
    clicked
}

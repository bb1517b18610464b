//! The clip box over the view, with knobs that move its sides.

use egui::{CursorIcon, Pos2, Rect, Role, Sense, Stroke, Ui, Vec2, WidgetInfo, vec2};
use glam::{DMat3, DVec3};

use crate::panels::Panel;
use crate::state::AppCommand;
use crate::theme;
use crate::viewport::{ClipBox, Projection, ViewOptions};

/// Radius of a knob, points.
const KNOB: f32 = 6.0;
/// The box is never thinner than this, scene units.
const MIN_HALF: f64 = 1e-4;

/// Draws the box and moves its sides by their knobs.
pub fn clip_box_ui(ui: &Ui, panel: &mut Panel<'_>, projection: &Projection) {
    let Some(clip) = panel.state.view.options.clip_box else {
        return;
    };
    edges(ui, projection, &clip);
    let changed = sides(ui, projection, &clip).or_else(|| middle(ui, projection, &clip));
    if let Some(clip) = changed {
        panel.push(AppCommand::ViewOptions(ViewOptions {
            clip_box: Some(clip),
            ..panel.state.view.options
        }));
    }
}

/// Columns are the box's own axes in the world.
fn axes(clip: &ClipBox) -> DMat3 {
    DMat3::from_rotation_y(clip.yaw_rad)
}

fn corner(clip: &ClipBox, signs: [f64; 3]) -> DVec3 {
    let half = DVec3::from_array(clip.half) * DVec3::from_array(signs);
    DVec3::from_array(clip.centre) + axes(clip) * half
}

fn edges(ui: &Ui, projection: &Projection, clip: &ClipBox) {
    let stroke = Stroke::new(1.25, theme::fade(theme::tokens(ui).accent, 0.8));
    for axis in 0..3 {
        for (a, b) in [(-1.0, -1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 1.0)] {
            let mut from = [0.0; 3];
            from[axis] = -1.0;
            from[(axis + 1) % 3] = a;
            from[(axis + 2) % 3] = b;
            let mut to = from;
            to[axis] = 1.0;
            let ends = [from, to].map(|signs| projection.to_window(corner(clip, signs)));
            if let [Some(from), Some(to)] = ends {
                ui.painter().line_segment([from, to], stroke);
            }
        }
    }
}

/// A knob in the middle of each side; dragging one leaves the opposite side where it is.
fn sides(ui: &Ui, projection: &Projection, clip: &ClipBox) -> Option<ClipBox> {
    let mut changed = None;
    for (axis, name) in ["x", "y", "z"].into_iter().enumerate() {
        for (sign, end) in [(-1.0, "low"), (1.0, "high")] {
            let mut signs = [0.0; 3];
            signs[axis] = sign;
            let place = corner(clip, signs);
            let outward = axes(clip).col(axis) * sign;
            let label = format!("Clip box {name} {end}");
            let Some(drag) = knob(ui, projection, place, &label) else {
                continue;
            };
            let units = along(projection, (place, outward), drag);
            let mut moved = *clip;
            let half = (clip.half[axis] + 0.5 * units).max(MIN_HALF);
            let centre = DVec3::from_array(clip.centre) + outward * (half - clip.half[axis]);
            moved.half[axis] = half;
            moved.centre = centre.to_array();
            changed = Some(moved);
        }
    }
    changed
}

/// A knob in the middle that moves the box parallel to the picture.
fn middle(ui: &Ui, projection: &Projection, clip: &ClipBox) -> Option<ClipBox> {
    let centre = DVec3::from_array(clip.centre);
    let drag = knob(ui, projection, centre, "Clip box middle")?;
    let units = projection.units_per_point(centre);
    let eye = &projection.eye;
    let by = eye.right() * f64::from(drag.x) - eye.up() * f64::from(drag.y);
    Some(ClipBox {
        centre: (centre + by * units).to_array(),
        ..*clip
    })
}

/// A drag in window points as units along a direction of the world.
fn along(projection: &Projection, (from, direction): (DVec3, DVec3), drag: Vec2) -> f64 {
    let step = 0.05 * projection.eye.distance(from).abs().max(1e-3);
    let ends = [from, from + direction * step].map(|p| projection.to_window(p));
    let [Some(a), Some(b)] = ends else {
        return 0.0;
    };
    let per_unit = (b - a) / step as f32;
    // Seen end on, a small drag would move the side out of the world.
    if per_unit.length() < 2.0 {
        return 0.0;
    }
    f64::from(drag.dot(per_unit) / per_unit.length_sq())
}

/// Draws a knob; returns how far it was dragged.
fn knob(ui: &Ui, projection: &Projection, place: DVec3, label: &str) -> Option<Vec2> {
    let at: Pos2 = projection.to_window(place)?;
    let rect = Rect::from_center_size(at, vec2(2.0 * KNOB + 4.0, 2.0 * KNOB + 4.0));
    if !ui.clip_rect().intersects(rect) {
        return None;
    }
    let response = ui
        .interact(rect, ui.scope_id().with(label), Sense::drag())
        .on_hover_cursor(CursorIcon::Grab);
    response.widget_info(|| WidgetInfo::labeled(Role::Slider, true, label));
    let tokens = theme::tokens(ui);
    let radius = if response.hovered() || response.dragged() {
        KNOB
    } else {
        KNOB - 1.5
    };
    ui.painter().circle_filled(at, radius, tokens.accent);
    ui.painter().circle_filled(at, radius - 2.0, tokens.panel);
    (response.dragged() && response.drag_delta() != Vec2::ZERO).then(|| response.drag_delta())
}

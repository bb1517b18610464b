//! Two scenes in the window: where each lies, the line between them, and what belongs to both.

use egui::{
    Align, Align2, Area, CursorIcon, DragValue, Frame, Id, Layout, Margin, Order, Rect, Role,
    Sense, Stroke, Ui, WidgetInfo, pos2, vec2,
};
use egui_material_icons::icons;

use super::Panel;
use super::overlays::chip;
use crate::state::compare::{Compare, CompareEdit, CompareMode, second_frame};
use crate::state::scene::OpenScene;
use crate::state::{Action, AppCommand, file_name};
use crate::theme::{self, space};
use crate::widgets::{self, PushButton, segmented, tooltip_with_keys};

/// Width of the bar of controls, points.
const BAR: f32 = 330.0;

/// Where the first and the second scene are seen.
pub(super) fn places(whole: Rect, second: &Compare) -> (Rect, Rect) {
    let x = whole.left() + whole.width() * second.split;
    let (left, right) = whole.split_left_right_at_x(x);
    match second.mode {
        CompareMode::SideBySide => (left, right),
        CompareMode::Wipe => (whole, right),
    }
}

/// Where the second scene's picture lies, of which its place is seen.
pub(super) fn picture(whole: Rect, place: Rect, second: &Compare) -> Rect {
    match second.mode {
        CompareMode::SideBySide => place,
        CompareMode::Wipe => whole,
    }
}

/// The line between the scenes with their names, and the bar of controls.
pub(super) fn divider_ui(
    ui: &mut Ui,
    panel: &mut Panel<'_>,
    whole: Rect,
    (first, second): (&OpenScene, &Compare),
) {
    let x = whole.left() + whole.width() * second.split;
    let grip = Rect::from_x_y_ranges(x - 6.0..=x + 6.0, whole.y_range());
    let id = ui.scope_id().with("compare-divider");
    let response = ui
        .interact(grip, id, Sense::drag())
        .on_hover_cursor(CursorIcon::ResizeHorizontal);
    response.widget_info(|| WidgetInfo::labeled(Role::Slider, true, "Line between the scenes"));
    let tokens = theme::tokens(ui);
    let lit = response.hovered() || response.dragged();
    let color = if lit { tokens.accent } else { tokens.text };
    ui.painter()
        .vline(x, whole.y_range(), Stroke::new(2.0, color));
    ui.painter()
        .circle_filled(pos2(x, whole.center().y), 7.0, color);
    if let (true, Some(pointer)) = (response.dragged(), response.interact_pointer_pos()) {
        let share = (pointer.x - whole.left()) / whole.width().max(1.0);
        panel.push(AppCommand::Compare(CompareEdit::Split(share)));
    }
    let below = whole.bottom() - 58.0;
    let [first, second_name] = names(first, &second.open);
    for (name, at, align) in [
        (first, x - space::M, Align2::RIGHT_CENTER),
        (second_name, x + space::M, Align2::LEFT_CENTER),
    ] {
        let short: String = name.chars().take(28).collect();
        let width = 6.2 * short.chars().count() as f32 + 12.0;
        let centre = if align == Align2::RIGHT_CENTER {
            at - width / 2.0
        } else {
            at + width / 2.0
        };
        chip(ui, pos2(centre, below), &short, tokens.text);
    }
    bar_ui(ui, panel, whole, second);
}

/// What tells the scenes apart: their titles, or the folders and files of those that are called the
/// same.
fn names(first: &OpenScene, second: &OpenScene) -> [String; 2] {
    if first.title() != second.title() {
        return [first.title(), second.title()];
    }
    [first, second].map(|open| match &open.path {
        Some(path) => {
            let folder = path.parent().map_or_else(String::new, file_name);
            format!("{folder}/{}", file_name(path))
        }
        None => open.title(),
    })
}

/// How the scenes share the window, whether they are linked, and the way out.
fn bar_ui(ui: &Ui, panel: &mut Panel<'_>, whole: Rect, second: &Compare) {
    let tokens = theme::tokens(ui);
    Area::new(Id::unique("compare-bar"))
        .order(Order::Middle)
        .pivot(Align2::CENTER_BOTTOM)
        .fixed_pos(pos2(whole.center().x, whole.bottom() - space::M))
        .show(ui.ctx(), |ui| {
            Frame::new()
                .fill(theme::fade(tokens.panel, 0.96))
                .corner_radius(8)
                .stroke(theme::hairline(ui))
                .inner_margin(Margin::same(4))
                .show(ui, |ui| {
                    ui.set_width(BAR);
                    ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                        ui.spacing_mut().item_spacing.x = space::XS;
                        controls_ui(ui, panel, second);
                    });
                });
        });
}

fn controls_ui(ui: &mut Ui, panel: &mut Panel<'_>, second: &Compare) {
    ui.scope(|ui| {
        ui.set_width(172.0);
        let modes = [
            (CompareMode::SideBySide, "Side by side", None),
            (CompareMode::Wipe, "Wipe", None),
        ];
        if let Some(mode) = segmented(ui, &modes, second.mode) {
            panel.push(AppCommand::Compare(CompareEdit::Mode(mode)));
        }
    });
    let (icon, word) = if second.linked {
        (icons::ICON_LINK, "Linked")
    } else {
        (icons::ICON_LINK_OFF, "Free")
    };
    let link = PushButton::quiet(word)
        .with_icon(icon)
        .selected(second.linked)
        .tooltip(tooltip_with_keys(Action::CompareLink));
    if ui.add(link).clicked() {
        panel.push(AppCommand::Act(Action::CompareLink));
    }
    if !second.linked {
        let mut frame = second_frame(panel.state).unwrap_or(0) + 1;
        let before = frame;
        let last = second.open.scene.num_frames;
        let drag = DragValue::new(&mut frame).range(1..=last).speed(0.1);
        ui.add_sized(vec2(40.0, theme::ROW), drag)
            .on_hover_text("Frame of the second scene")
            .accessible_name("Frame of the second scene");
        if frame != before {
            panel.push(AppCommand::Compare(CompareEdit::Seek(frame - 1)));
        }
    }
    let close = PushButton::icon(icons::ICON_CLOSE, Action::CompareEnd.spec().name)
        .tooltip(widgets::tooltip_with_keys(Action::CompareEnd));
    if ui.add(close).clicked() {
        panel.push(AppCommand::Act(Action::CompareEnd));
    }
}

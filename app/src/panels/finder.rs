//! The command palette.

use egui::{
    Align, Align2, Area, Context, Frame, Id, Key, Layout, Margin, Modifiers, Order, Rect, Role,
    ScrollArea, Sense, Stroke, TextEdit, Ui, WidgetInfo, pos2, vec2,
};
use egui_material_icons::{MaterialIcon, icons};

use super::Panel;
use crate::shortcuts;
use crate::state::finder::{Finder, FinderEdit, Hit, hits};
use crate::state::{AppCommand, file_name};
use crate::theme::{self, space};
use crate::widgets;

/// Width of the palette, points.
const WIDTH: f32 = 520.0;
/// Height of a row, points.
const ROW: f32 = 32.0;
/// Rows in view at once.
const ROWS: f32 = 10.0;

/// Shows the palette while it is open.
pub fn finder_ui(ctx: &Context, panel: &mut Panel<'_>) {
    let Some(finder) = &panel.state.finder else {
        return;
    };
    let tokens = theme::tokens_of(ctx);
    let screen = ctx.content_rect();
    let backdrop = Area::new(Id::unique("finder-backdrop"))
        .order(Order::Foreground)
        .fixed_pos(screen.min)
        .show(ctx, |ui| {
            let response = ui.allocate_rect(screen, Sense::click());
            ui.painter().rect_filled(screen, 0.0, tokens.backdrop);
            response.clicked()
        });
    if backdrop.inner {
        panel.push(AppCommand::Finder(FinderEdit::Close));
    }
    let area = Area::new(Id::unique("finder"))
        .order(Order::Foreground)
        .pivot(Align2::CENTER_TOP)
        .fixed_pos(pos2(screen.center().x, screen.top() + 90.0));
    let shown = area.show(ctx, |ui| {
        Frame::new()
            .fill(tokens.panel)
            .corner_radius(10)
            .stroke(Stroke::new(1.0, tokens.line))
            .shadow(ui.visuals().popup_shadow)
            .inner_margin(Margin::same(space::S as i8))
            .show(ui, |ui| {
                ui.set_width(WIDTH.min(screen.width() - 2.0 * space::XL));
                palette_ui(ui, panel, finder);
            });
    });
    ctx.move_to_top(shown.response.layer_id);
}

fn palette_ui(ui: &mut Ui, panel: &mut Panel<'_>, finder: &Finder) {
    let found = hits(&finder.query, &panel.state.recent);
    let marked = finder.marked.min(found.len().saturating_sub(1));
    // Arrows move the mark, so the text field must not have them.
    let pressed = |key| ui.input_mut(|input| input.consume_key(Modifiers::NONE, key));
    let (up, down) = (pressed(Key::ArrowUp), pressed(Key::ArrowDown));
    let (enter, escape) = (pressed(Key::Enter), pressed(Key::Escape));
    let mut query = finder.query.clone();
    let edit = TextEdit::singleline(&mut query)
        .id(Id::unique("finder-query"))
        .desired_width(f32::INFINITY)
        .margin(Margin::symmetric(10, 8))
        .hint_text("Find an action or a recent file");
    let edit = ui.add(edit);
    edit.request_focus();
    let edit = edit.accessible_name("Find an action");
    ui.add_space(space::XS);
    if edit.changed() {
        panel.push(AppCommand::Finder(FinderEdit::Query(query)));
    } else if escape {
        panel.push(AppCommand::Finder(FinderEdit::Close));
    } else if let (true, Some(hit)) = (enter, found.get(marked)) {
        panel.push(AppCommand::Finder(FinderEdit::Take(hit.clone())));
    } else if up || down {
        let last = found.len().saturating_sub(1);
        let next = if down { marked + 1 } else { marked.max(1) - 1 };
        panel.push(AppCommand::Finder(FinderEdit::Mark(next.min(last))));
    }
    if found.is_empty() {
        let words = "Nothing is called so. Try a word of what you want to do.";
        ui.add_space(space::S);
        widgets::muted(ui, words);
        ui.add_space(space::S);
        return;
    }
    ScrollArea::vertical()
        .id_salt("finder-hits")
        .max_height(ROWS * ROW)
        .auto_shrink([false, true])
        .show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 0.0;
            for (i, hit) in found.iter().enumerate() {
                let response = hit_ui(ui, hit, i == marked);
                if i == marked && (up || down) {
                    response.scroll_to_me(None);
                }
                if response.clicked() {
                    panel.push(AppCommand::Finder(FinderEdit::Take(hit.clone())));
                }
            }
        });
}

/// Icon, name, what it does, keys.
fn hit_ui(ui: &mut Ui, hit: &Hit, marked: bool) -> egui::Response {
    let (icon, name, hint, keys) = words(hit);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), ROW), Sense::click());
    response.widget_info(|| WidgetInfo::selected(Role::Button, true, marked, &name));
    if !ui.is_rect_visible(rect) {
        return response;
    }
    let tokens = theme::tokens(ui);
    if marked || response.hovered() {
        let fill = if marked {
            tokens.accent_soft
        } else {
            tokens.raised
        };
        ui.painter().rect_filled(rect, theme::RADIUS_SMALL, fill);
    }
    let inner: Rect = rect.shrink2(vec2(space::S, 0.0));
    let mut row = ui.new_child(
        egui::UiBuilder::new()
            .max_rect(inner)
            .layout(Layout::left_to_right(Align::Center)),
    );
    let color = if marked { tokens.accent } else { tokens.muted };
    row.label(
        egui::RichText::new(icon.codepoint)
            .font(theme::icon_font(icon, theme::ICON))
            .color(color),
    );
    row.label(egui::RichText::new(&name).color(tokens.text));
    row.with_layout(Layout::right_to_left(Align::Center), |ui| {
        if !keys.is_empty() {
            widgets::caption(ui, keys);
        }
        ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
            widgets::caption(ui, hint);
        });
    });
    response
}

fn words(hit: &Hit) -> (MaterialIcon, String, String, String) {
    match hit {
        Hit::Action(action) => {
            let spec = action.spec();
            let keys = spec.keys.first().map(|key| shortcuts::text(*key));
            (
                spec.icon,
                spec.name.to_owned(),
                spec.tooltip.to_owned(),
                keys.unwrap_or_default(),
            )
        }
        Hit::File(path) => {
            let folder = path
                .parent()
                .map_or_else(String::new, |folder| folder.display().to_string());
            (icons::ICON_HISTORY, file_name(path), folder, String::new())
        }
    }
}

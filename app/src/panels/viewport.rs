//! The scene in the middle of the window, with its tools over it.

use egui::{Align, Align2, Frame, Layout, Margin, Rect, Ui, UiBuilder, pos2, vec2};
use egui_material_icons::icons;
use egui_wgpu::RenderState;

use super::{Panel, inspect};
use crate::state::scene::OpenScene;
use crate::state::{Action, AppCommand};
use crate::theme::{self, space};
use crate::viewport::{Overlay, Palette, ViewportInput, ViewportResponse, viewport_ui};
use crate::widgets::{self, action_icon};

/// Shows the scene; without a graphics adapter, its frames.
pub fn scene_ui(ui: &mut Ui, panel: &mut Panel<'_>, open: &OpenScene) {
    let rect = ui.max_rect();
    match panel.render_state {
        Some(render_state) => {
            let shown = view_ui(ui, panel, render_state, open);
            if let Some(problem) = &shown.problem {
                message(ui, rect, problem);
            }
            stats_ui(ui, panel, rect, &shown);
        }
        None => flat_ui(ui, panel, rect, open),
    }
    toolbar_ui(ui, panel, rect);
    waiting_ui(ui, panel, rect, open);
}

fn view_ui(
    ui: &mut Ui,
    panel: &mut Panel<'_>,
    render_state: &RenderState,
    open: &OpenScene,
) -> ViewportResponse {
    let mut view = panel.state.view;
    let palette = if ui.visuals().dark_mode {
        Palette::DARK
    } else {
        Palette::LIGHT
    };
    let input = ViewportInput {
        view_id: egui::Id::unique("main-view"),
        scene: Some(&open.scene),
        frame_idx: panel.state.frame(),
        palette: &palette,
        render_state,
        reduced_motion: panel.state.settings.reduce_motion,
    };
    let shown = viewport_ui(ui, &mut view, &input);
    if view != panel.state.view {
        panel.push(AppCommand::View(view));
    }
    shown
}

/// The frames as pictures, where nothing can draw points.
fn flat_ui(ui: &Ui, panel: &mut Panel<'_>, rect: Rect, open: &OpenScene) {
    if let Some(Some(picture)) = open.strip.get(panel.state.frame()) {
        let texture = panel.textures.picture(ui.ctx(), picture);
        let place = widgets::picture_rect(rect.shrink(64.0), picture.size);
        widgets::thumbnail(ui, place, texture, picture.size, 8.0);
    }
    let words =
        "No graphics adapter: frames are shown flat. Mesa's software driver is enough for 3D.";
    message(ui, rect, words);
}

fn message(ui: &Ui, rect: Rect, words: &str) {
    let tokens = theme::tokens(ui);
    ui.painter().text(
        rect.center_bottom() - vec2(0.0, space::XL),
        Align2::CENTER_CENTER,
        words,
        theme::body(),
        tokens.muted,
    );
}

/// Tools over the upper left corner.
fn toolbar_ui(ui: &mut Ui, panel: &mut Panel<'_>, rect: Rect) {
    let tokens = theme::tokens(ui);
    let place = Rect::from_min_size(rect.min + vec2(space::M, space::M), vec2(320.0, 34.0));
    let mut row = ui.new_child(
        UiBuilder::new()
            .max_rect(place)
            .layout(Layout::left_to_right(Align::Center)),
    );
    Frame::new()
        .fill(theme::fade(tokens.panel, 0.92))
        .corner_radius(8)
        .stroke(theme::hairline(ui))
        .inner_margin(Margin::same(3))
        .show(&mut row, |ui| {
            ui.spacing_mut().item_spacing.x = 2.0;
            let view = panel.state.view;
            let has = |overlay| view.options.overlays.has(overlay);
            action_icon(ui, Action::Focus, false, panel.commands);
            action_icon(ui, Action::LookThrough, view.look_through, panel.commands);
            divider(ui);
            for (action, overlay) in [
                (Action::ToggleFrustums, Overlay::Frustums),
                (Action::ToggleGrid, Overlay::Grid),
                (Action::ToggleAxes, Overlay::Axes),
            ] {
                action_icon(ui, action, has(overlay), panel.commands);
            }
            divider(ui);
            action_icon(ui, Action::SmallerPoints, false, panel.commands);
            points_mark(ui);
            action_icon(ui, Action::LargerPoints, false, panel.commands);
        });
}

fn divider(ui: &mut Ui) {
    let (rect, _) = ui.allocate_exact_size(vec2(7.0, 18.0), egui::Sense::hover());
    ui.painter()
        .vline(rect.center().x, rect.y_range(), theme::hairline(ui));
}

/// What minus and plus are about.
fn points_mark(ui: &mut Ui) {
    let (rect, _) = ui.allocate_exact_size(vec2(18.0, theme::ROW), egui::Sense::hover());
    let icon = icons::ICON_GRAIN;
    ui.painter().text(
        rect.center(),
        Align2::CENTER_CENTER,
        icon.codepoint,
        theme::icon_font(icon, theme::ICON),
        theme::tokens(ui).muted,
    );
}

/// Points and what is on its way, in the lower left corner.
fn stats_ui(ui: &Ui, panel: &Panel<'_>, rect: Rect, shown: &ViewportResponse) {
    let Some(open) = &panel.state.scene else {
        return;
    };
    let tokens = theme::tokens(ui);
    let points = inspect::thousands(open.scene.pixels_per_frame());
    let mut words = format!("{points} points a frame");
    if shown.loading {
        words += ", loading frame ";
        words += &(panel.state.frame() + 1).to_string();
    }
    if panel.state.view.look_through {
        words += ", through the camera";
    }
    if panel.state.platform.software {
        words += ", software rendering";
    }
    ui.painter().text(
        pos2(rect.left() + space::M, rect.bottom() - space::M),
        Align2::LEFT_BOTTOM,
        words,
        theme::caption(),
        tokens.muted,
    );
}

/// Says that the scene on screen is not the one being made.
fn waiting_ui(ui: &Ui, panel: &Panel<'_>, rect: Rect, open: &OpenScene) {
    let running = panel.state.jobs.running();
    let Some(card) = running.filter(|card| card.is_generation() && card.id != open.job) else {
        return;
    };
    let tokens = theme::tokens(ui);
    let words = format!(
        "Previous scene. The next one is at {:.0} %",
        card.fraction * 100.0
    );
    let galley = ui
        .painter()
        .layout_no_wrap(words, theme::body(), tokens.text);
    let size = galley.size() + vec2(2.0 * space::M + 20.0, 12.0);
    let centre = pos2(rect.center().x, rect.top() + space::M + 17.0);
    // Beside the tools where both do not fit above each other.
    let left = (centre.x - size.x / 2.0).max(rect.left() + 260.0);
    let ground = Rect::from_min_size(pos2(left, centre.y - size.y / 2.0), size);
    ui.painter()
        .rect_filled(ground, 14.0, theme::fade(tokens.panel, 0.92));
    let icon = icons::ICON_HOURGLASS_EMPTY;
    ui.painter().text(
        ground.left_center() + vec2(space::M + 4.0, 0.0),
        Align2::CENTER_CENTER,
        icon.codepoint,
        theme::icon_font(icon, 14.0),
        tokens.accent,
    );
    let at = pos2(
        ground.left() + space::M + 16.0,
        ground.center().y - galley.size().y / 2.0,
    );
    ui.painter().galley(at, galley, tokens.text);
}

//! The scene in the middle of the window, alone or beside a second, with what lies over it.

use egui::{Align2, Rect, Role, Sense, Ui, UiBuilder, WidgetInfo, pos2, vec2};
use egui_material_icons::icons;
use egui_wgpu::RenderState;
use glam::DVec3;

use super::overlays::{clip_box, figures, measures, source};
use super::toolbar::toolbar_ui;
use super::{Panel, compare, legend};
use crate::state::AppCommand;
use crate::state::compare::{Compare, CompareEdit, second_frame};
use crate::state::measures::{Anchor, Tool};
use crate::state::scene::OpenScene;
use crate::state::view::Shown;
use crate::theme::{self, space};
use crate::viewport::{Palette, Pick, ViewportInput, ViewportResponse, viewport_ui};

/// Shows the scene; without a graphics adapter, its frames.
pub fn scene_ui(ui: &mut Ui, panel: &mut Panel<'_>, open: &OpenScene) {
    let rect = ui.max_rect();
    let first = match panel.state.comparing.both() {
        Some(second) => compare::places(rect, second).0,
        None => rect,
    };
    let shown = panel
        .render_state
        .map(|render_state| first_ui(ui, panel, render_state, (first, open)));
    if shown.is_none() {
        flat_ui(ui, panel, first, open);
    }
    if let Some(shown) = &shown
        && let Some(problem) = &shown.problem
    {
        message(ui, first, problem);
    }
    over_ui(ui, panel, first, (open, shown.as_ref()));
    if let Some(second) = panel.state.comparing.both() {
        let (_, place) = compare::places(rect, second);
        if let Some(render_state) = panel.render_state {
            second_ui(ui, panel, render_state, (place, rect, second));
        } else {
            let frame = second_frame(panel.state).unwrap_or(0);
            source::whole_ui(ui, panel, place, (&second.open, frame));
        }
        compare::divider_ui(ui, panel, rect, (open, second));
    }
    toolbar_ui(ui, panel, first);
    measures::hint_ui(ui, panel, first);
    figures::stats_ui(ui, panel, first, shown.as_ref());
    waiting_ui(ui, panel, rect, open);
}

/// What lies over the first view.
fn over_ui(
    ui: &mut Ui,
    panel: &mut Panel<'_>,
    view: Rect,
    (open, shown): (&OpenScene, Option<&ViewportResponse>),
) {
    let hovered = shown.and_then(|shown| shown.hovered);
    if let Some(shown) = shown {
        source::underlay_ui(ui, panel, view, open);
        let point = hovered.map(|(_, point)| point);
        measures::measures_ui(ui, panel, &shown.projection, point);
        clip_box::clip_box_ui(ui, panel, &shown.projection);
        figures::line_ui(ui, panel, view, (open, shown));
    }
    legend::legend_ui(ui, panel, view, open);
    source::source_ui(ui, panel, view, (open, hovered.map(|(pick, _)| pick)));
}

/// The first scene; passes on what was clicked and what the view knows of the frame.
fn first_ui(
    ui: &mut Ui,
    panel: &mut Panel<'_>,
    render_state: &RenderState,
    (place, open): (Rect, &OpenScene),
) -> ViewportResponse {
    let mut view = panel.state.view;
    let palette = palette(ui);
    let input = ViewportInput {
        view_id: egui::Id::unique("main-view"),
        scene: Some(&open.scene),
        frame_idx: panel.state.frame(),
        palette: &palette,
        render_state,
        reduced_motion: panel.state.settings.reduce_motion,
    };
    let mut child = ui.new_child(UiBuilder::new().max_rect(place).id_salt("first-view"));
    child.set_clip_rect(place.intersect(ui.clip_rect()));
    let shown = viewport_ui(&mut child, &mut view, &input);
    if view != panel.state.view {
        panel.push(AppCommand::View(Box::new(view)));
    }
    if let Some(clicked) = shown.clicked {
        panel.push(AppCommand::Clicked(clicked.map(anchor)));
    }
    let told = Shown {
        stats: shown.stats.clone(),
        hidden_share: shown.hidden_share,
        size_px: shown.projection.size_px,
        frames_that_fit: shown.short_of_memory,
        is_loading: shown.loading,
    };
    if told != panel.state.shown {
        panel.push(AppCommand::Shown(told));
    }
    shown
}

/// The second scene, seen as the first or on its own.
fn second_ui(
    ui: &mut Ui,
    panel: &mut Panel<'_>,
    render_state: &RenderState,
    (place, whole, second): (Rect, Rect, &Compare),
) {
    let shared = panel.state.view;
    let before = if second.linked {
        shared
    } else {
        crate::viewport::ViewportState {
            options: shared.options,
            ..second.view
        }
    };
    let mut view = before;
    let palette = palette(ui);
    let input = ViewportInput {
        view_id: egui::Id::unique("second-view"),
        scene: Some(&second.open.scene),
        frame_idx: second_frame(panel.state).unwrap_or(0),
        palette: &palette,
        render_state,
        reduced_motion: panel.state.settings.reduce_motion,
    };
    // In a wipe the picture is as large as the first and only its part is seen.
    let picture = compare::picture(whole, place, second);
    let mut child = ui.new_child(UiBuilder::new().max_rect(picture).id_salt("second-view"));
    child.set_clip_rect(place.intersect(ui.clip_rect()));
    let shown = viewport_ui(&mut child, &mut view, &input);
    if let Some(problem) = &shown.problem {
        message(ui, place, problem);
    }
    if let Some(hovered) = shown.hovered {
        // Above the bar of the comparison, as the first scene's.
        let at = pos2(place.left() + space::M, place.bottom() - 87.0);
        figures::point_ui(ui, panel, at, hovered);
    }
    if shown.clicked.is_some() && panel.state.tool != Tool::Select {
        panel.push(AppCommand::Compare(CompareEdit::Clicked));
    }
    if view == before {
        return;
    }
    panel.push(if second.linked {
        AppCommand::View(Box::new(view))
    } else {
        AppCommand::Compare(CompareEdit::View(Box::new(view)))
    });
}

fn palette(ui: &Ui) -> Palette {
    if ui.visuals().dark_mode {
        Palette::DARK
    } else {
        Palette::LIGHT
    }
}

fn anchor((pick, point): (Pick, DVec3)) -> Anchor {
    Anchor {
        frame_idx: pick.frame_idx,
        column: pick.column,
        row: pick.row,
        point: point.to_array(),
    }
}

/// The frames as pictures, where nothing can draw points; a click still chooses a pixel's point.
fn flat_ui(ui: &Ui, panel: &mut Panel<'_>, rect: Rect, open: &OpenScene) {
    let frame_idx = panel.state.frame();
    let place = source::whole_ui(ui, panel, rect, (open, frame_idx));
    let id = ui.scope_id().with("flat-view");
    let response = ui.interact(place, id, Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Canvas, true, "Flat view"));
    source::choose(panel, &response, place, (open, frame_idx));
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
    let centre = pos2(rect.center().x, rect.top() + 2.0 * space::M + 51.0);
    let left = centre.x - size.x / 2.0;
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

//! Figures over the view: what is on it, the point under the pointer, and statistics.

use egui::{Pos2, Rect, Role, Sense, Ui, WidgetInfo, pos2, vec2};
use glam::DVec3;

use super::caption_over;
use crate::panels::{Panel, filter, inspect, toolbar};
use crate::state::scene::OpenScene;
use crate::theme::{self, space};
use crate::viewport::{Detail, Pick, ViewportResponse};
use crate::widgets;

/// One line in the lower left corner: points, what is on its way, the point under the pointer.
pub fn line_ui(
    ui: &Ui,
    panel: &Panel<'_>,
    view: Rect,
    (open, shown): (&OpenScene, &ViewportResponse),
) {
    let (loading, hovered) = (shown.loading, shown.hovered);
    let is_coarse = shown.detail != Detail::WHOLE;
    let tokens = theme::tokens(ui);
    let points = inspect::thousands(open.scene.pixels_per_frame());
    let mut words = format!("{points} points a frame");
    if let Some(share) = panel.state.shown.hidden_share.filter(|share| *share > 0.0) {
        words += &format!(", {} hidden", filter::percent(share));
    }
    if loading {
        words += &format!(", loading frame {}", panel.state.frame() + 1);
    }
    if panel.state.view.look_through {
        words += ", through the camera";
    }
    if panel.state.platform.software {
        words += ", software rendering";
    }
    if is_coarse {
        words += ", simplified while it moves";
    }
    let left = view.left() + space::M;
    // The bar of a comparison lies below.
    let lift = if panel.state.comparing.both().is_some() {
        72.0
    } else {
        space::M
    };
    let bottom = view.bottom() - lift;
    caption_over(ui, pos2(left, bottom), &words, tokens.muted);
    if let Some(hovered) = hovered {
        point_ui(ui, panel, pos2(left, bottom - 17.0), hovered);
    }
}

/// The point under the pointer, its words ending above a place.
pub fn point_ui(ui: &Ui, panel: &Panel<'_>, at: Pos2, (pick, point): (Pick, DVec3)) {
    let lengths = &panel.state.lengths;
    let [x, y, z] = (point * lengths.factor()).to_array();
    let words = format!(
        "x {x:.4}  y {y:.4}  z {z:.4} {}  at pixel {}, {}",
        lengths.unit(),
        pick.column,
        pick.row
    );
    let tokens = theme::tokens(ui);
    let ground = caption_over(ui, at, &words, tokens.text);
    let id = ui.scope_id().with(("point", at.x as i32));
    ui.interact(ground, id, Sense::hover())
        .widget_info(|| WidgetInfo::labeled(Role::Label, true, format!("Point {words}")));
}

/// Rate, time, points and size, below the tools.
pub fn stats_ui(ui: &Ui, panel: &Panel<'_>, view: Rect, shown: Option<&ViewportResponse>) {
    if !panel.state.companions.stats {
        return;
    }
    let state = panel.state;
    let mut lines = Vec::new();
    let playing = state.clock.is_playing(state.now_secs);
    let dt = ui.input(|input| input.unstable_dt);
    lines.push(if playing && dt > 0.0 {
        format!("{:.1} frames a second", 1.0 / dt)
    } else {
        "at rest".to_owned()
    });
    if let Some(secs) = panel.cpu_secs {
        lines.push(format!("{:.1} ms a frame on the processor", secs * 1e3));
    }
    if let Some(shown) = shown {
        let [width, height] = shown.projection.size_px;
        if let Some(secs) = shown.device_secs {
            lines.push(format!(
                "{:.1} ms a picture on the graphics device",
                secs * 1e3
            ));
        }
        lines.push(format!("{width} × {height} px"));
        if let Some(stats) = &shown.stats {
            lines.push(format!("{} points", inspect::thousands(stats.points)));
        }
        if let Some(share) = shown.hidden_share {
            lines.push(format!("{} hidden", filter::percent(share)));
        }
    }
    if let Some(shown) = shown {
        let [used, budget] = shown.memory_bytes;
        lines.push(format!(
            "{} of graphics memory, {} for frames at most",
            widgets::bytes(used),
            widgets::bytes(budget)
        ));
    }
    if let Some(adapter) = &state.platform.adapter {
        lines.push(adapter.clone());
    }
    let tokens = theme::tokens(ui);
    let text = lines.join("\n");
    let galley = ui
        .painter()
        .layout_no_wrap(text.clone(), theme::caption(), tokens.text);
    let corner = view.min + vec2(space::M, toolbar::height(view));
    let ground = Rect::from_min_size(corner, galley.size() + vec2(16.0, 12.0));
    let fill = theme::fade(tokens.panel, 0.88);
    ui.painter().rect_filled(ground, theme::RADIUS, fill);
    let at = ground.min + vec2(8.0, 6.0);
    ui.painter().galley(at, galley, tokens.text);
    ui.interact(ground, ui.scope_id().with("statistics"), Sense::hover())
        .widget_info(|| WidgetInfo::labeled(Role::Label, true, format!("Statistics: {text}")));
}

//! Actions on the view: where the scene is seen from and how.

use std::sync::Arc;

use super::{Action, AppState};
use crate::viewport::{Overlay, PointSize};

/// Applies an action of the view's group; others do nothing.
pub(super) fn act(state: &mut AppState, action: Action) {
    let frame = state.frame();
    let now_secs = state.ui_secs;
    let scene = state.scene.as_ref().map(|open| Arc::clone(&open.scene));
    let view = &mut state.view;
    match (action, scene) {
        (Action::Focus, Some(scene)) => view.focus_scene(&scene, now_secs),
        (Action::LookThrough, Some(scene)) => view.toggle_look_through(&scene, frame),
        (Action::ToggleFrustums, _) => toggle(state, Overlay::Frustums),
        (Action::ToggleGrid, _) => toggle(state, Overlay::Grid),
        (Action::ToggleAxes, _) => toggle(state, Overlay::Axes),
        (Action::LargerPoints, _) => resize(&mut view.options.point_size, 1),
        (Action::SmallerPoints, _) => resize(&mut view.options.point_size, -1),
        _ => {}
    }
}

fn toggle(state: &mut AppState, overlay: Overlay) {
    let overlays = &mut state.view.options.overlays;
    *overlays = overlays.with(overlay, !overlays.has(overlay));
}

/// One step larger or smaller, within what can be set by hand.
fn resize(size: &mut PointSize, by: i8) {
    *size = match *size {
        PointSize::Auto(factor) => {
            PointSize::Auto((factor * 1.25_f32.powi(i32::from(by))).clamp(0.5, 3.0))
        }
        PointSize::Pixels(px) => PointSize::Pixels(px.saturating_add_signed(by).clamp(1, 5)),
    };
}

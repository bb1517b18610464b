//! Actions on the view: where the scene is seen from and how it looks.

use std::sync::Arc;

use glam::DVec3;

use super::arrangement::Pane;
use super::notices::{Notice, Severity};
use super::{Action, AppState};
use crate::services::{MediaTask, Services};
use crate::viewport::{
    Axis, ColourMode, DrawMode, EyeDome, FrameStats, Ghosts, MaskMode, Orbit, Overlay, PointSize,
    ViewOptions,
};

/// Ghosts as they are switched on.
pub const USUAL_GHOSTS: Ghosts = Ghosts {
    back: 3,
    forward: 0,
    stride: 2,
    fade: true,
};

/// What accompanies the view.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Companions {
    /// Opacity of the source frame over the view through its camera, 0..1; 0 is off.
    pub underlay: f32,
    /// The source frame in a corner.
    pub source: bool,
    /// Rate, time and points in a corner.
    pub stats: bool,
}

/// What the view told of the frame that it shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shown {
    /// Figures of the frame.
    pub stats: Option<Arc<FrameStats>>,
    /// Share of its points that filters hide, 0..1.
    pub hidden_share: Option<f32>,
    /// Size of the picture, pixels.
    pub size_px: [u32; 2],
    /// Frames that the graphics memory has room for, once it has refused one more.
    pub frames_that_fit: Option<usize>,
    /// The frame asked for is still on its way.
    pub is_loading: bool,
}

/// Levels the view to the ground that was found in the scene.
pub(super) fn level(state: &mut AppState, up: Option<DVec3>) {
    let Some(up) = up else {
        let notice = Notice::new(
            Severity::Info,
            "No ground was found",
            "The scene has no large plane below it. The view keeps the first camera's up.",
        );
        state.notices.post(notice, state.now_secs);
        return;
    };
    state.view.look_through = false;
    state.view.level(up, state.ui_secs);
}

/// Gives up what takes most of the graphics memory.
pub(super) fn lighten(options: &mut ViewOptions) {
    options.ghosts = None;
    options.freeze_static = false;
    options.draw = DrawMode::Points;
}

/// Applies an action on the eye or the overlays; others do nothing.
pub(super) fn act(state: &mut AppState, services: &Services, action: Action) {
    let frame = state.frame();
    let now_secs = state.ui_secs;
    let selection = state.selection;
    let scene = state.scene.as_ref().map(|open| Arc::clone(&open.scene));
    let companions = &mut state.companions;
    let view = &mut state.view;
    match (action, scene) {
        (Action::Focus, Some(scene)) => match selection {
            Some(anchor) => {
                if view.look_through {
                    // The eye leaves from where the camera is.
                    view.toggle_look_through(&scene, frame);
                }
                view.focus_point(anchor.position(), now_secs);
            }
            None => view.focus_scene(&scene, now_secs),
        },
        (Action::ShowAll, Some(scene)) => view.focus_scene(&scene, now_secs),
        (Action::LookThrough, Some(scene)) => view.toggle_look_through(&scene, frame),
        (Action::ViewFront, _) => view.look_along(Axis::Z, now_secs),
        (Action::ViewTop, _) => view.look_along(Axis::Y, now_secs),
        (Action::ViewSide, _) => view.look_along(Axis::X, now_secs),
        (Action::Orthographic, _) => {
            view.look_through = false;
            let goal = view.goal();
            view.motion = None;
            view.orbit = Orbit {
                orthographic: !goal.orthographic,
                ..goal
            };
        }
        (Action::LevelToGround, Some(scene)) => {
            if let Some(open) = &state.scene {
                services.media.ask(MediaTask::Ground(open.serial, scene));
            }
        }
        (Action::LevelToCamera, _) => {
            view.look_through = false;
            view.level(DVec3::NEG_Y, now_secs);
        }
        (Action::ToggleUnderlay, Some(scene)) => {
            companions.underlay = if companions.underlay > 0.0 { 0.0 } else { 0.5 };
            if companions.underlay > 0.0 && !view.look_through {
                view.toggle_look_through(&scene, frame);
            }
        }
        (Action::ToggleSource, _) => companions.source = !companions.source,
        (Action::DockSource, _) => {
            if state.arrangement.has(Pane::Source) {
                state.arrangement.hide(Pane::Source);
            } else {
                state.arrangement.show(Pane::Source);
            }
        }
        (Action::ToggleStats, _) => companions.stats = !companions.stats,
        (Action::ToggleFrustums, _) => toggle(&mut view.options, Overlay::Frustums),
        (Action::ToggleGrid, _) => toggle(&mut view.options, Overlay::Grid),
        (Action::ToggleAxes, _) => toggle(&mut view.options, Overlay::Axes),
        _ => {}
    }
}

/// Applies an action on the look of the points; others do nothing.
pub(super) fn look(options: &mut ViewOptions, action: Action) {
    match action {
        Action::ColourRgb => recolour(options, ColourMode::Rgb),
        Action::ColourDepth => recolour(options, ColourMode::Depth),
        Action::ColourHeight => recolour(options, ColourMode::Height),
        Action::ColourConfidence => recolour(options, ColourMode::Confidence),
        Action::ColourNormal => recolour(options, ColourMode::Normal),
        Action::ColourFrame => recolour(options, ColourMode::Frame),
        Action::ColourFlow => recolour(options, ColourMode::Flow),
        Action::ColourMask => recolour(options, ColourMode::Mask),
        Action::DrawPoints => options.draw = DrawMode::Points,
        Action::DrawSurface => options.draw = DrawMode::Surface,
        Action::DrawSmooth => options.draw = DrawMode::Smooth,
        Action::ToggleGhosts => {
            options.ghosts = options.ghosts.is_none().then_some(USUAL_GHOSTS);
        }
        Action::ToggleEyeDome => {
            options.eye_dome = options.eye_dome.is_none().then(EyeDome::default);
        }
        Action::ToggleFreeze => options.freeze_static = !options.freeze_static,
        Action::CycleMask => {
            options.mask = match options.mask {
                MaskMode::Off => MaskMode::Tint,
                MaskMode::Tint => MaskMode::OnlyMoving,
                MaskMode::OnlyMoving => MaskMode::OnlyStill,
                MaskMode::OnlyStill => MaskMode::Off,
            }
        }
        Action::LargerPoints => resize(&mut options.point_size, 1),
        Action::SmallerPoints => resize(&mut options.point_size, -1),
        _ => {}
    }
}

/// A range that was set by hand belongs to its attribute.
fn recolour(options: &mut ViewOptions, colour: ColourMode) {
    if options.colour != colour {
        options.colour = colour;
        options.colour_range = None;
    }
}

fn toggle(options: &mut ViewOptions, overlay: Overlay) {
    let overlays = options.overlays;
    options.overlays = overlays.with(overlay, !overlays.has(overlay));
}

/// One step larger or smaller, within what can be set by hand.
fn resize(size: &mut PointSize, by: i8) {
    *size = match *size {
        PointSize::Auto(factor) => {
            PointSize::Auto((factor * 1.25_f32.powi(i32::from(by))).clamp(0.5, 3.0))
        }
        PointSize::Pixels(px) => PointSize::Pixels(px.saturating_add_signed(by).clamp(1, 5)),
        PointSize::World(size) => PointSize::World(size * 1.25_f32.powi(i32::from(by))),
    };
}

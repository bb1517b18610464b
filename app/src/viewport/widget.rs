//! The widget: input to state, state to picture.

use std::sync::Arc;

use egui::emath::GuiRounding as _;
use egui::{Key, PointerButton, Role, Sense, Ui, WidgetInfo};
use egui_wgpu::RenderState;
use glam::{DVec2, DVec3};
use one4d_engine::scene::Scene4d;

use super::bounds::SceneBounds;
use super::callback::{ViewportCallback, ViewportResources};
use super::eye::Eye;
use super::gizmo::gizmo_ui;
use super::look_up::LookUps;
use super::options::{Overlay, Palette};
use super::pace::{Detail, SETTLE_SECS};
use super::picking::Pick;
use super::projection::Projection;
use super::renderer::PictureEye;
use super::scene_lines::Fade;
use super::shown::ShownFrame;
use super::state::ViewportState;
use super::stats::FrameStats;
use super::upload::Wish;

/// Distance change per point of scrolling, natural logarithm.
const DOLLY_PER_POINT: f64 = 0.0035;
/// Flight per second as a share of the distance to the target.
const FLY_PER_SECOND: f64 = 0.9;

/// What a view needs besides its state.
pub struct ViewportInput<'a> {
    /// Tells views apart that are on screen together.
    pub view_id: egui::Id,
    /// The scene to show.
    pub scene: Option<&'a Arc<Scene4d>>,
    /// The frame to show.
    pub frame_idx: usize,
    /// Colours, from the theme.
    pub palette: &'a Palette,
    /// The window's renderer.
    pub render_state: &'a RenderState,
    /// Moves arrive at once.
    pub reduced_motion: bool,
}

/// What happened in a view.
pub struct ViewportResponse {
    /// The widget's own response.
    pub response: egui::Response,
    /// The frame on the picture; another than asked for while that one is on its way.
    pub shown_frame: Option<usize>,
    /// The frame asked for is on its way; the picture keeps the last true one.
    pub loading: bool,
    /// The point that was double-clicked, in the frame that was shown then.
    pub picked: Option<(Pick, DVec3)>,
    /// The point that was clicked; `Some(None)` where the click met none.
    pub clicked: Option<Option<(Pick, DVec3)>>,
    /// The point under the pointer, as far as it has been looked up.
    pub hovered: Option<(Pick, DVec3)>,
    /// How the world lies on the window.
    pub projection: Projection,
    /// Figures of the frame on the picture.
    pub stats: Option<Arc<FrameStats>>,
    /// Share of the frame's points that filters hide, 0..1, once counted for the present options.
    pub hidden_share: Option<f32>,
    /// Why nothing can be shown, for people.
    pub problem: Option<String>,
    /// Frames of the clip that the device has room for, once it has refused one more.
    pub short_of_memory: Option<usize>,
    /// How much of the frame is drawn: less than all of it only while the eye moves.
    pub detail: Detail,
    /// What the device needed for the last measured picture, seconds, where it can tell.
    pub device_secs: Option<f32>,
    /// Bytes of the device's memory that all frames and views take, and those that frames may take.
    pub memory_bytes: [u64; 2],
}

/// Shows a scene in all of the available space and applies orbit, pan, dolly and flight to `state`.
///
/// Left drag orbits, middle or Shift + left drag pans, the wheel dollies towards the pointer, right
/// drag looks around and W A S D Q E fly meanwhile, double click focuses a point.
pub fn viewport_ui(
    ui: &mut Ui,
    state: &mut ViewportState,
    input: &ViewportInput<'_>,
) -> ViewportResponse {
    let size = ui.available_size().max(egui::Vec2::splat(1.0));
    let (rect, response) = ui.allocate_exact_size(size, Sense::click_and_drag());
    let scale = ui.ctx().pixels_per_point();
    // The picture begins and ends with a pixel of the screen, so that a click falls into the pixel
    // that is seen under it.
    let rect = rect.round_to_pixels(scale);
    response.widget_info(|| WidgetInfo::labeled(Role::Canvas, true, "3D view"));

    if let (Some(scene), false) = (input.scene, state.fitted) {
        state.fit(scene);
    }
    let mut out = ViewportResponse::nothing(response, state.orbit.eye());
    let mut renderer = input.render_state.renderer.write();
    let resources = match ViewportResources::of(&mut renderer, input.render_state, ui.ctx()) {
        Ok(resources) => resources,
        Err(error) => {
            out.problem = Some(format!("the 3D view could not start: {error}"));
            return out;
        }
    };
    let bounds = choose_frame(resources, state, input, &mut out);
    let shown = resources.shown(input.view_id);
    let place = Place {
        rect,
        size_px: resources
            .fitting_size([rect.width(), rect.height()].map(|v| (v * scale).round() as u32)),
    };
    let mut ups = LookUps::of(ui, input.view_id, out.shown_frame);
    ups.finish(ui, state, resources, (input, &mut out));
    let under = ups.hovered().map(|(_, point)| point);
    let around = (&place, shown.as_ref(), &bounds, under);
    control(ui, state, &out.response, around);
    follow_motion(ui, state, input.reduced_motion);
    let eye = current_eye(state, shown.as_ref());
    let up = state.orbit.up;
    let floor = (
        up,
        resources.floor_height(input.view_id, up, bounds.floor_y),
    );
    let picture_eye = PictureEye {
        eye,
        near: bounds.near(),
        fade: Fade::on_floor(state.orbit.target, state.orbit.distance, floor),
    };
    out.projection = Projection {
        eye,
        rect,
        size_px: place.size_px,
    };
    resources.measure(input.view_id);
    (out.detail, out.device_secs) = detail(ui, resources, input.view_id, eye);
    out.memory_bytes = resources.memory_bytes();
    ups.ask_points(ui, state, &out.response, &place);
    ups.start(ui, resources, input, picture_eye.near);
    out.hovered = ups.hovered().filter(|_| out.response.hovered());
    ups.keep(ui, input.view_id);
    drop(renderer);

    let callback = ViewportCallback {
        view_id: input.view_id,
        size_px: place.size_px,
        eye: picture_eye,
        options: state.options,
        detail: out.detail,
        palette: *input.palette,
        bounds,
        through_camera: state.look_through && shown.is_some(),
        shown,
    };
    ui.painter()
        .add(egui_wgpu::Callback::new_paint_callback(rect, callback));
    if state.options.overlays.has(Overlay::Axes)
        && let Some(axis) = gizmo_ui(ui, rect, &eye, input.palette)
    {
        state.look_along(axis, ui.input(|i| i.time));
        ui.ctx().request_repaint();
    }
    out
}

impl ViewportResponse {
    /// Nothing has happened and nothing is known yet.
    fn nothing(response: egui::Response, eye: Eye) -> Self {
        Self {
            projection: Projection {
                eye,
                rect: response.rect,
                size_px: [1, 1],
            },
            response,
            shown_frame: None,
            loading: false,
            picked: None,
            clicked: None,
            hovered: None,
            stats: None,
            hidden_share: None,
            problem: None,
            short_of_memory: None,
            detail: Detail::WHOLE,
            device_secs: None,
            memory_bytes: [0; 2],
        }
    }
}

/// How much of the frame to draw now, and what the last picture took; asks for the whole picture as
/// soon as the eye is at rest.
fn detail(
    ui: &Ui,
    resources: &mut ViewportResources,
    view_id: egui::Id,
    eye: Eye,
) -> (Detail, Option<f32>) {
    let pace = &mut resources.memory.entry(view_id).or_default().pace;
    let detail = pace.detail(eye, ui.input(|i| i.time));
    if pace.is_moving() {
        let settled = std::time::Duration::from_secs_f64(SETTLE_SECS);
        ui.ctx().request_repaint_after(settled);
    }
    (detail, pace.cost_secs())
}

fn follow_motion(ui: &Ui, state: &mut ViewportState, reduced_motion: bool) {
    let now_secs = if reduced_motion {
        f64::INFINITY
    } else {
        ui.input(|i| i.time)
    };
    if state.advance(now_secs) {
        ui.ctx().request_repaint();
    }
}

/// Where the picture lies in the window.
pub(super) struct Place {
    rect: egui::Rect,
    size_px: [u32; 2],
}

impl Place {
    /// Window points to pixels of the picture.
    pub(super) fn to_px(&self, at: egui::Pos2) -> DVec2 {
        let offset = at - self.rect.min;
        self.scaled(offset)
    }

    fn scaled(&self, offset: egui::Vec2) -> DVec2 {
        DVec2::new(
            f64::from(offset.x / self.rect.width()) * f64::from(self.size_px[0]),
            f64::from(offset.y / self.rect.height()) * f64::from(self.size_px[1]),
        )
    }
}

/// Asks for the wanted frame; keeps the last one of the same scene while it is on its way.
fn choose_frame(
    resources: &mut ViewportResources,
    state: &ViewportState,
    input: &ViewportInput<'_>,
    out: &mut ViewportResponse,
) -> SceneBounds {
    let memory = resources.memory.entry(input.view_id).or_default();
    let Some(scene) = input.scene else {
        memory.shown = None;
        return EMPTY_BOUNDS;
    };
    let frame_idx = input.frame_idx.min(scene.num_frames.saturating_sub(1));
    let wish = Wish::of(frame_idx, &state.options);
    let resident = resources.uploads.want(scene, wish);
    out.loading = resident.frame.is_none() && resident.problem.is_none();
    out.hidden_share = resident.hidden_share;
    out.short_of_memory = resident.short_of_memory;
    match ShownFrame::of(scene, &resident) {
        Some(shown) => memory.shown = Some(shown),
        None if memory
            .shown
            .as_ref()
            .is_some_and(|s| !Arc::ptr_eq(&s.scene, scene)) =>
        {
            memory.shown = None;
        }
        None => {}
    }
    out.shown_frame = memory.shown.as_ref().map(|s| s.frame_idx);
    out.stats = memory.shown.as_ref().map(|s| Arc::clone(&s.stats));
    out.problem = resident.problem;
    resident.bounds
}

/// An empty view has a grid of a few units.
const EMPTY_BOUNDS: SceneBounds = SceneBounds {
    centre: DVec3::new(0.0, 0.0, 3.0),
    radius: 1.5,
    floor_y: 1.0,
    depth: 3.0,
};

fn current_eye(state: &ViewportState, shown: Option<&ShownFrame>) -> Eye {
    shown
        .and_then(|s| state.camera_eye(&s.scene, s.frame_idx))
        .unwrap_or_else(|| state.orbit.eye())
}

/// Applies the pointer and, during flight, the keyboard.
fn control(
    ui: &Ui,
    state: &mut ViewportState,
    response: &egui::Response,
    (place, shown, bounds, under): (&Place, Option<&ShownFrame>, &SceneBounds, Option<DVec3>),
) {
    let drag = response.drag_delta();
    let drag_points = DVec2::new(f64::from(drag.x), f64::from(drag.y));
    let scroll = wheel(ui, response);
    let flying = response.dragged_by(PointerButton::Secondary);
    let moved = drag != egui::Vec2::ZERO && response.dragged();
    if !moved && scroll == 0.0 && !flying {
        return;
    }
    if let Some(eye) = shown.and_then(|s| state.camera_eye(&s.scene, s.frame_idx)) {
        state.leave_camera(&eye, bounds.depth);
    }
    // A hand on the controls ends a move that is under way.
    state.motion = None;
    let orbit = &mut state.orbit;
    let shift = ui.input(|i| i.modifiers.shift);
    if flying {
        orbit.look(drag_points);
        let seconds = f64::from(ui.input(|i| i.stable_dt)).min(0.1);
        orbit.fly(flight(ui) * seconds * FLY_PER_SECOND);
        ui.ctx().request_repaint();
    } else if response.dragged_by(PointerButton::Middle)
        || (shift && response.dragged_by(PointerButton::Primary))
    {
        orbit.pan(place.scaled(drag), place.size_px);
    } else if response.dragged_by(PointerButton::Primary) {
        orbit.turn(drag_points);
    }
    if scroll != 0.0
        && let Some(pointer) = response.hover_pos()
    {
        let factor = (-scroll * DOLLY_PER_POINT).exp();
        if let Some(point) = under {
            orbit.aim_at_depth_of(point);
        }
        orbit.dolly(factor, place.to_px(pointer), place.size_px);
    }
}

/// Wheel and pinch over the view, in points of scrolling.
fn wheel(ui: &Ui, response: &egui::Response) -> f64 {
    if !response.hovered() {
        return 0.0;
    }
    ui.input(|i| {
        let pinch = f64::from(i.zoom_delta()).ln() / DOLLY_PER_POINT;
        f64::from(i.smooth_scroll_delta.y) + pinch
    })
}

/// Right, up and forward from W A S D Q E; Shift is four times faster.
fn flight(ui: &Ui) -> DVec3 {
    ui.input(|i| {
        let axis = |plus, minus| f64::from(i.key_down(plus)) - f64::from(i.key_down(minus));
        let direction = DVec3::new(
            axis(Key::D, Key::A),
            axis(Key::E, Key::Q),
            axis(Key::W, Key::S),
        );
        direction.normalize_or_zero() * if i.modifiers.shift { 4.0 } else { 1.0 }
    })
}

//! Points under the pointer: asked for where it clicks or rests, and taken when they have arrived.

use egui::{PointerButton, Pos2, Ui};
use glam::{DVec2, DVec3};

use super::callback::ViewportResources;
use super::picking::Pick;
use super::state::ViewportState;
use super::widget::{Place, ViewportInput, ViewportResponse};

/// What a look-up of the point at a place is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Ask {
    Hover,
    Click,
    Focus,
}

/// Look-ups of a view: one under way, one to follow, and what the pointer was found over.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LookUps {
    under_way: Option<Ask>,
    next: Option<(Ask, [u32; 2])>,
    hovered: Option<(Pick, DVec3)>,
    hovered_at: Option<Pos2>,
    /// The frame that was shown then.
    frame_idx: Option<usize>,
}

impl LookUps {
    /// Those of a view; what was found under the pointer counts for the frame that is shown.
    pub(super) fn of(ui: &Ui, view_id: egui::Id, shown_frame: Option<usize>) -> Self {
        let kept = ui.data(|data| data.get_temp::<Self>(view_id.with("look-ups")));
        let kept = kept.unwrap_or_default();
        if kept.frame_idx == shown_frame {
            return kept;
        }
        Self {
            hovered: None,
            hovered_at: None,
            frame_idx: shown_frame,
            ..kept
        }
    }

    /// Keeps them until the next frame of the window.
    pub(super) fn keep(self, ui: &Ui, view_id: egui::Id) {
        ui.data_mut(|data| data.insert_temp(view_id.with("look-ups"), self));
    }

    /// The point under the pointer, as far as it has been looked up.
    pub(super) fn hovered(&self) -> Option<(Pick, DVec3)> {
        self.hovered
    }

    /// Begins the next one, if none is under way.
    pub(super) fn start(
        &mut self,
        ui: &Ui,
        resources: &mut ViewportResources,
        input: &ViewportInput<'_>,
        near: f64,
    ) {
        if self.under_way.is_some() {
            return;
        }
        if let Some((ask, at)) = self.next.take() {
            resources.start_pick(input.render_state, input.view_id, at, near);
            if resources.is_picking(input.view_id) {
                self.under_way = Some(ask);
                ui.ctx().request_repaint();
            }
        }
    }

    /// What matters more is not pushed aside by what matters less.
    fn ask(&mut self, ask: Ask, at_px: [u32; 2]) {
        if self.next.is_none_or(|(waiting, _)| waiting <= ask) {
            self.next = Some((ask, at_px));
        }
    }

    /// Asks for the points under the pointer where it clicked, double-clicked or came to rest.
    pub(super) fn ask_points(
        &mut self,
        ui: &Ui,
        state: &ViewportState,
        response: &egui::Response,
        place: &Place,
    ) {
        // A pointer that rests where two pixels meet belongs to the later one, whatever rounding says.
        let at_px = |at: Pos2| {
            let place = place.to_px(at) + DVec2::splat(1.0 / 64.0);
            place.max(DVec2::ZERO).as_uvec2().to_array()
        };
        let pointer = response.interact_pointer_pos();
        if let (true, Some(at)) = (response.clicked_by(PointerButton::Primary), pointer) {
            let focus =
                response.double_clicked_by(PointerButton::Primary) && !state.clicks_are_taken;
            let ask = if focus { Ask::Focus } else { Ask::Click };
            self.ask(ask, at_px(at));
        } else if let Some(at) = response.hover_pos()
            && self.hovered_at != Some(at)
            && !ui.input(|i| i.pointer.any_down())
        {
            self.hovered_at = Some(at);
            self.ask(Ask::Hover, at_px(at));
        }
    }

    /// Takes what has arrived.
    pub(super) fn finish(
        &mut self,
        ui: &Ui,
        state: &mut ViewportState,
        resources: &mut ViewportResources,
        (input, out): (&ViewportInput<'_>, &mut ViewportResponse),
    ) {
        if !resources.is_picking(input.view_id) {
            self.under_way = None;
            return;
        }
        // Runs the map callbacks that are due; an error here means a lost device, reported elsewhere.
        let _ = input.render_state.device.poll(wgpu::PollType::Poll);
        let found = resources.finish_pick(input.view_id).map(|(pick, shown)| {
            let points = shown.scene.frame_points(pick.frame_idx);
            let first = (pick.row * shown.scene.width + pick.column) * 3;
            let point = DVec3::from_array([0, 1, 2].map(|i| f64::from(points[first + i])));
            (pick, point)
        });
        ui.ctx().request_repaint();
        if resources.is_picking(input.view_id) {
            return;
        }
        match (self.under_way.take(), found) {
            (Some(Ask::Hover), found) => self.hovered = found,
            (Some(Ask::Click), found) => out.clicked = Some(found),
            (Some(Ask::Focus), Some((pick, point))) => {
                if !state.look_through {
                    state.focus_point(point, ui.input(|i| i.time));
                }
                out.picked = Some((pick, point));
            }
            (Some(Ask::Focus) | None, _) => {}
        }
    }
}

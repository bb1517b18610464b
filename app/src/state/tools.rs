//! Tools: measuring, clipping, comparing, finding; and the points that are chosen with them.

use std::sync::Arc;

use super::arrangement::Pane;
use super::command::Pick;
use super::compare::{self, CompareEdit, CompareMode};
use super::finder::Finder;
use super::measures::{Anchor, KnownScale, LengthUnit, MeasureEdit, MeasureKind, Tool};
use super::notices::{Notice, Severity};
use super::{Action, AppCommand, AppState};
use crate::services::{MediaTask, Services};
use crate::state::command::InspectPage;
use crate::viewport::ClipBox;
use crate::viewport::bounds::SceneBounds;

/// Applies an action of the tools' group; others do nothing.
pub(super) fn act(state: &mut AppState, action: Action) {
    match action {
        Action::MeasureDistance => take_up(state, MeasureKind::Distance),
        Action::MeasureAngle => take_up(state, MeasureKind::Angle),
        Action::ToggleClipBox => toggle_clip_box(state),
        Action::Compare => state.picking = Some(Pick::Compare),
        Action::CompareWipe => {
            let wipes = state.comparing.both().map(|c| c.mode) == Some(CompareMode::Wipe);
            let mode = if wipes {
                CompareMode::SideBySide
            } else {
                CompareMode::Wipe
            };
            compare::edit(state, CompareEdit::Mode(mode));
        }
        Action::CompareLink => {
            let linked = state.comparing.both().is_some_and(|c| c.linked);
            compare::edit(state, CompareEdit::Link(!linked));
        }
        Action::CompareEnd => compare::edit(state, CompareEdit::Close),
        Action::FindAction => state.finder = Some(Finder::default()),
        Action::Dismiss if state.models.open => state.models.open = false,
        Action::Dismiss => dismiss(state),
        _ => {}
    }
}

/// Takes a measuring tool up, or puts it down if it is in hand.
fn take_up(state: &mut AppState, kind: MeasureKind) {
    let wanted = Tool::Measure(kind);
    let tool = if state.tool == wanted {
        Tool::Select
    } else {
        wanted
    };
    set_tool(state, tool);
    if tool != Tool::Select {
        state.inspect_page = InspectPage::Measure;
    }
}

pub(super) fn set_tool(state: &mut AppState, tool: Tool) {
    state.tool = tool;
    state.measures.pending.clear();
    state.view.clicks_are_taken = tool != Tool::Select;
}

/// Leaves what is nearest at hand: points that are being placed, the tool, the choice, a notice.
fn dismiss(state: &mut AppState) {
    if !state.measures.pending.is_empty() {
        state.measures.pending.clear();
    } else if state.tool != Tool::Select {
        set_tool(state, Tool::Select);
    } else if !state.notices.dismiss_newest() {
        state.selection = None;
        state.measures.selected = None;
    }
}

/// A click in the view: places a point of a measure, or chooses a point.
pub(super) fn click(state: &mut AppState, services: &Services, anchor: Option<Anchor>) {
    match (state.tool, anchor) {
        (Tool::Measure(kind), Some(anchor)) => {
            if let Some(id) = state.measures.place(kind, anchor) {
                if state.plots.open.is_some() {
                    plot(state, services, Some(id));
                }
                set_tool(state, Tool::Select);
            }
        }
        (Tool::Measure(_), None) => {
            let notice = Notice::new(
                Severity::Info,
                "There is no point there",
                "Click on a point of the scene.",
            );
            state.notices.post(notice, state.now_secs);
        }
        (Tool::Select, anchor) => state.selection = anchor,
    }
}

/// Applies an edit of the measures.
pub(super) fn edit_measures(state: &mut AppState, services: &Services, edit: MeasureEdit) {
    match edit {
        MeasureEdit::Select(id) => state.measures.selected = id,
        MeasureEdit::Rename(id, name) => state.measures.rename(id, name),
        MeasureEdit::Delete(id) => {
            state.measures.delete(id);
            if state.plots.open == Some(id) {
                plot(state, services, None);
            }
        }
        MeasureEdit::KnownLength(id, length, unit) => set_scale(state, id, length, unit),
        MeasureEdit::ForgetScale => state.lengths.known = None,
        MeasureEdit::Plot(id) => plot(state, services, id),
    }
}

fn set_scale(state: &mut AppState, id: u64, length: f64, unit: LengthUnit) {
    let Some(measure) = state.measures.measure(id) else {
        return;
    };
    let raw = measure.value();
    let factor = length / raw;
    if measure.kind != MeasureKind::Distance || !factor.is_finite() || factor <= 0.0 {
        let notice = Notice::new(
            Severity::Warning,
            "The scale was not set",
            "It takes a distance that is not zero and a length above zero.",
        );
        state.notices.post(notice, state.now_secs);
        return;
    }
    let title = format!("Lengths are now in {}", unit.label());
    let body = format!(
        "“{}” is {length} {}, so a scene unit is {factor:.4} {}. Measures and exports use it.",
        measure.name,
        unit.label(),
        unit.label()
    );
    state.lengths.known = Some(KnownScale { factor, unit });
    let notice =
        Notice::new(Severity::Good, title, body).with_remedy("Undo", AppCommand::Act(Action::Undo));
    state.notices.post(notice, state.now_secs);
}

/// Opens the plot of a measure, which is computed beside the window, or closes it.
fn plot(state: &mut AppState, services: &Services, id: Option<u64>) {
    state.plots.open = id;
    match id {
        Some(_) => state.arrangement.show(Pane::Plot),
        None => state.arrangement.hide(Pane::Plot),
    }
    let (Some(id), Some(open)) = (id, &state.scene) else {
        return;
    };
    let Some(measure) = state.measures.measure(id) else {
        return;
    };
    if !state.plots.series.contains_key(&id) {
        let scene = Arc::clone(&open.scene);
        let task = MediaTask::Follow(open.serial, scene, measure.clone());
        services.media.ask(task);
    }
}

/// A box around what is near the scene's middle, or none.
fn toggle_clip_box(state: &mut AppState) {
    let options = &mut state.view.options;
    let fresh = state.scene.as_ref().map(|open| {
        let bounds = SceneBounds::of(&open.scene);
        ClipBox {
            centre: bounds.centre.to_array(),
            half: [bounds.radius; 3],
            yaw_rad: 0.0,
        }
    });
    options.clip_box = match options.clip_box {
        Some(_) => None,
        None => fresh,
    };
}

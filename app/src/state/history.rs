//! Undo: what the view, its options, the measures and the markers were before each edit.

use super::AppState;
use super::action::{Action, Group};
use super::command::AppCommand;
use super::markers::Markers;
use super::measures::{KnownScale, Measure, MeasureEdit};
use crate::viewport::ViewportState;

/// Steps that are kept.
const MAX_STEPS: usize = 200;
/// Edits of one kind that follow each other faster than this are one step, as while dragging.
const COALESCE_SECS: f64 = 0.6;

/// What undo brings back.
#[derive(Clone, Debug, PartialEq)]
struct Snapshot {
    view: ViewportState,
    underlay: f32,
    measures: Vec<Measure>,
    scale: Option<KnownScale>,
    markers: Markers,
}

impl Snapshot {
    fn of(state: &AppState) -> Self {
        Self {
            view: ViewportState {
                // A move counts where it starts, not on its way.
                orbit: state.view.goal(),
                motion: None,
                clicks_are_taken: false,
                ..state.view
            },
            underlay: state.companions.underlay,
            measures: state.measures.list().to_vec(),
            scale: state.lengths.known,
            markers: state.markers.clone(),
        }
    }

    fn bring_back(self, state: &mut AppState) {
        state.view = ViewportState {
            clicks_are_taken: state.view.clicks_are_taken,
            ..self.view
        };
        state.companions.underlay = self.underlay;
        let selected = state.measures.selected;
        state.measures.replace(self.measures);
        state.measures.selected = selected.filter(|&id| state.measures.measure(id).is_some());
        state.lengths.known = self.scale;
        state.markers = self.markers;
    }
}

/// What kind of edit a command is; edits of one kind may become one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Move,
    Options,
    Underlay,
    Rename,
    Act(Action),
    Other,
}

impl Kind {
    fn of(command: &AppCommand) -> Option<Self> {
        Some(match command {
            AppCommand::View(_) => Self::Move,
            AppCommand::ViewOptions(_) => Self::Options,
            AppCommand::Underlay(_) => Self::Underlay,
            AppCommand::Measure(MeasureEdit::Rename(..)) => Self::Rename,
            AppCommand::Measure(MeasureEdit::Select(_) | MeasureEdit::Plot(_)) => return None,
            AppCommand::Measure(_) | AppCommand::Clicked(_) | AppCommand::Marker(_) => Self::Other,
            AppCommand::Act(action) => match action.spec().group {
                Group::View | Group::Look | Group::Tools | Group::Time => Self::Act(*action),
                Group::File | Group::Window => return None,
            },
            _ => return None,
        })
    }

    /// Whether a second edit goes on with the first.
    fn continues(self, first: Self) -> bool {
        let steady = matches!(
            self,
            Self::Move
                | Self::Options
                | Self::Underlay
                | Self::Rename
                | Self::Act(Action::LargerPoints | Action::SmallerPoints)
        );
        steady && self == first
    }
}

/// An edit that is about to be applied.
#[derive(Debug)]
pub(super) struct Before {
    kind: Kind,
    snapshot: Snapshot,
}

/// Steps that can be undone and redone.
#[derive(Clone, Debug, Default)]
pub struct History {
    past: Vec<Snapshot>,
    future: Vec<Snapshot>,
    last: Option<(Kind, f64)>,
}

impl History {
    /// True if something can be undone.
    pub fn can_undo(&self) -> bool {
        !self.past.is_empty()
    }

    /// True if something can be redone.
    pub fn can_redo(&self) -> bool {
        !self.future.is_empty()
    }

    /// What stands before a command; `None` for commands that undo does not concern.
    pub(super) fn before(state: &AppState, command: &AppCommand) -> Option<Before> {
        // The first look at a scene is nobody's edit.
        let kind = Kind::of(command).filter(|kind| state.view.fitted || *kind != Kind::Move)?;
        Some(Before {
            kind,
            snapshot: Snapshot::of(state),
        })
    }

    /// Notes what a command has changed.
    pub(super) fn note(state: &mut AppState, before: Before) {
        if before.snapshot == Snapshot::of(state) {
            return;
        }
        let now = state.now_secs;
        let history = &mut state.history;
        let goes_on = history
            .last
            .is_some_and(|(kind, at)| before.kind.continues(kind) && now - at < COALESCE_SECS);
        history.last = Some((before.kind, now));
        history.future.clear();
        if !(goes_on && history.can_undo()) {
            history.past.push(before.snapshot);
            let excess = history.past.len().saturating_sub(MAX_STEPS);
            history.past.drain(..excess);
        }
    }

    /// Goes one step back.
    pub(super) fn undo(state: &mut AppState) {
        if let Some(snapshot) = state.history.past.pop() {
            state.history.future.push(Snapshot::of(state));
            state.history.last = None;
            snapshot.bring_back(state);
        }
    }

    /// Goes one step forward again.
    pub(super) fn redo(state: &mut AppState) {
        if let Some(snapshot) = state.history.future.pop() {
            state.history.past.push(Snapshot::of(state));
            state.history.last = None;
            snapshot.bring_back(state);
        }
    }
}

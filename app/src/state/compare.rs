//! A second scene beside or over the first.

use one4d_engine::worker::JobId;

use super::AppState;
use super::notices::{Notice, Severity};
use super::scene::OpenScene;
use crate::viewport::ViewportState;

/// How two scenes share the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CompareMode {
    /// Each has a part of its own.
    #[default]
    SideBySide,
    /// The second lies over the first, right of a line that can be dragged.
    Wipe,
}

/// The second scene.
#[derive(Clone, Debug)]
pub struct Compare {
    /// It.
    pub open: OpenScene,
    /// Its own eye, while the views are not linked; its look is that of the first.
    pub view: ViewportState,
    /// How it shares the window.
    pub mode: CompareMode,
    /// Where the line between the scenes is, share of the width.
    pub split: f32,
    /// Both are seen from the same place at the same time.
    pub linked: bool,
    /// Its frame, while the views are not linked.
    pub frame_idx: usize,
}

/// A change of the comparison.
#[derive(Clone, Debug, PartialEq)]
pub enum CompareEdit {
    /// How the scenes share the window.
    Mode(CompareMode),
    /// Where the line between them is, share of the width.
    Split(f32),
    /// Links eye and time, or lets go of them.
    Link(bool),
    /// The second view has been moved by hand.
    View(Box<ViewportState>),
    /// The second scene's own frame.
    Seek(usize),
    /// A click in the second view with a measuring tool in hand.
    Clicked,
    /// Ends the comparison.
    Close,
}

/// Where comparing stands.
#[derive(Clone, Debug, Default)]
pub enum Comparing {
    /// One scene only.
    #[default]
    No,
    /// The second is being read.
    Opening(JobId),
    /// Both are on screen.
    Both(Box<Compare>),
}

impl Comparing {
    /// The second scene, once it is there.
    pub fn both(&self) -> Option<&Compare> {
        match self {
            Self::Both(compare) => Some(compare),
            Self::No | Self::Opening(_) => None,
        }
    }
}

/// The second scene has been read.
pub(super) fn show(state: &mut AppState, open: OpenScene) {
    let view = state.view;
    state.comparing = Comparing::Both(Box::new(Compare {
        open,
        view,
        mode: CompareMode::default(),
        split: 0.5,
        linked: true,
        frame_idx: 0,
    }));
}

/// Applies an edit.
pub(super) fn edit(state: &mut AppState, edit: CompareEdit) {
    let frame_idx = second_frame(state).unwrap_or(0);
    let shared = state.view;
    let Comparing::Both(compare) = &mut state.comparing else {
        return;
    };
    match edit {
        CompareEdit::Mode(mode) => compare.mode = mode,
        CompareEdit::Split(share) => compare.split = share.clamp(0.02, 0.98),
        CompareEdit::Link(linked) => {
            // Letting go changes nothing on screen.
            compare.view = shared;
            compare.frame_idx = frame_idx;
            compare.linked = linked;
        }
        CompareEdit::View(view) => compare.view = *view,
        CompareEdit::Seek(frame) => {
            compare.frame_idx = frame.min(compare.open.scene.num_frames - 1);
        }
        CompareEdit::Clicked => {
            let notice = Notice::new(
                Severity::Info,
                "Measures are taken in the first scene",
                "Open the other scene by itself to measure in it.",
            );
            state.notices.post(notice, state.now_secs);
        }
        CompareEdit::Close => state.comparing = Comparing::No,
    }
}

/// The frame of the second scene: at the same time as the first while linked.
pub fn second_frame(state: &AppState) -> Option<usize> {
    let compare = state.comparing.both()?;
    let scene = &compare.open.scene;
    let last = scene.num_frames - 1;
    if !compare.linked {
        return Some(compare.frame_idx.min(last));
    }
    let secs = state.frame() as f64 / state.clock.fps();
    Some(frame_at(secs, scene.meta.fps).min(last))
}

/// The frame that is on screen at a time; scenes without a rate are taken as the clock takes them.
fn frame_at(secs: f64, fps: f64) -> usize {
    let fps = crate::timeline::Clock::new(1, fps).fps();
    // A frame's time is not exact in floating point; a thousandth of a frame is no other frame.
    (secs * fps + 1e-3).floor() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_time_is_another_frame_at_another_rate() {
        assert_eq!(frame_at(1.0, 24.0), 24);
        assert_eq!(frame_at(5.0 / 12.0, 24.0), 10);
        for frame in 0..200 {
            assert_eq!(frame_at(f64::from(frame) / 24.0, 24.0), frame as usize);
        }
    }
}

//! What the graphics device does to a person's work, and what is said about it.

use super::AppState;
use super::command::AppCommand;
use super::notices::{Notice, Severity};
use super::view::Shown;
use crate::viewport::GpuProblem;

/// Tells what the graphics device reported. A lost device is told of in the next window.
pub fn on_problem(state: &mut AppState, problem: GpuProblem) {
    let notice = match problem {
        // A slow driver misses a resize of the window; the next picture asks again.
        GpuProblem::Refused(details) if details.contains("Surface::configure") => return,
        GpuProblem::Lost(_) => return,
        GpuProblem::OutOfMemory(details) => Notice::new(
            Severity::Error,
            "The graphics memory is full",
            "The scene is kept in main memory. Ghosts, still parts and surfaces take the most; \
             other programs may use the graphics card too.",
        )
        .with_details(details)
        .with_remedy("Use less memory", AppCommand::Lighten),
        GpuProblem::Refused(details) => Notice::new(
            Severity::Error,
            "The graphics driver refused a command",
            "The picture may be incomplete; your scene is not affected.",
        )
        .with_details(details),
    };
    state.notices.post(notice, state.now_secs);
}

/// A window was opened on another device, as the one before was lost.
pub fn on_new_device(state: &mut AppState) {
    let notice = Notice::new(
        Severity::Warning,
        "The graphics device was lost",
        "The driver was reset or the device removed. This window was opened on it anew; scenes, \
         measures, jobs and the view are as they were.",
    );
    state.notices.post(notice, state.now_secs);
}

/// Takes what the view told, and says so when it begins to run out of memory.
pub(super) fn on_shown(state: &mut AppState, shown: Shown) {
    let before = state.shown.frames_that_fit;
    if let (None, Some(fit), Some(open)) = (before, shown.frames_that_fit, &state.scene) {
        let body = format!(
            "There is room for {fit} of the {} frames at a time. The others come a moment after \
             they are asked for. Your scene is whole.",
            open.scene.num_frames
        );
        let notice = Notice::new(Severity::Warning, "The graphics memory is short", body)
            .with_remedy("Use less memory", AppCommand::Lighten);
        state.notices.post(notice, state.now_secs);
    }
    state.shown = shown;
}

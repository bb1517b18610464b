//! Actions on time: playback, steps, the range that plays.

use super::AppState;
use super::command::{Action, TimeEdit};
use super::markers::MarkerEdit;

/// Applies an action of the time group; others do nothing.
pub(super) fn act(state: &mut AppState, action: Action) {
    let now = state.now_secs;
    let frame = state.frame();
    let markers = &mut state.markers;
    let clock = &mut state.clock;
    match action {
        Action::PlayPause => clock.toggle(now),
        Action::ShuttleBack => clock.shuttle(true, now),
        Action::ShuttleStop => clock.pause(now),
        Action::ShuttleForward => clock.shuttle(false, now),
        Action::PreviousFrame => clock.step(-1, now),
        Action::NextFrame => clock.step(1, now),
        Action::BackTen => clock.step(-10, now),
        Action::ForwardTen => clock.step(10, now),
        Action::FirstFrame => clock.seek(0),
        Action::LastFrame => clock.seek(usize::MAX),
        Action::SetIn => clock.set_range(frame, clock.range().1.max(frame), now),
        Action::SetOut => clock.set_range(clock.range().0.min(frame), frame, now),
        Action::ClearRange => clock.set_range(0, usize::MAX, now),
        Action::CycleLoop => clock.set_mode(clock.mode().next(), now),
        Action::Slower => clock.nudge_speed(false, now),
        Action::Faster => clock.nudge_speed(true, now),
        Action::AddMarker => markers.add(frame),
        Action::RemoveMarker => markers.edit(MarkerEdit::Remove(frame)),
        Action::PreviousMarker | Action::NextMarker => {
            let target = if action == Action::NextMarker {
                markers.after(frame)
            } else {
                markers.before(frame)
            };
            if let Some(target) = target {
                clock.seek(target);
            }
        }
        _ => {}
    }
}

/// Applies an edit of playback.
pub(super) fn edit(state: &mut AppState, edit: TimeEdit) {
    let now = state.now_secs;
    match edit {
        TimeEdit::Seek(frame) => state.clock.seek(frame),
        TimeEdit::Range(first, last) => state.clock.set_range(first, last, now),
        TimeEdit::Speed(speed) => state.clock.set_speed(speed, now),
        TimeEdit::Mode(mode) => state.clock.set_mode(mode, now),
    }
}

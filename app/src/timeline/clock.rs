//! Playback as a function of absolute time: no state moves between two looks at the clock.
//!
//! The frame on screen is computed from the moment playback began, so a slow window skips frames
//! and never falls behind. Time is handed in, which is how the tests do without a window.

use super::loop_mode::LoopMode;
use super::speed::next_speed;

/// The playback clock of one scene.
#[derive(Clone, Debug, PartialEq)]
pub struct Clock {
    num_frames: usize,
    fps: f64,
    speed: f64,
    mode: LoopMode,
    backwards: bool,
    range: (usize, usize),
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Paused {
        frame: usize,
    },
    /// `position` frames into the cycle of the range at the time `since_secs`.
    Playing {
        since_secs: f64,
        position: f64,
    },
}

impl Default for Clock {
    fn default() -> Self {
        Self::new(1, 1.0)
    }
}

impl Clock {
    /// A paused clock at frame 0. A rate that is no positive number becomes 8 frames a second.
    pub fn new(num_frames: usize, fps: f64) -> Self {
        let num_frames = num_frames.max(1);
        Self {
            num_frames,
            fps: if fps.is_finite() && fps > 0.0 {
                fps
            } else {
                8.0
            },
            speed: 1.0,
            mode: LoopMode::default(),
            backwards: false,
            range: (0, num_frames - 1),
            state: State::Paused { frame: 0 },
        }
    }

    /// The same habits (speed, loop) for another scene, paused at frame 0.
    pub fn for_scene(&self, num_frames: usize, fps: f64) -> Self {
        Self {
            speed: self.speed,
            mode: self.mode,
            ..Self::new(num_frames, fps)
        }
    }

    /// Frames of the scene, at least 1.
    pub fn num_frames(&self) -> usize {
        self.num_frames
    }

    /// Frames per second of the scene, before `speed`.
    pub fn fps(&self) -> f64 {
        self.fps
    }

    /// Multiple of the scene's own speed.
    pub fn speed(&self) -> f64 {
        self.speed
    }

    /// What happens at the end of the range.
    pub fn mode(&self) -> LoopMode {
        self.mode
    }

    /// True if frames play from the last to the first.
    pub fn is_backwards(&self) -> bool {
        self.backwards
    }

    /// First and last frame that play, both inclusive.
    pub fn range(&self) -> (usize, usize) {
        self.range
    }

    /// True if the range leaves frames out.
    pub fn has_range(&self) -> bool {
        self.range != (0, self.num_frames - 1)
    }

    /// True while frames follow each other at `now_secs`.
    pub fn is_playing(&self, now_secs: f64) -> bool {
        matches!(self.state, State::Playing { .. }) && !self.has_ended(now_secs)
    }

    /// The frame to show at `now_secs`.
    pub fn frame(&self, now_secs: f64) -> usize {
        match self.state {
            State::Paused { frame } => frame,
            State::Playing { .. } => {
                let position = self.position(now_secs).floor() as usize;
                let index = self.mode.fold(position, self.length());
                if self.backwards {
                    self.range.1 - index
                } else {
                    self.range.0 + index
                }
            }
        }
    }

    /// Seconds until another frame is due; `None` while nothing moves.
    pub fn next_change_secs(&self, now_secs: f64) -> Option<f64> {
        if !self.is_playing(now_secs) || self.length() == 1 {
            return None;
        }
        let position = self.position(now_secs);
        let to_boundary = (position.floor() + 1.0 - position) / self.rate();
        // Just past the boundary, so that rounding cannot leave the old frame showing.
        Some(to_boundary + 1e-6)
    }

    /// Starts playing; from the beginning if the range has played to its end.
    pub fn play(&mut self, now_secs: f64) {
        let frame = self.frame(now_secs);
        let (first, last) = self.range;
        let inside = (first..=last).contains(&frame);
        let gone = match (inside, self.backwards) {
            (false, _) => 0,
            (true, false) => frame - first,
            (true, true) => last - frame,
        };
        let at_end = gone + 1 >= self.length() && self.mode == LoopMode::Once;
        self.state = State::Playing {
            since_secs: now_secs,
            position: if at_end { 0.0 } else { gone as f64 },
        };
    }

    /// Plays in a direction; one speed faster if it does so already, the scene's own speed if not.
    pub fn shuttle(&mut self, backwards: bool, now_secs: f64) {
        if self.is_playing(now_secs) && self.backwards == backwards {
            self.nudge_speed(true, now_secs);
            return;
        }
        self.pause(now_secs);
        self.backwards = backwards;
        self.speed = 1.0;
        self.play(now_secs);
    }

    /// Plays forwards if paused, pauses if playing.
    pub fn toggle(&mut self, now_secs: f64) {
        if self.is_playing(now_secs) {
            self.pause(now_secs);
        } else {
            self.pause(now_secs);
            self.backwards = false;
            self.play(now_secs);
        }
    }

    /// Stops on the frame that is showing.
    pub fn pause(&mut self, now_secs: f64) {
        self.state = State::Paused {
            frame: self.frame(now_secs),
        };
    }

    /// Lets the time since `before_secs` count for nothing: the frame of then goes on showing, from
    /// its beginning, as while it is still on its way.
    pub fn wait(&mut self, before_secs: f64, now_secs: f64) {
        if self.is_playing(before_secs) {
            self.state = State::Playing {
                since_secs: now_secs,
                position: self.position(before_secs).floor(),
            };
        }
    }

    /// Shows a frame and stays there.
    pub fn seek(&mut self, frame: usize) {
        self.state = State::Paused {
            frame: frame.min(self.num_frames - 1),
        };
    }

    /// Moves by whole frames and stays there; stops at the ends of the scene.
    pub fn step(&mut self, by: isize, now_secs: f64) {
        self.seek(self.frame(now_secs).saturating_add_signed(by));
    }

    /// Changes the speed without a jump of the frame that is showing.
    pub fn set_speed(&mut self, speed: f64, now_secs: f64) {
        if speed.is_finite() && speed > 0.0 {
            self.rebase(now_secs);
            self.speed = speed;
        }
    }

    /// The next of the offered speeds, up or down.
    pub fn nudge_speed(&mut self, faster: bool, now_secs: f64) {
        self.set_speed(next_speed(self.speed, faster), now_secs);
    }

    /// Changes what happens at the end.
    pub fn set_mode(&mut self, mode: LoopMode, now_secs: f64) {
        let playing = self.is_playing(now_secs);
        self.pause(now_secs);
        self.mode = mode;
        if playing {
            self.play(now_secs);
        }
    }

    /// Limits playback to `first..=last`; ends that cross take the other one along.
    pub fn set_range(&mut self, first: usize, last: usize, now_secs: f64) {
        let playing = self.is_playing(now_secs);
        self.pause(now_secs);
        let top = self.num_frames - 1;
        let (first, last) = (first.min(top), last.min(top));
        self.range = (first.min(last), first.max(last));
        if playing {
            self.play(now_secs);
        }
    }

    fn length(&self) -> usize {
        self.range.1 - self.range.0 + 1
    }

    fn rate(&self) -> f64 {
        self.fps * self.speed
    }

    fn rebase(&mut self, now_secs: f64) {
        if matches!(self.state, State::Playing { .. }) {
            self.state = State::Playing {
                since_secs: now_secs,
                position: self.position(now_secs),
            };
        }
    }

    /// Frames since the start of the first cycle, fractional, never falling.
    fn position(&self, now_secs: f64) -> f64 {
        match self.state {
            State::Paused { .. } => 0.0,
            State::Playing {
                since_secs,
                position,
            } => position + (now_secs - since_secs).max(0.0) * self.rate(),
        }
    }

    fn has_ended(&self, now_secs: f64) -> bool {
        self.mode == LoopMode::Once && self.position(now_secs) >= self.length() as f64 - 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn playing(mode: LoopMode) -> Clock {
        let mut clock = Clock::new(4, 10.0);
        clock.set_mode(mode, 0.0);
        clock.play(0.0);
        clock
    }

    fn frames(clock: &Clock, count: usize) -> Vec<usize> {
        (0..count).map(|i| clock.frame(i as f64 * 0.1)).collect()
    }

    #[test]
    fn each_mode_ends_its_own_way() {
        assert_eq!(frames(&playing(LoopMode::Once), 7), [0, 1, 2, 3, 3, 3, 3]);
        assert_eq!(frames(&playing(LoopMode::Loop), 7), [0, 1, 2, 3, 0, 1, 2]);
        assert_eq!(
            frames(&playing(LoopMode::PingPong), 8),
            [0, 1, 2, 3, 2, 1, 0, 1]
        );
    }

    #[test]
    fn the_next_change_is_the_next_frame_boundary() {
        let clock = playing(LoopMode::Loop);
        let wait = clock.next_change_secs(0.13).unwrap_or(f64::NAN);
        assert!((wait - 0.07).abs() < 1e-6, "{wait}");
        assert_eq!(clock.frame(0.13 + wait), 2);
        assert_eq!(Clock::new(4, 10.0).next_change_secs(0.0), None);
    }

    #[test]
    fn waking_only_at_boundaries_shows_every_frame() {
        let clock = playing(LoopMode::Loop);
        let mut now = 0.0;
        let mut seen = Vec::new();
        for _ in 0..40 {
            seen.push(clock.frame(now));
            now += clock.next_change_secs(now).unwrap_or(1.0);
        }
        let expected: Vec<_> = (0..40).map(|i| i % 4).collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_long_pause_of_the_window_skips_frames_and_loses_no_time() {
        let clock = playing(LoopMode::Loop);
        assert_eq!(clock.frame(1000.15), (10001) % 4);
    }

    #[test]
    fn a_frame_that_is_waited_for_is_not_skipped() {
        let mut clock = playing(LoopMode::Loop);
        for i in 0..50 {
            let before = 0.15 + 0.03 * f64::from(i);
            clock.wait(before, before + 0.03);
            assert_eq!(clock.frame(before + 0.03), 1);
        }
        assert_eq!(
            clock.frame(1.65 + 0.09),
            1,
            "it shows for as long as any other"
        );
        assert_eq!(clock.frame(1.65 + 0.11), 2);
        clock.pause(2.0);
        let paused = clock.clone();
        clock.wait(2.0, 9.0);
        assert_eq!(clock, paused);
    }

    #[test]
    fn playing_once_stops_and_starts_over() {
        let mut clock = playing(LoopMode::Once);
        assert!(clock.is_playing(0.25));
        assert!(!clock.is_playing(0.31));
        assert_eq!(clock.next_change_secs(0.4), None);
        clock.play(5.0);
        assert_eq!(clock.frame(5.0), 0);
    }

    #[test]
    fn speed_changes_without_a_jump() {
        let mut clock = playing(LoopMode::Loop);
        clock.set_speed(2.0, 0.25);
        assert_eq!(clock.frame(0.25), 2);
        assert_eq!(clock.frame(0.25 + 0.026), 3);
        clock.nudge_speed(true, 1.0);
        assert_eq!(clock.speed(), 4.0);
    }

    #[test]
    fn a_range_confines_playback_and_steps_do_not_leave_the_scene() {
        let mut clock = Clock::new(10, 10.0);
        clock.set_range(7, 4, 0.0);
        assert_eq!(clock.range(), (4, 7));
        clock.play(0.0);
        assert_eq!(frames(&clock, 6), [4, 5, 6, 7, 4, 5]);
        clock.step(-100, 0.0);
        assert_eq!(clock.frame(0.0), 0);
        clock.step(100, 0.0);
        assert_eq!(clock.frame(0.0), 9);
    }

    #[test]
    fn the_shuttle_plays_both_ways_and_gets_faster() {
        let mut clock = Clock::new(4, 10.0);
        clock.seek(2);
        clock.shuttle(true, 0.0);
        assert_eq!(frames(&clock, 6), [2, 1, 0, 3, 2, 1]);
        clock.shuttle(true, 0.1);
        assert_eq!((clock.speed(), clock.frame(0.1)), (2.0, 1));
        assert_eq!(clock.frame(0.15), 0);
        clock.shuttle(false, 0.15);
        assert_eq!((clock.speed(), clock.frame(0.15)), (1.0, 0));
        assert_eq!(clock.frame(0.25), 1);
        clock.shuttle(true, 0.25);
        clock.pause(0.25);
        clock.toggle(0.25);
        assert!(!clock.is_backwards(), "the play button goes forwards");
    }

    #[test]
    fn playing_once_backwards_ends_on_the_first_frame() {
        let mut clock = Clock::new(4, 10.0);
        clock.set_mode(LoopMode::Once, 0.0);
        clock.seek(3);
        clock.shuttle(true, 0.0);
        assert_eq!(frames(&clock, 6), [3, 2, 1, 0, 0, 0]);
        assert!(!clock.is_playing(0.4));
    }

    #[test]
    fn useless_numbers_do_no_harm() {
        let mut clock = Clock::new(0, f64::NAN);
        clock.set_speed(0.0, 0.0);
        clock.set_speed(f64::INFINITY, 0.0);
        clock.set_range(99, 99, 0.0);
        clock.play(0.0);
        assert_eq!((clock.num_frames(), clock.frame(9.0)), (1, 0));
        assert_eq!(clock.next_change_secs(1.0), None);
    }
}

//! Ten thousand random keys, clicks, drags and wheels for each of three seeds: the studio lives, and
//! what it holds stays whole.

use egui::{Event, Key, Modifiers, MouseWheelUnit, PointerButton, Pos2, pos2, vec2};
use one4d_studio::state::AppState;
use one4d_studio::state::command::{Action, AppCommand, TimeEdit};

use super::stage::Stage4d;

const EVENTS: usize = 10_000;
/// Events that a person's hand makes between two frames of the window.
const PER_FRAME: usize = 10;

/// Even numbers from a seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn place(&mut self) -> Pos2 {
        pos2(
            self.below(1300) as f32 - 10.0,
            self.below(820) as f32 - 10.0,
        )
    }

    fn modifiers(&mut self) -> Modifiers {
        match self.below(8) {
            0 => Modifiers::SHIFT,
            1 => Modifiers::COMMAND,
            2 => Modifiers::ALT,
            _ => Modifiers::NONE,
        }
    }

    fn event(&mut self, at: &mut Pos2) -> Event {
        match self.below(10) {
            0..=3 => {
                *at = self.place();
                Event::PointerMoved(*at)
            }
            4 | 5 => Event::PointerButton {
                pos: *at,
                button: match self.below(6) {
                    0 => PointerButton::Secondary,
                    1 => PointerButton::Middle,
                    _ => PointerButton::Primary,
                },
                pressed: self.below(2) == 0,
                modifiers: self.modifiers(),
            },
            6 => Event::MouseWheel {
                unit: MouseWheelUnit::Point,
                delta: vec2(0.0, self.below(200) as f32 - 100.0),
                phase: egui::TouchPhase::Move,
                source: egui::MouseWheelSource::Unknown,
                modifiers: Modifiers::NONE,
            },
            7 => Event::Text("7".to_owned()),
            _ => {
                let key = Key::ALL[self.below(Key::ALL.len())];
                Event::Key {
                    key,
                    physical_key: None,
                    pressed: self.below(3) > 0,
                    repeat: false,
                    modifiers: self.modifiers(),
                }
            }
        }
    }
}

/// Keys that leave the studio, or reach for the system's own programs.
fn is_left_out(event: &Event) -> bool {
    matches!(
        event,
        Event::Key {
            key: Key::Q | Key::O,
            modifiers,
            ..
        } if modifiers.command
    )
}

fn check_whole(state: &AppState) {
    let open = state.scene.as_ref().expect("the scene is still there");
    let (first, last) = state.clock.range();
    assert!(first <= last && last < open.scene.num_frames);
    assert!(state.frame() < open.scene.num_frames);
    let orbit = state.view.goal();
    assert!(orbit.target.is_finite() && orbit.distance > 0.0 && orbit.yaw_rad.is_finite());
    assert!((orbit.up.length() - 1.0).abs() < 1e-6);
    if let Some(clip) = state.view.options.clip_box {
        assert!(clip.half.iter().all(|half| *half > 0.0));
    }
    for measure in state.measures.list() {
        assert_eq!(measure.anchors.len(), measure.kind.num_points());
    }
}

fn storm(seed: u64) {
    let mut stage = Stage4d::with_scene(7);
    stage.command(AppCommand::Act(Action::AddMarker));
    let mut dice = Dice(seed);
    let mut at = pos2(640.0, 400.0);
    for i in 0..EVENTS {
        let event = dice.event(&mut at);
        if !is_left_out(&event) {
            stage.harness.event(event);
        }
        if i % PER_FRAME == 0 {
            stage.harness.step();
            check_whole(stage.state());
        }
    }
    // The hands let go, and the studio still does what it is told.
    for button in [
        PointerButton::Primary,
        PointerButton::Secondary,
        PointerButton::Middle,
    ] {
        stage.harness.event(Event::PointerButton {
            pos: at,
            button,
            pressed: false,
            modifiers: Modifiers::NONE,
        });
    }
    stage.harness.event(Event::PointerGone);
    stage.harness.run_steps(3);
    stage.command(AppCommand::Time(TimeEdit::Seek(3)));
    stage.harness.run_steps(3);
    assert_eq!(stage.state().frame(), 3);
}

#[test]
fn the_studio_lives_through_random_hands_first() {
    storm(1);
}

#[test]
fn the_studio_lives_through_random_hands_second() {
    storm(2);
}

#[test]
fn the_studio_lives_through_random_hands_third() {
    storm(3);
}

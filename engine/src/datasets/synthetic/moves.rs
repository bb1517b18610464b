//! Draws motions that suit an object, with the word that captions use for them.

use std::f32::consts::TAU;

use glam::Vec3;

use super::dice::Dice;
use super::motion::Motion;
use super::props::Kind;

/// A verb and a motion for an object of this kind.
///
/// - `middle`: height of its middle in metres, its rough size
/// - `ceiling`: height of the room
pub(super) fn draw_motion(
    kind: Kind,
    middle: f32,
    ceiling: Option<f32>,
    dice: &mut Dice,
) -> (&'static str, Motion) {
    match kind {
        Kind::Ball => match dice.count(0, 4) {
            0 | 1 => rolling(middle, dice),
            2 | 3 => bouncing(dice),
            _ => any(ceiling, dice),
        },
        Kind::Car => driving(dice),
        Kind::Tree | Kind::Pine | Kind::Plant | Kind::Rock => wobbling(dice),
        _ => any(ceiling, dice),
    }
}

fn direction(dice: &mut Dice) -> Vec3 {
    let (sin, cos) = dice.range(0.0, TAU).sin_cos();
    Vec3::new(cos, 0.0, sin)
}

fn any(ceiling: Option<f32>, dice: &mut Dice) -> (&'static str, Motion) {
    let still = Motion::default();
    match dice.count(0, 8) {
        0 | 1 => {
            let travel = direction(dice) * dice.range(0.5, 1.8);
            ("sliding", Motion { travel, ..still })
        }
        2 => {
            let spin = Some((Vec3::Y, dice.signed(0.2, 0.8)));
            ("spinning", Motion { spin, ..still })
        }
        3 => bouncing(dice),
        4 => {
            let axis = (direction(dice) + Vec3::Y * dice.range(-1.0, 1.0)).normalize_or(Vec3::Y);
            let tumbling = Motion {
                spin: Some((axis, dice.signed(0.2, 0.6))),
                hover: Some((dice.range(0.4, 1.0), 1.0)),
                travel: direction(dice) * dice.range(0.0, 0.6),
                ..still
            };
            ("tumbling", tumbling)
        }
        5 => {
            let circle = Some((
                dice.range(0.4, 1.0),
                dice.signed(0.8, 2.2),
                dice.range(0.0, TAU),
            ));
            ("circling", Motion { circle, ..still })
        }
        6 => {
            let pulse = Some((dice.range(0.12, 0.3), dice.range(0.5, 1.5)));
            ("pulsating", Motion { pulse, ..still })
        }
        7 => wobbling(dice),
        _ => {
            let pivot = ceiling.unwrap_or(4.0);
            let swing = Some((pivot, dice.signed(0.12, 0.35), dice.range(0.5, 1.0)));
            ("swinging", Motion { swing, ..still })
        }
    }
}

fn rolling(radius: f32, dice: &mut Dice) -> (&'static str, Motion) {
    let way = direction(dice);
    let distance = dice.range(0.6, 2.2);
    let turns = distance / (TAU * radius.max(0.05));
    let motion = Motion {
        travel: way * distance,
        spin: Some((Vec3::Y.cross(way), turns)),
        ..Motion::default()
    };
    ("rolling", motion)
}

fn bouncing(dice: &mut Dice) -> (&'static str, Motion) {
    let hops = dice.range(1.0, 2.6);
    let motion = Motion {
        bounce: Some((dice.range(0.3, 0.9), hops)),
        squash: dice.chance(0.4).then(|| (dice.range(0.08, 0.2), hops)),
        travel: direction(dice) * dice.range(0.0, 0.9),
        ..Motion::default()
    };
    ("bouncing", motion)
}

fn wobbling(dice: &mut Dice) -> (&'static str, Motion) {
    let squash = Some((dice.range(0.1, 0.28), dice.range(0.6, 1.6)));
    (
        "wobbling",
        Motion {
            squash,
            ..Motion::default()
        },
    )
}

fn driving(dice: &mut Dice) -> (&'static str, Motion) {
    let travel = Vec3::X * dice.signed(0.8, 2.8);
    (
        "driving",
        Motion {
            travel,
            ..Motion::default()
        },
    )
}

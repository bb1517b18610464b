//! Light and air of a world, and the colours they give to surfaces and sky.

use glam::Vec3A;

use super::WorldWidth;
use super::dice::Dice;
use super::world::{Atmosphere, Lamp};

/// Light of a room: one bulb that throws shadows, and what the walls give back.
pub(super) fn indoors(width: WorldWidth, low: Vec3A, high: Vec3A, dice: &mut Dice) -> Atmosphere {
    let narrow = width == WorldWidth::Narrow;
    let middle = (low + high) * 0.5;
    let reach = if narrow { 4.0 } else { dice.range(3.0, 7.0) };
    let position = if narrow {
        // Near the camera, so that brightness falls with depth.
        Vec3A::new(dice.range(-0.5, 0.5), high.y - 0.4, -0.8)
    } else {
        let spread = (high - low) * Vec3A::new(0.35, 0.0, 0.4);
        let at = middle + spread * dice.vec3(-1.0, 1.0);
        Vec3A::new(at.x, high.y - dice.range(0.2, 0.6), at.z)
    };
    let warm = dice.range(-0.12, 0.28);
    let tint = Vec3A::new(1.0 + 0.5 * warm, 1.0, 1.0 - 0.8 * warm);
    let ambient = dice.range(0.16, 0.38);
    Atmosphere {
        lamp: Lamp::Bulb { position, reach },
        lamp_colour: tint * dice.range(1.0, 1.7),
        ambient_up: tint * ambient,
        ambient_down: tint.lerp(Vec3A::splat(1.0), 0.5) * ambient * 0.75,
        zenith: Vec3A::ZERO,
        horizon: tint * 0.3,
        clouds: 0.0,
        fog: if !narrow && dice.chance(0.08) {
            dice.range(0.02, 0.06)
        } else {
            0.0
        },
        exposure: dice.range(0.85, 1.25),
    }
}

/// A time of day; colours are linear RGB.
#[derive(Clone, Copy)]
struct Day {
    /// Least and greatest height of the sun, radians.
    height: [f32; 2],
    sun: [f32; 3],
    zenith: [f32; 3],
    horizon: [f32; 3],
}

const DAYS: [Day; 6] = [
    Day {
        height: [0.5, 1.2],
        sun: [1.35, 1.28, 1.15],
        zenith: [0.09, 0.24, 0.62],
        horizon: [0.50, 0.66, 0.86],
    },
    Day {
        height: [0.35, 0.8],
        sun: [1.30, 1.20, 1.05],
        zenith: [0.14, 0.33, 0.66],
        horizon: [0.66, 0.76, 0.86],
    },
    Day {
        height: [0.15, 0.3],
        sun: [1.45, 0.82, 0.42],
        zenith: [0.16, 0.20, 0.46],
        horizon: [0.92, 0.52, 0.30],
    },
    Day {
        height: [0.12, 0.25],
        sun: [1.25, 0.62, 0.48],
        zenith: [0.20, 0.14, 0.38],
        horizon: [0.86, 0.42, 0.46],
    },
    Day {
        height: [0.6, 1.2],
        sun: [0.55, 0.55, 0.56],
        zenith: [0.50, 0.54, 0.60],
        horizon: [0.68, 0.70, 0.72],
    },
    Day {
        height: [0.4, 1.0],
        sun: [0.34, 0.42, 0.62],
        zenith: [0.010, 0.018, 0.055],
        horizon: [0.06, 0.085, 0.16],
    },
];

/// Daylight; `far` is where the world ends in haze.
pub(super) fn outdoors(far: f32, dice: &mut Dice) -> Atmosphere {
    let day = dice.pick(&DAYS);
    let height = dice.range(day.height[0], day.height[1]);
    let (sin, cos) = dice.range(0.0, std::f32::consts::TAU).sin_cos();
    let direction = Vec3A::new(cos * height.cos(), height.sin(), sin * height.cos());
    let (zenith, horizon) = (
        Vec3A::from_array(day.zenith),
        Vec3A::from_array(day.horizon),
    );
    let ambient = zenith.lerp(horizon, 0.5);
    let misty = dice.chance(0.12);
    let fog = if misty {
        dice.range(0.8, 1.5)
    } else {
        dice.range(0.04, 0.3)
    };
    Atmosphere {
        lamp: Lamp::Sun { direction },
        lamp_colour: Vec3A::from_array(day.sun) * dice.range(1.25, 1.7),
        ambient_up: ambient * 0.62,
        ambient_down: ambient * 0.24,
        zenith,
        horizon,
        clouds: if dice.chance(0.6) {
            dice.range(0.2, 0.9)
        } else {
            0.0
        },
        fog: fog / far,
        exposure: dice.range(0.95, 1.3) * if ambient.y < 0.1 { 2.6 } else { 1.0 },
    }
}

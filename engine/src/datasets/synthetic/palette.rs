//! Colours with names, and random materials built from them.

use glam::Vec3A;

use super::dice::Dice;
use super::texture::{Material, Pattern};

/// A colour as captions name it, linear RGB.
#[derive(Clone, Copy, Debug)]
pub(super) struct Colour {
    pub(super) name: &'static str,
    pub(super) rgb: Vec3A,
}

const fn colour(name: &'static str, r: f32, g: f32, b: f32) -> Colour {
    Colour {
        name,
        rgb: Vec3A::new(r, g, b),
    }
}

/// Colours of objects.
pub(super) const OBJECT_COLOURS: [Colour; 14] = [
    colour("red", 0.62, 0.035, 0.03),
    colour("orange", 0.80, 0.24, 0.025),
    colour("yellow", 0.80, 0.56, 0.05),
    colour("lime", 0.32, 0.58, 0.05),
    colour("green", 0.04, 0.33, 0.07),
    colour("teal", 0.02, 0.34, 0.33),
    colour("cyan", 0.10, 0.52, 0.68),
    colour("blue", 0.03, 0.12, 0.60),
    colour("violet", 0.23, 0.08, 0.52),
    colour("pink", 0.78, 0.22, 0.40),
    colour("brown", 0.20, 0.085, 0.035),
    colour("white", 0.78, 0.77, 0.74),
    colour("grey", 0.26, 0.27, 0.29),
    colour("black", 0.025, 0.025, 0.03),
];

/// Quiet colours of walls and floors.
pub(super) const WALL_COLOURS: [Colour; 10] = [
    colour("white", 0.74, 0.73, 0.70),
    colour("cream", 0.72, 0.63, 0.46),
    colour("beige", 0.55, 0.44, 0.31),
    colour("grey", 0.36, 0.37, 0.39),
    colour("blue", 0.22, 0.36, 0.54),
    colour("green", 0.27, 0.43, 0.28),
    colour("terracotta", 0.52, 0.20, 0.11),
    colour("rose", 0.60, 0.34, 0.33),
    colour("ochre", 0.56, 0.37, 0.12),
    colour("slate", 0.13, 0.17, 0.22),
];

fn place_in_noise(dice: &mut Dice) -> Vec3A {
    dice.vec3(0.13, 31.0)
}

/// A material of this pattern with `ground` as its main colour.
pub(super) fn material(
    pattern: Pattern,
    ground: Vec3A,
    figure: Vec3A,
    frequency: f32,
    dice: &mut Dice,
) -> Material {
    Material {
        pattern,
        frequency,
        colours: [
            ground,
            figure,
            dice.pick(&OBJECT_COLOURS).rgb.lerp(ground, 0.4),
        ],
        gloss: 0.0,
        offset: place_in_noise(dice),
    }
}

/// A material of this pattern in shades that suit it, at a frequency that suits an object.
pub(super) fn object_material(colour: Colour, pattern: Pattern, dice: &mut Dice) -> Material {
    let other = dice.pick(&OBJECT_COLOURS).rgb;
    let pale = colour.rgb.lerp(Vec3A::splat(0.8), 0.65);
    let dark = colour.rgb * 0.35;
    let (figure, frequency) = match pattern {
        Pattern::Plain => (dark, 2.0),
        Pattern::Noise => (dice.pick(&[pale, dark]), dice.range(2.0, 5.0)),
        Pattern::Checker | Pattern::Stripes => {
            (dice.pick(&[pale, dark, other]), dice.range(3.0, 8.0))
        }
        Pattern::Dots => (dice.pick(&[pale, other]), dice.range(3.0, 6.0)),
        Pattern::Brick => (Vec3A::splat(0.5), dice.range(2.0, 4.0)),
        Pattern::Tiles => (pale, dice.range(3.0, 6.0)),
        Pattern::Marble => (dice.pick(&[pale, dark]), dice.range(1.5, 4.0)),
        Pattern::Wood => (colour.rgb * 0.5, dice.range(1.5, 4.0)),
        Pattern::Fractal => (dice.pick(&[pale, dark, other]), dice.range(1.5, 4.0)),
    };
    let mut made = material(pattern, colour.rgb, figure, frequency, dice);
    if pattern == Pattern::Tiles {
        made.colours[2] = dark;
    }
    made.gloss = if dice.chance(0.5) {
        dice.range(0.1, 0.7)
    } else {
        0.0
    };
    made
}

/// A plain material, for parts that need no pattern.
pub(super) fn plain(rgb: Vec3A, gloss: f32, dice: &mut Dice) -> Material {
    Material {
        gloss,
        ..material(Pattern::Plain, rgb, rgb, 2.0, dice)
    }
}

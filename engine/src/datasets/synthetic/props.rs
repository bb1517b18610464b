//! The catalogue of objects: single solids and compound ones, each resting on `y = 0` about the origin.

use glam::{Affine3A, Vec3, Vec3A};

use super::dice::Dice;
use super::palette::{Colour, OBJECT_COLOURS, object_material, plain};
use super::shape::Shape;
use super::texture::{Material, Pattern};
use super::world::Part;

/// Kinds of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Ball,
    Box,
    Cylinder,
    Cone,
    Ring,
    Pyramid,
    Table,
    Chair,
    Lamp,
    Snowman,
    Car,
    Tower,
    Arch,
    Plant,
    Robot,
    Tree,
    Pine,
    House,
    Rock,
    Pillar,
    Column,
    Block,
}

/// An object without a place.
pub(super) struct Prop {
    pub(super) parts: Vec<Part>,
    pub(super) name: String,
    /// Height of the middle.
    pub(super) middle: f32,
    /// Radius on the ground.
    pub(super) radius: f32,
}

/// The parts of a prop as it is put together.
struct Assembly<'a> {
    parts: Vec<Part>,
    dice: &'a mut Dice,
}

impl Assembly<'_> {
    fn add(&mut self, shape: Shape, centre: [f32; 3], half: [f32; 3], material: Material) {
        let part = Part::new(shape, centre.into(), half.into(), material);
        self.parts.push(part);
    }

    fn legs(&mut self, spread: [f32; 2], height: f32, thickness: f32, material: Material) {
        for (sx, sz) in [(-1.0, -1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 1.0)] {
            self.add(
                Shape::Block,
                [sx * spread[0], height * 0.5, sz * spread[1]],
                [thickness, height * 0.5, thickness],
                material,
            );
        }
    }
}

const SURFACES: [Pattern; 8] = [
    Pattern::Plain,
    Pattern::Plain,
    Pattern::Noise,
    Pattern::Checker,
    Pattern::Stripes,
    Pattern::Dots,
    Pattern::Marble,
    Pattern::Fractal,
];

/// Makes an object of this kind, `size` metres being about half its extent.
pub(super) fn make(kind: Kind, size: f32, dice: &mut Dice) -> Prop {
    let colour = dice.pick(&OBJECT_COLOURS);
    let pattern = dice.pick(&SURFACES);
    let mut skin = object_material(colour, pattern, dice);
    // Frequencies are per metre of a half-metre object; a larger object carries a coarser pattern.
    skin.frequency *= 0.5 / size.max(0.1);
    let mut assembly = Assembly {
        parts: Vec::new(),
        dice,
    };
    let (noun, extent) = assembly.build(kind, skin, colour);
    let Assembly { mut parts, dice: _ } = assembly;
    for part in &mut parts {
        part.object_from_solid = Affine3A::from_scale(Vec3::splat(size)) * part.object_from_solid;
        part.extent *= size;
    }
    let surface = pattern.word();
    let name = [colour.name, surface, noun]
        .into_iter()
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    Prop {
        parts,
        name: if tinted(kind) { name } else { noun.to_owned() },
        middle: extent[1] * 0.5 * size,
        radius: extent[0] * size,
    }
}

/// Whether the random colour is what one would name the object by.
fn tinted(kind: Kind) -> bool {
    !matches!(
        kind,
        Kind::Tree | Kind::Pine | Kind::Snowman | Kind::Rock | Kind::Plant
    )
}

impl Assembly<'_> {
    /// Adds the parts at unit size; returns the noun and `[ground radius, height]`.
    fn build(&mut self, kind: Kind, skin: Material, colour: Colour) -> (&'static str, [f32; 2]) {
        match kind {
            Kind::Ball => {
                self.add(Shape::Sphere, [0.0, 1.0, 0.0], [1.0; 3], skin);
                ("ball", [1.0, 2.0])
            }
            Kind::Box => self.solid(Shape::Block, "box", skin),
            Kind::Cylinder => self.solid(Shape::Cylinder, "cylinder", skin),
            Kind::Cone => self.solid(Shape::Cone, "cone", skin),
            Kind::Pyramid => self.solid(Shape::Pyramid, "pyramid", skin),
            Kind::Ring => {
                let part = Part::new(Shape::Torus, Vec3::ZERO, Vec3::ONE, skin).turned(
                    Affine3A::from_translation(Vec3::Y)
                        * Affine3A::from_rotation_x(std::f32::consts::FRAC_PI_2),
                );
                self.parts.push(part);
                ("ring", [1.0, 2.0])
            }
            Kind::Table => self.table(skin),
            Kind::Chair => self.chair(skin),
            Kind::Lamp => self.lamp(skin),
            Kind::Snowman => self.snowman(),
            Kind::Car => self.car(skin),
            Kind::Tower => self.tower(skin),
            Kind::Arch => self.arch(skin),
            Kind::Plant => self.plant(),
            Kind::Robot => self.robot(skin),
            Kind::Tree => self.tree(),
            Kind::Pine => self.pine(),
            Kind::House => self.house(skin, colour),
            Kind::Rock => self.rock(),
            Kind::Pillar => {
                self.add(Shape::Block, [0.0, 0.15, 0.0], [0.5, 0.15, 0.5], skin);
                self.add(Shape::Cylinder, [0.0, 1.9, 0.0], [0.32, 1.6, 0.32], skin);
                self.add(Shape::Block, [0.0, 3.6, 0.0], [0.5, 0.15, 0.5], skin);
                ("pillar", [0.6, 3.8])
            }
            Kind::Column => {
                self.add(Shape::Cylinder, [0.0, 1.5, 0.0], [0.3, 1.5, 0.3], skin);
                self.add(Shape::Sphere, [0.0, 3.3, 0.0], [0.42; 3], skin);
                ("column with a ball", [0.5, 3.7])
            }
            Kind::Block => {
                let height = self.dice.range(1.5, 4.5);
                let wide = self.dice.range(0.8, 1.5);
                let facade = Material {
                    pattern: self
                        .dice
                        .pick(&[Pattern::Tiles, Pattern::Brick, Pattern::Tiles]),
                    ..skin
                };
                self.add(
                    Shape::Block,
                    [0.0, height, 0.0],
                    [wide, height, wide],
                    facade,
                );
                ("building", [1.45 * wide, 2.0 * height])
            }
        }
    }

    fn solid(
        &mut self,
        shape: Shape,
        noun: &'static str,
        skin: Material,
    ) -> (&'static str, [f32; 2]) {
        let (wide, tall) = (self.dice.range(0.65, 1.0), self.dice.range(0.6, 1.35));
        self.add(shape, [0.0, tall, 0.0], [wide, tall, wide], skin);
        (noun, [wide * 1.3, 2.0 * tall])
    }

    fn wood(&mut self) -> Material {
        let brown = Vec3A::new(0.30, 0.14, 0.055) * self.dice.range(0.5, 1.6);
        let colour = Colour {
            name: "brown",
            rgb: brown,
        };
        object_material(colour, Pattern::Wood, self.dice)
    }

    fn foliage(&mut self, frequency: f32) -> Material {
        let green = Vec3A::new(
            self.dice.range(0.03, 0.20),
            self.dice.range(0.16, 0.34),
            self.dice.range(0.02, 0.07),
        );
        super::palette::material(Pattern::Fractal, green, green * 0.25, frequency, self.dice)
    }

    fn table(&mut self, skin: Material) -> (&'static str, [f32; 2]) {
        let top = if self.dice.chance(0.6) {
            self.wood()
        } else {
            skin
        };
        let legs = plain(self.dice.pick(&OBJECT_COLOURS).rgb, 0.2, self.dice);
        if self.dice.chance(0.3) {
            self.add(Shape::Cylinder, [0.0, 1.3, 0.0], [1.1, 0.07, 1.1], top);
            self.add(Shape::Cylinder, [0.0, 0.62, 0.0], [0.13, 0.62, 0.13], legs);
            self.add(Shape::Cylinder, [0.0, 0.05, 0.0], [0.6, 0.05, 0.6], legs);
        } else {
            self.add(Shape::Block, [0.0, 1.3, 0.0], [1.3, 0.07, 0.85], top);
            self.legs([1.15, 0.7], 1.24, 0.07, legs);
        }
        let extra = self.dice.pick(&OBJECT_COLOURS);
        let vase = object_material(extra, Pattern::Plain, self.dice);
        if self.dice.chance(0.6) {
            self.add(Shape::Sphere, [0.4, 1.6, 0.1], [0.22, 0.24, 0.22], vase);
        }
        ("table", [1.45, 1.5])
    }

    fn chair(&mut self, skin: Material) -> (&'static str, [f32; 2]) {
        let legs = self.wood();
        self.add(Shape::Block, [0.0, 0.95, 0.0], [0.55, 0.07, 0.55], skin);
        self.add(Shape::Block, [0.0, 1.6, -0.48], [0.55, 0.6, 0.06], skin);
        self.legs([0.46, 0.46], 0.9, 0.06, legs);
        ("chair", [0.8, 2.2])
    }

    fn lamp(&mut self, skin: Material) -> (&'static str, [f32; 2]) {
        let pole = plain(Vec3A::splat(0.08), 0.6, self.dice);
        self.add(Shape::Cylinder, [0.0, 0.06, 0.0], [0.4, 0.06, 0.4], pole);
        self.add(Shape::Cylinder, [0.0, 1.3, 0.0], [0.05, 1.3, 0.05], pole);
        self.add(Shape::Cone, [0.0, 2.8, 0.0], [0.6, 0.55, 0.6], skin);
        ("lamp", [0.6, 3.3])
    }

    fn snowman(&mut self) -> (&'static str, [f32; 2]) {
        let snow = plain(Vec3A::new(0.80, 0.83, 0.88), 0.1, self.dice);
        let coal = plain(Vec3A::splat(0.02), 0.3, self.dice);
        let carrot = plain(Vec3A::new(0.8, 0.22, 0.02), 0.0, self.dice);
        self.add(Shape::Sphere, [0.0, 0.7, 0.0], [0.8, 0.75, 0.8], snow);
        self.add(Shape::Sphere, [0.0, 1.75, 0.0], [0.58; 3], snow);
        self.add(Shape::Sphere, [0.0, 2.55, 0.0], [0.4; 3], snow);
        self.add(Shape::Cylinder, [0.0, 2.9, 0.0], [0.42, 0.04, 0.42], coal);
        self.add(Shape::Cylinder, [0.0, 3.15, 0.0], [0.28, 0.25, 0.28], coal);
        self.add(Shape::Sphere, [0.0, 2.52, 0.45], [0.07, 0.07, 0.22], carrot);
        ("snowman", [0.8, 3.4])
    }

    fn car(&mut self, skin: Material) -> (&'static str, [f32; 2]) {
        let glass = plain(Vec3A::new(0.05, 0.08, 0.11), 0.8, self.dice);
        let tyre = plain(Vec3A::splat(0.03), 0.0, self.dice);
        self.add(Shape::Block, [0.0, 0.55, 0.0], [1.4, 0.27, 0.62], skin);
        self.add(Shape::Block, [-0.15, 0.98, 0.0], [0.72, 0.2, 0.54], glass);
        self.add(Shape::Block, [-0.15, 1.2, 0.0], [0.74, 0.04, 0.56], skin);
        for (x, z) in [(-0.85, -0.6), (-0.85, 0.6), (0.85, -0.6), (0.85, 0.6)] {
            let turn = Affine3A::from_translation(Vec3::new(x, 0.3, z))
                * Affine3A::from_rotation_x(std::f32::consts::FRAC_PI_2);
            let wheel = Part::new(Shape::Cylinder, Vec3::ZERO, Vec3::new(0.3, 0.1, 0.3), tyre);
            self.parts.push(wheel.turned(turn));
        }
        ("car", [1.5, 1.25])
    }

    fn tower(&mut self, skin: Material) -> (&'static str, [f32; 2]) {
        let levels = self.dice.count(3, 5);
        let mut base = 0.0;
        for level in 0..levels {
            let shrink = 0.82_f32.powi(level as i32);
            let colour = self.dice.pick(&OBJECT_COLOURS);
            let material = if level % 2 == 0 {
                skin
            } else {
                plain(colour.rgb, 0.3, self.dice)
            };
            let shape = self.dice.pick(&[Shape::Block, Shape::Cylinder]);
            let half = 0.38 * shrink;
            self.add(
                shape,
                [0.0, base + half, 0.0],
                [0.7 * shrink, half, 0.7 * shrink],
                material,
            );
            base += 2.0 * half;
        }
        let tip = self
            .dice
            .pick(&[Shape::Cone, Shape::Sphere, Shape::Pyramid]);
        self.add(tip, [0.0, base + 0.35, 0.0], [0.35; 3], skin);
        ("tower", [0.95, base + 0.7])
    }

    fn arch(&mut self, skin: Material) -> (&'static str, [f32; 2]) {
        self.add(Shape::Block, [-0.9, 0.9, 0.0], [0.25, 0.9, 0.3], skin);
        self.add(Shape::Block, [0.9, 0.9, 0.0], [0.25, 0.9, 0.3], skin);
        self.add(Shape::Block, [0.0, 2.0, 0.0], [1.25, 0.2, 0.36], skin);
        if self.dice.chance(0.5) {
            self.add(Shape::Prism, [0.0, 2.6, 0.0], [1.25, 0.4, 0.36], skin);
        }
        ("arch", [1.3, 2.4])
    }

    fn plant(&mut self) -> (&'static str, [f32; 2]) {
        let pot = plain(Vec3A::new(0.42, 0.15, 0.07), 0.1, self.dice);
        let leaves = self.foliage(3.0);
        self.add(Shape::Cylinder, [0.0, 0.35, 0.0], [0.4, 0.35, 0.4], pot);
        for k in 0..4 {
            let angle = k as f32 * 1.9 + self.dice.range(0.0, 1.0);
            let (sin, cos) = angle.sin_cos();
            let height = self.dice.range(1.0, 1.6);
            self.add(
                Shape::Sphere,
                [0.3 * cos, height, 0.3 * sin],
                [0.4, 0.5, 0.4],
                leaves,
            );
        }
        ("potted plant", [0.7, 2.0])
    }

    fn robot(&mut self, skin: Material) -> (&'static str, [f32; 2]) {
        let metal = plain(Vec3A::splat(0.35), 0.7, self.dice);
        let eye = plain(Vec3A::new(0.1, 0.75, 0.85), 0.5, self.dice);
        for x in [-0.3, 0.3] {
            self.add(Shape::Block, [x, 0.45, 0.0], [0.14, 0.45, 0.18], metal);
            self.add(Shape::Sphere, [0.45 * x, 2.5, 0.36], [0.08; 3], eye);
            self.add(
                Shape::Cylinder,
                [2.3 * x, 1.5, 0.0],
                [0.11, 0.5, 0.11],
                metal,
            );
        }
        self.add(Shape::Block, [0.0, 1.45, 0.0], [0.55, 0.6, 0.35], skin);
        self.add(Shape::Block, [0.0, 2.45, 0.0], [0.36, 0.3, 0.32], metal);
        ("robot", [0.85, 2.8])
    }

    fn tree(&mut self) -> (&'static str, [f32; 2]) {
        let (bark, leaves) = (self.wood(), self.foliage(2.2));
        let trunk = self.dice.range(0.8, 1.3);
        self.add(
            Shape::Cylinder,
            [0.0, trunk, 0.0],
            [0.16, trunk, 0.16],
            bark,
        );
        for _ in 0..self.dice.count(3, 5) {
            let centre = [
                self.dice.range(-0.5, 0.5),
                2.0 * trunk + self.dice.range(-0.2, 0.7),
                self.dice.range(-0.5, 0.5),
            ];
            let half = self.dice.range(0.55, 0.85);
            self.add(Shape::Sphere, centre, [half, half * 0.85, half], leaves);
        }
        ("tree", [0.9, 2.0 * trunk + 1.2])
    }

    fn pine(&mut self) -> (&'static str, [f32; 2]) {
        let (bark, needles) = (self.wood(), self.foliage(3.5));
        self.add(Shape::Cylinder, [0.0, 0.4, 0.0], [0.13, 0.4, 0.13], bark);
        for (height, radius) in [(1.2, 0.85), (2.0, 0.65), (2.75, 0.42)] {
            self.add(
                Shape::Cone,
                [0.0, height, 0.0],
                [radius, 0.65, radius],
                needles,
            );
        }
        ("pine", [0.85, 3.4])
    }

    fn house(&mut self, skin: Material, colour: Colour) -> (&'static str, [f32; 2]) {
        let wall = object_material(
            colour,
            self.dice
                .pick(&[Pattern::Brick, Pattern::Plain, Pattern::Noise]),
            self.dice,
        );
        let roof_colour = self.dice.pick(&OBJECT_COLOURS);
        let roof = object_material(roof_colour, Pattern::Stripes, self.dice);
        let dark = plain(Vec3A::new(0.05, 0.06, 0.08), 0.5, self.dice);
        let wall = Material {
            frequency: skin.frequency,
            ..wall
        };
        self.add(Shape::Block, [0.0, 0.8, 0.0], [1.2, 0.8, 1.0], wall);
        self.add(Shape::Prism, [0.0, 2.0, 0.0], [1.4, 0.45, 1.15], roof);
        self.add(Shape::Block, [0.1, 0.45, 0.99], [0.22, 0.45, 0.04], dark);
        self.add(Shape::Block, [-0.65, 0.9, 0.99], [0.22, 0.22, 0.03], dark);
        self.add(Shape::Block, [0.75, 0.9, 0.99], [0.22, 0.22, 0.03], dark);
        ("house", [1.8, 2.4])
    }

    fn rock(&mut self) -> (&'static str, [f32; 2]) {
        let grey = Vec3A::splat(self.dice.range(0.12, 0.35)) * Vec3A::new(1.0, 0.95, 0.88);
        let stone = super::palette::material(Pattern::Fractal, grey, grey * 0.4, 1.6, self.dice);
        for _ in 0..3 {
            let centre = [self.dice.range(-0.5, 0.5), 0.15, self.dice.range(-0.5, 0.5)];
            let half = [
                self.dice.range(0.5, 0.9),
                self.dice.range(0.35, 0.8),
                self.dice.range(0.5, 0.9),
            ];
            self.add(Shape::Sphere, centre, half, stone);
        }
        ("rock", [1.2, 0.9])
    }
}

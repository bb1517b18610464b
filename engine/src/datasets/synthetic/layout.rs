//! Draws a world from a seed: where everything stands, how it moves, how it is lit and filmed.

use std::f32::consts::{PI, TAU};

use glam::{Affine3A, DVec3, Vec3, Vec3A};

use super::WorldWidth;
use super::atmosphere::{indoors, outdoors};
use super::camera_path::{CameraPath, Move, Shake};
use super::dice::Dice;
use super::moves::draw_motion;
use super::palette::{WALL_COLOURS, material, object_material};
use super::props::{Kind, Prop, make};
use super::shape::Shape;
use super::texture::{Material, Pattern};
use super::world::{Object, Part, Surroundings, World};

const INDOOR_KINDS: [Kind; 16] = [
    Kind::Ball,
    Kind::Ball,
    Kind::Box,
    Kind::Box,
    Kind::Cylinder,
    Kind::Cone,
    Kind::Ring,
    Kind::Pyramid,
    Kind::Table,
    Kind::Chair,
    Kind::Lamp,
    Kind::Tower,
    Kind::Arch,
    Kind::Plant,
    Kind::Robot,
    Kind::Car,
];
const OUTDOOR_KINDS: [Kind; 14] = [
    Kind::Ball,
    Kind::Box,
    Kind::Cylinder,
    Kind::Cone,
    Kind::Ring,
    Kind::Pyramid,
    Kind::Car,
    Kind::Car,
    Kind::Robot,
    Kind::Snowman,
    Kind::Arch,
    Kind::Tower,
    Kind::Tree,
    Kind::Rock,
];
const BACKDROP_KINDS: [Kind; 10] = [
    Kind::Tree,
    Kind::Tree,
    Kind::Pine,
    Kind::Pine,
    Kind::House,
    Kind::House,
    Kind::Rock,
    Kind::Block,
    Kind::Pillar,
    Kind::Column,
];

/// Times at which positions are checked against walls, ground and each other.
fn check_times() -> impl Iterator<Item = f32> {
    (0..=16).map(|k| k as f32 / 16.0)
}

/// Draws the world of a clip.
pub(super) fn draw_world(seed: u64, width: WorldWidth) -> World {
    let mut dice = Dice::new(seed);
    let outdoor = match width {
        WorldWidth::Narrow => false,
        WorldWidth::Medium => dice.chance(0.35),
        WorldWidth::Wide => dice.chance(0.5),
    };
    let mut world = if outdoor {
        outdoor_world(width, &mut dice)
    } else {
        indoor_world(width, &mut dice)
    };
    world.path = settle(world.path, &world);
    world
}

fn field_of_view(width: WorldWidth, dice: &mut Dice) -> f64 {
    let degrees = match width {
        WorldWidth::Narrow => 62.0,
        WorldWidth::Medium => dice.range(54.0, 70.0),
        WorldWidth::Wide => dice.range(42.0, 82.0),
    };
    f64::from(degrees).to_radians()
}

fn indoor_world(width: WorldWidth, dice: &mut Dice) -> World {
    let size = match width {
        WorldWidth::Narrow => dice.pick(&[
            Vec3A::new(5.0, 2.7, 6.0),
            Vec3A::new(6.5, 3.0, 8.0),
            Vec3A::new(8.0, 3.2, 10.0),
        ]),
        WorldWidth::Medium | WorldWidth::Wide => Vec3A::new(
            dice.range(4.2, 10.0),
            dice.range(2.5, 4.6),
            dice.range(4.6, 12.0),
        ),
    };
    let low = Vec3A::new(-0.5 * size.x, 0.0, -size.z);
    let high = Vec3A::new(0.5 * size.x, size.y, 0.9);
    let (walls, floor, ceiling, place) = finishes(width, &mut dice.fork());
    let wide = width == WorldWidth::Wide;
    let eye = DVec3::new(
        f64::from(dice.range(-0.2, 0.2) * size.x),
        f64::from(if wide {
            dice.range(0.7, 2.1)
        } else {
            dice.range(1.35, 1.65)
        }),
        f64::from(dice.range(-0.3, 0.4)),
    );
    let target = DVec3::new(
        f64::from(dice.range(-0.22, 0.22) * size.x),
        f64::from(dice.range(0.55, 1.1)),
        f64::from(-dice.range(0.5, 0.7) * size.z),
    );
    let path = draw_path(eye, target, width, 1.0, &mut dice.fork());
    let mut world = World {
        surroundings: Surroundings::Room {
            low,
            high,
            floor,
            walls,
            ceiling,
        },
        objects: Vec::new(),
        atmosphere: indoors(width, low, high, &mut dice.fork()),
        path,
        place,
    };
    let count = dice.count(2, if wide { 6 } else { 4 });
    let mut placing = dice.fork();
    for k in 0..count {
        let kind = placing.pick(&INDOOR_KINDS);
        let size = placing.range(0.26, 0.52) * if wide { placing.range(0.8, 1.3) } else { 1.0 };
        let prop = make(kind, size, &mut placing.fork());
        let moves = k == 0 && placing.chance(0.75) || placing.chance(0.35);
        put(
            &mut world,
            &prop,
            kind,
            [1.9, -low.z - 0.6],
            moves,
            &mut placing,
        );
    }
    furnish(&mut world, low, high, &mut dice.fork());
    world
}

fn finishes(width: WorldWidth, dice: &mut Dice) -> (Material, Material, Material, String) {
    let wall_colour = dice.pick(&WALL_COLOURS);
    let wall_patterns: &[Pattern] = match width {
        WorldWidth::Narrow => &[Pattern::Plain, Pattern::Brick, Pattern::Tiles],
        _ => &[
            Pattern::Plain,
            Pattern::Plain,
            Pattern::Brick,
            Pattern::Tiles,
            Pattern::Stripes,
            Pattern::Noise,
            Pattern::Wood,
            Pattern::Fractal,
        ],
    };
    let floor_patterns: &[Pattern] = match width {
        WorldWidth::Narrow => &[Pattern::Checker, Pattern::Tiles],
        _ => &[
            Pattern::Checker,
            Pattern::Tiles,
            Pattern::Wood,
            Pattern::Marble,
            Pattern::Noise,
            Pattern::Fractal,
            Pattern::Stripes,
        ],
    };
    let wall_pattern = dice.pick(wall_patterns);
    let floor_pattern = dice.pick(floor_patterns);
    let frequency = |pattern: Pattern, dice: &mut Dice| match (width, pattern) {
        (WorldWidth::Narrow, Pattern::Plain) => 2.0,
        (WorldWidth::Narrow, _) => 1.5,
        (_, Pattern::Fractal | Pattern::Noise) => dice.range(0.5, 1.5),
        (_, Pattern::Wood) => dice.range(0.7, 1.4),
        _ => dice.range(0.8, 2.4),
    };
    let figure = wall_colour
        .rgb
        .lerp(Vec3A::splat(0.55), dice.range(0.3, 0.7));
    let wall_frequency = frequency(wall_pattern, dice);
    let walls = material(wall_pattern, wall_colour.rgb, figure, wall_frequency, dice);
    let floor_colour = dice.pick(&WALL_COLOURS);
    let dark = floor_colour.rgb * dice.range(0.2, 0.5);
    let floor_frequency = frequency(floor_pattern, dice);
    let mut floor = material(floor_pattern, floor_colour.rgb, dark, floor_frequency, dice);
    floor.gloss = dice.range(0.0, 0.25);
    let ceiling = material(
        Pattern::Plain,
        Vec3A::splat(0.7),
        Vec3A::splat(0.6),
        1.0,
        dice,
    );
    let place = [wall_colour.name, wall_pattern.word()]
        .into_iter()
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    (walls, floor, ceiling, format!("A room with {place} walls"))
}

/// Pictures on the walls, a carpet, pillars in the corners.
fn furnish(world: &mut World, low: Vec3A, high: Vec3A, dice: &mut Dice) {
    let mut fixed = Vec::new();
    for _ in 0..dice.count(0, 3) {
        let picture = art(dice);
        let half = [dice.range(0.35, 0.8), dice.range(0.3, 0.6)];
        let height = dice.range(1.3, high.y - 0.8);
        let frame = art(dice);
        let side = dice.count(0, 2);
        let along = dice.range(0.2, 0.8);
        for (material, grow, depth) in [(picture, 0.0, 0.05), (frame, 0.07, 0.035)] {
            let (w, h) = (half[0] + grow, half[1] + grow);
            let part = match side {
                0 => Part::new(
                    Shape::Block,
                    Vec3::new(low.x + along * (high.x - low.x), height, low.z),
                    Vec3::new(w, h, depth),
                    material,
                ),
                _ => Part::new(
                    Shape::Block,
                    Vec3::new(
                        if side == 1 { low.x } else { high.x },
                        height,
                        low.z * (0.3 + 0.6 * along),
                    ),
                    Vec3::new(depth, h, w),
                    material,
                ),
            };
            fixed.push(part);
        }
    }
    if dice.chance(0.35) {
        let carpet = art(dice);
        let at = Vec3::new(
            dice.range(-0.2, 0.2) * high.x,
            0.006,
            low.z * dice.range(0.4, 0.6),
        );
        let half = Vec3::new(dice.range(0.8, 1.6), 0.006, dice.range(0.8, 1.6));
        fixed.push(Part::new(Shape::Block, at, half, carpet));
    }
    if !fixed.is_empty() {
        world.objects.push(Object {
            parts: fixed,
            stage_from_rest: Affine3A::IDENTITY,
            middle: 0.0,
            motion: super::motion::Motion::default(),
            name: String::new(),
            verb: "",
        });
    }
}

fn art(dice: &mut Dice) -> Material {
    let colour = dice.pick(&super::palette::OBJECT_COLOURS);
    let pattern = dice.pick(&[
        Pattern::Fractal,
        Pattern::Noise,
        Pattern::Marble,
        Pattern::Stripes,
        Pattern::Checker,
        Pattern::Dots,
    ]);
    object_material(colour, pattern, dice)
}

fn outdoor_world(width: WorldWidth, dice: &mut Dice) -> World {
    let wide = width == WorldWidth::Wide;
    let far = if wide { dice.range(16.0, 30.0) } else { 20.0 };
    let eye = DVec3::new(
        0.0,
        f64::from(if wide {
            dice.range(0.9, 3.6)
        } else {
            dice.range(1.4, 2.0)
        }),
        0.0,
    );
    let target = DVec3::new(
        f64::from(dice.range(-1.5, 1.5)),
        f64::from(dice.range(0.4, 1.2)),
        f64::from(-dice.range(4.5, 8.0)),
    );
    let (ground, place) = terrain(&mut dice.fork());
    let mut world = World {
        surroundings: Surroundings::Ground {
            material: ground,
            far,
        },
        objects: Vec::new(),
        atmosphere: outdoors(far, &mut dice.fork()),
        path: draw_path(eye, target, width, 1.5, &mut dice.fork()),
        place,
    };
    let mut placing = dice.fork();
    for k in 0..placing.count(2, if wide { 6 } else { 4 }) {
        let kind = placing.pick(&OUTDOOR_KINDS);
        let size = placing.range(0.4, 0.9);
        let prop = make(kind, size, &mut placing.fork());
        let moves = k == 0 && placing.chance(0.75) || placing.chance(0.3);
        put(&mut world, &prop, kind, [3.0, 9.0], moves, &mut placing);
    }
    let mut backdrop = dice.fork();
    for _ in 0..backdrop.count(4, 10) {
        let kind = backdrop.pick(&BACKDROP_KINDS);
        let size = backdrop.range(0.9, 1.9);
        let prop = make(kind, size, &mut backdrop.fork());
        put(
            &mut world,
            &prop,
            kind,
            [9.0, far * 0.85],
            false,
            &mut backdrop,
        );
    }
    if backdrop.chance(0.6) {
        world.objects.push(hills(far, &mut backdrop));
    }
    world
}

fn terrain(dice: &mut Dice) -> (Material, String) {
    let green = Vec3A::new(0.10, 0.20, 0.045);
    let sand = Vec3A::new(0.52, 0.38, 0.20);
    let grey = Vec3A::splat(0.22);
    let snow = Vec3A::new(0.56, 0.60, 0.66);
    let soil = Vec3A::new(0.20, 0.115, 0.06);
    let (place, pattern, ground, figure, frequency) = dice.pick(&[
        ("A meadow", Pattern::Fractal, green, soil, 0.8),
        ("A lawn", Pattern::Noise, green * 1.3, green * 0.6, 2.0),
        ("A desert", Pattern::Noise, sand, sand * 0.6, 0.5),
        ("A snowy field", Pattern::Noise, snow, snow * 0.75, 0.4),
        (
            "A paved square",
            Pattern::Tiles,
            grey * 1.6,
            grey * 0.6,
            0.9,
        ),
        ("A checkered plaza", Pattern::Checker, grey * 2.0, soil, 0.8),
        (
            "A brick yard",
            Pattern::Brick,
            Vec3A::new(0.36, 0.12, 0.07),
            grey,
            0.8,
        ),
        ("A muddy field", Pattern::Fractal, soil, soil * 0.4, 0.7),
        ("A deck", Pattern::Wood, soil * 1.7, soil, 0.6),
    ]);
    let tint = dice.vec3(0.8, 1.2);
    let made = material(
        pattern,
        ground * tint,
        figure * tint,
        frequency * dice.range(0.7, 1.3),
        dice,
    );
    (made, place.to_owned())
}

fn hills(far: f32, dice: &mut Dice) -> Object {
    let green = Vec3A::new(
        dice.range(0.05, 0.2),
        dice.range(0.12, 0.2),
        dice.range(0.04, 0.12),
    );
    let slope = material(Pattern::Fractal, green, green * 0.4, 0.25, dice);
    let parts = (0..dice.count(3, 6))
        .map(|_| {
            let angle = dice.range(-1.1, 1.1);
            let (sin, cos) = angle.sin_cos();
            let distance = far * dice.range(0.78, 0.9);
            let half = Vec3::new(far * 0.3, far * dice.range(0.06, 0.2), far * 0.12);
            Part::new(
                Shape::Sphere,
                Vec3::new(sin * distance, -0.2 * half.y, -cos * distance),
                half,
                slope,
            )
        })
        .collect();
    Object {
        parts,
        stage_from_rest: Affine3A::IDENTITY,
        middle: 0.0,
        motion: super::motion::Motion::default(),
        name: String::new(),
        verb: "",
    }
}

/// Puts a prop somewhere in view between two distances, clear of walls and of the others.
fn put(world: &mut World, prop: &Prop, kind: Kind, range: [f32; 2], moves: bool, dice: &mut Dice) {
    let (eye, target) = (world.path.eye.as_vec3(), world.path.target.as_vec3());
    let heading = (target.x - eye.x).atan2(eye.z - target.z);
    let half_view = world.path.fov_x as f32 * 0.46;
    for _ in 0..24 {
        let distance = dice.range(range[0], range[1].max(range[0] + 0.2));
        let angle = heading + dice.range(-half_view, half_view);
        let base = Vec3::new(
            eye.x + distance * angle.sin(),
            0.0,
            eye.z - distance * angle.cos(),
        );
        let yaw = dice.range(0.0, TAU);
        let (verb, motion) = if moves {
            draw_motion(kind, prop.middle, ceiling(world), dice)
        } else {
            ("", super::motion::Motion::default())
        };
        let object = Object {
            parts: prop.parts.clone(),
            stage_from_rest: Affine3A::from_translation(base) * Affine3A::from_rotation_y(yaw),
            middle: prop.middle,
            motion,
            name: prop.name.clone(),
            verb,
        };
        if fits(world, &object, prop.radius) {
            world.objects.push(object);
            return;
        }
    }
}

fn ceiling(world: &World) -> Option<f32> {
    match world.surroundings {
        Surroundings::Room { high, .. } => Some(high.y),
        Surroundings::Ground { .. } => None,
    }
}

fn fits(world: &World, object: &Object, radius: f32) -> bool {
    let middle = |object: &Object, time| {
        object
            .stage_from_object(time)
            .transform_point3(Vec3::Y * object.middle)
    };
    let inside = |at: Vec3| match world.surroundings {
        Surroundings::Room { low, high, .. } => {
            at.x - radius > low.x
                && at.x + radius < high.x
                && at.z - radius > low.z
                && at.z + radius < high.z
                && at.y + object.middle < high.y
        }
        Surroundings::Ground { .. } => true,
    };
    check_times().all(|time| {
        let at = middle(object, time);
        inside(at)
            && at.distance(world.path.eye.as_vec3()) > radius.max(object.middle) + 1.2
            && world.objects.iter().all(|other| {
                let gap = Vec3::new(1.0, 0.0, 1.0) * (middle(other, time) - at);
                gap.length() > radius + 0.8 * other.middle.min(1.0)
            })
    })
}

fn draw_path(
    eye: DVec3,
    target: DVec3,
    width: WorldWidth,
    scale: f64,
    dice: &mut Dice,
) -> CameraPath {
    let mut amount = |low: f32, high: f32| f64::from(dice.signed(low, high));
    let moves = [
        Move::Still,
        Move::Dolly(amount(0.4, 1.4) * scale),
        Move::Orbit(amount(0.12, 0.5)),
        Move::Truck(amount(0.3, 1.1) * scale),
        Move::Pan(amount(0.1, 0.4)),
        Move::Crane(amount(0.3, 0.9) * scale),
        Move::Tilt(amount(0.06, 0.2)),
    ];
    let open = if width == WorldWidth::Narrow { 4 } else { 7 };
    let motion = dice.pick(&moves[..open]);
    let by_hand = dice.chance(match width {
        WorldWidth::Narrow => 0.0,
        WorldWidth::Medium => 0.25,
        WorldWidth::Wide => 0.4,
    });
    let shake = by_hand.then(|| Shake {
        position: f64::from(dice.range(0.008, 0.035)) * scale,
        angle: f64::from(dice.range(0.003, 0.014)),
        phase: f64::from(dice.range(0.0, 2.0 * PI)),
    });
    let tilted = width == WorldWidth::Wide && dice.chance(0.3);
    CameraPath {
        eye,
        target,
        roll: if tilted {
            f64::from(dice.signed(0.01, 0.06))
        } else {
            0.0
        },
        motion,
        shake,
        fov_x: field_of_view(width, dice),
    }
}

/// Shortens the camera's move until it stays in the room and clear of every object.
fn settle(mut path: CameraPath, world: &World) -> CameraPath {
    for _ in 0..5 {
        if clear(&path, world) {
            return path;
        }
        path.motion = path.motion.scaled(0.6);
    }
    path.motion = Move::Still;
    path
}

fn clear(path: &CameraPath, world: &World) -> bool {
    check_times().all(|time| {
        let eye = path
            .stage_from_camera(f64::from(time))
            .translation
            .as_vec3();
        let free = match world.surroundings {
            Surroundings::Room { low, high, .. } => {
                let margin = Vec3A::splat(0.3);
                let eye = Vec3A::from(eye);
                (eye - margin).cmpgt(low).all() && (eye + margin).cmplt(high).all()
            }
            Surroundings::Ground { .. } => eye.y > 0.4,
        };
        free && world.objects.iter().all(|object| {
            let stage_from_object = object.stage_from_object(time);
            object.parts.iter().all(|part| {
                let map = stage_from_object * part.object_from_solid;
                let inside = map.inverse().transform_point3(eye).abs().max_element();
                inside > 1.3
            })
        })
    })
}

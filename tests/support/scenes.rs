//! A room whose geometry is known in closed form, seen by a camera on an arc.

use std::sync::Arc;

use glam::{DMat3, DVec2, DVec3};
use one4d_engine::geometry::{Camera, Intrinsics, WorldFromCamera};
use one4d_engine::scene::{Plane, Points, Scene4d, SceneMeta, validity};

const FLOOR_Y: f64 = 1.2;
const WALL_Z: f64 = 6.5;
const WALL_TOP_Y: f64 = -2.2;
const SIDE_X: f64 = -3.2;
const LIGHT: DVec3 = DVec3::new(-0.5, -0.75, -0.43);

struct Hit {
    distance: f64,
    normal: DVec3,
    albedo: DVec3,
    moves: bool,
}

/// Floor, two walls, a box, a ball at rest and a ball that circles it; sky above the walls.
///
/// # Shapes
/// `num_frames` frames of `height x width`; world = camera of frame 0.
pub fn room(num_frames: usize, height: usize, width: usize) -> Scene4d {
    let poses = camera_path(num_frames);
    let intrinsics = Intrinsics::centred(0.9 * width as f64, width, height);
    let pixels = num_frames * height * width;
    let (mut rgb, mut points) = (
        Vec::with_capacity(pixels * 3),
        Vec::with_capacity(pixels * 3),
    );
    let (mut depth, mut valid) = (Vec::with_capacity(pixels), Vec::with_capacity(pixels));
    let mut dynamic = Vec::with_capacity(pixels);
    for (t, pose) in poses.iter().enumerate() {
        let phase = t as f64 / num_frames as f64;
        for pixel in 0..height * width {
            let ray = intrinsics.ray(pixel % width, pixel / width);
            let hit = cast(pose.translation, pose.rotation * ray, phase);
            let point = hit.as_ref().map_or(DVec3::NAN, |h| {
                poses[0]
                    .inverse()
                    .transform(pose.transform(ray * h.distance))
            });
            points.extend(point.as_vec3().to_array());
            depth.push(hit.as_ref().map_or(f32::NAN, |h| h.distance as f32));
            valid.push(if hit.is_some() { validity::GOOD } else { 0 });
            dynamic.push(if hit.as_ref().is_some_and(|h| h.moves) {
                255
            } else {
                0
            });
            rgb.extend(colour(hit.as_ref(), ray));
        }
    }
    Scene4d {
        num_frames,
        height,
        width,
        rgb: Plane::new(rgb),
        points: Points::F32(Plane::new(points)),
        valid: Plane::new(valid),
        confidence: None,
        depth: Some(Plane::new(depth)),
        cameras: Some(cameras(&poses, intrinsics)),
        scene_flow: None,
        dynamic: Some(Plane::new(dynamic)),
        meta: SceneMeta {
            title: "Room".into(),
            fps: 12.0,
            ..SceneMeta::default()
        },
    }
}

fn cameras(poses: &[WorldFromCamera], intrinsics: Intrinsics) -> Arc<[Camera]> {
    poses
        .iter()
        .map(|pose| Camera {
            intrinsics,
            world_from_camera: pose.relative_to(poses[0]),
        })
        .collect()
}

/// An arc around the middle of the room, always looking at it.
fn camera_path(num_frames: usize) -> Vec<WorldFromCamera> {
    let last = (num_frames.max(2) - 1) as f64;
    (0..num_frames)
        .map(|t| {
            let angle = 0.9 * (t as f64 / last) - 0.25;
            let eye = DVec3::new(
                3.4 * angle.sin(),
                -0.25 - 0.5 * angle,
                3.8 - 3.8 * angle.cos(),
            );
            let forward = (DVec3::new(0.1, 0.45, 4.3) - eye).normalize_or_zero();
            let right = DVec3::Y.cross(forward).normalize_or_zero();
            WorldFromCamera {
                rotation: DMat3::from_cols(right, forward.cross(right), forward),
                translation: eye,
            }
        })
        .collect()
}

fn cast(origin: DVec3, ray: DVec3, phase: f64) -> Option<Hit> {
    let turn = std::f64::consts::TAU * phase;
    let moving = DVec3::new(
        0.35 + 1.25 * turn.cos(),
        0.85 - 0.35 * turn.sin().abs(),
        4.3 + 1.0 * turn.sin(),
    );
    [
        floor(origin, ray),
        walls(origin, ray),
        block(
            origin,
            ray,
            [DVec3::new(-2.1, 0.1, 4.4), DVec3::new(-1.0, FLOOR_Y, 5.5)],
        ),
        ball(
            origin,
            ray,
            (
                DVec3::new(0.35, 0.45, 4.3),
                0.75,
                DVec3::new(0.85, 0.42, 0.25),
            ),
        ),
        ball(origin, ray, (moving, 0.3, DVec3::new(0.95, 0.78, 0.25)))
            .map(|h| Hit { moves: true, ..h }),
    ]
    .into_iter()
    .flatten()
    .min_by(|a, b| a.distance.total_cmp(&b.distance))
}

fn still(distance: f64, normal: DVec3, albedo: DVec3) -> Option<Hit> {
    (distance > 1e-6).then_some(Hit {
        distance,
        normal,
        albedo,
        moves: false,
    })
}

fn checker(at: DVec2, a: DVec3, b: DVec3) -> DVec3 {
    if (at.x.floor() + at.y.floor()).rem_euclid(2.0) < 0.5 {
        a
    } else {
        b
    }
}

fn floor(origin: DVec3, ray: DVec3) -> Option<Hit> {
    let distance = (FLOOR_Y - origin.y) / ray.y;
    let at = origin + ray * distance;
    if at.z > WALL_Z || at.x < SIDE_X || at.x > 4.5 {
        return None;
    }
    let albedo = checker(
        at.with_y(at.z).truncate() * 1.5,
        DVec3::new(0.72, 0.66, 0.58),
        DVec3::new(0.52, 0.46, 0.40),
    );
    still(distance, -DVec3::Y, albedo)
}

fn walls(origin: DVec3, ray: DVec3) -> Option<Hit> {
    let back = (WALL_Z - origin.z) / ray.z;
    let side = (SIDE_X - origin.x) / ray.x;
    let back_at = origin + ray * back;
    if back > 0.0
        && back_at.x > SIDE_X
        && back_at.x < 4.5
        && back_at.y > WALL_TOP_Y
        && back_at.y < FLOOR_Y
    {
        let stripe = checker(
            DVec2::new(back_at.x * 0.8, 0.0),
            DVec3::new(0.36, 0.52, 0.58),
            DVec3::new(0.40, 0.57, 0.62),
        );
        return still(back, -DVec3::Z, stripe);
    }
    let side_at = origin + ray * side;
    let inside =
        side_at.z < WALL_Z && side_at.z > 1.0 && side_at.y > WALL_TOP_Y && side_at.y < FLOOR_Y;
    inside
        .then(|| still(side, DVec3::X, DVec3::new(0.55, 0.62, 0.50)))
        .flatten()
}

fn block(origin: DVec3, ray: DVec3, [low, high]: [DVec3; 2]) -> Option<Hit> {
    let (a, b) = ((low - origin) / ray, (high - origin) / ray);
    let (enter, leave) = (a.min(b), a.max(b));
    let distance = enter.max_element();
    if distance > leave.min_element() {
        return None;
    }
    let normal = DVec3::from_array([0, 1, 2].map(|i| {
        if enter[i] == distance {
            -ray[i].signum()
        } else {
            0.0
        }
    }));
    still(distance, normal, DVec3::new(0.38, 0.36, 0.62))
}

fn ball(origin: DVec3, ray: DVec3, (centre, radius, albedo): (DVec3, f64, DVec3)) -> Option<Hit> {
    let away = origin - centre;
    let (a, half_b) = (ray.length_squared(), away.dot(ray));
    let root = half_b * half_b - a * (away.length_squared() - radius * radius);
    if root < 0.0 {
        return None;
    }
    let distance = (-half_b - root.sqrt()) / a;
    still(distance, (away + ray * distance) / radius, albedo)
}

fn colour(hit: Option<&Hit>, ray: DVec3) -> [u8; 3] {
    let linear = match hit {
        Some(hit) => {
            let light = hit.normal.dot(LIGHT).max(0.0) * 0.75 + 0.3 - 0.05 * hit.normal.y;
            hit.albedo * light
        }
        None => DVec3::new(0.55, 0.68, 0.85)
            .lerp(DVec3::new(0.85, 0.9, 0.95), (ray.y + 0.6).clamp(0.0, 1.0)),
    };
    linear
        .to_array()
        .map(|v| (v.clamp(0.0, 1.0).powf(1.0 / 2.2) * 255.0).round() as u8)
}

//! Colour of a hit or of the sky, and the way from linear light to sRGB bytes.

use std::sync::LazyLock;

use glam::Vec3A;

use super::texture::{contrast, fractal};
use super::tracer::{FIRST_SOLID, Hit, Instant};
use super::world::{Atmosphere, Lamp, Surroundings};

/// Linear display colour of a hit, and whether the lamp reaches it.
#[inline]
pub(super) fn shade(instant: &Instant<'_>, hit: &Hit<'_>) -> (Vec3A, bool) {
    let air = &instant.world.atmosphere;
    let to_eye = instant.view.eye - hit.position;
    let distance = to_eye.length();
    let to_eye = to_eye / distance;
    let facing = hit.normal.dot(to_eye).abs().max(0.08);
    let width = hit.depth / (instant.view.focal_px * facing.sqrt());
    let albedo = hit.material.albedo(hit.texture.0, hit.texture.1, width);
    let (to_lamp, strength, reach) = incoming(air, hit.position);
    let cosine = hit.normal.dot(to_lamp);
    let start = hit.position + hit.normal * (2e-3 + 1e-4 * distance);
    let lit = cosine > 0.0 && !instant.shadowed(start, to_lamp, reach);
    let up = 0.5 + 0.5 * hit.normal.y;
    let mut ambient = air.ambient_down.lerp(air.ambient_up, up);
    if hit.id < FIRST_SOLID {
        ambient *= instant.openness(hit.position, hit.normal) * corners(instant, hit);
    }
    let mut colour = albedo * ambient;
    if lit {
        colour += albedo * air.lamp_colour * (cosine * strength);
        if hit.material.gloss > 0.0 {
            let half = (to_lamp + to_eye).normalize_or(hit.normal);
            let shine = hit.normal.dot(half).max(0.0).powi(48);
            colour += air.lamp_colour * (hit.material.gloss * strength * shine);
        }
    }
    (tone(haze(instant, colour, distance), air.exposure), lit)
}

/// Direction to the lamp, its strength there, and how far away it is.
fn incoming(air: &Atmosphere, position: Vec3A) -> (Vec3A, f32, f32) {
    match air.lamp {
        Lamp::Sun { direction } => (direction, 1.0, f32::INFINITY),
        Lamp::Bulb {
            position: at,
            reach,
        } => {
            let way = at - position;
            let distance_sq = way.length_squared();
            let distance = distance_sq.sqrt();
            let strength = 1.6 / (1.0 + distance_sq / (reach * reach));
            (way / distance, strength, distance)
        }
    }
}

/// Rooms darken where walls meet.
fn corners(instant: &Instant<'_>, hit: &Hit<'_>) -> f32 {
    let Surroundings::Room { low, high, .. } = instant.world.surroundings else {
        return 1.0;
    };
    let gap = (hit.position - low).min(high - hit.position) + hit.normal.abs() * 1e3;
    let dim = Vec3A::splat(0.38) / (Vec3A::ONE + gap * gap * 5.0);
    (1.0 - dim.x) * (1.0 - dim.y) * (1.0 - dim.z)
}

fn haze(instant: &Instant<'_>, colour: Vec3A, distance: f32) -> Vec3A {
    let air = &instant.world.atmosphere;
    let mut veil = if air.fog > 0.0 {
        1.0 - (-air.fog * distance).exp()
    } else {
        0.0
    };
    if let Surroundings::Ground { far, .. } = instant.world.surroundings {
        // The last quarter before the end of the world fades into the horizon.
        let end = ((distance / far - 0.75) * 4.0).clamp(0.0, 1.0);
        veil = veil.max(end * end);
    }
    colour.lerp(air.horizon, veil)
}

/// Linear display colour of the sky in a direction of the stage.
pub(super) fn sky(air: &Atmosphere, direction: Vec3A) -> Vec3A {
    let d = direction.normalize_or(Vec3A::Y);
    let height = d.y.max(0.0);
    let mut colour = air.horizon.lerp(air.zenith, height.sqrt());
    if air.clouds > 0.0 && d.y > 0.0 {
        let plane = Vec3A::new(d.x, 0.0, d.z) * (1.3 / (d.y + 0.18)) + Vec3A::splat(3.7);
        let cover = contrast(fractal(plane, 0.02, 4) + 0.25 * (air.clouds - 0.5), 3.5);
        let white = air
            .horizon
            .lerp(Vec3A::splat(0.5 + 0.5 * air.horizon.max_element()), 0.5);
        colour = colour.lerp(white, cover * (height * 6.0).min(1.0) * 0.85);
    }
    if let Lamp::Sun { direction: sun } = air.lamp {
        let toward = d.dot(sun).max(0.0);
        let glow = toward.powi(24) * 0.25 + toward.powi(900) * 3.0;
        colour += air.lamp_colour * glow;
    }
    tone(colour, air.exposure)
}

fn tone(colour: Vec3A, exposure: f32) -> Vec3A {
    let c = colour * exposure;
    c * 1.12 / (Vec3A::ONE + c * 0.32)
}

static ENCODED: LazyLock<Vec<u8>> = LazyLock::new(|| {
    (0..4096)
        .map(|i| {
            let linear = f64::from(i) / 4095.0;
            let encoded = if linear <= 0.003_130_8 {
                12.92 * linear
            } else {
                1.055 * linear.powf(1.0 / 2.4) - 0.055
            };
            (encoded * 255.0).round() as u8
        })
        .collect()
});

/// sRGB bytes of a linear display colour, clamped to 0..1.
#[inline]
pub(super) fn encode(colour: Vec3A) -> [u8; 3] {
    let table: &[u8] = &ENCODED;
    let index = colour.clamp(Vec3A::ZERO, Vec3A::ONE) * 4095.0 + Vec3A::splat(0.5);
    index.to_array().map(|v| table[v as usize])
}

//! Canonical solids about the origin and their intersection with a ray.
//!
//! An object in the scene is a canonical solid under an affine map, so a ray is brought to the
//! solid's own coordinates, where one root finder per kind suffices; the ray parameter stays the same.

use glam::Vec3A;

/// A solid that touches the cube `[-1, 1]^3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// `|p| = 1`.
    Sphere,
    /// `max |p_i| = 1`.
    Block,
    /// Radius 1 about y, capped at `y = +-1`.
    Cylinder,
    /// Apex at `y = 1`, base of radius 1 at `y = -1`.
    Cone,
    /// Ring about y: major radius 0.72, minor 0.28.
    Torus,
    /// Square base at `y = -1`, apex at `y = 1`.
    Pyramid,
    /// Gable: triangle in x and y, extruded along z.
    Prism,
}

const RING: f32 = 0.72;
const TUBE: f32 = 0.28;
/// Slant of pyramid and gable faces: normal `(2, 1) / sqrt 5`, offset `1 / sqrt 5`.
const SLANT: (f32, f32, f32) = (0.894_427_2, 0.447_213_6, 0.447_213_6);

const PYRAMID: [([f32; 3], f32); 5] = [
    ([0.0, -1.0, 0.0], 1.0),
    ([SLANT.0, SLANT.1, 0.0], SLANT.2),
    ([-SLANT.0, SLANT.1, 0.0], SLANT.2),
    ([0.0, SLANT.1, SLANT.0], SLANT.2),
    ([0.0, SLANT.1, -SLANT.0], SLANT.2),
];
const PRISM: [([f32; 3], f32); 5] = [
    ([0.0, -1.0, 0.0], 1.0),
    ([SLANT.0, SLANT.1, 0.0], SLANT.2),
    ([-SLANT.0, SLANT.1, 0.0], SLANT.2),
    ([0.0, 0.0, 1.0], 1.0),
    ([0.0, 0.0, -1.0], 1.0),
];

impl Shape {
    /// Square of the radius of the sphere about the origin that holds the solid.
    pub(super) fn bound_sq(self) -> f32 {
        match self {
            Self::Sphere | Self::Torus => 1.0,
            Self::Cylinder | Self::Cone => 2.0,
            Self::Block | Self::Pyramid | Self::Prism => 3.0,
        }
    }

    /// The first parameter in `(near, far)` at which `origin + t * direction` enters the solid.
    ///
    /// The origin is first moved to the point nearest the solid's centre: distant origins would
    /// otherwise cancel in f32.
    #[inline]
    pub(super) fn hit(self, origin: Vec3A, direction: Vec3A, near: f32, far: f32) -> Option<f32> {
        let length_sq = direction.length_squared();
        let closest = -origin.dot(direction) / length_sq;
        let o = origin + direction * closest;
        let slack = self.bound_sq() - o.length_squared();
        if slack <= 0.0 {
            return None;
        }
        let half_chord = (slack / length_sq).sqrt();
        if closest + half_chord < near || closest - half_chord > far {
            return None;
        }
        let local = match self {
            Self::Sphere => Some(-half_chord),
            Self::Block => slabs(o, direction),
            Self::Cylinder => cylinder(o, direction),
            Self::Cone => cone(o, direction),
            Self::Torus => torus(o, direction, half_chord),
            Self::Pyramid => convex(o, direction, &PYRAMID),
            Self::Prism => convex(o, direction, &PRISM),
        }?;
        let t = closest + local;
        (t > near && t < far).then_some(t)
    }

    /// Outward normal at a point of the surface, not normalised.
    #[inline]
    pub(super) fn normal(self, p: Vec3A) -> Vec3A {
        match self {
            Self::Sphere => p,
            Self::Block => {
                let a = p.abs();
                if a.x >= a.y && a.x >= a.z {
                    Vec3A::new(p.x, 0.0, 0.0)
                } else if a.y >= a.z {
                    Vec3A::new(0.0, p.y, 0.0)
                } else {
                    Vec3A::new(0.0, 0.0, p.z)
                }
            }
            Self::Cylinder => {
                if p.y.abs() > (p.x * p.x + p.z * p.z).sqrt() {
                    Vec3A::new(0.0, p.y, 0.0)
                } else {
                    Vec3A::new(p.x, 0.0, p.z)
                }
            }
            Self::Cone => {
                let radius = (p.x * p.x + p.z * p.z).sqrt();
                // The base plane is the farther one where y + 1 exceeds the slant's signed distance.
                if -p.y - 1.0 > (2.0 * radius + p.y - 1.0) * SLANT.1 {
                    Vec3A::NEG_Y
                } else {
                    Vec3A::new(p.x, 0.5 * radius, p.z)
                }
            }
            Self::Torus => {
                let radius = (p.x * p.x + p.z * p.z).sqrt().max(1e-6);
                p - Vec3A::new(p.x, 0.0, p.z) * (RING / radius)
            }
            Self::Pyramid => farthest(p, &PYRAMID),
            Self::Prism => farthest(p, &PRISM),
        }
    }
}

fn slabs(o: Vec3A, d: Vec3A) -> Option<f32> {
    let inverse = d.recip();
    let a = (Vec3A::NEG_ONE - o) * inverse;
    let b = (Vec3A::ONE - o) * inverse;
    let enter = a.min(b).max_element();
    let leave = a.max(b).min_element();
    (enter < leave).then_some(enter)
}

fn convex(o: Vec3A, d: Vec3A, planes: &[([f32; 3], f32)]) -> Option<f32> {
    let (mut enter, mut leave) = (f32::NEG_INFINITY, f32::INFINITY);
    for &(normal, offset) in planes {
        let normal = Vec3A::from_array(normal);
        let speed = normal.dot(d);
        let room = offset - normal.dot(o);
        if speed < 0.0 {
            enter = enter.max(room / speed);
        } else if speed > 0.0 {
            leave = leave.min(room / speed);
        } else if room < 0.0 {
            return None;
        }
    }
    (enter < leave).then_some(enter)
}

fn farthest(p: Vec3A, planes: &[([f32; 3], f32)]) -> Vec3A {
    let mut best = (f32::NEG_INFINITY, Vec3A::Y);
    for &(normal, offset) in planes {
        let normal = Vec3A::from_array(normal);
        let distance = normal.dot(p) - offset;
        if distance > best.0 {
            best = (distance, normal);
        }
    }
    best.1
}

/// Range of parameters inside `y in [-1, 1]`.
fn caps(o: Vec3A, d: Vec3A) -> (f32, f32) {
    let inverse = 1.0 / d.y;
    let (a, b) = ((-1.0 - o.y) * inverse, (1.0 - o.y) * inverse);
    (a.min(b), a.max(b))
}

fn cylinder(o: Vec3A, d: Vec3A) -> Option<f32> {
    let a = d.x * d.x + d.z * d.z;
    let b = o.x * d.x + o.z * d.z;
    let c = o.x * o.x + o.z * o.z - 1.0;
    let root = (b * b - a * c).max(0.0).sqrt();
    if b * b < a * c {
        return None;
    }
    let (bottom, top) = caps(o, d);
    let enter = ((-b - root) / a).max(bottom);
    let leave = ((-b + root) / a).min(top);
    (enter < leave).then_some(enter)
}

/// Solves `x^2 + z^2 = ((1 - y) / 2)^2` below the apex and cuts with the base plane.
fn cone(o: Vec3A, d: Vec3A) -> Option<f32> {
    let (h, g) = (0.5 * (1.0 - o.y), -0.5 * d.y);
    let a = d.x * d.x + d.z * d.z - g * g;
    let b = o.x * d.x + o.z * d.z - h * g;
    let c = o.x * o.x + o.z * o.z - h * h;
    let discriminant = b * b - a * c;
    let mut best = f32::INFINITY;
    if discriminant >= 0.0 && a.abs() > 1e-9 {
        let root = discriminant.sqrt();
        for t in [(-b - root) / a, (-b + root) / a] {
            let y = o.y + t * d.y;
            if (-1.0..=1.0).contains(&y) {
                best = best.min(t);
            }
        }
    }
    let base = (-1.0 - o.y) / d.y;
    let (x, z) = (o.x + base * d.x, o.z + base * d.z);
    if x * x + z * z <= 1.0 {
        best = best.min(base);
    }
    best.is_finite().then_some(best)
}

/// Least advance of sphere tracing: grazing rays would otherwise creep for ever.
const LEAST_ADVANCE: f32 = 5e-5;

/// Sphere tracing through the bounding ball.
fn torus(o: Vec3A, d: Vec3A, half_chord: f32) -> Option<f32> {
    let speed = d.length();
    let distance = |t: f32| {
        let p = o + d * t;
        let ring = (p.x * p.x + p.z * p.z).sqrt() - RING;
        (ring * ring + p.y * p.y).sqrt() - TUBE
    };
    let mut t = -half_chord;
    for _ in 0..256 {
        let gap = distance(t);
        if gap < 2e-5 {
            return Some(t);
        }
        t += gap.max(LEAST_ADVANCE) / speed;
        if t > half_chord {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Shape; 7] = [
        Shape::Sphere,
        Shape::Block,
        Shape::Cylinder,
        Shape::Cone,
        Shape::Torus,
        Shape::Pyramid,
        Shape::Prism,
    ];

    /// Negative inside, positive outside; zero on the surface.
    fn implicit(shape: Shape, p: Vec3A) -> f32 {
        let radius = (p.x * p.x + p.z * p.z).sqrt();
        let planes = |planes: &[([f32; 3], f32)]| {
            planes
                .iter()
                .map(|(n, offset)| Vec3A::from_array(*n).dot(p) - offset)
                .fold(f32::NEG_INFINITY, f32::max)
        };
        match shape {
            Shape::Sphere => p.length() - 1.0,
            Shape::Block => p.abs().max_element() - 1.0,
            Shape::Cylinder => (radius - 1.0).max(p.y.abs() - 1.0),
            Shape::Cone => (2.0 * radius + p.y - 1.0).max(-p.y - 1.0),
            Shape::Torus => ((radius - RING).powi(2) + p.y * p.y).sqrt() - TUBE,
            Shape::Pyramid => planes(&PYRAMID),
            Shape::Prism => planes(&PRISM),
        }
    }

    #[test]
    fn hits_lie_on_the_surface_and_nothing_lies_before_them() {
        for shape in ALL {
            let mut hits = 0;
            for i in 0..600 {
                let angle = i as f32 * 2.399_963;
                let origin = Vec3A::new(angle.cos(), (i % 7) as f32 * 0.6 - 1.8, angle.sin()) * 4.0;
                let aim = Vec3A::new(
                    (i % 11) as f32 * 0.2 - 1.0,
                    (i % 5) as f32 * 0.4 - 0.8,
                    (i % 13) as f32 * 0.15 - 0.9,
                );
                let direction = aim - origin;
                let found = shape.hit(origin, direction, 0.0, 9.0);
                let reach = found.unwrap_or(9.0);
                for step in 0..400 {
                    let t = reach * step as f32 / 400.0;
                    let gap = implicit(shape, origin + direction * t);
                    assert!(gap > -2e-3, "{shape:?} ray {i} passes at t = {t}");
                }
                if let Some(t) = found {
                    let p = origin + direction * t;
                    assert!(implicit(shape, p).abs() < 1e-4, "{shape:?} ray {i}");
                    assert!(shape.normal(p).dot(direction) < 1e-3, "{shape:?} ray {i}");
                    hits += 1;
                }
            }
            assert!(hits > 100, "{shape:?} was hit {hits} times");
        }
    }
}

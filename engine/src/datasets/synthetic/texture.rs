//! Procedural surface colours, band-limited to the footprint of a pixel.
//!
//! Everything is a function of the point in the object's own coordinates, so a texture stays on
//! its object, and of the width of a pixel there: detail finer than that fades to its mean.

use glam::Vec3A;

/// Kind of pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    /// One colour with a faint grain.
    Plain,
    /// Clouds between two colours.
    Noise,
    /// Cubes of two colours.
    Checker,
    /// Bands across one axis.
    Stripes,
    /// Courses of brick with mortar.
    Brick,
    /// Square tiles with joints and a shade each.
    Tiles,
    /// Round spots on a ground.
    Dots,
    /// Veins.
    Marble,
    /// Rings about an axis with grain.
    Wood,
    /// Warped fractal over three colours, with the statistics of foliage and rock.
    Fractal,
}

impl Pattern {
    /// Adjective for captions; empty for a plain surface.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Noise => "mottled",
            Self::Checker => "checkered",
            Self::Stripes => "striped",
            Self::Brick => "brick",
            Self::Tiles => "tiled",
            Self::Dots => "dotted",
            Self::Marble => "marbled",
            Self::Wood => "wooden",
            Self::Fractal => "rough",
        }
    }
}

/// What a surface looks like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Material {
    pub(super) pattern: Pattern,
    /// Periods per unit of length.
    pub(super) frequency: f32,
    /// Linear RGB: ground, figure, third colour.
    pub(super) colours: [Vec3A; 3],
    /// Strength of the highlight, 0..1.
    pub(super) gloss: f32,
    /// Place in the noise field; also keeps edges of the pattern off the solid's own planes.
    pub(super) offset: Vec3A,
}

impl Material {
    /// Linear RGB at a point of the surface.
    ///
    /// - `p`, `normal`: in the object's own axes, `p` in units of length
    /// - `width`: extent of the pixel on the surface, same unit
    pub(super) fn albedo(&self, p: Vec3A, normal: Vec3A, width: f32) -> Vec3A {
        let w = (width * self.frequency).max(1e-4);
        let q = p * self.frequency + self.offset;
        let [ground, figure, third] = self.colours;
        match self.pattern {
            Pattern::Plain => ground * (0.94 + 0.12 * fractal(q * 4.0, w * 4.0, 2)),
            Pattern::Noise => ground.lerp(figure, contrast(fractal(q, w, 4), 2.2)),
            Pattern::Checker => {
                let parity = square(q.x, w) * square(q.y, w) * square(q.z, w);
                ground.lerp(figure, 0.5 + 0.5 * parity) * grain(q, w)
            }
            Pattern::Stripes => ground.lerp(figure, 0.5 + 0.5 * square(q.x + q.y, w)) * grain(q, w),
            Pattern::Brick => self.brick(planar(q, normal), w) * grain(q * 3.0, w * 3.0),
            Pattern::Tiles => self.tiles(planar(q, normal), w) * grain(q, w),
            Pattern::Dots => {
                let cell = q - floor(q) - Vec3A::splat(0.5);
                let edge = (0.42 - cell.length()) / (w + 0.04) + 0.5;
                let cover = edge.clamp(0.0, 1.0);
                let mean = 0.31;
                let fade = (w * 1.2 - 0.4).clamp(0.0, 1.0);
                ground.lerp(figure, cover + (mean - cover) * fade)
            }
            Pattern::Marble => {
                let warp = fractal(q, w, 4) * 5.0;
                let vein = triangle(q.x + 0.6 * q.y + warp);
                let fade = 1.0 / (1.0 + 4.0 * w * w);
                ground.lerp(figure, 0.5 + (vein * vein - 0.5) * fade)
            }
            Pattern::Wood => {
                let radius = (q.x * q.x + q.z * q.z).sqrt() * 2.0;
                let ring = triangle(radius + 1.5 * fractal(q, w, 3));
                let fibre = fractal(q * Vec3A::new(9.0, 0.8, 9.0), w * 9.0, 2);
                let fade = 1.0 / (1.0 + 6.0 * w * w);
                ground.lerp(figure, 0.5 + (ring - 0.5) * 0.8 * fade) * (0.8 + 0.4 * fibre)
            }
            Pattern::Fractal => {
                let bend = fractal(q * 0.5 + Vec3A::splat(7.3), w * 0.5, 2) * 3.0;
                let height = contrast(fractal(q + Vec3A::splat(bend), w, 5), 2.0);
                let patch = contrast(fractal(q * 0.35, w * 0.35, 2), 3.0);
                ground.lerp(figure, height).lerp(third, 0.6 * patch) * (0.7 + 0.6 * height)
            }
        }
    }

    fn brick(&self, uv: (f32, f32), w: f32) -> Vec3A {
        let row = floor_i(uv.1 * 3.0);
        let u = uv.0 + 0.5 * (row & 1) as f32;
        let column = floor_i(u);
        let (fu, fv) = (u - column as f32, uv.1 * 3.0 - row as f32);
        let joint = mortar(fu, 0.035, w).max(mortar(fv, 0.09, w * 3.0));
        let shade = 0.75 + 0.5 * lattice(column, row, 5);
        let fade = (w * 1.5).clamp(0.0, 1.0);
        (self.colours[0] * (shade + (1.0 - shade) * fade)).lerp(self.colours[1], joint)
    }

    fn tiles(&self, uv: (f32, f32), w: f32) -> Vec3A {
        let (column, row) = (floor_i(uv.0), floor_i(uv.1));
        let (fu, fv) = (uv.0 - column as f32, uv.1 - row as f32);
        let joint = mortar(fu, 0.03, w).max(mortar(fv, 0.03, w));
        let pick = (lattice(column, row, 9) - 0.5) * (1.0 - w).clamp(0.0, 1.0) + 0.5;
        self.colours[0]
            .lerp(self.colours[2], pick)
            .lerp(self.colours[1], joint)
    }
}

/// Coordinates on the axis plane that faces the normal.
fn planar(q: Vec3A, normal: Vec3A) -> (f32, f32) {
    let n = normal.abs();
    if n.y >= n.x && n.y >= n.z {
        (q.x, q.z)
    } else if n.x >= n.z {
        (q.z, q.y)
    } else {
        (q.x, q.y)
    }
}

/// Share of mortar at `f` in 0..1 of a period with joints of half width `half`, blurred over `w`.
fn mortar(f: f32, half: f32, w: f32) -> f32 {
    let to_joint = f.min(1.0 - f);
    let cover = ((half - to_joint) / w.max(0.01) + 0.5).clamp(0.0, 1.0);
    let fade = (w - 0.5).clamp(0.0, 1.0);
    cover + (2.0 * half - cover) * fade
}

fn grain(q: Vec3A, w: f32) -> f32 {
    0.9 + 0.2 * fractal(q * 2.0, w * 2.0, 2)
}

pub(super) fn contrast(value: f32, gain: f32) -> f32 {
    ((value - 0.5) * gain + 0.5).clamp(0.0, 1.0)
}

/// Triangle wave of period 2 in 0..1.
fn triangle(x: f32) -> f32 {
    let half = x * 0.5;
    (2.0 * (half - floor_i(half) as f32) - 1.0).abs()
}

/// Square wave of period 2, averaged over a box of width `w`: difference of its integral.
fn square(x: f32, w: f32) -> f32 {
    if w >= 4.0 {
        return 0.0;
    }
    (triangle(x + 0.5 * w) - triangle(x - 0.5 * w)) / w.max(1e-3)
}

fn floor_i(x: f32) -> i32 {
    let truncated = x as i32;
    truncated - i32::from(truncated as f32 > x)
}

fn floor(v: Vec3A) -> Vec3A {
    Vec3A::new(
        floor_i(v.x) as f32,
        floor_i(v.y) as f32,
        floor_i(v.z) as f32,
    )
}

const SIDE: usize = 32;

#[expect(clippy::large_stack_arrays, reason = "evaluated at compile time")]
const fn random_lattice() -> [u8; SIDE * SIDE * SIDE] {
    let mut table = [0; SIDE * SIDE * SIDE];
    let mut state: u32 = 0x9e37_79b9;
    let mut i = 0;
    while i < table.len() {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        table[i] = (state >> 24) as u8;
        i += 1;
    }
    table
}

/// Random bytes on a periodic grid; 32 KiB, so that it stays in the first cache.
static LATTICE: [u8; SIDE * SIDE * SIDE] = random_lattice();

fn lattice(x: i32, y: i32, z: i32) -> f32 {
    let mask = SIDE as i32 - 1;
    let index = ((z & mask) << 10) | ((y & mask) << 5) | (x & mask);
    f32::from(LATTICE[index as usize]) * (1.0 / 255.0)
}

/// Value noise in 0..1, period 32.
fn value_noise(p: Vec3A) -> f32 {
    let (x, y, z) = (floor_i(p.x), floor_i(p.y), floor_i(p.z));
    let f = p - Vec3A::new(x as f32, y as f32, z as f32);
    let s = f * f * (Vec3A::splat(3.0) - 2.0 * f);
    let along_x = |y: i32, z: i32| {
        let a = lattice(x, y, z);
        a + (lattice(x + 1, y, z) - a) * s.x
    };
    let (a, b) = (along_x(y, z), along_x(y + 1, z));
    let (c, d) = (along_x(y, z + 1), along_x(y + 1, z + 1));
    let (near, far) = (a + (b - a) * s.y, c + (d - c) * s.y);
    near + (far - near) * s.z
}

/// Sum of octaves in about 0..1, mean 0.5; octaves finer than the pixel `w` fade out.
pub(super) fn fractal(p: Vec3A, w: f32, octaves: usize) -> f32 {
    let (mut sum, mut weight, mut scale) = (0.0, 0.5, 1.0);
    let mut shifted = p;
    for _ in 0..octaves {
        let fade = (1.6 - 1.6 * w * scale).min(1.0);
        if fade <= 0.0 {
            break;
        }
        sum += weight * fade * (value_noise(shifted) - 0.5);
        shifted = shifted * 2.03 + Vec3A::new(11.7, 5.3, 17.1);
        scale *= 2.03;
        weight *= 0.55;
    }
    0.5 + sum * 1.2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wide_pixel_sees_the_mean_of_a_square_wave() {
        let mean: f32 = (0..200).map(|i| square(i as f32 * 0.01, 1e-3)).sum::<f32>() / 200.0;
        assert!(mean.abs() < 0.02);
        assert!(square(0.3, 2.0).abs() < 1e-5);
        assert!((square(0.5, 1e-3).abs() - 1.0).abs() < 1e-3);
    }

    #[test]
    fn noise_is_periodic_continuous_and_fades() {
        let p = Vec3A::new(3.2, -7.7, 12.1);
        assert!((value_noise(p) - value_noise(p + Vec3A::splat(32.0))).abs() < 1e-3);
        let edge = Vec3A::new(4.0, 2.5, 1.5);
        let step = Vec3A::new(1e-4, 0.0, 0.0);
        assert!((value_noise(edge - step) - value_noise(edge + step)).abs() < 1e-2);
        assert_eq!(fractal(p, 5.0, 4), 0.5);
    }
}

//! Inverse search: every patch of a grid shifted by Gauss-Newton steps until it fits the other picture.

use rayon::prelude::*;

use super::level::Level;

/// Side of a patch, pixels.
const PATCH: usize = 8;
const PIXELS: usize = PATCH * PATCH;
/// Distance of patches, pixels.
const STEP: usize = 3;
/// Gauss-Newton steps of a patch.
const ITERATIONS: usize = 12;
/// A patch may leave its start by this much, pixels of its level.
const REACH: f32 = 6.0;
/// Added to the diagonal of a patch's curvature; keeps flat patches where they are.
const FLATNESS: f32 = 4.0;
/// Grey levels that the same surface may differ by for no reason.
const NOISE: f32 = 1.5;
/// How far texture may seem to move for no reason, pixels: what fine steps alias to.
const ALIAS_PX: f32 = 0.6;
/// How much better a patch must fit away from its base to be believed.
const GAIN: f32 = 1.5;
/// Least share of a pixel on another surface than the middle of its patch.
const OTHER_SURFACE: f32 = 1e-3;

/// Where a patch went, beyond the base flow.
struct Match {
    column: usize,
    row: usize,
    shift: [f32; 2],
    /// Mean of the difference over the patch, which is light and no motion.
    bias: f32,
}

/// A patch under way.
struct Patch<'a> {
    level: &'a Level,
    column: usize,
    row: usize,
    values: [f32; PIXELS],
    slopes: [[f32; 2]; PIXELS],
    /// Place in the other picture by the base flow.
    places: [[f32; 2]; PIXELS],
    /// How much of the pixel lies on the surface of the patch's middle.
    support: [f32; PIXELS],
    total: f32,
}

/// What remains at a shift.
struct Rest {
    differences: [f32; PIXELS],
    bias: f32,
    /// Weighted mean of the squares without the bias.
    cost: f32,
}

/// Flow of a level beyond its base, from a start `[H, W]`.
pub(super) fn search(level: &Level, start: &[[f32; 2]]) -> Vec<[f32; 2]> {
    let (height, width) = (level.from.height, level.from.width);
    let columns = places(width);
    let matches: Vec<Match> = places(height)
        .par_iter()
        .flat_map_iter(|&row| columns.iter().map(move |&column| (column, row)))
        .map(|(column, row)| Patch::new(level, column, row).search(start))
        .collect();
    spread(level, &matches, start)
}

fn places(size: usize) -> Vec<usize> {
    let last = size.saturating_sub(PATCH);
    let mut places: Vec<usize> = (0..=last).step_by(STEP).collect();
    if places.last() != Some(&last) {
        places.push(last);
    }
    places
}

/// Every pixel takes the mean of the patches over it, by how well they explain it and whether their
/// middle lies on its surface.
fn spread(level: &Level, matches: &[Match], start: &[[f32; 2]]) -> Vec<[f32; 2]> {
    let (height, width) = (level.from.height, level.from.width);
    let mut sums = vec![[0.0_f32; 3]; height * width];
    for found in matches {
        let middle = middle(level, found.column, found.row);
        for r in found.row..(found.row + PATCH).min(height) {
            for c in found.column..(found.column + PATCH).min(width) {
                let i = r * width + c;
                let [u, v] = level.base[i];
                let seen = level
                    .onto
                    .sample(c as f32 + u + found.shift[0], r as f32 + v + found.shift[1]);
                let miss = (seen - level.from.values[i] - found.bias).abs();
                let w = (level.same_surface(i, middle) + OTHER_SURFACE) / miss.max(1.0).powi(2);
                sums[i][0] += w * found.shift[0];
                sums[i][1] += w * found.shift[1];
                sums[i][2] += w;
            }
        }
    }
    sums.iter()
        .zip(start)
        .map(|(s, start)| {
            if s[2] > 0.0 {
                [s[0] / s[2], s[1] / s[2]]
            } else {
                *start
            }
        })
        .collect()
}

fn middle(level: &Level, column: usize, row: usize) -> usize {
    let (height, width) = (level.from.height, level.from.width);
    (row + PATCH / 2).min(height - 1) * width + (column + PATCH / 2).min(width - 1)
}

impl<'a> Patch<'a> {
    fn new(level: &'a Level, column: usize, row: usize) -> Self {
        let (height, width) = (level.from.height, level.from.width);
        let middle = middle(level, column, row);
        let mut patch = Self {
            level,
            column,
            row,
            values: [0.0; PIXELS],
            slopes: [[0.0; 2]; PIXELS],
            places: [[0.0; 2]; PIXELS],
            support: [0.0; PIXELS],
            total: 0.0,
        };
        for k in 0..PIXELS {
            // A picture smaller than a patch repeats its border.
            let c = (column + k % PATCH).min(width - 1);
            let r = (row + k / PATCH).min(height - 1);
            let i = r * width + c;
            let at = |dc: isize, dr: isize| level.from.at(c as isize + dc, r as isize + dr);
            patch.values[k] = level.from.values[i];
            patch.slopes[k] = [(at(1, 0) - at(-1, 0)) / 2.0, (at(0, 1) - at(0, -1)) / 2.0];
            patch.places[k] = [c as f32 + level.base[i][0], r as f32 + level.base[i][1]];
            patch.support[k] = level.same_surface(i, middle) + OTHER_SURFACE;
            patch.total += patch.support[k];
        }
        patch
    }

    fn rest(&self, shift: [f32; 2]) -> Rest {
        let mut differences = [0.0; PIXELS];
        let mut sum = 0.0;
        for (k, difference) in differences.iter_mut().enumerate() {
            let [c, r] = self.places[k];
            *difference = self.level.onto.sample(c + shift[0], r + shift[1]) - self.values[k];
            sum += self.support[k] * *difference;
        }
        let bias = sum / self.total;
        let squares = differences.iter().zip(&self.support);
        let cost = squares.map(|(d, s)| s * (d - bias).powi(2)).sum::<f32>() / self.total;
        Rest {
            differences,
            bias,
            cost,
        }
    }

    /// Steps from the best of the coarser level's vectors around the patch and the base flow.
    fn search(&self, start: &[[f32; 2]]) -> Match {
        let still = self.rest([0.0; 2]);
        let (still_cost, still_bias) = (still.cost, still.bias);
        let mut initial = [0.0; 2];
        let mut rest = still;
        for candidate in self.candidates(start) {
            if candidate != initial {
                let other = self.rest(candidate);
                if other.cost < rest.cost {
                    (initial, rest) = (candidate, other);
                }
            }
        }
        let shift = self.descend(initial, &mut rest);
        let steep = self.slopes.iter().zip(&self.support);
        let steep = steep
            .map(|(g, s)| s * (g[0] * g[0] + g[1] * g[1]))
            .sum::<f32>()
            / self.total;
        let is_moving = still_cost > GAIN * rest.cost + NOISE * NOISE + ALIAS_PX * ALIAS_PX * steep;
        let is_still = self.level.trusts_base && !is_moving;
        Match {
            column: self.column,
            row: self.row,
            shift: if is_still { [0.0; 2] } else { shift },
            bias: if is_still { still_bias } else { rest.bias },
        }
    }

    fn candidates(&self, start: &[[f32; 2]]) -> [[f32; 2]; 5] {
        let (height, width) = (self.level.from.height, self.level.from.width);
        let at = |down: usize, right: usize| {
            let r = (self.row + down).min(height - 1);
            start[r * width + (self.column + right).min(width - 1)]
        };
        let (half, last) = (PATCH / 2, PATCH - 1);
        [
            at(half, half),
            at(0, 0),
            at(0, last),
            at(last, 0),
            at(last, last),
        ]
    }

    fn descend(&self, initial: [f32; 2], rest: &mut Rest) -> [f32; 2] {
        let mean = [0, 1].map(|k| {
            let slopes = self.slopes.iter().zip(&self.support);
            slopes.map(|(g, s)| s * g[k]).sum::<f32>() / self.total
        });
        let centred = self.slopes.map(|g| [g[0] - mean[0], g[1] - mean[1]]);
        let (mut xx, mut xy, mut yy) = (FLATNESS, 0.0, FLATNESS);
        for (g, s) in centred.iter().zip(&self.support) {
            xx += s * g[0] * g[0];
            xy += s * g[0] * g[1];
            yy += s * g[1] * g[1];
        }
        let determinant = xx * yy - xy * xy;
        let mut shift = initial;
        for _ in 0..ITERATIONS {
            let (mut gx, mut gy) = (0.0, 0.0);
            for (k, g) in centred.iter().enumerate() {
                let d = self.support[k] * (rest.differences[k] - rest.bias);
                gx += d * g[0];
                gy += d * g[1];
            }
            let step = [
                (yy * gx - xy * gy) / determinant,
                (xx * gy - xy * gx) / determinant,
            ];
            let moved = [shift[0] - step[0], shift[1] - step[1]];
            let away = (moved[0] - initial[0]).hypot(moved[1] - initial[1]);
            if away.is_nan() || away > REACH {
                break;
            }
            let next = self.rest(moved);
            if next.cost >= rest.cost {
                break;
            }
            shift = moved;
            *rest = next;
            if step[0].hypot(step[1]) < 0.01 {
                break;
            }
        }
        shift
    }
}

//! The normal equations of a frame over all of its pixels, in one pass.
//!
//! With the depth eliminated the derivatives of a residual are products of `D` with functions of the
//! ray `d` alone. With `Q = I - d d^T / |d|^2`, `Y = D d + e` and weights `w` (a left turn, a shift
//! of the camera's origin in its own axes, and the logarithm of the focal length):
//!
//! ```text
//! turn turn    w D^2 (|d|^2 I - d d^T)      turn focal    w D^2 (z x d)
//! turn shift   w D [d]x                     shift focal   w D (d / |d|^2 - z)
//! shift shift  w Q                          focal focal   w D^2 (1 - 1 / |d|^2)
//! slopes       w D (d x e),  w e,  -w D e_z
//! ```
//!
//! A row of the image shares `d_y`, so 20 sums over `w`, `w D`, `w D^2`, `e` and powers of `d_x` hold
//! all of it. Pixels are summed in f32 in independent lanes along a row, rows in f64 and in order: the
//! result depends neither on threads nor on the width of vectors.

use glam::DMat3;

use super::normals::View;
use super::pixel_sums::{FrameSums, PixelSums, SUMS};
use super::samples::{FrameSamples, REQUIRED};
use super::trajectory::Trajectory;
use super::{PointmapClip, SolveOptions};
use crate::kernels::vectorised;

/// Partial sums along a row.
const LANES: usize = 16;

/// How residuals are weighted; scales in units of the pass.
#[derive(Clone, Copy, Debug)]
pub(super) enum Weighing {
    /// Geman and McClure: `1 / (1 + (e / 2s)^2)^2`.
    GemanMcClure(f64),
    /// Unsquared up to a reach: `1 / max(e, 0.3 s) / (1 + (e / 6s)^2)`.
    Unsquared(f64),
}

/// A clip as the pass reads it.
#[derive(Clone, Copy, Debug)]
pub(super) struct EveryPixel<'a> {
    pub(super) clip: &'a PointmapClip<'a>,
    pub(super) pixel_centre: f64,
    /// Length that becomes 1 in the sums, so that f32 holds them at any scale.
    pub(super) unit: f64,
}

impl<'a> EveryPixel<'a> {
    /// In units of the path's median depth; `None` where it has none.
    pub(super) fn new(
        clip: &'a PointmapClip<'a>,
        options: &SolveOptions,
        path: &Trajectory,
    ) -> Option<Self> {
        let unit = path.median_depth.abs();
        let has_unit = unit.is_normal() && (1.0 / unit as f32).is_normal();
        has_unit.then_some(Self {
            clip,
            pixel_centre: options.pixel_centre,
            unit,
        })
    }

    /// Sums over a frame; `samples` tells its middle and its scale of weights.
    pub(super) fn sums(
        &self,
        frame_idx: usize,
        samples: &FrameSamples,
        view: &View,
        weighing: Weighing,
    ) -> PixelSums {
        let pass = Pass::new(self, frame_idx, samples, view);
        match weighing {
            Weighing::GemanMcClure(scale) => {
                let sharpness = (0.25 / (scale * scale)) as f32;
                vectorised(
                    #[inline(always)]
                    || {
                        pass.run(
                            #[inline(always)]
                            |squared| {
                                let q = squared * sharpness;
                                let root = 1.0 / (1.0 + q);
                                // (w + w + e w') / 2
                                (root * root, root * root * (1.0 - 2.0 * q * root))
                            },
                        )
                    },
                )
            }
            Weighing::Unsquared(scale) => {
                let kink = (super::elimination::KINK * scale) as f32;
                let reach = (super::elimination::REACH * scale) as f32;
                let per_reach = 1.0 / (reach * reach);
                vectorised(
                    #[inline(always)]
                    || {
                        pass.run(
                            #[inline(always)]
                            |squared| {
                                let e = squared.sqrt();
                                let above = if e > kink { e } else { kink };
                                let q = squared * per_reach;
                                let far = 1.0 / (1.0 + q);
                                let w = far / above;
                                let linear = if e > kink { 0.5 } else { 0.0 };
                                (w, w * (1.0 - linear - q * far))
                            },
                        )
                    },
                )
            }
        }
    }
}

/// One frame and its camera, in f32 about the middle of its points and in units of the pass.
struct Pass<'a> {
    points: &'a [f32],
    valid: Option<&'a [u8]>,
    confidence: Option<&'a [f32]>,
    confidence_scale: f32,
    middle: [f32; 3],
    per_unit: f32,
    rotation: [[f32; 3]; 3],
    translation: [f32; 3],
    /// Ray of each column, filled up to a whole number of lanes.
    dx: Vec<f32>,
    dy: Vec<f64>,
    width: usize,
    world_from_camera: DMat3,
}

/// A row of points, taken apart; what is not used has weight 0 and lies at the middle.
struct Row {
    x: Vec<f32>,
    y: Vec<f32>,
    z: Vec<f32>,
    weight: Vec<f32>,
}

type Lanes = [[f32; LANES]; SUMS];

impl<'a> Pass<'a> {
    fn new(every: &EveryPixel<'a>, frame_idx: usize, samples: &FrameSamples, view: &View) -> Self {
        let clip = every.clip;
        let per_frame = clip.pixels_per_frame();
        let range = frame_idx * per_frame..(frame_idx + 1) * per_frame;
        let middle = samples.centre.as_vec3();
        let lens = &view.lens;
        let ray = |count: usize, centre: f64, focal: f64| {
            (0..count).map(move |i| (i as f64 + every.pixel_centre - centre) / focal)
        };
        let padded = clip.width.next_multiple_of(LANES);
        let translation = view.rotation * (middle.as_dvec3() - view.centre) / every.unit;
        Self {
            points: &clip.points[range.start * 3..range.end * 3],
            valid: clip.valid.map(|v| &v[range.clone()]),
            confidence: clip.confidence.map(|c| &c[range]),
            confidence_scale: samples.weight_scale as f32,
            middle: middle.to_array(),
            per_unit: (1.0 / every.unit) as f32,
            rotation: view
                .rotation
                .transpose()
                .to_cols_array_2d()
                .map(|row| row.map(|x| x as f32)),
            translation: translation.as_vec3().to_array(),
            dx: ray(padded, lens.cx_px, lens.fx_px)
                .map(|x| x as f32)
                .collect(),
            // In f32 on both sides of the sums, as the pixels see it.
            dy: ray(clip.height, lens.cy_px, lens.fy_px)
                .map(|y| f64::from(y as f32))
                .collect(),
            width: clip.width,
            world_from_camera: view.rotation.transpose(),
        }
    }

    #[inline(always)]
    fn run(&self, weigh: impl Fn(f32) -> (f32, f32)) -> PixelSums {
        let padded = self.dx.len();
        let mut row = Row {
            x: vec![0.0; padded],
            y: vec![0.0; padded],
            z: vec![0.0; padded],
            weight: vec![0.0; padded],
        };
        let mut sums = FrameSums::ZERO;
        for (row_idx, &dy) in self.dy.iter().enumerate() {
            self.load(row_idx, &mut row);
            let mut lanes: Lanes = [[0.0; LANES]; SUMS];
            row.add_to(self, dy as f32, &weigh, &mut lanes);
            sums.add_row(
                dy,
                &lanes.map(|lane| lane.iter().map(|x| f64::from(*x)).sum()),
            );
        }
        sums.finish(self.world_from_camera)
    }

    #[inline(always)]
    fn load(&self, row_idx: usize, row: &mut Row) {
        let range = row_idx * self.width..(row_idx + 1) * self.width;
        let points = self.points[range.start * 3..range.end * 3]
            .as_chunks::<3>()
            .0;
        for (i, p) in points.iter().enumerate() {
            let [x, y, z] = [0, 1, 2].map(|k| (p[k] - self.middle[k]) * self.per_unit);
            // A sum is finite only if all parts are.
            let usable = (x + y + z).is_finite();
            row.x[i] = if usable { x } else { 0.0 };
            row.y[i] = if usable { y } else { 0.0 };
            row.z[i] = if usable { z } else { 0.0 };
            row.weight[i] = if usable { 1.0 } else { 0.0 };
        }
        if let Some(valid) = self.valid {
            for (weight, bits) in row.weight.iter_mut().zip(&valid[range.clone()]) {
                if bits & REQUIRED != REQUIRED {
                    *weight = 0.0;
                }
            }
        }
        if let Some(confidence) = self.confidence {
            for (weight, c) in row.weight.iter_mut().zip(&confidence[range]) {
                let factor = c * self.confidence_scale;
                *weight *= if factor > 0.0 && factor.is_finite() {
                    factor
                } else {
                    0.0
                };
            }
        }
    }
}

impl Row {
    #[inline(always)]
    fn add_to(
        &self,
        pass: &Pass<'_>,
        dy: f32,
        weigh: &impl Fn(f32) -> (f32, f32),
        sums: &mut Lanes,
    ) {
        let [r0, r1, r2] = pass.rotation;
        let t = pass.translation;
        let across = dy * dy + 1.0;
        let chunks = pass.dx.as_chunks::<LANES>().0.iter();
        let points = (self.x.as_chunks::<LANES>().0.iter())
            .zip(self.y.as_chunks::<LANES>().0)
            .zip(self.z.as_chunks::<LANES>().0)
            .zip(self.weight.as_chunks::<LANES>().0);
        for (dx, (((x, y), z), weight)) in chunks.zip(points) {
            for i in 0..LANES {
                let camera = |r: [f32; 3], t: f32| r[0] * x[i] + r[1] * y[i] + r[2] * z[i] + t;
                let (yx, yy, yz) = (camera(r0, t[0]), camera(r1, t[1]), camera(r2, t[2]));
                let dx = dx[i];
                let n = 1.0 / (dx * dx + across);
                let depth = (yx * dx + yy * dy + yz) * n;
                let (ex, ey, ez) = (yx - depth * dx, yy - depth * dy, yz - depth);
                let squared = ex * ex + ey * ey + ez * ez;
                let (robust, curvature) = weigh(squared);
                let w = robust * weight[i];
                let (wd, wn) = (w * depth, w * n);
                let (wdd, wdn) = (wd * depth, wd * n);
                let terms = [
                    w,
                    wn,
                    wn * dx,
                    wn * dx * dx,
                    wd,
                    wd * dx,
                    wdn,
                    wdn * dx,
                    wdd,
                    wdd * dx,
                    wdd * dx * dx,
                    wdd * n,
                    w * ex,
                    w * ey,
                    w * ez,
                    wd * ex,
                    wd * ey,
                    wd * ez,
                    wd * dx * ey,
                    wd * dx * ez,
                    weight[i],
                    w * squared,
                    curvature * weight[i],
                ];
                for (sum, term) in sums.iter_mut().zip(terms) {
                    sum[i] += term;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use glam::DVec3;

    use super::*;
    use crate::geometry::{Intrinsics, rotation_exp};
    use crate::postopt::normals::{Counting, Normals};
    use crate::postopt::refinement::PointNorm;
    use crate::postopt::samples;

    const WIDTH: usize = 37;
    const HEIGHT: usize = 23;

    fn lens() -> Intrinsics {
        Intrinsics {
            fx_px: 41.0,
            fy_px: 38.0,
            cx_px: 19.0,
            cy_px: 11.0,
        }
    }

    /// Points some way off their rays, with holes.
    fn points() -> Vec<f32> {
        let mut points = Vec::new();
        for i in 0..WIDTH * HEIGHT {
            let t = i as f64;
            let off = DVec3::new((1.1 * t).sin(), (0.7 * t).cos(), (1.9 * t).sin()) * 0.1;
            let p = lens().ray(i % WIDTH, i / WIDTH) * (3.0 + (0.3 * t).sin()) + off;
            let hole = i % 19 == 7;
            points.extend(p.to_array().map(|x| if hole { f32::NAN } else { x as f32 }));
        }
        points
    }

    fn view() -> View {
        View {
            rotation: rotation_exp(DVec3::new(0.02, -0.03, 0.05)),
            centre: DVec3::new(0.1, 0.05, -0.2),
            lens: lens(),
        }
    }

    /// Calls with the clip, its samples at every pixel, and the pass in a unit of its own.
    fn with_pass(run: impl FnOnce(&EveryPixel<'_>, &FrameSamples)) {
        let points = points();
        let confidence: Vec<f32> = (0..WIDTH * HEIGHT).map(|i| (i % 5) as f32 * 7.0).collect();
        let valid: Vec<u8> = (0..WIDTH * HEIGHT)
            .map(|i| if i % 11 == 3 { 0 } else { REQUIRED })
            .collect();
        let clip = PointmapClip {
            points: &points,
            valid: Some(&valid),
            confidence: Some(&confidence),
            frames: 1,
            height: HEIGHT,
            width: WIDTH,
        };
        let options = SolveOptions {
            stride: Some(1),
            ..SolveOptions::default()
        };
        let samples = samples::collect(&clip, &options);
        let every = EveryPixel {
            clip: &clip,
            pixel_centre: options.pixel_centre,
            unit: 2.5,
        };
        run(&every, &samples[0]);
    }

    #[test]
    fn one_pass_equals_the_sum_over_samples() {
        with_pass(|every, samples| {
            let scale = 0.08;
            let found = every.sums(0, samples, &view(), Weighing::Unsquared(scale / every.unit));
            let how = Counting {
                norm: PointNorm::Euclidean,
                scale,
                unit: every.unit,
                share: 1.0 / every.unit,
            };
            let expected = Normals::of_samples(samples, &view(), &how);
            let count: f64 = samples.pixels.iter().map(|s| s.weight).sum();
            assert!((found.prior_weight / count - 1.0).abs() < 1e-5);
            for a in 0..7 {
                let size = |b: usize| expected.matrix[b][b].sqrt();
                let slope = (found.normals.gradient[a] - expected.gradient[a]) / size(a);
                assert!(slope.abs() < 1e-4, "{a}: {slope}");
                for b in 0..7 {
                    let away = found.normals.matrix[a][b] - expected.matrix[a][b];
                    let away = away / (size(a) * size(b));
                    assert!(away.abs() < 1e-5, "{a} {b}: {away}");
                }
            }
        });
    }

    #[test]
    fn slopes_and_curvature_are_those_of_the_robust_loss() {
        with_pass(|every, samples| {
            let scale = 0.03;
            let loss = |view: &View| -> f64 {
                let each = samples.pixels.iter().map(|sample| {
                    let (y, g, _) = view.of(sample, samples.centre);
                    let e = (y - g * (y.dot(g) / g.dot(g))).length() / every.unit;
                    sample.weight * 0.5 * e * e / (1.0 + (e / (2.0 * scale)).powi(2))
                });
                each.sum()
            };
            let moved = |a: usize, h: f64| {
                let mut view = view();
                let step = DVec3::AXES[a % 3] * h;
                match a {
                    0..3 => view.rotation = rotation_exp(step) * view.rotation,
                    3..6 => view.centre += step * every.unit,
                    _ => {
                        view.lens.fx_px *= h.exp();
                        view.lens.fy_px *= h.exp();
                    }
                }
                loss(&view)
            };
            let sums = every.sums(0, samples, &view(), Weighing::GemanMcClure(scale));
            let mut bends = (0.0, 0.0);
            for a in 0..7 {
                let slope = (moved(a, 1e-4) - moved(a, -1e-4)) / 2e-4;
                let size = sums.normals.matrix[a][a].sqrt();
                let away = (sums.normals.gradient[a] - slope) / size;
                assert!(away.abs() < 1e-4, "{a}: {away}");
                if (3..5).contains(&a) {
                    bends.0 += (moved(a, 1e-3) - 2.0 * loss(&view()) + moved(a, -1e-3)) / 1e-6;
                    bends.1 += sums.normals.matrix[a][a];
                }
            }
            // The softening is an average over directions.
            let softened = sums.curvature / sums.weight;
            let measured = bends.0 / bends.1;
            assert!((softened - measured).abs() < 0.1, "{softened} {measured}");
        });
    }
}

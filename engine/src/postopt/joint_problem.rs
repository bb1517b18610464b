//! The energy of the joint refinement, its normal equations, and the steps down.

use glam::{DMat3, DVec3};
use rayon::prelude::*;

use super::banded::Banded;
use super::elimination::{best_depth, eliminate};
use super::every_pixel::{EveryPixel, Weighing};
use super::joint::Freedom;
use super::motion_prior::{PER_FRAME, Path};
use super::normals::{Counting, Normals, View};
use super::refinement::{MotionPrior, PointNorm, Refinement};
use super::samples::FrameSamples;
use crate::Result;
use crate::geometry::robust::{MAD_TO_SIGMA, median};
use crate::geometry::{Intrinsics, rotation_exp, rotation_log};
use crate::job::JobCtx;

/// Steps at most, and at least: the scales of the first are not yet those of the solution.
const MAX_STEPS: usize = 16;
const MIN_STEPS: usize = 4;
/// Last steps at most, over all pixels.
const LAST_STEPS: usize = 6;
/// A last step this short, radians and median depths, ends them.
const SHORT_STEP: f64 = 2e-6;
/// Relative decrease of the energy that ends it.
const ENOUGH: f64 = 1e-6;
/// Least scale of residuals, in median depths, at the first steps and later.
///
/// Poses solved frame by frame leave no residual where a whole cloud is displaced, and an unsquared
/// loss holds on to a residual of zero; a wide first scale lets the prior lift them off.
const FIRST_SCALES: [f64; 2] = [3e-2, 1e-2];
const LEAST_SCALE: f64 = 1e-5;

/// Poses and lens under way.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) rotations: Vec<DMat3>,
    pub(super) centres: Vec<DVec3>,
    /// Factor of every lens's focal length, as a logarithm.
    pub(super) ln_focal: f64,
}

impl State {
    /// Root mean square over frames of turns in radians and shifts in `unit`.
    fn distance(&self, other: &Self, unit: f64) -> f64 {
        let frames = self.rotations.len() as f64;
        let turns = (self.rotations.iter().zip(&other.rotations))
            .map(|(a, b)| rotation_log(*b * a.transpose()).length_squared());
        let shifts = (self.centres.iter().zip(&other.centres))
            .map(|(a, b)| ((*b - *a) / unit).length_squared());
        ((turns.sum::<f64>() + shifts.sum::<f64>()) / frames).sqrt()
    }
}

/// Everything that the energy depends on but the state.
pub(super) struct Problem<'a> {
    /// Thinned; empty where a frame has no pose.
    pub(super) frames: Vec<FrameSamples>,
    pub(super) lenses: &'a [Intrinsics],
    pub(super) solved: usize,
    pub(super) unit: f64,
    pub(super) refinement: Refinement,
    pub(super) cuts: &'a [usize],
    /// Least scale of residuals, median depths.
    pub(super) floor: f64,
}

impl Problem<'_> {
    pub(super) fn minimise(&self, start: State, freedom: Freedom, ctx: &JobCtx) -> Result<State> {
        let mut state = start;
        let mut damping = 1e-6;
        for round in 0..MAX_STEPS {
            ctx.check()?;
            let first = FIRST_SCALES.get(round).copied().unwrap_or(LEAST_SCALE);
            let floor = first.max(self.floor);
            let scales = self.scales(&state, floor * self.unit);
            let (energy, normals) = self.linearise(&state, &scales);
            let mut decrease = 0.0;
            while damping < 1e6 {
                let candidate = self.step(&state, &normals, freedom, damping);
                let better = candidate
                    .map(|candidate| (self.energy(&candidate, &scales), candidate))
                    .filter(|(reached, _)| *reached < energy);
                if let Some((reached, candidate)) = better {
                    decrease = (energy - reached) / energy;
                    state = candidate;
                    damping = (damping * 0.1).max(1e-9);
                    break;
                }
                damping *= 10.0;
            }
            if round + 1 >= MIN_STEPS && decrease < ENOUGH {
                break;
            }
            damping = damping.min(1.0);
        }
        Ok(state)
    }

    /// A few steps from near the minimum with the normal equations that `linearise` gives, as long as
    /// they get shorter: an unsquared loss has no use for the last digits of a step.
    pub(super) fn finish(
        &self,
        near: &State,
        freedom: Freedom,
        ctx: &JobCtx,
        linearise: impl Fn(&Self, &State, &[f64]) -> Vec<Normals>,
    ) -> Result<State> {
        let mut state = near.clone();
        let mut kept = near.clone();
        let mut before = f64::INFINITY;
        let scales = self.scales(near, LEAST_SCALE.max(self.floor) * self.unit);
        for _ in 0..LAST_STEPS {
            ctx.check()?;
            let normals = linearise(self, &state, &scales);
            let Some(next) = self.step(&state, &normals, freedom, 0.0) else {
                break;
            };
            let length = state.distance(&next, self.unit);
            if length > before {
                return Ok(kept);
            }
            before = length;
            kept = std::mem::replace(&mut state, next);
            if length < SHORT_STEP {
                break;
            }
        }
        Ok(state)
    }

    /// Robust scale of each frame's residuals.
    fn scales(&self, state: &State, floor: f64) -> Vec<f64> {
        (0..self.frames.len())
            .into_par_iter()
            .map(|i| {
                let view = self.view(state, i);
                let samples = self.frames[i].pixels.iter();
                let mut rests: Vec<f64> = samples
                    .map(|sample| {
                        let (y, g, _) = view.of(sample, self.frames[i].centre);
                        (y - g * best_depth(y, g, PointNorm::Euclidean)).length()
                    })
                    .collect();
                (MAD_TO_SIGMA * median(&mut rests).unwrap_or(0.0)).max(floor)
            })
            .collect()
    }

    fn energy(&self, state: &State, scales: &[f64]) -> f64 {
        let norm = self.refinement.norm;
        let losses: Vec<f64> = (0..self.frames.len())
            .into_par_iter()
            .map(|i| {
                let view = self.view(state, i);
                let share = self.share(i);
                let samples = self.frames[i].pixels.iter();
                samples
                    .map(|sample| {
                        let (y, g, _) = view.of(sample, self.frames[i].centre);
                        sample.weight * share * eliminate(y, g, norm, scales[i]).loss
                    })
                    .sum()
            })
            .collect();
        let prior = self
            .path(state)
            .cost(self.refinement.prior, self.refinement.weight);
        losses.iter().sum::<f64>() + prior
    }

    /// Weight of a pixel of weight 1 in the mean over frames and pixels, a median depth as unit.
    fn share(&self, i: usize) -> f64 {
        let total: f64 = self.frames[i].pixels.iter().map(|s| s.weight).sum();
        if total > 0.0 {
            1.0 / (self.unit * self.solved as f64 * total)
        } else {
            0.0
        }
    }

    fn view(&self, state: &State, i: usize) -> View {
        let factor = state.ln_focal.exp();
        let lens = self.lenses[i];
        View {
            rotation: state.rotations[i],
            centre: state.centres[i],
            lens: Intrinsics {
                fx_px: lens.fx_px * factor,
                fy_px: lens.fy_px * factor,
                ..lens
            },
        }
    }

    fn path<'s>(&'s self, state: &'s State) -> Path<'s> {
        Path {
            rotations: &state.rotations,
            centres: &state.centres,
            unit: self.unit,
            cuts: self.cuts,
        }
    }

    fn linearise(&self, state: &State, scales: &[f64]) -> (f64, Vec<Normals>) {
        let normals = self.normals(state, scales);
        let data: f64 = normals.iter().map(|n| n.loss).sum();
        let prior = self
            .path(state)
            .cost(self.refinement.prior, self.refinement.weight);
        (data + prior, normals)
    }

    pub(super) fn normals(&self, state: &State, scales: &[f64]) -> Vec<Normals> {
        (0..self.frames.len())
            .into_par_iter()
            .map(|i| {
                let how = Counting {
                    norm: self.refinement.norm,
                    scale: scales[i],
                    unit: self.unit,
                    share: self.share(i),
                };
                Normals::of_samples(&self.frames[i], &self.view(state, i), &how)
            })
            .collect()
    }

    /// The same sums over all pixels, for the Euclidean norm, without the loss.
    pub(super) fn normals_of_every_pixel(
        &self,
        every: &EveryPixel<'_>,
        state: &State,
        scales: &[f64],
    ) -> Vec<Normals> {
        (0..self.frames.len())
            .into_par_iter()
            .map(|i| {
                let samples = &self.frames[i];
                if samples.pixels.is_empty() {
                    return Normals::default();
                }
                let weighing = Weighing::Unsquared(scales[i] / self.unit);
                let sums = every.sums(i, samples, &self.view(state, i), weighing);
                let share = 1.0 / (self.solved as f64 * sums.prior_weight);
                sums.normals.scaled(share, sums.stiffness())
            })
            .collect()
    }

    /// The damped step from `state`; `None` if the matrix is not positive definite.
    fn step(
        &self,
        state: &State,
        normals: &[Normals],
        freedom: Freedom,
        damping: f64,
    ) -> Option<State> {
        let focal_curvature: f64 = normals.iter().map(|n| n.matrix[PER_FRAME][PER_FRAME]).sum();
        let focal_slope: f64 = normals.iter().map(|n| n.gradient[PER_FRAME]).sum();
        let mut next = state.clone();
        if !freedom.poses {
            if freedom.focal {
                next.ln_focal -= focal_slope / (focal_curvature * (1.0 + damping));
            }
            return next.ln_focal.is_finite().then_some(next);
        }
        let size = normals.len() * PER_FRAME;
        let reach = match self.refinement.prior {
            MotionPrior::Path => 2,
            MotionPrior::Acceleration => 3,
        };
        let mut matrix = Banded::new(size, reach * PER_FRAME - 1);
        let mut along = vec![0.0; size];
        let mut border = vec![0.0; size];
        for (i, frame) in normals.iter().enumerate() {
            let start = i * PER_FRAME;
            for a in 0..PER_FRAME {
                along[start + a] = frame.gradient[a];
                border[start + a] = frame.matrix[a][PER_FRAME];
                for b in 0..=a {
                    matrix.add(start + a, start + b, frame.matrix[a][b]);
                }
            }
        }
        self.path(state).add_normals(
            self.refinement.prior,
            self.refinement.weight,
            &mut matrix,
            &mut along,
        );
        matrix.damp(damping);
        if !matrix.factor() {
            return None;
        }
        let border_raw = border.clone();
        matrix.solve(&mut along);
        matrix.solve(&mut border);
        let dot = |x: &[f64]| -> f64 { border_raw.iter().zip(x).map(|(a, b)| a * b).sum() };
        let zoom = if freedom.focal {
            (dot(&along) - focal_slope) / (focal_curvature * (1.0 + damping) - dot(&border))
        } else {
            0.0
        };
        let is_step = zoom.abs() < 1.0;
        if !is_step {
            return None;
        }
        for i in 0..normals.len() {
            let at = |k: usize| {
                let k = i * PER_FRAME + k;
                -along[k] - border[k] * zoom
            };
            let turn = DVec3::new(at(0), at(1), at(2));
            let shift = DVec3::new(at(3), at(4), at(5)) * self.unit;
            if !(turn.is_finite() && shift.is_finite()) {
                return None;
            }
            next.rotations[i] = rotation_exp(turn) * state.rotations[i];
            next.centres[i] += shift;
        }
        next.ln_focal += zoom;
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postopt::normals::COLUMNS;
    use crate::postopt::samples::Sample;

    /// Two frames of points some way off their rays.
    fn frames() -> Vec<FrameSamples> {
        (0..2)
            .map(|frame| FrameSamples {
                pixels: (0..40)
                    .map(|i| {
                        let t = f64::from(i * 7 + frame * 3);
                        let (u_px, v_px) = (f64::from(i % 8) * 10.0, f64::from(i / 8) * 12.0);
                        let depth = 3.0 + (0.3 * t).sin();
                        let ray = DVec3::new((u_px - 40.0) / 70.0, (v_px - 30.0) / 72.0, 1.0);
                        let off = DVec3::new((1.1 * t).sin(), (0.7 * t).cos(), (1.9 * t).sin());
                        Sample {
                            point: ray * depth + off * 0.2,
                            u_px,
                            v_px,
                            weight: 1.0 + 0.3 * (0.5 * t).cos(),
                        }
                    })
                    .collect(),
                centre: DVec3::new(0.1, 0.2, -0.1),
                ..FrameSamples::default()
            })
            .collect()
    }

    #[test]
    fn slopes_of_the_energy_equal_central_differences() {
        let lenses = [Intrinsics {
            fx_px: 71.0,
            fy_px: 69.0,
            cx_px: 41.0,
            cy_px: 29.0,
        }; 2];
        for norm in [PointNorm::Euclidean, PointNorm::ComponentL1] {
            let problem = Problem {
                frames: frames(),
                lenses: &lenses,
                solved: 2,
                unit: 3.0,
                refinement: Refinement {
                    weight: 0.0,
                    norm,
                    ..Refinement::OURS
                },
                cuts: &[],
                floor: 0.0,
            };
            let state = State {
                rotations: vec![rotation_exp(DVec3::new(0.02, -0.03, 0.05)); 2],
                centres: vec![DVec3::new(0.1, 0.05, -0.2); 2],
                ln_focal: 0.03,
            };
            let scales = [0.2, 0.3];
            let (_, normals) = problem.linearise(&state, &scales);
            for at in 0..COLUMNS {
                let probe = |h: f64| {
                    let mut moved = state.clone();
                    let mut turn = DVec3::ZERO;
                    match at {
                        0..3 => turn[at] = h,
                        3..6 => moved.centres[1][at - 3] += h * problem.unit,
                        _ => moved.ln_focal += h,
                    }
                    moved.rotations[1] = rotation_exp(turn) * moved.rotations[1];
                    problem.energy(&moved, &scales)
                };
                let expected = (probe(1e-6) - probe(-1e-6)) / 2e-6;
                let slope = if at < PER_FRAME {
                    normals[1].gradient[at]
                } else {
                    normals.iter().map(|n| n.gradient[at]).sum()
                };
                assert!(
                    (slope - expected).abs() < 1e-6,
                    "{norm:?} {at}: {slope} {expected}"
                );
            }
        }
    }
}

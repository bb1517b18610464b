//! The pose of one frame for a given lens: Geman-McClure weights around the closed form.

use glam::{DMat3, DVec3};

use super::PoseSigma;
use super::moments::{Moments, RotationCost};
use super::samples::FrameSamples;
use crate::geometry::robust::{MAD_TO_SIGMA, median};
use crate::geometry::{CameraFromWorld, Intrinsics, cross_matrix};

/// Share of the weight that must lie in front of the camera.
const MIN_FRONT: f64 = 0.95;

/// How many times better a cloud behind the camera must fit to be believed, in squares.
const BEHIND_COST: f64 = 100.0;

/// Where the search for the rotation begins.
#[derive(Clone, Copy, Debug)]
pub(super) enum Start {
    /// At a rotation that should be close.
    Warm(DMat3),
    /// From every minimum of the cost; the depth decides.
    Cold,
}

/// How long to iterate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Robust {
    /// Reweightings.
    pub(super) rounds: usize,
    /// Scale of the residuals; `None` measures it anew each round.
    pub(super) scale: Option<f64>,
}

/// A frame's pose and how well it explains the points.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameFit {
    /// In the clip's coordinates.
    pub(super) pose: CameraFromWorld,
    /// Median distance of a point from its ray.
    pub(super) residual: f64,
    /// `1.4826 * residual`, or the scale that was given.
    pub(super) scale: f64,
    /// Mean Geman-McClure loss `e^2 / 2 / (1 + (e / 2s)^2)`.
    pub(super) loss: f64,
    /// Median z of the points in the camera.
    pub(super) median_depth: f64,
    /// Share of the weight in front of the camera.
    pub(super) front: f64,
    /// Share of the pixels whose robust weight is below 0.1.
    pub(super) outliers: f64,
    /// Uncertainty.
    pub(super) sigma: PoseSigma,
}

impl FrameFit {
    /// True if the camera sees its points.
    pub(super) fn is_in_front(&self) -> bool {
        self.median_depth > 0.0 && self.front >= MIN_FRONT
    }

    /// True if this is a better answer: in front first, then by residual.
    pub(super) fn beats(&self, other: &Self) -> bool {
        (!self.is_in_front(), self.residual) < (!other.is_in_front(), other.residual)
    }
}

/// Robust residual weights, Geman and McClure: `1 / (1 + (e / 2s)^2)^2`.
fn geman_mcclure(residual: f64, scale: f64) -> f64 {
    let ratio = residual / (2.0 * scale);
    let w = 1.0 / (1.0 + ratio * ratio);
    w * w
}

struct FrameProblem<'a> {
    samples: &'a FrameSamples,
    rays: Vec<DVec3>,
    /// Robust weights, without the samples' own.
    robust: Vec<f64>,
    residuals: Vec<f64>,
    scratch: Vec<f64>,
}

/// Solves a frame; `None` if its rays and points fix no pose.
pub(super) fn fit(
    samples: &FrameSamples,
    lens: &Intrinsics,
    start: Start,
    robust: Robust,
) -> Option<FrameFit> {
    let mut problem = FrameProblem::new(samples, lens);
    let mut cost = problem.cost()?;
    let mut rotation = match start {
        Start::Warm(rotation) => cost.descend(rotation),
        Start::Cold => problem.cold_start(&cost)?,
    };
    let mut scale = problem.reweight(rotation, cost.translation(rotation), robust.scale);
    for _ in 0..robust.rounds {
        cost = problem.cost()?;
        rotation = cost.descend(rotation);
        scale = problem.reweight(rotation, cost.translation(rotation), robust.scale);
    }
    problem.summary(rotation, &cost, scale)
}

impl<'a> FrameProblem<'a> {
    fn new(samples: &'a FrameSamples, lens: &Intrinsics) -> Self {
        let rays = samples
            .pixels
            .iter()
            .map(|s| {
                let d = DVec3::new(
                    (s.u_px - lens.cx_px) / lens.fx_px,
                    (s.v_px - lens.cy_px) / lens.fy_px,
                    1.0,
                );
                d / d.length()
            })
            .collect();
        let n = samples.pixels.len();
        Self {
            samples,
            rays,
            robust: vec![1.0; n],
            residuals: vec![0.0; n],
            scratch: vec![0.0; n],
        }
    }

    fn cost(&self) -> Option<RotationCost> {
        let mut moments = Moments::default();
        for ((sample, ray), robust) in self.samples.pixels.iter().zip(&self.rays).zip(&self.robust)
        {
            moments.add(*ray, sample.point, sample.weight * robust);
        }
        moments.eliminate_translation()
    }

    /// The cheapest minimum with the cloud in front of the camera; one with the cloud behind only
    /// where it fits far better: a planar cloud has a twin behind of equal cost, but a cloud that was
    /// turned inside out fits nowhere else.
    fn cold_start(&mut self, cost: &RotationCost) -> Option<DMat3> {
        let minima = cost.all_minima();
        let keyed = minima.into_iter().map(|rotation| {
            let translation = cost.translation(rotation);
            let behind = self.median_depth(rotation, translation) <= 0.0;
            (behind, cost.value(rotation), rotation)
        });
        // Below the rounding of f32 input costs are equal.
        let floor = 1e-12 * cost.trace();
        keyed
            .filter(|(_, value, _)| value.is_finite())
            .min_by(|a, b| {
                let price = |(behind, value, _): &(bool, f64, DMat3)| {
                    (value + floor) * if *behind { BEHIND_COST } else { 1.0 }
                };
                price(a).total_cmp(&price(b))
            })
            .map(|best| best.2)
    }

    fn median_depth(&mut self, rotation: DMat3, translation: DVec3) -> f64 {
        let forward = rotation.transpose().z_axis;
        for (slot, sample) in self.scratch.iter_mut().zip(&self.samples.pixels) {
            *slot = forward.dot(sample.point) + translation.z;
        }
        median(&mut self.scratch).unwrap_or(0.0)
    }

    /// Measures the residuals, sets the robust weights and returns the scale they stand on.
    fn reweight(&mut self, rotation: DMat3, translation: DVec3, fixed: Option<f64>) -> f64 {
        for ((e, sample), ray) in self
            .residuals
            .iter_mut()
            .zip(&self.samples.pixels)
            .zip(&self.rays)
        {
            let y = rotation * sample.point + translation;
            *e = (y - *ray * ray.dot(y)).length();
        }
        // Below the rounding of f32 input every residual counts alike.
        let floor = 1e-7 * self.samples.spread + f64::MIN_POSITIVE;
        let scale = fixed
            .unwrap_or_else(|| self.median_residual() * MAD_TO_SIGMA)
            .max(floor);
        for (weight, e) in self.robust.iter_mut().zip(&self.residuals) {
            *weight = geman_mcclure(*e, scale);
        }
        scale
    }

    fn median_residual(&mut self) -> f64 {
        self.scratch.copy_from_slice(&self.residuals);
        median(&mut self.scratch).unwrap_or(0.0)
    }

    fn summary(&mut self, rotation: DMat3, cost: &RotationCost, scale: f64) -> Option<FrameFit> {
        let translation = cost.translation(rotation);
        let forward = rotation.transpose().z_axis;
        let n = self.residuals.len() as f64;
        let (mut loss, mut outliers, mut weight, mut front, mut squares) =
            (0.0, 0.0, 0.0, 0.0, 0.0);
        for ((sample, &e), &w) in self
            .samples
            .pixels
            .iter()
            .zip(&self.residuals)
            .zip(&self.robust)
        {
            let total = sample.weight * w;
            loss += 0.5 * e * e * w.sqrt() / n;
            outliers += f64::from(u8::from(w < 0.1)) / n;
            weight += total;
            squares += total * e * e;
            if forward.dot(sample.point) + translation.z > 0.0 {
                front += total;
            }
        }
        let residual = self.median_residual();
        let fit = FrameFit {
            pose: CameraFromWorld {
                rotation,
                translation: translation - rotation * self.samples.centre,
            },
            residual,
            scale,
            loss,
            median_depth: self.median_depth(rotation, translation),
            front: front / weight,
            outliers,
            sigma: pose_sigma(rotation, cost, squares / (2.0 * weight)),
        };
        (fit.pose.translation.is_finite() && fit.loss.is_finite()).then_some(fit)
    }
}

/// Pose uncertainty from the curvature at the solution and the variance a residual component.
///
/// With `B` the change of `t` with a left turn `w`, `o = mu - R^T t` moves by
/// `-R^T (([t]x + B) w + dt)`.
fn pose_sigma(rotation: DMat3, cost: &RotationCost, variance: f64) -> PoseSigma {
    let (_, _, curvature) = cost.derivatives(rotation);
    let turn = curvature.inverse() * variance;
    let lever = cross_matrix(cost.translation(rotation)) + cost.translation_jacobian(rotation);
    let centre = lever * turn * lever.transpose() + cost.translation_covariance * variance;
    let trace = |m: DMat3| m.x_axis.x + m.y_axis.y + m.z_axis.z;
    let root = |x: f64| {
        if x.is_finite() {
            x.max(0.0).sqrt()
        } else {
            0.0
        }
    };
    PoseSigma {
        rotation_rad: root(trace(turn)),
        centre: root(trace(centre)),
    }
}

//! The smoothness terms of the joint refinement and their derivatives.

use glam::{DMat3, DVec3};

use super::banded::Banded;
use super::refinement::MotionPrior;
use crate::geometry::{cross_matrix, rotation_log};

/// Below this a term counts by its square.
const KINK: f64 = 1e-3;
/// Unknowns of a frame: left turn, then the centre in units of the median depth.
pub(super) const PER_FRAME: usize = 6;

/// A smoothness term: which frames, how much of each part of them, and the residual itself.
struct Term {
    residual: DVec3,
    /// Frame and derivative of the residual by its turn or centre.
    parts: Vec<(usize, DMat3)>,
    weight: f64,
    /// Offset of the part in a frame's unknowns: 0 the turn, 3 the centre.
    offset: usize,
}

/// `max(1 / |r|, ..)` weighting of lengths: loss and weight.
fn length_loss(r: f64) -> (f64, f64) {
    if r < KINK {
        (r * r / (2.0 * KINK), 1.0 / KINK)
    } else {
        (r - KINK / 2.0, 1.0 / r)
    }
}

/// Poses as the prior sees them.
pub(super) struct Path<'a> {
    /// `[T]`, world to camera.
    pub(super) rotations: &'a [DMat3],
    /// `[T]`.
    pub(super) centres: &'a [DVec3],
    /// Unit of the centres' unknowns.
    pub(super) unit: f64,
    /// Frames that begin a new shot; nothing is smooth across.
    pub(super) cuts: &'a [usize],
}

impl Path<'_> {
    fn terms(&self, prior: MotionPrior, weight: f64) -> Vec<Term> {
        let span = match prior {
            MotionPrior::Path => 1,
            MotionPrior::Acceleration => 2,
        };
        (0..self.rotations.len().saturating_sub(span))
            .filter(|i| !self.cuts.iter().any(|cut| (i + 1..=i + span).contains(cut)))
            .flat_map(|i| match prior {
                MotionPrior::Path => self.step_terms(i, weight),
                MotionPrior::Acceleration => self.change_terms(i, weight),
            })
            .collect()
    }

    /// `log(R_i R_i+1^T)` and its derivatives by left turns of both.
    fn turn(&self, i: usize) -> (DVec3, DMat3, DMat3) {
        let log = rotation_log(self.rotations[i] * self.rotations[i + 1].transpose());
        let left = inverse_left_jacobian(log);
        (log, left, -left.transpose())
    }

    fn step_terms(&self, i: usize, weight: f64) -> [Term; 2] {
        let (log, by_first, by_second) = self.turn(i);
        let step = (self.centres[i + 1] - self.centres[i]) / self.unit;
        [
            Term {
                residual: log,
                parts: vec![(i, by_first), (i + 1, by_second)],
                weight: weight * std::f64::consts::SQRT_2,
                offset: 0,
            },
            Term {
                residual: step,
                parts: vec![(i, -DMat3::IDENTITY), (i + 1, DMat3::IDENTITY)],
                weight,
                offset: 3,
            },
        ]
    }

    fn change_terms(&self, i: usize, weight: f64) -> [Term; 2] {
        let (before, a, b) = self.turn(i);
        let (after, c, d) = self.turn(i + 1);
        let [o0, o1, o2] = [0, 1, 2].map(|k| self.centres[i + k] / self.unit);
        let one = DMat3::IDENTITY;
        [
            Term {
                residual: before - after,
                parts: vec![(i, a), (i + 1, b - c), (i + 2, -d)],
                weight: weight * std::f64::consts::SQRT_2,
                offset: 0,
            },
            Term {
                residual: o0 - o1 * 2.0 + o2,
                parts: vec![(i, one), (i + 1, one * -2.0), (i + 2, one)],
                weight,
                offset: 3,
            },
        ]
    }

    /// Value of the prior.
    pub(super) fn cost(&self, prior: MotionPrior, weight: f64) -> f64 {
        self.terms(prior, weight)
            .iter()
            .map(|term| term.weight * length_loss(term.residual.length()).0)
            .sum()
    }

    /// Adds the prior's reweighted normal equations.
    pub(super) fn add_normals(
        &self,
        prior: MotionPrior,
        weight: f64,
        matrix: &mut Banded,
        gradient: &mut [f64],
    ) {
        for term in self.terms(prior, weight) {
            let w = term.weight * length_loss(term.residual.length()).1;
            for (frame, by) in &term.parts {
                let row = frame * PER_FRAME + term.offset;
                let slope = by.transpose() * term.residual * w;
                for k in 0..3 {
                    gradient[row + k] += slope[k];
                }
                for (other, by_other) in &term.parts {
                    let block = by.transpose() * *by_other * w;
                    let column = other * PER_FRAME + term.offset;
                    for a in 0..3 {
                        for b in 0..3 {
                            matrix.add(row + a, column + b, block.col(b)[a]);
                        }
                    }
                }
            }
        }
    }
}

/// Derivative of `log(exp(w) R)` by `w` at 0, with `phi = log R`:
/// `I - [phi]x / 2 + (1 / t^2 - (1 + cos t) / (2 t sin t)) [phi]x^2`.
fn inverse_left_jacobian(phi: DVec3) -> DMat3 {
    let t = phi.length();
    let k = cross_matrix(phi);
    // The coefficient goes to 1/12; its quotient loses digits below.
    let second = if t < 1e-3 {
        1.0 / 12.0 + t * t / 720.0
    } else {
        1.0 / (t * t) - (1.0 + t.cos()) / (2.0 * t * t.sin())
    };
    DMat3::IDENTITY - k * 0.5 + k * k * second
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::rotation_exp;

    #[test]
    fn slopes_of_both_priors_equal_central_differences() {
        let rotations: Vec<DMat3> = (0..5)
            .map(|i| {
                let i = f64::from(i);
                rotation_exp(DVec3::new(0.3 * i, (1.3 * i).sin(), 0.1 * i * i))
            })
            .collect();
        let centres: Vec<DVec3> = (0..5)
            .map(|i| {
                let i = f64::from(i);
                DVec3::new((0.9 * i).cos(), 0.2 * i, (0.4 * i).sin())
            })
            .collect();
        let unit = 2.5;
        for prior in [MotionPrior::Path, MotionPrior::Acceleration] {
            let cost = |turns: &[DVec3], moves: &[DVec3]| {
                let rotations: Vec<DMat3> = rotations
                    .iter()
                    .zip(turns)
                    .map(|(r, w)| rotation_exp(*w) * *r)
                    .collect();
                let centres: Vec<DVec3> = centres
                    .iter()
                    .zip(moves)
                    .map(|(o, p)| *o + *p * unit)
                    .collect();
                Path {
                    rotations: &rotations,
                    centres: &centres,
                    unit,
                    cuts: &[],
                }
                .cost(prior, 0.7)
            };
            let mut matrix = Banded::new(30, 17);
            let mut gradient = vec![0.0; 30];
            Path {
                rotations: &rotations,
                centres: &centres,
                unit,
                cuts: &[],
            }
            .add_normals(prior, 0.7, &mut matrix, &mut gradient);
            for (at, slope) in gradient.iter().enumerate() {
                let probe = |h: f64| {
                    let mut turns = vec![DVec3::ZERO; 5];
                    let mut moves = vec![DVec3::ZERO; 5];
                    let (frame, part) = (at / 6, at % 6);
                    if part < 3 {
                        turns[frame][part] = h;
                    } else {
                        moves[frame][part - 3] = h;
                    }
                    cost(&turns, &moves)
                };
                let expected = (probe(1e-5) - probe(-1e-5)) / 2e-5;
                assert!(
                    (slope - expected).abs() < 1e-6,
                    "{prior:?} {at}: {slope} {expected}"
                );
            }
        }
    }

    #[test]
    fn nothing_is_smooth_across_a_cut() {
        let rotations = vec![DMat3::IDENTITY; 6];
        let mut centres = vec![DVec3::ZERO; 6];
        centres[3..].fill(DVec3::X);
        for (cuts, is_free) in [(&[3][..], true), (&[], false)] {
            let path = Path {
                rotations: &rotations,
                centres: &centres,
                unit: 1.0,
                cuts,
            };
            for prior in [MotionPrior::Path, MotionPrior::Acceleration] {
                assert_eq!(path.cost(prior, 1.0) == 0.0, is_free);
            }
        }
    }
}

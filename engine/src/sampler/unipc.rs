//! UniPC, the predictor-corrector of Zhao et al. (arXiv 2302.04867), on the flow's nodes.
//!
//! As in huggingface/diffusers `scheduling_unipc_multistep.py`, for data prediction: `m = x - sigma v`,
//! `alpha = 1 - sigma`, `lambda = ln(alpha / sigma)`. With `h` the change of `lambda` over a step and
//! `D_k = (m_k - m_0) / r_k` the divided differences towards earlier nodes,
//! `x' = (sigma' / sigma) x - alpha' (e^-h - 1) m_0 - alpha' B(-h) sum_k rho_k D_k`.

use std::collections::VecDeque;

use candle_core::Tensor;

use super::{Schedule, Solver};
use crate::{Error, Result};

/// The function `B(h)` of the method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BFunction {
    /// `B(h) = h`.
    Bh1,
    /// `B(h) = e^h - 1`.
    #[default]
    Bh2,
}

/// Variants of the method; the default is Wan's.
#[derive(Clone, Debug, PartialEq)]
pub struct UniPcSettings {
    /// Order of the predictor, at least 1.
    pub order: usize,
    /// `B(h)`.
    pub b_function: BFunction,
    /// Falls to order 1 at the last step.
    pub lower_order_final: bool,
    /// Steps whose result is not corrected.
    pub uncorrected: Vec<usize>,
}

impl Default for UniPcSettings {
    fn default() -> Self {
        Self {
            order: 2,
            b_function: BFunction::Bh2,
            lower_order_final: true,
            uncorrected: Vec::new(),
        }
    }
}

/// The state of a run: data predictions of the last nodes.
#[derive(Clone, Debug)]
pub struct UniPc {
    schedule: Schedule,
    settings: UniPcSettings,
    step: usize,
    /// Data predictions, newest last, of the nodes before `step`.
    history: VecDeque<Tensor>,
    /// Sample and order of the last prediction.
    last: Option<(Tensor, usize)>,
}

/// Weights of one update: of the sample, of the prediction at its node, and of the differences.
struct Update {
    sample: f64,
    newest: f64,
    /// `-alpha' B(-h)`.
    differences: f64,
    /// `r_k` towards the earlier nodes.
    ratios: Vec<f64>,
    /// Right-hand side of the order conditions.
    moments: Vec<f64>,
}

impl UniPc {
    /// Starts at the first node of `schedule`.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the order is 0, if a node before the last is not inside (0, 1), or if
    /// a last node at 0 after others is not reached with order 1.
    pub fn new(schedule: Schedule, settings: UniPcSettings) -> Result<Self> {
        let invalid = |reason: String| Err(Error::invalid("UniPC", reason));
        if settings.order == 0 {
            return invalid("the order must be at least 1".to_owned());
        }
        let inner = &schedule.sigmas[..schedule.steps()];
        if let Some(sigma) = inner.iter().find(|&&s| !(s > 0.0 && s < 1.0)) {
            return invalid(format!(
                "noise levels must lie inside (0, 1), one is {sigma}"
            ));
        }
        // A single step has no node before it and is of order 1 whatever is asked for.
        let ends_at_data = schedule.sigmas.last() == Some(&0.0) && schedule.steps() > 1;
        if ends_at_data && settings.order > 1 && !settings.lower_order_final {
            let reason = "a schedule that ends at 0 needs lower_order_final: the last step has no \
                          second difference";
            return invalid(reason.to_owned());
        }
        Ok(Self {
            schedule,
            settings,
            step: 0,
            history: VecDeque::new(),
            last: None,
        })
    }

    /// Coefficients of the step between two nodes, seen with `order - 1` nodes before `from`.
    fn update(&self, from: usize, order: usize) -> Update {
        let sigmas = &self.schedule.sigmas;
        let (sigma, target) = (sigmas[from], sigmas[from + 1]);
        let lambda = |sigma: f64| ((1.0 - sigma) / sigma).ln();
        let h = lambda(target) - lambda(sigma);
        if h == 0.0 || target == 0.0 {
            // The limits: nothing moves, or the sample becomes the prediction.
            let stays = if h == 0.0 { 1.0 } else { 0.0 };
            return Update {
                sample: stays,
                newest: 1.0 - stays,
                differences: 0.0,
                ratios: Vec::new(),
                moments: vec![0.0],
            };
        }
        let phi_1 = (-h).exp_m1();
        let b = match self.settings.b_function {
            BFunction::Bh1 => -h,
            BFunction::Bh2 => phi_1,
        };
        let ratios = (1..order)
            .map(|k| (lambda(sigmas[from - k]) - lambda(sigma)) / h)
            .collect();
        Update {
            sample: target / sigma,
            newest: -(1.0 - target) * phi_1,
            differences: -(1.0 - target) * b,
            ratios,
            moments: moments(-h, b, order),
        }
    }

    /// The sample at node `step + 1`.
    fn predict(&self, sample: &Tensor, order: usize) -> Result<Tensor> {
        let update = self.update(self.step, order);
        let weights = match update.ratios.len() {
            0 => Vec::new(),
            1 => vec![0.5],
            n => solve(&update.ratios, &update.moments[..n])?,
        };
        self.combine(&update, sample, &weights, None)
    }

    /// The sample at node `step`, now that the model has been asked there.
    fn correct(&self, last: &Tensor, order: usize, newest: &Tensor) -> Result<Tensor> {
        let update = self.update(self.step - 1, order);
        let mut nodes = update.ratios.clone();
        nodes.push(1.0);
        let weights = match nodes.len() {
            1 => vec![0.5],
            _ => solve(&nodes, &update.moments)?,
        };
        self.combine(&update, last, &weights, Some(newest))
    }

    /// Sums the terms of an update; `ahead` is the prediction at the target, whose `r` is 1.
    fn combine(
        &self,
        update: &Update,
        sample: &Tensor,
        weights: &[f64],
        ahead: Option<&Tensor>,
    ) -> Result<Tensor> {
        let mut predictions = self.history.iter().rev();
        let Some(newest) = predictions.next() else {
            return Err(Error::invalid("UniPC", "no prediction to start from"));
        };
        let earlier = predictions.zip(&update.ratios).map(|(m, &r)| (m, r));
        let terms = earlier.chain(ahead.map(|m| (m, 1.0)));
        let mut x = ((sample * update.sample)? + (newest * update.newest)?)?;
        for ((prediction, ratio), weight) in terms.zip(weights) {
            let difference = (prediction - newest)?;
            x = (x + (difference * (update.differences * weight / ratio))?)?;
        }
        Ok(x)
    }
}

impl Solver for UniPc {
    fn step(&mut self, sample: &Tensor, velocity: &Tensor) -> Result<Tensor> {
        let (sigma, _) = self.schedule.interval(self.step)?;
        let prediction = (sample - (velocity * sigma)?)?;
        let sample = match &self.last {
            Some((last, order)) if !self.settings.uncorrected.contains(&(self.step - 1)) => {
                self.correct(last, *order, &prediction)?
            }
            _ => sample.clone(),
        };
        self.history.push_back(prediction);
        if self.history.len() > self.settings.order {
            self.history.pop_front();
        }
        let left = self.schedule.steps() - self.step;
        let cap = if self.settings.lower_order_final {
            left.min(self.settings.order)
        } else {
            self.settings.order
        };
        let order = cap.min(self.history.len());
        let next = self.predict(&sample, order)?;
        self.last = Some((sample, order));
        self.step += 1;
        Ok(next)
    }
}

/// `k! phi_{k+1}(hh) hh / B` for `k = 1..=order`, with `phi_{k+1} = (phi_k - 1/k!) / hh`.
fn moments(hh: f64, b: f64, order: usize) -> Vec<f64> {
    let (mut phi, mut factorial) = (hh.exp_m1() / hh - 1.0, 1.0);
    (1..=order)
        .map(|k| {
            let moment = phi * factorial / b;
            factorial *= (k + 1) as f64;
            phi = phi / hh - 1.0 / factorial;
            moment
        })
        .collect()
}

/// Solves the order conditions `sum_k rho_k r_k^(i-1) = moments_i`, a Vandermonde system.
fn solve(ratios: &[f64], moments: &[f64]) -> Result<Vec<f64>> {
    let n = ratios.len();
    let mut rows: Vec<Vec<f64>> = (0..n)
        .map(|i| {
            let powers = ratios.iter().map(|r| r.powi(i as i32));
            powers.chain([moments[i]]).collect()
        })
        .collect();
    for column in 0..n {
        let pivot = (column..n).max_by(|&a, &b| {
            let (a, b) = (rows[a][column].abs(), rows[b][column].abs());
            a.total_cmp(&b)
        });
        let pivot = pivot.unwrap_or(column);
        rows.swap(column, pivot);
        let lead = rows[column].clone();
        if lead[column] == 0.0 {
            return Err(Error::invalid(
                "UniPC",
                "two nodes of the schedule coincide",
            ));
        }
        for (index, row) in rows.iter_mut().enumerate() {
            if index != column {
                let factor = row[column] / lead[column];
                row.iter_mut()
                    .zip(&lead)
                    .for_each(|(a, b)| *a -= factor * b);
            }
        }
    }
    Ok((0..n).map(|i| rows[i][n] / rows[i][i]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_conditions_have_the_closed_form_of_order_two() -> Result<()> {
        let (h, r) = (0.37_f64, -0.8);
        let phi_1 = (-h).exp_m1();
        let moments = moments(-h, phi_1, 2);
        let hp2 = phi_1 / -h - 1.0;
        let hp3 = hp2 / -h - 0.5;
        let (b0, b1) = (hp2 / phi_1, 2.0 * hp3 / phi_1);
        let rho_0 = (b0 - b1) / (1.0 - r);
        let rho = solve(&[r, 1.0], &moments)?;
        assert!((rho[0] - rho_0).abs() < 1e-12, "{} {rho_0}", rho[0]);
        assert!((rho[1] - (b0 - rho_0)).abs() < 1e-12);
        Ok(())
    }
}

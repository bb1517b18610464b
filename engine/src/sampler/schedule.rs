//! Noise levels of a run, from noise to data.

use crate::{Error, Result};

/// Steps of the clock on which the Wan models were trained: `t = 1000 sigma`.
pub const NUM_TRAIN_TIMESTEPS: f64 = 1000.0;

/// Nodes of the integration.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// `N + 1` noise levels.
    pub sigmas: Vec<f64>,
    /// `N` values of the model's clock.
    pub timesteps: Vec<f64>,
}

/// `s sigma / (1 + (s - 1) sigma)`: moves the nodes towards noise for `s > 1`; 0 and 1 stay.
pub fn shifted(sigma: f64, shift: f64) -> f64 {
    shift * sigma / (1.0 + (shift - 1.0) * sigma)
}

impl Schedule {
    /// Our default, for Euler: `linspace(1, 0, N + 1)`, shifted, with a real-valued clock.
    ///
    /// modelscope/DiffSynth-Studio, flow-match scheduler; `shift` is 3 at 480 rows, 5 at 720.
    ///
    /// # Errors
    /// [`Error::Invalid`] for no steps or a shift that is not positive.
    pub fn euler(steps: usize, shift: f64) -> Result<Self> {
        Self::from_line(1.0, steps, shift)
    }

    /// For UniPC, whose first node must lie below 1: `linspace(0.999, 0, N + 1)`, shifted.
    ///
    /// Wan-Video/Wan2.1 `wan/utils/fm_solvers_unipc.py`; the clock is not cut to whole numbers.
    ///
    /// # Errors
    /// [`Error::Invalid`] for no steps or a shift that is not positive.
    pub fn unipc(steps: usize, shift: f64) -> Result<Self> {
        Self::from_line(1.0 - 1.0 / NUM_TRAIN_TIMESTEPS, steps, shift)
    }

    fn from_line(first: f64, steps: usize, shift: f64) -> Result<Self> {
        check(steps, shift)?;
        let sigmas: Vec<f64> = linspace(first, 0.0, steps + 1)
            .into_iter()
            .map(|sigma| shifted(sigma, shift))
            .collect();
        let timesteps = sigmas[..steps]
            .iter()
            .map(|sigma| sigma * NUM_TRAIN_TIMESTEPS)
            .collect();
        Ok(Self { sigmas, timesteps })
    }

    /// Number of steps `N`.
    pub fn steps(&self) -> usize {
        self.timesteps.len()
    }

    /// Noise levels at both ends of a step.
    ///
    /// # Errors
    /// [`Error::Invalid`] past the last step.
    pub(super) fn interval(&self, step: usize) -> Result<(f64, f64)> {
        match self.sigmas.get(step..step + 2) {
            Some(&[from, to]) => Ok((from, to)),
            _ => Err(Error::invalid(
                "sampler",
                format!("step {} of a schedule with {}", step + 1, self.steps()),
            )),
        }
    }
}

/// Refuses schedules that do not exist.
pub(super) fn check(steps: usize, shift: f64) -> Result<()> {
    if steps == 0 {
        return Err(Error::invalid("steps", "must be at least 1"));
    }
    if !(shift.is_finite() && shift > 0.0) {
        let reason = format!("must be a positive number, is {shift}");
        return Err(Error::invalid("time shift", reason));
    }
    Ok(())
}

/// `count` numbers from `first` to `last`, both included, rounded as numpy does.
pub(super) fn linspace(first: f64, last: f64, count: usize) -> Vec<f64> {
    let intervals = count.saturating_sub(1).max(1);
    let step = (last - first) / intervals as f64;
    (0..count)
        .map(|i| match i {
            0 => first,
            i if i == intervals => last,
            i => i as f64 * step + first,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_ends(sigmas: &[f64], head: &[f64], tail: &[f64]) {
        let near = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(near(sigmas, head), "{sigmas:?} does not begin {head:?}");
        let end = &sigmas[sigmas.len() - tail.len()..];
        assert!(near(end, tail), "{sigmas:?} does not end {tail:?}");
    }

    #[test]
    fn schedules_have_their_published_nodes() -> Result<()> {
        assert_ends(
            &Schedule::euler(50, 5.0)?.sigmas,
            &[1.0, 0.995935, 0.991736],
            &[0.172414, 0.092593, 0.0],
        );
        assert_ends(
            &Schedule::euler(40, 3.0)?.sigmas,
            &[1.0, 0.991525, 0.982759],
            &[0.195652, 0.136364, 0.071429, 0.0],
        );
        assert_eq!(
            Schedule::euler(4, 5.0)?.timesteps,
            [1000.0, 937.5, 5000.0 / 6.0, 625.0]
        );
        assert_ends(
            &Schedule::unipc(50, 5.0)?.sigmas,
            &[0.9998, 0.995732, 0.99153],
            &[0.172265, 0.092507, 0.0],
        );
        assert_ends(
            &Schedule::unipc(20, 3.0)?.sigmas,
            &[0.999666, 0.98242, 0.963941],
            &[0.345888, 0.249792, 0.13624, 0.0],
        );
        Ok(())
    }

    #[test]
    fn impossible_schedules_are_refused() {
        for (steps, shift) in [(0, 3.0), (4, 0.0), (4, -1.0), (4, f64::NAN)] {
            assert!(Schedule::euler(steps, shift).is_err(), "{steps} {shift}");
        }
    }
}

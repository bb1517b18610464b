//! Schedulers as huggingface/diffusers saves them: `scheduler_config.json` to schedule and solver.
//!
//! Keys keep their names and defaults; a value that is not supported is an error that names it.

use serde::Deserialize;

use super::schedule::{check, linspace};
use super::{BFunction, Schedule, UniPcSettings, shifted};
use crate::{Error, Result};

/// Keys of `FlowMatchEulerDiscreteScheduler`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the keys of a file that is not ours"
)]
pub struct FlowMatchEulerConfig {
    /// Length of the training clock.
    pub num_train_timesteps: f64,
    /// Fixed time shift.
    pub shift: f64,
    /// Whether the shift follows `mu`, which the caller derives from the size of the clip.
    #[serde(flatten)]
    pub dynamic: DynamicShift,
    /// Last noise level before 0, after stretching.
    pub shift_terminal: Option<f64>,
    /// Runs from data to noise.
    pub invert_sigmas: bool,
    /// Nodes even in `sigma^(1/7)`.
    pub use_karras_sigmas: bool,
    /// Nodes even in `ln sigma`.
    pub use_exponential_sigmas: bool,
    /// Not supported.
    pub use_beta_sigmas: bool,
    /// Not supported.
    pub stochastic_sampling: bool,
}

impl Default for FlowMatchEulerConfig {
    fn default() -> Self {
        Self {
            num_train_timesteps: 1000.0,
            shift: 1.0,
            dynamic: DynamicShift::default(),
            shift_terminal: None,
            invert_sigmas: false,
            use_karras_sigmas: false,
            use_exponential_sigmas: false,
            use_beta_sigmas: false,
            stochastic_sampling: false,
        }
    }
}

/// A shift that depends on the size of the clip through `mu`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct DynamicShift {
    /// Whether it replaces the fixed shift.
    pub use_dynamic_shifting: bool,
    /// "exponential": shift by `e^mu`; "linear": shift by `mu`.
    pub time_shift_type: String,
}

impl Default for DynamicShift {
    fn default() -> Self {
        Self {
            use_dynamic_shifting: false,
            time_shift_type: "exponential".to_owned(),
        }
    }
}

impl DynamicShift {
    /// The shift in force.
    fn resolve(&self, fixed: f64, mu: Option<f64>) -> Result<f64> {
        if !self.use_dynamic_shifting {
            return Ok(fixed);
        }
        let Some(mu) = mu else {
            return Err(unsupported("use_dynamic_shifting", "true without `mu`"));
        };
        match self.time_shift_type.as_str() {
            "exponential" => Ok(mu.exp()),
            "linear" => Ok(mu),
            other => Err(unsupported("time_shift_type", other)),
        }
    }
}

impl FlowMatchEulerConfig {
    /// The nodes of a run; note that the reference shifts the last one twice.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the key that is not supported.
    pub fn schedule(&self, steps: usize, mu: Option<f64>) -> Result<Schedule> {
        refuse(self.use_beta_sigmas, "use_beta_sigmas")?;
        refuse(self.stochastic_sampling, "stochastic_sampling")?;
        let both = self.use_karras_sigmas && self.use_exponential_sigmas;
        refuse(both, "use_karras_sigmas and use_exponential_sigmas")?;
        let shift = self.dynamic.resolve(self.shift, mu)?;
        check(steps, shift)?;
        let last = 1.0 / self.num_train_timesteps;
        let last = if self.dynamic.use_dynamic_shifting {
            last
        } else {
            shifted(last, shift)
        };
        let mut sigmas: Vec<f64> = linspace(1.0, last, steps)
            .into_iter()
            .map(|sigma| shifted(sigma, shift))
            .collect();
        stretch(&mut sigmas, self.shift_terminal);
        if self.use_karras_sigmas {
            respace(&mut sigmas, |s| s.powf(1.0 / 7.0), |s| s.powi(7));
        } else if self.use_exponential_sigmas {
            respace(&mut sigmas, f64::ln, f64::exp);
        }
        if self.invert_sigmas {
            for sigma in &mut sigmas {
                *sigma = 1.0 - *sigma;
            }
        }
        let timesteps = sigmas.iter().map(|s| s * self.num_train_timesteps);
        let timesteps = timesteps.collect();
        sigmas.push(if self.invert_sigmas { 1.0 } else { 0.0 });
        Ok(Schedule { sigmas, timesteps })
    }
}

/// Keys of `UniPCMultistepScheduler`, of which the flow form is supported.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the keys of a file that is not ours"
)]
pub struct UniPcConfig {
    /// Length of the training clock.
    pub num_train_timesteps: f64,
    /// Order of the predictor.
    pub solver_order: usize,
    /// "flow_prediction".
    pub prediction_type: String,
    /// Data prediction; the flow form knows no other.
    pub predict_x0: bool,
    /// "bh1" or "bh2".
    pub solver_type: String,
    /// Order 1 at the last step.
    pub lower_order_final: bool,
    /// Steps whose result is not corrected.
    pub disable_corrector: Vec<usize>,
    /// Must be true.
    pub use_flow_sigmas: bool,
    /// Fixed time shift.
    pub flow_shift: f64,
    /// Whether the shift follows `mu`.
    #[serde(flatten)]
    pub dynamic: DynamicShift,
    /// Last noise level before the end, after stretching.
    pub shift_terminal: Option<f64>,
    /// "zero" or "sigma_min".
    pub final_sigmas_type: String,
    /// Not supported.
    pub thresholding: bool,
    /// Not supported.
    pub use_karras_sigmas: bool,
    /// Not supported.
    pub use_exponential_sigmas: bool,
    /// Not supported.
    pub use_beta_sigmas: bool,
    /// Not supported.
    pub solver_p: Option<serde_json::Value>,
}

impl UniPcConfig {
    /// The scheduler of diffusers' Wan pipelines.
    pub fn flow(shift: f64) -> Self {
        Self {
            prediction_type: "flow_prediction".to_owned(),
            use_flow_sigmas: true,
            flow_shift: shift,
            ..Self::default()
        }
    }
}

impl Default for UniPcConfig {
    fn default() -> Self {
        Self {
            num_train_timesteps: 1000.0,
            solver_order: 2,
            prediction_type: "epsilon".to_owned(),
            predict_x0: true,
            solver_type: "bh2".to_owned(),
            lower_order_final: true,
            disable_corrector: Vec::new(),
            use_flow_sigmas: false,
            flow_shift: 1.0,
            dynamic: DynamicShift::default(),
            shift_terminal: None,
            final_sigmas_type: "zero".to_owned(),
            thresholding: false,
            use_karras_sigmas: false,
            use_exponential_sigmas: false,
            use_beta_sigmas: false,
            solver_p: None,
        }
    }
}

impl UniPcConfig {
    /// The nodes of a run; the clock is cut to whole numbers, the noise levels to f32.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the key that is not supported.
    pub fn schedule(&self, steps: usize, mu: Option<f64>) -> Result<Schedule> {
        refuse(!self.use_flow_sigmas, "use_flow_sigmas: false")?;
        refuse(self.use_karras_sigmas, "use_karras_sigmas")?;
        refuse(self.use_exponential_sigmas, "use_exponential_sigmas")?;
        refuse(self.use_beta_sigmas, "use_beta_sigmas")?;
        let shift = self.dynamic.resolve(self.flow_shift, mu)?;
        check(steps, shift)?;
        let line = linspace(1.0, 1.0 / self.num_train_timesteps, steps + 1);
        let mut sigmas: Vec<f64> = line[..steps].iter().map(|&s| shifted(s, shift)).collect();
        stretch(&mut sigmas, self.shift_terminal);
        // At 1 the log signal-to-noise ratio would be minus infinity.
        let margin = 1e-6;
        if (sigmas[0] - 1.0).abs() < margin {
            sigmas[0] -= margin;
        }
        let timesteps = sigmas
            .iter()
            .map(|s| (s * self.num_train_timesteps).trunc());
        let timesteps = timesteps.collect();
        sigmas.push(match self.final_sigmas_type.as_str() {
            "zero" => 0.0,
            "sigma_min" => sigmas[steps - 1],
            other => return Err(unsupported("final_sigmas_type", other)),
        });
        // The reference keeps f32, which matters for 1 - sigma at the first node.
        let sigmas = sigmas.into_iter().map(|s| f64::from(s as f32)).collect();
        Ok(Schedule { sigmas, timesteps })
    }

    /// The variant of the method.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the key that is not supported.
    pub fn settings(&self) -> Result<UniPcSettings> {
        refuse(self.thresholding, "thresholding")?;
        refuse(self.solver_p.is_some(), "solver_p")?;
        refuse(!self.predict_x0, "predict_x0: false")?;
        if self.prediction_type != "flow_prediction" {
            return Err(unsupported("prediction_type", &self.prediction_type));
        }
        let b_function = match self.solver_type.as_str() {
            "bh1" => BFunction::Bh1,
            "bh2" | "midpoint" | "heun" | "logrho" => BFunction::Bh2,
            other => return Err(unsupported("solver_type", other)),
        };
        Ok(UniPcSettings {
            order: self.solver_order,
            b_function,
            lower_order_final: self.lower_order_final,
            uncorrected: self.disable_corrector.clone(),
        })
    }
}

fn unsupported(key: &str, value: &str) -> Error {
    Error::invalid("scheduler", format!("`{key}` = {value} is not supported"))
}

fn refuse(asked: bool, key: &str) -> Result<()> {
    if asked {
        return Err(Error::invalid(
            "scheduler",
            format!("`{key}` is not supported"),
        ));
    }
    Ok(())
}

/// Scales the distances from 1 so that the last node is `terminal`; none or 0 leaves all as it is.
fn stretch(sigmas: &mut [f64], terminal: Option<f64>) {
    if let (Some(terminal), Some(&last)) = (terminal.filter(|&t| t != 0.0), sigmas.last()) {
        let scale = (1.0 - last) / (1.0 - terminal);
        for sigma in sigmas {
            *sigma = 1.0 - (1.0 - *sigma) / scale;
        }
    }
}

/// Spreads the nodes evenly in another measure, keeping both ends.
fn respace(sigmas: &mut [f64], measure: fn(f64) -> f64, inverse: fn(f64) -> f64) {
    if let (Some(&first), Some(&last)) = (sigmas.first(), sigmas.last()) {
        let even = linspace(measure(first), measure(last), sigmas.len());
        for (sigma, value) in sigmas.iter_mut().zip(even) {
            *sigma = inverse(value);
        }
    }
}

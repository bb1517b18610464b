//! AdamW and the running average of weights.

use std::collections::{BTreeMap, HashMap};

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var};

use crate::kernels::{
    accept,
    update::{Blend, Descend, Power, sum_of_squares},
};
use crate::{Error, Result};

/// Gradients by the name of their variable.
pub type Gradients = BTreeMap<String, Tensor>;

/// The gradients of `vars` in `grads`; a variable without one is left out.
pub fn gradients_of(vars: &BTreeMap<String, Var>, grads: &GradStore) -> Gradients {
    vars.iter()
        .filter_map(|(name, var)| Some((name.clone(), grads.get(var)?.clone())))
        .collect()
}

/// Adds `more` to `total`, for a step over several micro-batches.
pub fn accumulate(total: &mut Gradients, more: Gradients) -> Result<()> {
    for (name, gradient) in more {
        let sum = match total.get(&name) {
            Some(held) => (held + gradient)?,
            None => gradient,
        };
        total.insert(name, sum);
    }
    Ok(())
}

/// Settings of [`AdamW`].
#[derive(Clone, Copy, Debug)]
pub struct AdamWConfig {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Guards the division by the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay, times the learning rate, of matrices and convolution kernels.
    pub weight_decay: f64,
    /// Largest global norm of the gradients; above it all are scaled down.
    pub max_grad_norm: Option<f64>,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.99,
            eps: 1e-8,
            weight_decay: 0.01,
            max_grad_norm: Some(1.0),
        }
    }
}

/// What a step did.
#[derive(Clone, Copy, Debug)]
pub struct StepReport {
    /// Global norm of the gradients before clipping.
    pub grad_norm: f64,
    /// Variables that had no gradient and stayed as they were.
    pub untouched: usize,
}

struct Slot {
    var: Var,
    decays: bool,
    /// First and second moment, f32, in the variable's shape.
    moments: [Var; 2],
}

/// Adam with decoupled weight decay (Loshchilov and Hutter, <https://arxiv.org/abs/1711.05101>).
pub struct AdamW {
    config: AdamWConfig,
    slots: BTreeMap<String, Slot>,
    steps: u64,
}

impl AdamW {
    /// An optimiser of f32 variables.
    ///
    /// Biases, norm weights and modulation tables are exempt from weight decay.
    ///
    /// # Errors
    /// [`Error::Invalid`] if a variable is not f32: its steps would vanish in the rounding.
    pub fn new(vars: &BTreeMap<String, Var>, config: AdamWConfig) -> Result<Self> {
        let slot = |(name, var): (&String, &Var)| {
            if var.dtype() != DType::F32 {
                let reason = format!("is {:?}; train in F32", var.dtype());
                return Err(Error::invalid(format!("variable {name}"), reason));
            }
            let zeros = || Var::zeros(var.shape(), DType::F32, var.device());
            let slot = Slot {
                var: var.clone(),
                decays: decays(name, var),
                moments: [zeros()?, zeros()?],
            };
            Ok((name.clone(), slot))
        };
        let slots = vars.iter().map(slot).collect::<Result<_>>()?;
        Ok(Self {
            config,
            slots,
            steps: 0,
        })
    }

    /// Steps taken so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// One step down `gradients` with learning rate `lr`.
    ///
    /// # Errors
    /// [`Error::NonFinite`] if a gradient is not finite; nothing has changed then.
    pub fn step(&mut self, gradients: &Gradients, lr: f64) -> Result<StepReport> {
        let grad_norm = global_norm(gradients)?;
        let clip = match self.config.max_grad_norm {
            Some(limit) if grad_norm > limit => limit / grad_norm,
            _ => 1.0,
        };
        self.steps += 1;
        let mut untouched = 0;
        for (name, slot) in &self.slots {
            match gradients.get(name) {
                Some(gradient) => slot.step(gradient, &self.config, [clip, lr], self.steps)?,
                None => untouched += 1,
            }
        }
        Ok(StepReport {
            grad_norm,
            untouched,
        })
    }

    /// Counts a step without taking it, for one whose gradients could not be used.
    pub fn skip(&mut self) {
        self.steps += 1;
    }

    /// Everything a resumed run needs, by name: `step`, `m.<variable>`, `v.<variable>`.
    ///
    /// The moments are copies: later steps do not change them.
    pub fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        let steps = Tensor::new(&[self.steps as i64], &Device::Cpu)?;
        let mut state = BTreeMap::from([("step".to_owned(), steps)]);
        for (name, slot) in &self.slots {
            for (prefix, moment) in ["m", "v"].into_iter().zip(&slot.moments) {
                state.insert(
                    format!("{prefix}.{name}"),
                    moment.as_detached_tensor().copy()?,
                );
            }
        }
        Ok(state)
    }

    /// Takes up a state that [`Self::state`] gave.
    ///
    /// # Errors
    /// [`Error::Invalid`] or [`Error::Shape`] if a tensor is missing or has another shape.
    pub fn load_state(&mut self, state: &HashMap<String, Tensor>) -> Result<()> {
        let steps = named(state, "step")?.to_vec1::<i64>()?;
        for (name, slot) in &self.slots {
            for (prefix, moment) in ["m", "v"].into_iter().zip(&slot.moments) {
                let path = format!("{prefix}.{name}");
                let tensor = named(state, &path)?;
                if tensor.dims() != moment.dims() {
                    let required = format!("{:?}", moment.dims());
                    return Err(Error::shape(path, required, tensor.dims()));
                }
                moment.set(&tensor.to_device(moment.device())?.to_dtype(DType::F32)?)?;
            }
        }
        self.steps = steps.first().map_or(0, |&steps| steps.max(0) as u64);
        Ok(())
    }
}

impl Slot {
    fn step(
        &self,
        gradient: &Tensor,
        config: &AdamWConfig,
        [clip, lr]: [f64; 2],
        steps: u64,
    ) -> Result<()> {
        let [m, v] = &self.moments;
        let gradient = gradient.to_dtype(DType::F32)?.contiguous()?;
        for (moment, keep, power) in [(m, config.beta1, Power::One), (v, config.beta2, Power::Two)]
        {
            let blend = Blend {
                keep: keep as f32,
                scale: clip as f32,
                power,
            };
            if accept(&[moment, &gradient]) {
                moment.inplace_op2(&gradient, &blend)?;
            } else {
                blend_composed(moment, &gradient, &blend)?;
            }
        }
        let correction = |beta: f64| 1.0 - beta.powf(steps as f64);
        let decay = if self.decays {
            config.weight_decay
        } else {
            0.0
        };
        let descend = Descend {
            keep: (1.0 - lr * decay) as f32,
            rate: (lr / correction(config.beta1)) as f32,
            root_correction: (1.0 / correction(config.beta2).sqrt()) as f32,
            eps: config.eps as f32,
        };
        if accept(&[&self.var]) {
            self.var.inplace_op3(m, v, &descend)?;
        } else {
            descend_composed(&self.var, m, v, &descend)?;
        }
        Ok(())
    }
}

/// A running average of weights, whose decay warms up from 0.1.
pub struct Ema {
    decay: f64,
    updates: u64,
    averages: BTreeMap<String, Var>,
}

impl Ema {
    /// Starts at the present values of `vars`; `decay` is the share of the past that one update
    /// keeps once warm, for example 0.999.
    pub fn new(vars: &BTreeMap<String, Var>, decay: f64) -> Result<Self> {
        let copy = |(name, var): (&String, &Var)| {
            let values = var.as_detached_tensor().to_dtype(DType::F32)?.copy()?;
            Ok((name.clone(), Var::from_tensor(&values)?))
        };
        Ok(Self {
            decay,
            updates: 0,
            averages: vars.iter().map(copy).collect::<Result<_>>()?,
        })
    }

    /// Moves the averages towards the present values of `vars`; decay `min(decay, (1+t)/(10+t))`.
    pub fn update(&mut self, vars: &BTreeMap<String, Var>) -> Result<()> {
        let warm_up = (1 + self.updates) as f64 / (10 + self.updates) as f64;
        let blend = Blend {
            keep: self.decay.min(warm_up) as f32,
            scale: 1.0,
            power: Power::One,
        };
        for (name, average) in &self.averages {
            let Some(var) = vars.get(name) else { continue };
            let values = var.as_detached_tensor().to_dtype(DType::F32)?;
            if accept(&[average, &values]) {
                average.inplace_op2(&values, &blend)?;
            } else {
                blend_composed(average, &values, &blend)?;
            }
        }
        self.updates += 1;
        Ok(())
    }

    /// The averages as f32 tensors by name; copies, which later updates do not change.
    pub fn tensors(&self) -> Result<BTreeMap<String, Tensor>> {
        let copy = |(name, average): (&String, &Var)| {
            Ok((name.clone(), average.as_detached_tensor().copy()?))
        };
        self.averages.iter().map(copy).collect()
    }

    /// Takes up averages that [`Self::tensors`] gave after `updates` updates.
    ///
    /// # Errors
    /// [`Error::Invalid`] if a tensor is missing.
    pub fn load(&mut self, tensors: &HashMap<String, Tensor>, updates: u64) -> Result<()> {
        for (name, average) in &self.averages {
            let tensor = named(tensors, name)?.to_device(average.device())?;
            average.set(&tensor.to_dtype(DType::F32)?)?;
        }
        self.updates = updates;
        Ok(())
    }

    /// Updates so far.
    pub fn updates(&self) -> u64 {
        self.updates
    }
}

/// True for matrices and convolution kernels; false for biases, norm weights and modulations.
fn decays(name: &str, var: &Tensor) -> bool {
    let wide_axes = var.dims().iter().filter(|&&n| n > 1).count();
    wide_axes >= 2 && !name.contains("modulation")
}

fn global_norm(gradients: &Gradients) -> Result<f64> {
    let mut total = 0.0;
    for gradient in gradients.values() {
        let gradient = gradient.contiguous()?;
        total += if accept(&[&gradient]) {
            sum_of_squares(&gradient)?
        } else {
            let sum = gradient.to_dtype(DType::F32)?.sqr()?.sum_all()?;
            f64::from(sum.to_scalar::<f32>()?)
        };
    }
    if total.is_finite() {
        return Ok(total.sqrt());
    }
    let count_of = |g: &Tensor| -> Result<usize> {
        let values = g.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        Ok(values.iter().filter(|v| !v.is_finite()).count())
    };
    Err(Error::NonFinite {
        stage: "the backward pass".to_owned(),
        count: gradients.values().map(count_of).sum::<Result<usize>>()?,
        total: gradients.values().map(Tensor::elem_count).sum(),
    })
}

fn blend_composed(average: &Var, x: &Tensor, blend: &Blend) -> Result<()> {
    let x = (x * f64::from(blend.scale))?;
    let x = if blend.power == Power::Two {
        x.sqr()?
    } else {
        x
    };
    let keep = f64::from(blend.keep);
    let kept = (average.as_detached_tensor() * keep)?;
    Ok(average.set(&(kept + (x * (1.0 - keep))?)?)?)
}

fn descend_composed(p: &Var, m: &Var, v: &Var, descend: &Descend) -> Result<()> {
    let root = (v.as_detached_tensor().sqrt()? * f64::from(descend.root_correction))?;
    let direction = (m.as_detached_tensor() / (root + f64::from(descend.eps))?)?;
    let kept = (p.as_detached_tensor() * f64::from(descend.keep))?;
    Ok(p.set(&(kept - (direction * f64::from(descend.rate))?)?)?)
}

fn named<'a>(tensors: &'a HashMap<String, Tensor>, name: &str) -> Result<&'a Tensor> {
    tensors
        .get(name)
        .ok_or_else(|| Error::invalid("training state", format!("tensor {name} is missing")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars(values: &[f32]) -> Result<BTreeMap<String, Var>> {
        let w = Tensor::new(values, &Device::Cpu)?.reshape((2, ()))?;
        let bias = Tensor::new(&[0.5f32, -0.5], &Device::Cpu)?;
        Ok(BTreeMap::from([
            ("w".to_owned(), Var::from_tensor(&w)?),
            ("bias".to_owned(), Var::from_tensor(&bias)?),
        ]))
    }

    fn gradients(vars: &BTreeMap<String, Var>) -> Result<Gradients> {
        let loss = (vars["w"].sqr()?.sum_all()? + vars["bias"].sqr()?.sum_all()?)?;
        Ok(gradients_of(vars, &loss.backward()?))
    }

    /// AdamW in f64, written out.
    fn reference(mut p: f64, decay: f64, config: &AdamWConfig, lr: f64, steps: i32) -> f64 {
        let (mut m, mut v) = (0.0, 0.0);
        for t in 1..=steps {
            let g = 2.0 * p;
            m = config.beta1 * m + (1.0 - config.beta1) * g;
            v = config.beta2 * v + (1.0 - config.beta2) * g * g;
            let m_hat = m / (1.0 - config.beta1.powi(t));
            let v_hat = v / (1.0 - config.beta2.powi(t));
            p = p * (1.0 - lr * decay) - lr * m_hat / (v_hat.sqrt() + config.eps);
        }
        p
    }

    #[test]
    fn steps_follow_the_equations_and_resume() -> Result<()> {
        let start = [1.0, -2.0, 3.0, 0.25, 0.1, -0.7];
        let config = AdamWConfig {
            max_grad_norm: None,
            weight_decay: 0.1,
            ..AdamWConfig::default()
        };
        let vars = vars(&start)?;
        let mut optimiser = AdamW::new(&vars, config)?;
        for _ in 0..3 {
            optimiser.step(&gradients(&vars)?, 0.05)?;
        }
        let state: HashMap<_, _> = optimiser.state()?.into_iter().collect();
        let mut resumed = AdamW::new(&vars, config)?;
        resumed.load_state(&state)?;
        for _ in 0..4 {
            resumed.step(&gradients(&vars)?, 0.05)?;
        }
        assert_eq!(resumed.steps(), 7);
        let w = vars["w"].flatten_all()?.to_vec1::<f32>()?;
        let expected = start.map(|p: f32| reference(f64::from(p), 0.1, &config, 0.05, 7));
        for (w, e) in w.iter().zip(expected) {
            assert!((f64::from(*w) - e).abs() < 2e-6, "{w} {e}");
        }
        let bias = vars["bias"].to_vec1::<f32>()?;
        let expected = reference(0.5, 0.0, &config, 0.05, 7);
        assert!((f64::from(bias[0]) - expected).abs() < 2e-6);
        Ok(())
    }

    #[test]
    fn both_forms_of_the_update_agree() -> Result<()> {
        let tensor = |v: [f32; 3]| Var::from_tensor(&Tensor::new(&v, &Device::Cpu)?);
        let x = tensor([0.3, -0.4, 2.0])?;
        for power in [Power::One, Power::Two] {
            let blend = Blend {
                keep: 0.8,
                scale: 0.5,
                power,
            };
            let (a, b) = (tensor([1.0, 2.0, 3.0])?, tensor([1.0, 2.0, 3.0])?);
            a.inplace_op2(&x, &blend)?;
            blend_composed(&b, &x, &blend)?;
            assert_close(&a, &b)?;
        }
        let descend = Descend {
            keep: 0.9,
            rate: 0.1,
            root_correction: 1.5,
            eps: 1e-3,
        };
        let (a, b) = (tensor([1.0, 2.0, 3.0])?, tensor([1.0, 2.0, 3.0])?);
        let v = tensor([0.5, 0.0, 4.0])?;
        a.inplace_op3(&x, &v, &descend)?;
        descend_composed(&b, &x, &v, &descend)?;
        assert_close(&a, &b)
    }

    fn assert_close(a: &Tensor, b: &Tensor) -> Result<()> {
        for (a, b) in a.to_vec1::<f32>()?.iter().zip(b.to_vec1::<f32>()?) {
            assert!((a - b).abs() <= 1e-6 * b.abs().max(1.0), "{a} {b}");
        }
        Ok(())
    }

    #[test]
    fn clipping_limits_the_norm_and_bad_gradients_stop_the_step() -> Result<()> {
        let vars = vars(&[3.0, 4.0, 0.0, 0.0])?;
        let config = AdamWConfig {
            max_grad_norm: Some(1.0),
            beta1: 0.0,
            ..AdamWConfig::default()
        };
        let mut optimiser = AdamW::new(&vars, config)?;
        let ones = Tensor::ones((2, 2), DType::F32, &Device::Cpu)?;
        let report = optimiser.step(&Gradients::from([("w".to_owned(), (ones * 8.0)?)]), 0.0)?;
        assert_eq!((report.grad_norm, report.untouched), (16.0, 1));
        let m = optimiser.state()?["m.w"].flatten_all()?.to_vec1::<f32>()?;
        assert_eq!(m, [0.5; 4]);

        let nan = Tensor::new(&[[f32::NAN, 1.0], [1.0, 1.0]], &Device::Cpu)?;
        let outcome = optimiser.step(&Gradients::from([("w".to_owned(), nan)]), 1.0);
        assert!(matches!(
            outcome,
            Err(Error::NonFinite {
                count: 1,
                total: 4,
                ..
            })
        ));
        assert_eq!(optimiser.steps(), 1);
        Ok(())
    }

    #[test]
    fn average_warms_up_and_then_keeps_its_decay() -> Result<()> {
        let vars = vars(&[0.0; 4])?;
        let mut ema = Ema::new(&vars, 0.3)?;
        vars["w"].set(&Tensor::ones((2, 2), DType::F32, &Device::Cpu)?)?;
        let mut expected = 0.0;
        for decay in [0.1, 2.0 / 11.0, 0.25, 0.3, 0.3] {
            ema.update(&vars)?;
            expected = decay * expected + (1.0 - decay);
            let w = ema.tensors()?["w"].flatten_all()?.to_vec1::<f32>()?[0];
            assert!((f64::from(w) - expected).abs() < 1e-6);
        }
        Ok(())
    }
}

//! A linear layer with low-rank adapters, one a branch, over one read of the base weight.

use candle_core::{DType, Tensor};

use super::{Init, Linear, LinearWeight, LowRank, WeightChange, Weights, composed};
use crate::kernels::lora::Frozen;
use crate::{Error, Result, kernels};

/// `y_m = W' x_m + b + scale * B_m (A_m x_m)` for the rows of every branch `m`.
///
/// `B_m`, `A_m` are a branch's own adapters; `W'` is the weight with the change that serves all rows
/// alike: LoRA files kept beside a base whose weights are too coarse to take them in. Without either
/// it is its base. With `M` adapters the base is frozen, and the rows of the
/// batch are ordered by branch, the same number of rows each.
#[derive(Clone, Debug)]
pub struct LoraLinear {
    weight: LinearWeight,
    bias: Option<Tensor>,
    adapters: Vec<LowRank>,
    scale: f64,
    beside: Option<WeightChange>,
}

impl From<Linear> for LoraLinear {
    fn from(base: Linear) -> Self {
        Self {
            weight: base.weight.into(),
            bias: base.bias,
            adapters: Vec::new(),
            scale: 1.0,
            beside: None,
        }
    }
}

impl LoraLinear {
    /// Reads the base layer: `weight` `[out, in]` in the form of the place, `bias` `[out]`.
    pub fn new(in_features: usize, out_features: usize, weights: &Weights) -> Result<Self> {
        let shape = [out_features, in_features];
        Ok(Self {
            weight: weights.linear_weight(shape, "weight", Init::Xavier)?,
            bias: Some(weights.get(&[out_features], "bias", Init::Const(0.0))?),
            adapters: Vec::new(),
            scale: 1.0,
            beside: None,
        })
    }

    /// The weight under the adapters.
    pub fn weight(&self) -> &LinearWeight {
        &self.weight
    }

    /// Reads `lora_A.{branch}.weight` `[rank, I]` and `lora_B.{branch}.weight` `[O, rank]` of every
    /// branch and freezes the base. A starts random, B at zero: a new adapter changes nothing.
    pub fn attach(
        &mut self,
        branches: &[&str],
        rank: usize,
        scale: f64,
        weights: &Weights,
    ) -> Result<()> {
        let (out_features, in_features) = self.weight.dims()?;
        let (a, b) = (weights.pp("lora_A"), weights.pp("lora_B"));
        self.adapters = branches
            .iter()
            .map(|branch| {
                Ok(LowRank {
                    a: a.pp(branch)
                        .get(&[rank, in_features], "weight", Init::Kaiming)?,
                    b: b.pp(branch)
                        .get(&[out_features, rank], "weight", Init::Const(0.0))?,
                })
            })
            .collect::<Result<_>>()?;
        self.scale = scale;
        self.weight = self.weight.detach();
        self.bias = self.bias.as_ref().map(Tensor::detach);
        Ok(())
    }

    /// Sets the change of the weight that serves all rows.
    ///
    /// # Errors
    /// [`Error::Shape`] if it is a change of another weight.
    pub fn put_beside(&mut self, change: &WeightChange) -> Result<()> {
        let (device, dtype) = match &self.weight {
            LinearWeight::Tensor(weight) => (weight.device().clone(), weight.dtype()),
            LinearWeight::Stored(matrix) => (matrix.device(), DType::F32),
        };
        let change = change.for_layer(self.weight.dims()?, &device, dtype)?;
        self.beside = (!change.is_none()).then_some(change);
        Ok(())
    }

    /// # Shapes
    /// - `x`: `[R, N, I]`, rows ordered by branch; returns `[R, N, O]`
    ///
    /// # Errors
    /// [`Error::Shape`] for another width, or rows that do not divide among the branches.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match &self.beside {
            Some(change) if change.scales() => {
                let weight = self.weight.detach();
                let mut y = change.scaled_product(x, |x| weight.forward(x, None))?;
                if let Some(bias) = &self.bias {
                    y = y.broadcast_add(&bias.detach().to_dtype(y.dtype())?)?;
                }
                change.add_deltas(self.add_adapters(y, x)?, x)
            }
            Some(change) => change.add_deltas(self.by_branch(x)?, x),
            None => self.by_branch(x),
        }
    }

    /// A and B of all branches, `[M, K, I]` and `[M, O, K]`, where `x` divides among them.
    fn stacked(&self, x: &Tensor) -> Result<(Tensor, Tensor)> {
        let (rows, _tokens, in_features) = x.dims3()?;
        let branches = self.adapters.len();
        let (_outputs, inputs) = self.weight.dims()?;
        if !rows.is_multiple_of(branches) || in_features != inputs {
            let required = format!("[a multiple of {branches}, N, {inputs}]");
            return Err(Error::shape(
                "input of a layer with adapters",
                required,
                x.dims(),
            ));
        }
        let a: Vec<&Tensor> = self.adapters.iter().map(|adapter| &adapter.a).collect();
        let b: Vec<&Tensor> = self.adapters.iter().map(|adapter| &adapter.b).collect();
        Ok((Tensor::stack(&a, 0)?, Tensor::stack(&b, 0)?))
    }

    /// `y` and what the branches' adapters add to it.
    fn add_adapters(&self, y: Tensor, x: &Tensor) -> Result<Tensor> {
        if self.adapters.is_empty() {
            return Ok(y);
        }
        let (a, b) = self.stacked(x)?;
        composed::add_low_rank(&y, x, (&a, &b), self.scale)
    }

    /// The layer with the adapters of the branches.
    fn by_branch(&self, x: &Tensor) -> Result<Tensor> {
        let bias = self.bias.as_ref();
        if self.adapters.is_empty() {
            return self.weight.forward(x, bias);
        }
        let (a, b) = self.stacked(x)?;
        let weight = match (&self.weight, self.weight.rows()) {
            (_, Some(rows)) => Some(Frozen::Stored(rows)),
            (LinearWeight::Tensor(wide), None) if kernels::accept(&[wide]) => {
                Some(Frozen::Wide(wide.contiguous()?))
            }
            (LinearWeight::Tensor(_) | LinearWeight::Stored(_), None) => None,
        };
        let Some(weight) = weight.filter(|_| kernels::accept(&[x, bias.unwrap_or(x), &a, &b]))
        else {
            let base = self
                .weight
                .detach()
                .forward(x, bias.map(Tensor::detach).as_ref())?;
            return composed::add_low_rank(&base, x, (&a, &b), self.scale);
        };
        let fused = kernels::lora::LoraLinear {
            weight,
            bias: bias.map(Tensor::contiguous).transpose()?,
            scale: self.scale as f32,
        };
        Ok(x.contiguous()?.apply_op3(&a, &b, fused)?) // [R, N, O]
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Var};

    use super::*;
    use crate::nn::{Init, ParamStore};

    fn values(x: &Tensor) -> Result<Vec<f32>> {
        Ok(x.flatten_all()?.to_vec1::<f32>()?)
    }

    fn random(shape: &[usize], seed: u64) -> Result<Tensor> {
        let values = Init::Normal(1.0).values(shape, shape.iter().product(), seed);
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
    }

    #[test]
    fn a_fresh_adapter_is_the_base_and_each_branch_sees_its_own() -> Result<()> {
        let store = ParamStore::default();
        let weights = Weights::fresh(&store, 1, DType::F32, &Device::Cpu);
        let base = Linear::new(6, 5, &weights)?;
        let mut layer = LoraLinear::from(base.clone());
        layer.attach(&["rgb", "xyz"], 2, 0.5, &weights)?;
        let x = random(&[4, 3, 6], 1)?;
        let plain = base.forward(&x)?;
        assert_eq!(values(&layer.forward(&x)?)?, values(&plain)?);

        let vars = store.vars();
        let (a, b): (&Var, &Var) = (&vars["lora_A.xyz.weight"], &vars["lora_B.xyz.weight"]);
        b.set(&random(&[5, 2], 2)?)?;
        let change = (layer.forward(&x)? - &plain)?;
        assert!(values(&change.narrow(0, 0, 2)?)?.iter().all(|v| *v == 0.0));
        let product = (b.as_tensor().matmul(a.as_tensor())? * 0.5)?; // [O, I]
        let expected = composed::linear(&x.narrow(0, 2, 2)?, &product, None)?;
        let error = (change.narrow(0, 2, 2)? - expected)?.abs()?.max_all()?;
        assert!(error.to_scalar::<f32>()? < 1e-5);
        Ok(())
    }

    #[test]
    fn the_fused_form_and_its_gradients_equal_the_composed() -> Result<()> {
        let store = ParamStore::default();
        let weights = Weights::fresh(&store, 1, DType::F32, &Device::Cpu);
        let mut layer = LoraLinear::from(Linear {
            weight: random(&[5, 6], 1)?,
            bias: Some(random(&[5], 2)?),
        });
        layer.attach(&["rgb", "xyz"], 3, 0.7, &weights)?;
        let x = Var::from_tensor(&random(&[4, 7, 6], 3)?)?;
        let mut arguments = vec![x.clone()];
        for (seed, branch) in [(4, "rgb"), (5, "xyz")] {
            let (a, b) = (
                format!("lora_A.{branch}.weight"),
                format!("lora_B.{branch}.weight"),
            );
            let b = store.vars()[&b].clone();
            b.set(&random(&[5, 3], seed)?)?;
            arguments.extend([store.vars()[&a].clone(), b]);
        }
        let stacked = |i: usize| Tensor::stack(&[arguments[i].as_tensor(), &arguments[i + 2]], 0);
        let LinearWeight::Tensor(weight) = &layer.weight else {
            panic!("a plain weight is a tensor");
        };
        let base = (weight, layer.bias.as_ref());
        let pair = (&stacked(1)?, &stacked(2)?);
        let composed = composed::lora_linear(&x, base, pair, layer.scale)?;
        let fused = layer.forward(&x)?;
        let close = |a: &Tensor, b: &Tensor| -> Result<bool> {
            Ok((a - b)?.abs()?.max_all()?.to_scalar::<f32>()? < 1e-4)
        };
        assert!(close(&fused, &composed)?);
        let towards = random(&[4, 7, 5], 6)?;
        let of_fused = (fused * &towards)?.sum_all()?.backward()?;
        let of_composed = (composed * &towards)?.sum_all()?.backward()?;
        for (index, var) in arguments.iter().enumerate() {
            let (Some(a), Some(b)) = (of_fused.get(var), of_composed.get(var)) else {
                panic!("argument {index} has no gradient");
            };
            assert!(close(a, b)?, "argument {index}");
            assert!(a.abs()?.max_all()?.to_scalar::<f32>()? > 0.0);
        }
        Ok(())
    }
}

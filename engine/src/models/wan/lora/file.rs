//! One LoRA file: which of its tensors change which module, checked against the base, then read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};

use super::super::keys;
use super::alpha::AlphaSettings;
use super::names::{LoraPart, lora_name};
use super::product::{Factor, Pair, Parts, Product, Recipe, count, matrix, product_dims, recipe};
use super::stack::LoraStack;
use crate::job::JobCtx;
use crate::nn::{Init, Kronecker, LowRank, WeightChange, WeightDelta, Weights};
use crate::{Error, Result};

/// Problems that a message lists by name.
const LISTED: usize = 12;
/// The module whose width is the number of input channels.
const ENTRANCE: &str = "patch_embedding";
/// Parts of kinds of files that are not read, and what those are called.
const OTHER_KINDS: [(&str, &str); 2] = [("oft_", "OFT"), ("ia3_", "IA3")];

/// One file, its names sorted by module.
pub(super) struct LoraFile {
    path: PathBuf,
    tensors: Weights,
    /// Shapes of the base's tensors are asked here.
    base: Weights,
    modules: BTreeMap<String, Parts>,
    alphas: AlphaSettings,
}

impl LoraFile {
    /// Opens a file and checks every tensor against the base.
    ///
    /// # Errors
    /// [`Error::Weights`] naming every tensor that fits no module, or not its shape.
    pub(super) fn open(path: &Path, base: &Weights) -> Result<Self> {
        let tensors = Weights::open(path, DType::F32, &Device::Cpu)?;
        let base = keys::official_names(base);
        let mut modules: BTreeMap<String, Parts> = BTreeMap::new();
        let mut problems = Vec::new();
        for name in tensors.names() {
            if let Some((_, kind)) = OTHER_KINDS.iter().find(|(part, _)| name.contains(part)) {
                problems.push(format!("{name} is of a {kind}, which is not read"));
                continue;
            }
            let Some(found) = lora_name(&name) else {
                problems.push(format!("{name} is no part of a LoRA for this network"));
                continue;
            };
            if let Some(other) = modules
                .entry(found.module)
                .or_default()
                .insert(found.part, name.clone())
            {
                problems.push(format!("{name} is the same as {other}"));
            }
        }
        let file = Self {
            path: path.to_owned(),
            tensors,
            base,
            modules,
            alphas: AlphaSettings::of_file(path)?,
        };
        for (module, parts) in &file.modules {
            problems.extend(file.problems_of(module, parts));
        }
        if file.modules.is_empty() && problems.is_empty() {
            problems.push("holds no tensors".to_owned());
        }
        if problems.is_empty() {
            return Ok(file);
        }
        // One reason for all of them says more than their names.
        let reason = file.another_width();
        let listed = if reason.is_some() { 1 } else { LISTED };
        let more = problems.len().saturating_sub(listed);
        problems.truncate(listed);
        if more > 0 {
            problems.push(format!("and {more} more"));
        }
        problems.splice(0..0, reason);
        Err(Error::weights(path, problems.join("; ")))
    }

    /// Says so if the file was made for a network of another width.
    fn another_width(&self) -> Option<String> {
        const SQUARE: &str = "self_attn.q";
        let mut modules = self.modules.iter();
        let (_, parts) = modules.find(|(module, _)| module.ends_with(SQUARE))?;
        let [theirs, _] = product_dims(parts, &|name| self.shape(name))?;
        let ours = self.base.shape(&format!("blocks.0.{SQUARE}.weight"))?;
        let ours = *ours.first()?;
        (theirs != ours).then(|| {
            format!("it was made for a network of width {theirs}, and this one has {ours}")
        })
    }

    fn shape(&self, name: &str) -> Vec<usize> {
        self.tensors.shape(name).unwrap_or_default()
    }

    /// What of a module does not fit the base.
    fn problems_of(&self, module: &str, parts: &Parts) -> Vec<String> {
        let mut problems = Vec::new();
        if self.is_another_entrance(module, parts) {
            return problems;
        }
        let mut changes = |part: LoraPart, target: String| {
            let Some(name) = parts.get(&part) else { return };
            match self.base.shape(&target) {
                None => problems.push(format!("{name}: the base has no {target}")),
                Some(shape) if count(&shape) != count(&self.shape(name)) => {
                    problems.push(format!(
                        "{name} is {:?}, {target} is {shape:?}",
                        self.shape(name)
                    ));
                }
                Some(_) => {}
            }
        };
        changes(LoraPart::Weight, format!("{module}.weight"));
        changes(LoraPart::Bias, format!("{module}.bias"));
        changes(LoraPart::UpBias, format!("{module}.bias"));
        changes(LoraPart::Modulation, format!("{module}.modulation"));
        problems.extend(self.recipe(module, parts).err());
        problems
    }

    fn recipe(&self, module: &str, parts: &Parts) -> std::result::Result<Option<Recipe>, String> {
        let weight = self.base.shape(&format!("{module}.weight"));
        recipe(module, parts, weight.as_deref(), &|name| self.shape(name))
    }

    /// Whether a file for a base with other input channels changes the entrance, as LoRAs for text to
    /// video may: that part is left out.
    fn is_another_entrance(&self, module: &str, parts: &Parts) -> bool {
        if module != ENTRANCE {
            return false;
        }
        let shape_of = |name: &str| self.shape(name);
        let change = parts
            .get(&LoraPart::Weight)
            .map(|name| matrix(&shape_of(name)));
        let theirs = change.or(product_dims(parts, &shape_of));
        let base = self.base.shape(&format!("{ENTRANCE}.weight"));
        theirs.is_some_and(|theirs| Some(theirs[1]) != base.map(|shape| matrix(&shape)[1]))
    }

    fn load(&self, name: &str) -> Result<Tensor> {
        self.tensors.get(&self.shape(name), name, Init::Const(0.0))
    }

    /// A tensor as a matrix: the first axis and all others.
    fn matrix(&self, name: &str) -> Result<Tensor> {
        let tensor = self.load(name)?;
        Ok(tensor.reshape((tensor.dim(0)?, ()))?)
    }

    fn low_rank(&self, pair: &Pair, factor: f64) -> Result<LowRank> {
        let (mut a, mut b) = (self.matrix(&pair.down)?, self.matrix(&pair.up)?);
        if let Some(core) = &pair.core {
            // Entry (m, i, s) is the sum over n of core (m, n, s) and A (n, i).
            let core = self.load(core)?;
            let (rank, _rank) = (core.dim(0)?, core.dim(1)?);
            let core = core.reshape((rank, rank, ()))?.permute((0, 2, 1))?;
            let with_core = core.contiguous()?.broadcast_matmul(&a)?; // [K, S, I]
            a = with_core.transpose(1, 2)?.reshape((rank, ()))?;
        }
        if pair.is_turned {
            b = b.t()?;
        }
        Ok(LowRank {
            a,
            b: (b * factor)?,
        })
    }

    /// The factor before a module's product, without the strength.
    fn factor(&self, parts: &Parts, recipe: &Recipe) -> Result<f64> {
        let own = match parts.get(&LoraPart::Alpha) {
            Some(name) => {
                let alpha = self.load(name)?.flatten_all()?.get(0)?;
                Some(f64::from(alpha.to_scalar::<f32>()?))
            }
            None => None,
        };
        // Settings go by the module's name as the file has it, which any tensor of it begins with.
        let named = parts.values().next().map_or("", String::as_str);
        let ending = [".lora_", ".hada_", ".lokr_"]
            .iter()
            .find_map(|part| named.rfind(part));
        let module = ending.and_then(|at| named.get(..at)).unwrap_or(named);
        Ok(self.alphas.factor(module, own, recipe.rank))
    }

    fn delta(&self, product: &Product, factor: f64) -> Result<WeightDelta> {
        let whole = |of: &Factor| match of {
            Factor::Whole(name) => self.matrix(name),
            Factor::Product(pair) => {
                let LowRank { a, b } = self.low_rank(pair, 1.0)?;
                Ok(b.matmul(&a)?)
            }
        };
        Ok(match product {
            Product::LowRank(pair) => WeightDelta::LowRank(self.low_rank(pair, factor)?),
            Product::Hadamard([first, second]) => {
                WeightDelta::Hadamard([self.low_rank(first, factor)?, self.low_rank(second, 1.0)?])
            }
            Product::Kronecker { left, right } => WeightDelta::Kronecker(Kronecker {
                left: (whole(left)? * factor)?,
                right: whole(right)?,
                rows: None,
                columns: None,
            }),
        })
    }

    /// The change of a module's weight at a strength.
    ///
    /// With magnitudes `m` the weight at strength 1 is `m * (W + D) / |W + D|`, row by row or column by
    /// column; other strengths go straight from `W` to there and beyond, so that 0 is the base.
    fn change(
        &self,
        module: &str,
        recipe: &Recipe,
        (factor, strength): (f64, f64),
    ) -> Result<WeightChange> {
        let Some((magnitudes, of_rows)) = &recipe.magnitudes else {
            let delta = self.delta(&recipe.product, factor * strength)?;
            return Ok(WeightChange {
                deltas: vec![delta],
                ..WeightChange::default()
            });
        };
        let name = format!("{module}.weight");
        let shape = self.base.shape(&name).unwrap_or_default();
        let base = self.base.in_dtype(DType::F32);
        let weight = base
            .get(&shape, &name, Init::Const(0.0))?
            .to_device(&Device::Cpu)?;
        let at_full = WeightChange {
            deltas: vec![self.delta(&recipe.product, factor)?],
            ..WeightChange::default()
        };
        let factors = at_full.to_magnitudes(&weight, &self.load(magnitudes)?, *of_rows)?;
        let scales = (&factors * strength)?;
        let on_weight = Some(((factors - 1.0)? * strength)?);
        let (rows, columns, on_rows, on_columns) = if *of_rows {
            (Some(&scales), None, on_weight, None)
        } else {
            (None, Some(&scales), None, on_weight)
        };
        let deltas = at_full
            .deltas
            .iter()
            .map(|delta| delta.scaled(rows, columns));
        Ok(WeightChange {
            rows: on_rows,
            columns: on_columns,
            deltas: deltas.collect::<Result<_>>()?,
        })
    }

    /// Reads what changes at a strength other than 0, and adds it to a stack.
    ///
    /// # Errors
    /// Those of reading; [`Error::Cancelled`].
    pub(super) fn add_to(&self, stack: &mut LoraStack, strength: f64, ctx: &JobCtx) -> Result<()> {
        let mut left_out = BTreeSet::new();
        for (module, parts) in &self.modules {
            ctx.check()?;
            if self.is_another_entrance(module, parts) {
                left_out.insert(module.as_str());
                continue;
            }
            if strength == 0.0 {
                continue;
            }
            let recipe = self.recipe(module, parts);
            let recipe = recipe.map_err(|problem| Error::weights(&self.path, problem))?;
            let mut factor = 1.0;
            if let Some(recipe) = recipe {
                factor = self.factor(parts, &recipe)?;
                let change = self.change(module, &recipe, (factor, strength))?;
                stack
                    .factored
                    .entry(module.clone())
                    .or_default()
                    .add(change)?;
            }
            for (part, target, factor) in [
                (LoraPart::Weight, "weight", strength),
                (LoraPart::Bias, "bias", strength),
                (LoraPart::UpBias, "bias", factor * strength),
                (LoraPart::Modulation, "modulation", strength),
            ] {
                if let Some(name) = parts.get(&part) {
                    let change = (self.load(name)? * factor)?;
                    let target = format!("{module}.{target}");
                    stack.whole.entry(target).or_default().push(change);
                }
            }
        }
        for module in left_out {
            stack.notes.push(format!(
                "{}: its change of {module} is for another number of input channels and was left out",
                self.path.display()
            ));
        }
        Ok(())
    }
}

//! LoRA files on the base network: several at once, each with a strength, in any dialect.
//!
//! `W <- W + sum of strength * alpha / rank * B A`, and full changes of weights, biases and
//! modulations as some files carry them. The files act on the frozen base, so every branch of a
//! denoiser sees them; the branches' own adapters come on top.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::keys;
use super::lora_names::{LoraPart, lora_name};
use crate::nn::{Init, TensorPatch, Weights};
use crate::weight_files::string_metadata;
use crate::{Error, Result};

/// Problems that a message lists by name.
const LISTED: usize = 12;
/// The module whose width is the number of input channels.
const ENTRANCE: &str = "patch_embedding";
/// Parts of kinds of files that are not read, and what those are called.
const OTHER_KINDS: [(&str, &str); 3] =
    [("dora_scale", "DoRA"), ("hada_", "LoHa"), ("lokr_", "LoKr")];

/// Where the low-rank parts go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoraPlacement {
    /// Into the weights, which costs nothing later.
    Merged,
    /// Beside the linear layers of the blocks: for weights of fewer than 32 bits, in which small
    /// changes would drown.
    Beside,
}

impl LoraPlacement {
    /// The placement that keeps small changes for weights of a type.
    pub fn for_dtype(dtype: DType) -> Self {
        match dtype {
            DType::F32 | DType::F64 => Self::Merged,
            _ => Self::Beside,
        }
    }
}

/// `B A` with every factor in B.
#[derive(Clone, Debug)]
struct Pair {
    /// `[K, I]`.
    a: Tensor,
    /// `[O, K]`.
    b: Tensor,
}

/// What all files together change.
#[derive(Clone, Debug, Default)]
pub struct LoraStack {
    /// By module, in the order of the files' names.
    pairs: BTreeMap<String, Vec<Pair>>,
    /// Full changes by the tensor's name.
    changes: BTreeMap<String, Vec<Tensor>>,
    /// What was left out on purpose, for people.
    notes: Vec<String>,
}

/// The tensors of one module in one file, by their part.
type Parts = BTreeMap<LoraPart, String>;

impl LoraStack {
    /// Reads files and checks every tensor against the base; files with strength 0 are checked and
    /// change nothing. The order of the files does not matter.
    ///
    /// `base` is the source of the base network, in either layout.
    ///
    /// # Errors
    /// [`Error::Weights`] naming every tensor that fits no module, or not its shape; nothing is
    /// applied then. [`Error::Invalid`] for a strength that is no number.
    pub fn open(files: &[(PathBuf, f64)], base: &Weights) -> Result<Self> {
        let mut sorted: Vec<&(PathBuf, f64)> = files.iter().collect();
        sorted.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let mut stack = Self::default();
        for (path, strength) in sorted {
            if !strength.is_finite() {
                let reason = format!("must be a number, is {strength}");
                return Err(Error::invalid(
                    format!("strength of {}", path.display()),
                    reason,
                ));
            }
            let file = LoraFile::open(path, base)?;
            file.add_to(&mut stack, *strength)?;
        }
        Ok(stack)
    }

    /// True if nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty() && self.changes.is_empty()
    }

    /// What was left out on purpose, for people.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The base with the changes in its tensors: all of them, or, where pairs go beside the layers,
    /// those that have no such place.
    pub fn applied(self: &Arc<Self>, base: &Weights, placement: LoraPlacement) -> Weights {
        if self.is_empty() {
            return base.clone();
        }
        base.patched(Arc::new(Patch {
            stack: Arc::clone(self),
            placement,
        }))
    }

    /// All pairs of a module as one: `[K, I]` and `[O, K]`, `K` the sum of the ranks.
    ///
    /// # Errors
    /// Those of the tensor library.
    pub fn pair(&self, module: &str) -> Result<Option<(Tensor, Tensor)>> {
        let Some(pairs) = self.pairs.get(module) else {
            return Ok(None);
        };
        let a: Vec<&Tensor> = pairs.iter().map(|pair| &pair.a).collect();
        let b: Vec<&Tensor> = pairs.iter().map(|pair| &pair.b).collect();
        Ok(Some((Tensor::cat(&a, 0)?, Tensor::cat(&b, 1)?)))
    }
}

struct Patch {
    stack: Arc<LoraStack>,
    placement: LoraPlacement,
}

impl Patch {
    /// The pairs and the full changes that go into a tensor.
    fn of(&self, name: &str) -> (Option<&Vec<Pair>>, Option<&Vec<Tensor>>) {
        let name = keys::without_prefix(name);
        let module = name.strip_suffix(".weight").unwrap_or_default();
        let is_beside = self.placement == LoraPlacement::Beside && module.starts_with("blocks.");
        let pairs = self.stack.pairs.get(module).filter(|_| !is_beside);
        (pairs, self.stack.changes.get(name))
    }
}

impl TensorPatch for Patch {
    fn touches(&self, name: &str) -> bool {
        let (pairs, changes) = self.of(name);
        pairs.is_some() || changes.is_some()
    }

    fn change(&self, name: &str, tensor: &Tensor) -> Result<Option<Tensor>> {
        let (pairs, changes) = self.of(name);
        if pairs.is_none() && changes.is_none() {
            return Ok(None);
        }
        let mut changed = tensor.to_dtype(DType::F32)?;
        let like = |x: &Tensor| -> Result<Tensor> {
            Ok(x.to_device(tensor.device())?.reshape(tensor.shape())?)
        };
        for pair in pairs.into_iter().flatten() {
            changed = (changed + like(&pair.b.matmul(&pair.a)?)?)?;
        }
        for change in changes.into_iter().flatten() {
            changed = (changed + like(change)?)?;
        }
        Ok(Some(changed))
    }
}

/// One file, its names sorted by module.
struct LoraFile {
    path: PathBuf,
    tensors: Weights,
    /// Shapes of the base's tensors are asked here.
    base: Weights,
    modules: BTreeMap<String, Parts>,
    /// The alpha of every pair without one of its own, where the file's description has it.
    alpha: Option<f64>,
}

impl LoraFile {
    fn open(path: &Path, base: &Weights) -> Result<Self> {
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
            alpha: described_alpha(path)?,
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
        let more = problems.len().saturating_sub(LISTED);
        problems.truncate(LISTED);
        if more > 0 {
            problems.push(format!("and {more} more"));
        }
        Err(Error::weights(path, problems.join("; ")))
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
        let (down, up) = (parts.get(&LoraPart::Down), parts.get(&LoraPart::Up));
        match (down, up) {
            (Some(down), Some(up)) => problems.extend(self.problem_of_pair(module, down, up)),
            (Some(name), None) | (None, Some(name)) => {
                problems.push(format!("{name} has no other half"));
            }
            (None, None) => {
                let lone = parts.get(&LoraPart::Alpha).or(parts.get(&LoraPart::UpBias));
                problems.extend(lone.map(|name| format!("{name} belongs to no pair")));
            }
        }
        if let Some(alpha) = parts
            .get(&LoraPart::Alpha)
            .filter(|a| count(&self.shape(a)) != 1)
        {
            problems.push(format!(
                "{alpha} is {:?}, must be one number",
                self.shape(alpha)
            ));
        }
        problems
    }

    fn problem_of_pair(&self, module: &str, down: &str, up: &str) -> Option<String> {
        let Some(weight) = self.base.shape(&format!("{module}.weight")) else {
            return Some(format!("{down}: the base has no {module}"));
        };
        let (a, b) = (self.shape(down), self.shape(up));
        let [rank, inputs] = matrix(&a);
        let fits = a.len() >= 2
            && b.len() >= 2
            && rank > 0
            && matrix(&b) == [matrix(&weight)[0], rank]
            && inputs == matrix(&weight)[1];
        (!fits).then(|| format!("{down} {a:?} and {up} {b:?} do not fit {module} {weight:?}"))
    }

    /// Whether a file for a base with other input channels changes the entrance, as LoRAs for text to
    /// video may: that part is left out.
    fn is_another_entrance(&self, module: &str, parts: &Parts) -> bool {
        let channels = |shape: &[usize]| matrix(shape)[1];
        let theirs = parts.get(&LoraPart::Weight).or(parts.get(&LoraPart::Down));
        let theirs = theirs.map(|name| channels(&self.shape(name)));
        let base = self.base.shape(&format!("{ENTRANCE}.weight"));
        module == ENTRANCE && theirs.is_some() && theirs != base.map(|shape| channels(&shape))
    }

    fn load(&self, name: &str) -> Result<Tensor> {
        self.tensors.get(&self.shape(name), name, Init::Const(0.0))
    }

    fn add_to(&self, stack: &mut LoraStack, strength: f64) -> Result<()> {
        let mut left_out = BTreeSet::new();
        for (module, parts) in &self.modules {
            if self.is_another_entrance(module, parts) {
                left_out.insert(module.as_str());
                continue;
            }
            if strength == 0.0 {
                continue;
            }
            let mut factor = strength;
            if let (Some(down), Some(up)) = (parts.get(&LoraPart::Down), parts.get(&LoraPart::Up)) {
                let (a, b) = (self.load(down)?, self.load(up)?);
                let rank = a.dim(0)?;
                if let Some(alpha) = parts.get(&LoraPart::Alpha) {
                    let alpha = self.load(alpha)?.flatten_all()?.get(0)?;
                    factor *= f64::from(alpha.to_scalar::<f32>()?) / rank as f64;
                } else if let Some(alpha) = self.alpha {
                    factor *= alpha / rank as f64;
                }
                let flat = |x: &Tensor| x.reshape((x.dim(0)?, ()));
                let pair = Pair {
                    a: flat(&a)?,
                    b: (flat(&b)? * factor)?,
                };
                stack.pairs.entry(module.clone()).or_default().push(pair);
            }
            for (part, target, factor) in [
                (LoraPart::Weight, "weight", strength),
                (LoraPart::Bias, "bias", strength),
                (LoraPart::UpBias, "bias", factor),
                (LoraPart::Modulation, "modulation", strength),
            ] {
                if let Some(name) = parts.get(&part) {
                    let change = (self.load(name)? * factor)?;
                    let target = format!("{module}.{target}");
                    stack.changes.entry(target).or_default().push(change);
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

/// The alpha that diffusers writes into a file's description, as PEFT's configuration in JSON.
fn described_alpha(path: &Path) -> Result<Option<f64>> {
    let described = string_metadata(path)?;
    let Some(text) = described.get("lora_adapter_metadata") else {
        return Ok(None);
    };
    let settings: serde_json::Value = serde_json::from_str(text)
        .map_err(|e| Error::format(path, format!("unreadable description of its LoRA: {e}")))?;
    let of = |key: &str| {
        let below = |prefix: &str| settings.get(format!("{prefix}{key}")).cloned();
        below("transformer.").or_else(|| below(""))
    };
    for unread in ["use_rslora", "use_dora"] {
        if of(unread).and_then(|value| value.as_bool()) == Some(true) {
            let reason = format!("its LoRA has {unread}, which is not read");
            return Err(Error::weights(path, reason));
        }
    }
    Ok(of("lora_alpha").and_then(|alpha| alpha.as_f64()))
}

fn count(shape: &[usize]) -> usize {
    shape.iter().product()
}

/// A shape as rows and columns: the first axis and all others.
fn matrix(shape: &[usize]) -> [usize; 2] {
    match shape {
        [rows, rest @ ..] => [*rows, count(rest)],
        [] => [0, 0],
    }
}

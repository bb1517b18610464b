//! LoRA files on the base network: several at once, each with a strength, in any dialect.
//!
//! `W <- W + sum of strength * change`, where a change is a low-rank, Hadamard or Kronecker product,
//! a decomposition into magnitude and direction on top of one, or a full change of a weight, bias or
//! modulation. The files act on the frozen base, so every branch of a denoiser sees them; the branches'
//! own adapters come on top.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use candle_core::{DType, Tensor};

use super::super::keys;
use super::file::LoraFile;
use crate::job::JobCtx;
use crate::nn::{TensorPatch, WeightChange, Weights};
use crate::{Error, Result};

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

/// What all files together change.
#[derive(Clone, Debug, Default)]
pub struct LoraStack {
    /// Of weights in few numbers, by module.
    pub(super) factored: BTreeMap<String, WeightChange>,
    /// Of whole tensors, by the tensor's name, in the order of the files' names.
    pub(super) whole: BTreeMap<String, Vec<Tensor>>,
    /// What was left out on purpose, for people.
    pub(super) notes: Vec<String>,
}

impl LoraStack {
    /// Reads files and checks every tensor against the base; files with strength 0 are checked and
    /// change nothing. The order of the files does not matter: each is a change of the base as it is,
    /// scaled by its strength, also where it has magnitudes (DoRA). Those are told from the base's
    /// weights, which are read for it.
    ///
    /// `base` is the source of the base network, in either layout.
    ///
    /// # Errors
    /// [`Error::Weights`] naming every tensor that fits no module, or not its shape; nothing is
    /// applied then. [`Error::Invalid`] for a strength that is no number; [`Error::Cancelled`].
    pub fn open(files: &[(PathBuf, f64)], base: &Weights, ctx: &JobCtx) -> Result<Self> {
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
            file.add_to(&mut stack, *strength, ctx)?;
        }
        Ok(stack)
    }

    /// True if nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.factored.is_empty() && self.whole.is_empty()
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

    /// What happens to a module's weight beside full changes.
    pub fn change_of(&self, module: &str) -> Option<&WeightChange> {
        self.factored.get(module)
    }
}

struct Patch {
    stack: Arc<LoraStack>,
    placement: LoraPlacement,
}

impl Patch {
    /// What goes into a tensor, in few numbers and whole.
    fn of(&self, name: &str) -> (Option<&WeightChange>, &[Tensor]) {
        let name = keys::without_prefix(name);
        let module = name.strip_suffix(".weight").unwrap_or_default();
        let is_beside = self.placement == LoraPlacement::Beside && module.starts_with("blocks.");
        let factored = self.stack.change_of(module).filter(|_| !is_beside);
        let whole = self.stack.whole.get(name).map_or(&[][..], Vec::as_slice);
        (factored, whole)
    }
}

impl TensorPatch for Patch {
    fn touches(&self, name: &str) -> bool {
        let (factored, whole) = self.of(name);
        factored.is_some() || !whole.is_empty()
    }

    fn change(&self, name: &str, tensor: &Tensor) -> Result<Option<Tensor>> {
        let (factored, whole) = self.of(name);
        if factored.is_none() && whole.is_empty() {
            return Ok(None);
        }
        let mut changed = tensor.to_dtype(DType::F32)?;
        if let Some(change) = factored {
            changed = change.merged(&changed)?;
        }
        for change in whole {
            let change = change.to_device(tensor.device())?;
            changed = (changed + change.reshape(tensor.shape())?)?;
        }
        Ok(Some(changed))
    }
}

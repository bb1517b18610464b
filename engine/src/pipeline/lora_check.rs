//! Whether a LoRA file fits a model, told from the headers of their files before a run.

use std::path::Path;

use candle_core::{DType, Device};
use serde::Serialize;

use super::load::bundle_file;
use super::{BundleManifest, bundled_model};
use crate::inspect::{self, Kind};
use crate::job::JobCtx;
use crate::models::wan::LoraStack;
use crate::nn::Weights;
use crate::{Error, Result};

/// What is known of a LoRA file that fits.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LoraFit {
    /// Ranks of its pairs: "64", "16, 32"; empty for a file of full changes.
    pub rank: String,
    /// Size of the file.
    pub bytes: u64,
    /// Numbers in it, which a plan counts.
    pub values: u64,
    /// What of it is left out on purpose.
    pub notes: Vec<String>,
}

/// True for a file that holds a LoRA, of whatever network; reads its header alone.
pub fn is_lora_file(path: &Path) -> bool {
    inspect::inspect(path).is_ok_and(|found| found.kind == Kind::Lora)
}

/// Checks every tensor of a LoRA file against the base of a model (`None`: the bundled one), as loading
/// would; no weights are read.
///
/// # Errors
/// [`Error::Weights`] naming the tensors that fit nothing, [`Error::Io`] and [`Error::Format`] for
/// files that cannot be read.
pub fn check_lora(model: Option<&Path>, file: &Path) -> Result<LoraFit> {
    let found = inspect::inspect(file)?;
    if !matches!(found.kind, Kind::Lora | Kind::Tensors | Kind::Adapter) {
        let reason = format!("this is a {}, not a LoRA", found.kind.label());
        return Err(Error::weights(file, reason));
    }
    let folder = match model {
        Some(folder) => folder.to_owned(),
        None => bundled_model()?,
    };
    let manifest = BundleManifest::read(&folder)?;
    let base = bundle_file(&folder, &manifest.denoiser.base)?;
    let base = Weights::open(&base, DType::F32, &Device::Cpu)?;
    // With strength 0 a file is checked and nothing of it is read.
    let stack = LoraStack::open(&[(file.to_owned(), 0.0)], &base, &JobCtx::silent())?;
    let rank = found.facts.iter().find(|fact| fact.name == "rank");
    Ok(LoraFit {
        rank: rank.map(|fact| fact.value.clone()).unwrap_or_default(),
        bytes: found.bytes,
        values: found.parameters,
        notes: stack.notes().to_vec(),
    })
}

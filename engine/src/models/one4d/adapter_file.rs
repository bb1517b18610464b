//! The adapter file: low-rank pairs, links and the XYZ entrance, with what they were made for.

use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};

use super::config::{AdapterConfig, Coupling, XyzInput};
use crate::models::wan::lora::names::normalise_lora_names;
use crate::models::wan::{AdapterTargets, WanConfig};
use crate::nn::Weights;
use crate::weight_files::string_metadata;
use crate::{Error, Result};

/// Key under which the description stands in the file's metadata.
const META_KEY: &str = "one4d_adapters";
/// Name under which 4DNeX ships its domain embeddings.
const DOMAINS_OF_4DNEX: &str = "learnable_domain_embeddings";

/// What an adapter file says about itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AdapterMeta {
    /// Shape of the adapters.
    pub adapters: AdapterConfig,
    /// Name of the base model.
    pub base_model: String,
    /// Hash of the base weights.
    pub base_hash: String,
    /// How pointmaps were brought into the codec's range.
    pub normalisation: String,
    /// Training steps behind the file.
    pub training_step: u64,
}

/// An opened adapter file.
pub struct AdapterFile {
    /// Its description; `None` in files of other programs.
    pub meta: Option<AdapterMeta>,
    /// Its tensors under our names.
    pub weights: Weights,
    /// Whether it carries alphas, which are folded into the tensors.
    has_alphas: bool,
    path: PathBuf,
}

impl AdapterFile {
    /// Opens a file, also one in another program's naming.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Format`] if it is no safetensors file or its description cannot be read.
    pub fn open(path: &Path, dtype: DType, device: &Device) -> Result<Self> {
        let native = Weights::open(path, dtype, device)?;
        let meta = match string_metadata(path)?.remove(META_KEY) {
            Some(text) => Some(serde_json::from_str(&text).map_err(|error| {
                Error::format(path, format!("unreadable adapter description: {error}"))
            })?),
            None => None,
        };
        let names = native.names();
        let weights = match meta {
            Some(_) => native,
            None => translated(path, &names, dtype, device)?,
        };
        Ok(Self {
            has_alphas: meta.is_none()
                && names
                    .iter()
                    .any(|name| name.strip_suffix(".alpha").is_some()),
            meta,
            weights,
            path: path.to_owned(),
        })
    }

    /// Shape of the adapters: as described, else as the tensors' names and shapes show.
    ///
    /// Alphas in the file are folded into its tensors on opening. Where it has none, `scale` is the
    /// factor before the adapters; adapters side by side (4DNeX) need it, as nothing in the published
    /// file says that it was made to be fused at half its strength. Others count as whole without it.
    ///
    /// # Errors
    /// [`Error::Weights`] if the file holds no adapters of a known coupling, or does not say how
    /// strong they are.
    pub fn config(&self, base: &WanConfig, scale: Option<f64>) -> Result<AdapterConfig> {
        let xyz_input = XyzInput::of_file(base, &self.weights)?;
        if let Some(meta) = &self.meta {
            return Ok(AdapterConfig {
                xyz_input,
                ..meta.adapters.clone()
            });
        }
        let names = self.weights.names();
        let rank = |coupling: Coupling| {
            let branch = coupling.branches().last()?;
            let name = format!("blocks.0.self_attn.q.lora_A.{branch}.weight");
            self.weights.shape(&name)?.first().copied()
        };
        let joint = match self.weights.shape("domain_embeddings") {
            Some(_) => Coupling::Spatial,
            None => Coupling::Channel,
        };
        let (coupling, rank) = [Coupling::Decoupled, joint]
            .into_iter()
            .find_map(|coupling| Some((coupling, rank(coupling)?)))
            .ok_or_else(|| {
                Error::weights(
                    &self.path,
                    "no adapters of the RGB and XYZ branches in this file",
                )
            })?;
        let feed_forward = names.iter().any(|name| name.contains(".ffn."));
        Ok(AdapterConfig {
            coupling,
            rank,
            alpha: rank as f64 * self.scale(coupling, scale)?,
            targets: if feed_forward {
                AdapterTargets::All
            } else {
                AdapterTargets::Attention
            },
            linked_blocks: linked_blocks(&names),
            xyz_input,
        })
    }

    /// Factor before adapters that no description goes with.
    fn scale(&self, coupling: Coupling, given: Option<f64>) -> Result<f64> {
        match (given, coupling) {
            _ if self.has_alphas => Ok(1.0),
            (Some(scale), _) if scale.is_finite() => Ok(scale),
            (None, Coupling::Decoupled | Coupling::Channel) => Ok(1.0),
            (Some(_) | None, _) => Err(Error::weights(
                &self.path,
                "the file does not say how strong its adapters are; give `adapter_scale` in the \
                 denoiser of model.json (0.5 for 4DNeX as it was published)",
            )),
        }
    }
}

/// Blocks that names like `links.7.rgb_from_xyz.weight` speak of, ascending.
fn linked_blocks(names: &[String]) -> Vec<usize> {
    let index = |name: &String| name.strip_prefix("links.")?.split('.').next()?.parse().ok();
    let mut blocks: Vec<usize> = names.iter().filter_map(index).collect();
    blocks.sort_unstable();
    blocks.dedup();
    blocks
}

/// The file's tensors under our names; alphas are folded into B.
fn translated(path: &Path, names: &[String], dtype: DType, device: &Device) -> Result<Weights> {
    let file = Weights::open(path, dtype, device)?;
    // Files of one branch name none.
    let named = |ours: &str| {
        Coupling::BRANCHES
            .iter()
            .any(|branch| ours.contains(&format!(".{branch}.")))
    };
    let mut tensors = HashMap::new();
    for renamed in normalise_lora_names(names) {
        let load = |name: &str| -> Result<Tensor> {
            let shape = file.shape(name).unwrap_or_default();
            file.get(&shape, name, crate::nn::Init::Const(0.0))
        };
        let mut tensor = load(&renamed.theirs)?;
        if let Some(alpha) = &renamed.alpha {
            let rank = tensor.dims().get(1).copied().unwrap_or(1).max(1);
            let alpha = load(alpha)?.to_dtype(DType::F32)?.flatten_all()?.get(0)?;
            tensor = (tensor * (f64::from(alpha.to_scalar::<f32>()?) / rank as f64))?;
        }
        let ours = match renamed.ours.as_str() {
            DOMAINS_OF_4DNEX => "domain_embeddings".to_owned(),
            name if name.contains(".lora_") && !named(name) => {
                name.replace(".weight", ".joint.weight")
            }
            name => name.to_owned(),
        };
        tensors.insert(ours, tensor);
    }
    Ok(Weights::from_tensors(tensors, path, dtype, device))
}

/// Writes adapters with their description; the file is complete under its name or not there.
///
/// # Errors
/// [`Error::Io`] if the folder cannot be written.
pub fn save_adapters(
    path: &Path,
    tensors: &BTreeMap<String, Tensor>,
    meta: &AdapterMeta,
) -> Result<()> {
    let text = serde_json::to_string(meta)
        .map_err(|e| Error::invalid("adapter description", e.to_string()))?;
    let head = HashMap::from([(META_KEY.to_owned(), text)]);
    let bytes = safetensors::serialize(tensors, Some(head))
        .map_err(|e| Error::format(path, format!("cannot be written: {e}")))?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|e| Error::io(path, e))?;
    file.write_all(&bytes).map_err(|e| Error::io(path, e))?;
    file.persist(path).map_err(|e| Error::io(path, e.error))?;
    Ok(())
}

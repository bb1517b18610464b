//! Everything a stage needs to go on as if it had never stopped, in one file.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{Device, Tensor, Var};
use serde::{Deserialize, Serialize};

use super::optim::{AdamW, Ema};
use crate::atomic_file;
use crate::{Error, Result};

const META_KEY: &str = "one4d_training";

/// What a checkpoint says beside its tensors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CheckpointMeta {
    /// Steps taken.
    pub step: u64,
    /// Updates of the running average.
    pub ema_updates: u64,
    /// Seconds of training so far, over all sessions.
    pub seconds: f64,
    /// What the tensors fit: shape of networks, latents and data.
    pub fingerprint: String,
}

/// Writes variables, running averages and optimiser state; complete under its name or not there.
///
/// # Errors
/// [`Error::Io`] naming the file.
pub(super) fn save(
    path: &Path,
    vars: &BTreeMap<String, Var>,
    ema: &Ema,
    optimiser: &AdamW,
    meta: &CheckpointMeta,
) -> Result<()> {
    let mut tensors = BTreeMap::new();
    for (name, var) in vars {
        tensors.insert(format!("var.{name}"), var.as_detached_tensor());
    }
    for (name, tensor) in ema.tensors()? {
        tensors.insert(format!("ema.{name}"), tensor);
    }
    for (name, tensor) in optimiser.state()? {
        tensors.insert(format!("opt.{name}"), tensor);
    }
    write_tensors(path, &tensors, META_KEY, meta)
}

/// Takes up a checkpoint, where there is one.
///
/// # Errors
/// [`Error::Format`] if the file cannot be read; [`Error::Invalid`] if it belongs to other networks
/// or other data.
pub(super) fn load(
    path: &Path,
    vars: &BTreeMap<String, Var>,
    ema: &mut Ema,
    optimiser: &mut AdamW,
    fingerprint: &str,
) -> Result<Option<CheckpointMeta>> {
    if !path.exists() {
        return Ok(None);
    }
    let (meta, tensors) = read_tensors(path)?;
    if meta.fingerprint != fingerprint {
        return Err(Error::invalid(
            format!("checkpoint {}", path.display()),
            "it was made with other networks or data; use another run folder, or delete it",
        ));
    }
    let mut parts: [HashMap<String, Tensor>; 3] = Default::default();
    for (name, tensor) in tensors {
        let place = ["var.", "ema.", "opt."]
            .iter()
            .position(|prefix| name.starts_with(prefix));
        if let Some(place) = place {
            parts[place].insert(name[4..].to_owned(), tensor);
        }
    }
    let [values, averages, state] = parts;
    for (name, var) in vars {
        let value = values.get(name).ok_or_else(|| {
            Error::weights(path, format!("the checkpoint has no variable {name}"))
        })?;
        var.set(&value.to_device(var.device())?)?;
    }
    ema.load(&averages, meta.ema_updates)?;
    optimiser.load_state(&state)?;
    Ok(Some(meta))
}

/// The running averages of a stage's checkpoint, by name.
///
/// # Errors
/// [`Error::Io`] or [`Error::Format`] if the checkpoint cannot be read.
pub fn averages(path: &Path) -> Result<(CheckpointMeta, BTreeMap<String, Tensor>)> {
    let (meta, tensors) = read_tensors(path)?;
    let averages = tensors
        .into_iter()
        .filter_map(|(name, tensor)| Some((name.strip_prefix("ema.")?.to_owned(), tensor)))
        .collect();
    Ok((meta, averages))
}

/// Writes named tensors with one JSON value in the file's metadata.
pub(super) fn write_tensors(
    path: &Path,
    tensors: &BTreeMap<String, Tensor>,
    key: &str,
    meta: &impl Serialize,
) -> Result<()> {
    let failed = |e: String| Error::format(path, format!("cannot be written: {e}"));
    let text = serde_json::to_string(meta).map_err(|e| failed(e.to_string()))?;
    let head = HashMap::from([(key.to_owned(), text)]);
    let bytes = safetensors::serialize(tensors, Some(head)).map_err(|e| failed(e.to_string()))?;
    atomic_file::write(path, &bytes)
}

fn read_tensors(path: &Path) -> Result<(CheckpointMeta, HashMap<String, Tensor>)> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    let bad = |reason: String| Error::format(path, format!("not a checkpoint: {reason}"));
    let (_, head) =
        safetensors::SafeTensors::read_metadata(&bytes).map_err(|e| bad(e.to_string()))?;
    let text = head
        .metadata()
        .as_ref()
        .and_then(|map| map.get(META_KEY))
        .ok_or_else(|| bad("it has no description".to_owned()))?;
    let meta = serde_json::from_str(text).map_err(|e| bad(e.to_string()))?;
    let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)
        .map_err(|e| bad(e.to_string()))?;
    Ok((meta, tensors))
}

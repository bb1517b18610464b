//! Writes what was trained as a bundle folder that the pipeline loads.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Tensor};

use super::checkpoint::write_tensors;
use super::config::TrainConfig;
use super::fingerprint::of_bytes;
use super::trainee::Named;
use crate::atomic_file;
use crate::datasets::synthetic::CLIP_FPS;
use crate::models::linear_codec::LinearCodec;
use crate::models::one4d::{AdapterMeta, ConditioningKind, DenoiserSpec, save_adapters};
use crate::pipeline::{BUNDLE_FORMAT, BundleManifest, CodecSpec, SamplingDefaults};
use crate::sampler::SolverKind;
use crate::{Error, Result};

/// File of the text encoder in a bundle.
pub(super) const TEXT_FILE: &str = "text.safetensors";
const CODEC_FILE: &str = "codec.safetensors";
const BASE_FILE: &str = "base.safetensors";
const ADAPTER_FILE: &str = "adapters.safetensors";

/// Writes manifest, codec, text encoder, base and adapters; networks in f16.
///
/// The manifest comes last, so that a folder with a manifest is whole.
///
/// # Errors
/// [`Error::Io`] naming the file.
pub(super) fn write(
    config: &TrainConfig,
    folder: &Path,
    codec: &LinearCodec,
    values: &Named,
    trained_steps: u64,
) -> Result<PathBuf> {
    std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
    codec.save(&folder.join(CODEC_FILE))?;
    let part = |prefix: &str| -> Result<BTreeMap<String, Tensor>> {
        values
            .iter()
            .filter_map(|(name, value)| Some((name.strip_prefix(prefix)?.to_owned(), value)))
            .map(|(name, value)| Ok((name, value.to_dtype(DType::F16)?)))
            .collect()
    };
    write_tensors(
        &folder.join(TEXT_FILE),
        &part("text.")?,
        "one4d",
        &config.text(),
    )?;
    let base_path = folder.join(BASE_FILE);
    write_tensors(&base_path, &part("base.")?, "one4d", &config.wan())?;
    let base_bytes = std::fs::read(&base_path).map_err(|e| Error::io(&base_path, e))?;
    let meta = AdapterMeta {
        adapters: config.adapters(),
        base_model: config.name.clone(),
        base_hash: of_bytes(&base_bytes),
        normalisation: "clip box of 0.5 % and 99.5 % quantiles to [-1, 1]".to_owned(),
        training_step: trained_steps,
    };
    save_adapters(&folder.join(ADAPTER_FILE), &part("adapters.")?, &meta)?;
    let path = folder.join("model.json");
    let manifest = manifest(config, trained_steps);
    let text =
        serde_json::to_vec_pretty(&manifest).map_err(|e| Error::format(&path, e.to_string()))?;
    atomic_file::write(&path, &text)?;
    Ok(folder.to_owned())
}

fn manifest(config: &TrainConfig, trained_steps: u64) -> BundleManifest {
    BundleManifest {
        format: BUNDLE_FORMAT,
        name: config.name.clone(),
        description: "A small One4D trained on procedural worlds; a photograph is outside what it \
                      knows."
            .to_owned(),
        licence: "MIT OR Apache-2.0".to_owned(),
        frames: config.frames,
        height: config.height,
        width: config.width,
        fps: CLIP_FPS,
        codec: CodecSpec::LinearPatch {
            file: CODEC_FILE.to_owned(),
            channels: config.codec.channels,
        },
        text: config.text(),
        image: None,
        denoiser: DenoiserSpec {
            config: config.wan(),
            base: BASE_FILE.to_owned(),
            adapters: ADAPTER_FILE.to_owned(),
            coupling: config.model.coupling,
            prediction: config.model.prediction,
            conditioning: ConditioningKind::Unified,
            adapter_scale: None,
        },
        loras: Vec::new(),
        fast: None,
        sampling: SamplingDefaults {
            solver: SolverKind::Euler,
            steps: 8,
            shift: config.dlc.shift,
            guidance: 1.0,
        },
        trained_steps,
    }
}

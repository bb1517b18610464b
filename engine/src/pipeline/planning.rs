//! The plan of a request: sizes from the bundle's headers, the machine as it stands.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device};

use super::load::{LoraWish, bundle_file};
use super::settled::sampling_defaults;
use super::{BundleManifest, CodecSpec, ImageSpec, Observed, Request, bundled_model};
use crate::models::one4d::AdapterFile;
use crate::models::wan::vae::WanVaeConfig;
use crate::nn::Weights;
use crate::plan::{
    self, CodecParts, DitParts, Machine, ModelParts, NetworkParts, Plan, Rates, RunShape, TextParts,
};
use crate::{Error, Result};

/// Sizes of a bundle's parts with the LoRA files that a request puts on it, from its manifest and the
/// headers of the files.
///
/// # Errors
/// [`Error::Io`] and [`Error::Format`] for files that are not there or not what they should be.
pub fn bundle_parts(folder: &Path, wish: &LoraWish) -> Result<ModelParts> {
    let manifest = BundleManifest::read(folder)?;
    let file_bytes = |name: &str| -> Result<u64> {
        let path = bundle_file(folder, name)?;
        let about = std::fs::metadata(&path).map_err(|e| Error::io(&path, e))?;
        Ok(about.len())
    };
    let codec = match &manifest.codec {
        CodecSpec::LinearPatch { file, channels } => CodecParts {
            values: file_bytes(file)? / 4,
            latent_channels: *channels,
            base_channels: None,
        },
        CodecSpec::WanVae { .. } => CodecParts::wan(&WanVaeConfig::default())?,
    };
    let image = match &manifest.image {
        None => None,
        Some(ImageSpec::ClipVision { config, .. }) => Some(NetworkParts::clip_vision(config)?),
    };
    let spec = &manifest.denoiser;
    let base = bundle_file(folder, &spec.base)?;
    let base = Weights::open(&base, DType::F32, &Device::Cpu)?;
    let adapters = bundle_file(folder, &spec.adapters)?;
    let adapters = AdapterFile::open(&adapters, DType::F32, &Device::Cpu)?;
    let adapters = adapters.config(&spec.config, spec.adapter_scale)?;
    let loras = wish.files(folder, &manifest)?;
    Ok(ModelParts {
        text: TextParts::of_spec(&manifest.text, file_bytes)?,
        image,
        codec,
        dit: DitParts::of_file(&spec.config, &adapters, &base)?,
        lora_values: lora_values(&loras)?,
        lora_files: loras.len(),
        name: manifest.name,
    })
}

/// Values of LoRA files, from their headers. A file that is not there is named when it is loaded.
///
/// # Errors
/// [`Error::Format`] for a file that cannot be read.
pub fn lora_values(files: &[(PathBuf, f64)]) -> Result<u64> {
    let mut values = 0;
    for (path, _) in files.iter().filter(|(path, _)| path.exists()) {
        let file = Weights::open(path, DType::F32, &Device::Cpu)?;
        let shapes = file
            .names()
            .into_iter()
            .filter_map(|name| file.shape(&name));
        values += shapes
            .map(|shape| shape.iter().product::<usize>() as u64)
            .sum::<u64>();
    }
    Ok(values)
}

/// A request with the model's defaults filled in, as far as memory and time depend on it.
pub fn run_shape(request: &Request, manifest: &BundleManifest) -> RunShape {
    let defaults = sampling_defaults(request, manifest);
    let guidance = request.guidance.unwrap_or(defaults.guidance);
    RunShape {
        // More than the model's own length is refused when the run is settled.
        frames: request
            .frames
            .unwrap_or(manifest.frames)
            .min(manifest.frames),
        height: manifest.height,
        width: manifest.width,
        steps: request.steps.unwrap_or(defaults.steps),
        guided: guidance != 1.0,
        step_cache: request.step_cache,
        has_image: request.observed != Observed::Nothing,
    }
}

/// Plans a request. `rates` are those of [`Rates::measure`], or assumed ones; `freed_bytes` of
/// memory are about to be given back.
///
/// # Errors
/// Those of [`bundle_parts`], and of a device that cannot be opened.
pub fn plan_request(request: &Request, rates: Option<Rates>, freed_bytes: u64) -> Result<Plan> {
    let folder = match &request.model {
        Some(folder) => folder.clone(),
        None => bundled_model()?,
    };
    let parts = bundle_parts(&folder, &LoraWish::from(request))?;
    let manifest = BundleManifest::read(&folder)?;
    let device = request.device.open()?;
    let mut machine = Machine::detect(&device, request.memory_bytes);
    if request.memory_bytes.is_none() && machine.knows_memory() {
        machine.memory_bytes += freed_bytes;
    }
    if let Some(rates) = rates {
        machine = machine.with_rates(rates);
    }
    let shape = run_shape(request, &manifest);
    Ok(plan::choose(&parts, &shape, &machine, request.weights))
}

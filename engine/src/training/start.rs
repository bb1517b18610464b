//! The bundle that a run goes on from: its codec and its networks' values.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};

use super::trainee::Named;
use crate::atomic_file;
use crate::pipeline::{BundleManifest, CodecSpec, TextSpec, bundle_file};
use crate::{Error, Result};

/// What a run takes over from a bundle.
pub(super) struct Start {
    folder: PathBuf,
    codec: PathBuf,
    /// `text.*`, `base.*`, `adapters.*` in f32.
    pub(super) values: Named,
    /// Steps that the bundle has seen.
    pub(super) trained_steps: u64,
}

impl Start {
    /// Reads a bundle with a linear codec, as the trainer writes them.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Format`] naming the file; [`Error::Invalid`] for another codec or text
    /// encoder.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let manifest = BundleManifest::read(folder)?;
        let CodecSpec::LinearPatch { file: codec, .. } = &manifest.codec else {
            return Err(Error::invalid(
                "start_from",
                "training can go on from a model with the linear codec only",
            ));
        };
        let TextSpec::Umt5Bytes { file: text, .. } = &manifest.text else {
            return Err(Error::invalid(
                "start_from",
                "training can go on from a model with the byte text encoder only",
            ));
        };
        let parts = [
            ("text", text),
            ("base", &manifest.denoiser.base),
            ("adapters", &manifest.denoiser.adapters),
        ];
        let mut values = Named::new();
        for (prefix, name) in parts {
            let path = bundle_file(folder, name)?;
            let tensors = candle_core::safetensors::load(&path, &Device::Cpu)
                .map_err(|e| Error::format(&path, e.to_string()))?;
            for (name, tensor) in tensors {
                let tensor: Tensor = tensor.to_dtype(DType::F32)?;
                values.insert(format!("{prefix}.{name}"), tensor);
            }
        }
        Ok(Self {
            codec: bundle_file(folder, codec)?,
            folder: folder.to_owned(),
            values,
            trained_steps: manifest.trained_steps,
        })
    }

    /// Puts the bundle's codec where the run keeps its own; a run that began otherwise is refused.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Invalid`] if the run holds another codec.
    pub(super) fn give_codec(&self, path: &Path) -> Result<()> {
        let ours = std::fs::read(&self.codec).map_err(|e| Error::io(&self.codec, e))?;
        match std::fs::read(path) {
            Ok(held) if held == ours => Ok(()),
            Ok(_) => Err(Error::invalid(
                "start_from",
                format!(
                    "{} is not the codec of {}; use another run folder",
                    path.display(),
                    self.folder.display()
                ),
            )),
            Err(_) => atomic_file::write(path, &ours),
        }
    }
}

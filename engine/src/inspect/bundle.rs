//! Folders: model bundles, and weights without a manifest.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Inspection, Kind, memory_need, reason};
use crate::pipeline::{BundleManifest, CodecSpec, ImageSpec};
use crate::scene::TensorFile;
use crate::weight_files::weight_paths;
use crate::{Error, Result};

pub(super) fn inspect_bundle(folder: &Path) -> Result<Inspection> {
    let manifest = BundleManifest::read(folder)?;
    let mut found = Inspection::new(folder, Kind::ModelBundle);
    found.fact("name", &manifest.name);
    found.fact("about", &manifest.description);
    found.fact("licence", &manifest.licence);
    found.fact(
        "clip",
        format!(
            "{} frames of {} x {} pixels at {} per second",
            manifest.frames, manifest.width, manifest.height, manifest.fps
        ),
    );
    found.fact("coupling", manifest.denoiser.coupling.label());
    if manifest.trained_steps > 0 {
        found.fact("trained", format!("{} steps", manifest.trained_steps));
    }
    let (CodecSpec::LinearPatch { file: codec, .. } | CodecSpec::WanVae { file: codec }) =
        &manifest.codec;
    let denoiser = &manifest.denoiser;
    let text = manifest.text.weights();
    let mut names: BTreeSet<&str> = [codec, text, &denoiser.base, &denoiser.adapters].into();
    if let Some(ImageSpec::ClipVision { weights, .. }) = &manifest.image {
        names.insert(weights);
    }
    let fast = manifest.fast.as_ref().map(|fast| &fast.lora);
    names.extend(
        manifest
            .loras
            .iter()
            .chain(fast)
            .map(|lora| lora.file.as_str()),
    );
    if let Some(fast) = &manifest.fast {
        found.fact(
            "fast",
            format!("{} steps with {}", fast.sampling.steps, fast.lora.file),
        );
    }
    for name in names {
        found.add_weights(folder, name);
    }
    found.fact("parameters", found.parameters);
    found.needs.push(format!(
        "memory and time as `one4d plan {}` says for this machine",
        folder.display()
    ));
    Ok(found)
}

pub(super) fn inspect_folder(folder: &Path) -> Result<Inspection> {
    let names: BTreeSet<String> = std::fs::read_dir(folder)
        .map_err(|e| Error::io(folder, e))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| {
            let extension = Path::new(name).extension();
            extension.is_some_and(|e| e.eq_ignore_ascii_case("safetensors"))
        })
        .collect();
    if names.is_empty() {
        return Err(Error::format(
            folder,
            "holds neither model.json nor any safetensors file",
        ));
    }
    let mut found = Inspection::new(folder, Kind::WeightFolder);
    found.fact("files", names.len());
    for name in &names {
        found.add_named(folder, name);
    }
    found.fact("parameters", found.parameters);
    found.needs.push(memory_need(found.parameters));
    Ok(found)
}

impl Inspection {
    /// Counts in the files that a name of a manifest stands for.
    fn add_weights(&mut self, folder: &Path, name: &str) {
        match weight_paths(&folder.join(name)) {
            Ok(paths) => {
                for path in paths {
                    let local = path.strip_prefix(folder).unwrap_or(&path);
                    self.add_named(folder, &local.to_string_lossy());
                }
            }
            Err(error) => self.problems.push(format!("{name}: {}", reason(&error))),
        }
    }

    fn add_named(&mut self, folder: &Path, name: &str) {
        match TensorFile::open(folder.join(name)) {
            Ok(file) => self.add_file(&file, &format!("{name}: ")),
            Err(error) => self.problems.push(format!("{name}: {}", reason(&error))),
        }
    }
}

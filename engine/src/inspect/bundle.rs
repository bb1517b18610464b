//! Folders: model bundles, and weights without a manifest.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Inspection, Kind, memory_need, reason};
use crate::pipeline::{BundleManifest, CodecSpec, TextSpec};
use crate::scene::TensorFile;
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
    found.fact("coupling", format!("{:?}", manifest.denoiser.coupling));
    found.fact("trained", format!("{} steps", manifest.trained_steps));
    let (CodecSpec::LinearPatch { file: codec, .. } | CodecSpec::WanVae { file: codec }) =
        &manifest.codec;
    let TextSpec::Umt5Bytes { file: text, .. } = &manifest.text;
    let denoiser = &manifest.denoiser;
    let files: BTreeSet<&str> = [codec, text, &denoiser.base, &denoiser.adapters]
        .map(String::as_str)
        .into();
    for name in files {
        found.add_named(folder, name);
    }
    found.fact("parameters", found.parameters);
    found.needs.push(memory_need(found.parameters));
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
    fn add_named(&mut self, folder: &Path, name: &str) {
        match TensorFile::open(folder.join(name)) {
            Ok(file) => self.add_file(&file, &format!("{name}: ")),
            Err(error) => self.problems.push(format!("{name}: {}", reason(&error))),
        }
    }
}

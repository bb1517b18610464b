//! What a file holds and what it needs: scene, model bundle, adapter, checkpoint, any safetensors.
//!
//! Reads headers and manifests only, so that a 30 GB checkpoint is described at once.

mod bundle;
mod networks;
mod scene;
mod weights;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::atomic_file::human_bytes;
use crate::scene::TensorFile;
use crate::weight_files::{FileKind, GgufFile, pickle, weight_paths};
use crate::{Error, Result};

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A 4D scene.
    Scene,
    /// A folder with `model.json` and weights.
    ModelBundle,
    /// Adapters, links and XYZ patch embedding of the decoupled branches.
    Adapter,
    /// A LoRA for a base network.
    Lora,
    /// The embeddings of 4DNeX's two halves.
    Embeddings,
    /// A Wan video transformer.
    Denoiser,
    /// A video codec.
    Codec,
    /// A text encoder.
    TextEncoder,
    /// An image encoder.
    ImageEncoder,
    /// A folder of safetensors files without a manifest, such as a training run.
    WeightFolder,
    /// A PyTorch pickle, which is not looked into.
    Pickle,
    /// Other tensors.
    Tensors,
}

impl Kind {
    /// Name for people: "model bundle".
    pub fn label(self) -> &'static str {
        match self {
            Self::Scene => "4D scene",
            Self::ModelBundle => "model bundle",
            Self::Adapter => "adapter",
            Self::Lora => "LoRA",
            Self::Embeddings => "domain embeddings of 4DNeX",
            Self::Pickle => "PyTorch pickle",
            Self::Denoiser => "video transformer",
            Self::Codec => "video codec",
            Self::TextEncoder => "text encoder",
            Self::ImageEncoder => "image encoder",
            Self::WeightFolder => "folder of weights",
            Self::Tensors => "tensors of no known model",
        }
    }
}

/// One tensor of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TensorSummary {
    /// Name.
    pub name: String,
    /// Element type as the file spells it.
    pub dtype: String,
    /// Shape.
    pub shape: Vec<usize>,
    /// Size in the file.
    pub bytes: u64,
}

/// A line about a file: what, and its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// What.
    pub name: String,
    /// Its value, for people.
    pub value: String,
}

/// What [`inspect`] found. Displays as text for people, serialises for machines.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// The file or folder.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
    /// Size on disk.
    pub bytes: u64,
    /// Scalars in all tensors.
    pub parameters: u64,
    /// What it holds, most important first.
    pub facts: Vec<Fact>,
    /// What using it takes: memory, other files.
    pub needs: Vec<String>,
    /// What is wrong with it.
    pub problems: Vec<String>,
    /// String metadata of a safetensors file.
    pub metadata: BTreeMap<String, String>,
    /// Tensors by name; for folders their files' tensors, prefixed with the file's name.
    pub tensors: Vec<TensorSummary>,
}

/// Describes a file or a model folder.
///
/// # Errors
/// [`Error::Io`] if it cannot be read, [`Error::Format`] if it is neither a safetensors file nor a
/// folder that holds some.
pub fn inspect(path: impl AsRef<Path>) -> Result<Inspection> {
    let path = path.as_ref();
    if path.is_dir() {
        let scene = path.join("scene.one4d");
        return if path.join("model.json").exists() {
            bundle::inspect_bundle(path)
        } else if scene.is_file() {
            inspect(scene)
        } else {
            bundle::inspect_folder(path)
        };
    }
    if path.file_name().is_some_and(|name| name == "model.json") {
        let folder = path.parent().filter(|folder| *folder != Path::new(""));
        return bundle::inspect_bundle(folder.unwrap_or(Path::new(".")));
    }
    if path.extension().is_some_and(|e| e == "json") {
        return inspect_shards(path);
    }
    let mut found = Inspection::new(path, Kind::Tensors);
    match FileKind::of(path)? {
        FileKind::Gguf => {
            found.add_gguf(&GgufFile::open(path)?);
            weights::describe(&mut found);
            return Ok(found);
        }
        FileKind::Pickle => return inspect_pickle(path),
        FileKind::Other => {}
    }
    let file = TensorFile::open(path).map_err(|error| of_no_kind(path, error))?;
    found.add_file(&file, "");
    found.metadata.clone_from(&file.metadata);
    if scene::is_scene(&file) {
        scene::describe(&file, &mut found);
    } else {
        weights::describe(&mut found);
    }
    Ok(found)
}

/// Says what could have been inspected, where a file is not what its name says or of no kind that is.
fn of_no_kind(path: &Path, error: Error) -> Error {
    let Error::Format { reason, .. } = &error else {
        return error;
    };
    let ending = path.extension().unwrap_or_default().to_string_lossy();
    let reason = match &*ending.to_lowercase() {
        "safetensors" | "one4d" => return error,
        "gguf" => "does not begin as a GGUF file does: it is damaged, or something else".to_owned(),
        "pth" | "pt" | "ckpt" => {
            "does not begin as a PyTorch pickle does: it is damaged, or something else".to_owned()
        }
        _ => format!(
            "{reason}; scenes, safetensors, GGUF, PyTorch pickles and model folders can be inspected"
        ),
    };
    Error::format(path, reason)
}

/// The shards behind an index, as the one network that they are.
fn inspect_shards(index: &Path) -> Result<Inspection> {
    let mut found = Inspection::new(index, Kind::Tensors);
    let paths = weight_paths(index)?;
    found.fact("shards", paths.len());
    for path in paths {
        found.add_file(&TensorFile::open(path)?, "");
    }
    weights::describe(&mut found);
    Ok(found)
}

/// A pickle is not opened here: what it is shows once it is converted, in a process of its own.
fn inspect_pickle(path: &Path) -> Result<Inspection> {
    let mut found = Inspection::new(path, Kind::Pickle);
    found.bytes = std::fs::metadata(path)
        .map_err(|e| Error::io(path, e))?
        .len();
    let converted = pickle::converted_path(path);
    found.needs.push(if converted.is_file() {
        format!(
            "nothing: it is converted already, inspect {}",
            converted.display()
        )
    } else {
        format!(
            "to be converted once: `one4d models convert {}`",
            path.display()
        )
    });
    Ok(found)
}

impl Inspection {
    fn new(path: &Path, kind: Kind) -> Self {
        Self {
            path: path.to_owned(),
            kind,
            bytes: 0,
            parameters: 0,
            facts: Vec::new(),
            needs: Vec::new(),
            problems: Vec::new(),
            metadata: BTreeMap::new(),
            tensors: Vec::new(),
        }
    }

    fn fact(&mut self, name: &str, value: impl fmt::Display) {
        self.facts.push(Fact {
            name: name.to_owned(),
            value: value.to_string(),
        });
    }

    /// Counts a file's tensors in; `prefix` tells the files of a folder apart.
    fn add_file(&mut self, file: &TensorFile, prefix: &str) {
        self.bytes += file.map.len() as u64;
        for (name, info) in &file.tensors {
            self.parameters += info.shape.iter().map(|&n| n as u64).product::<u64>();
            self.tensors.push(TensorSummary {
                name: format!("{prefix}{name}"),
                dtype: info.dtype.to_string(),
                shape: info.shape.clone(),
                bytes: info.bytes.len() as u64,
            });
        }
    }

    fn add_gguf(&mut self, file: &GgufFile) {
        if let Some(architecture) = file.architecture() {
            self.fact("architecture", architecture);
        }
        for (name, info) in file.tensors() {
            self.bytes += info.num_bytes();
            self.parameters += info.shape.iter().map(|&n| n as u64).product::<u64>();
            self.tensors.push(TensorSummary {
                name: name.clone(),
                dtype: info.kind.name(),
                shape: info.shape.clone(),
                bytes: info.num_bytes(),
            });
        }
    }

    /// Tensors that the text form lists.
    const SHOWN: usize = 24;
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.path.display())?;
        let size = human_bytes(self.bytes);
        writeln!(f, "  {} of {size}", self.kind.label())?;
        for fact in &self.facts {
            writeln!(f, "  {:<14} {}", fact.name, fact.value)?;
        }
        for need in &self.needs {
            writeln!(f, "  needs          {need}")?;
        }
        for problem in &self.problems {
            writeln!(f, "  problem        {problem}")?;
        }
        for tensor in self.tensors.iter().take(Self::SHOWN) {
            let TensorSummary {
                name, dtype, shape, ..
            } = tensor;
            writeln!(f, "    {name:<40} {dtype:<5} {shape:?}")?;
        }
        match self.tensors.len().saturating_sub(Self::SHOWN) {
            0 => Ok(()),
            more => writeln!(f, "    and {more} more tensors"),
        }
    }
}

/// Memory that weights take in f32, beside what this machine has.
fn memory_need(parameters: u64) -> String {
    let required = human_bytes(4 * parameters);
    match crate::device::system_memory_bytes() {
        Some((_, available)) => format!(
            "{required} of memory for the weights in f32 (available here: {})",
            human_bytes(available)
        ),
        None => format!("{required} of memory for the weights in f32"),
    }
}

/// What is wrong with a file, without repeating its path.
fn reason(error: &Error) -> String {
    match error {
        Error::Format { reason, .. } | Error::Weights { reason, .. } => reason.clone(),
        Error::Io { source, .. } => source.to_string(),
        other => other.to_string(),
    }
}

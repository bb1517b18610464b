//! From what a person points at to the files behind it: one file, an index of shards, or a folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::scene::TensorFile;
use crate::{Error, Result};

/// An index of shards, as Hugging Face writes `*.safetensors.index.json`.
#[derive(Deserialize)]
struct ShardIndex {
    /// File of each tensor.
    weight_map: BTreeMap<String, String>,
}

/// Largest index that is read.
const MAX_INDEX_BYTES: u64 = 64 << 20;

/// The weight files behind a path, in name order.
///
/// A folder is searched for an index, else for safetensors files, else for one GGUF or pickle. An
/// index must name files beside it, all of them there, each with the tensors it promises.
///
/// # Errors
/// [`Error::Io`]; [`Error::Format`] for an index that cannot be read; [`Error::Weights`] naming what
/// is missing.
pub fn weight_paths(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        let is_index = path.extension().is_some_and(|e| e == "json");
        return if is_index {
            shards(path)
        } else {
            Ok(vec![path.to_owned()])
        };
    }
    let mut names: Vec<PathBuf> = std::fs::read_dir(path)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
        .map_err(|e| Error::io(path, e))?;
    names.sort();
    let with = |ending: &str| -> Vec<PathBuf> {
        let ends = |path: &&PathBuf| path.to_string_lossy().to_lowercase().ends_with(ending);
        names.iter().filter(ends).cloned().collect()
    };
    if let [index] = with(".safetensors.index.json").as_slice() {
        return shards(index);
    }
    for ending in [".safetensors", ".gguf", ".pth"] {
        let found = with(ending);
        match found.len() {
            0 => {}
            // Shards without an index are read together; several of the others are alternatives.
            1 => return Ok(found),
            _ if ending == ".safetensors" => return Ok(found),
            n => {
                let reason = format!("holds {n} {ending} files; point at the one to use");
                return Err(Error::weights(path, reason));
            }
        }
    }
    Err(Error::weights(
        path,
        "holds no safetensors, GGUF or .pth file",
    ))
}

fn shards(index: &Path) -> Result<Vec<PathBuf>> {
    let bytes = std::fs::metadata(index)
        .map_err(|e| Error::io(index, e))?
        .len();
    if bytes > MAX_INDEX_BYTES {
        return Err(Error::format(index, "is too large for an index of shards"));
    }
    let text = std::fs::read_to_string(index).map_err(|e| Error::io(index, e))?;
    let parsed: ShardIndex = serde_json::from_str(&text)
        .map_err(|e| Error::format(index, format!("no index of shards: {e}")))?;
    let folder = index.parent().unwrap_or(Path::new(""));
    let names: BTreeSet<&String> = parsed.weight_map.values().collect();
    if names.is_empty() {
        return Err(Error::format(index, "names no file"));
    }
    let mut problems = Vec::new();
    let mut paths = Vec::new();
    for name in names {
        if Path::new(name).components().count() != 1 || name.starts_with('.') {
            let reason = format!("`{name}` is no file name beside the index");
            return Err(Error::format(index, reason));
        }
        let path = folder.join(name);
        if !path.is_file() {
            problems.push(format!("the shard {name} is missing"));
            continue;
        }
        let file = TensorFile::open(&path)?;
        let promised = parsed.weight_map.iter().filter(|(_, shard)| *shard == name);
        problems.extend(
            promised
                .filter(|(tensor, _)| !file.tensors.contains_key(*tensor))
                .map(|(tensor, _)| format!("{name} lacks {tensor}")),
        );
        paths.push(path);
    }
    if problems.is_empty() {
        return Ok(paths);
    }
    let more = problems.len().saturating_sub(12);
    problems.truncate(12);
    if more > 0 {
        problems.push(format!("and {more} more"));
    }
    Err(Error::weights(index, problems.join("; ")))
}

//! A memory-mapped safetensors file whose header has been validated.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;
use safetensors::tensor::{Dtype, Metadata, SafeTensorError, SafeTensors};

use crate::atomic_file::human_bytes;
use crate::{Error, Result};

#[cfg(target_endian = "big")]
compile_error!("scene files are mapped, which needs a little-endian machine");

/// One tensor of a [`TensorFile`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Element type.
    pub dtype: Dtype,
    /// Shape, slowest axis first.
    pub shape: Vec<usize>,
    /// Where its bytes lie in the file.
    pub bytes: Range<usize>,
}

/// A safetensors file: mapped, header checked against the file's length, data untouched.
#[derive(Clone, Debug)]
pub struct TensorFile {
    /// Where it was opened.
    pub path: PathBuf,
    /// The mapped bytes.
    pub map: Arc<Mmap>,
    /// Tensors by name.
    pub tensors: BTreeMap<String, TensorInfo>,
    /// String metadata.
    pub metadata: BTreeMap<String, String>,
}

impl TensorFile {
    /// Maps a file and validates its header; offsets, shapes and sizes are checked with checked
    /// arithmetic before any tensor is touched.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be opened, [`Error::Format`] saying what is wrong with it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let map = map_regular_file(path)?;
        let (header_len, metadata) = SafeTensors::read_metadata(&map)
            .map_err(|error| Error::format(path, explain(&map, &error)))?;
        let data_start = header_len + size_of::<u64>();
        let tensors = metadata
            .tensors()
            .into_iter()
            .map(|(name, info)| {
                let (start, end) = info.data_offsets;
                let info = TensorInfo {
                    dtype: info.dtype,
                    shape: info.shape.clone(),
                    bytes: data_start + start..data_start + end,
                };
                (name, info)
            })
            .collect();
        Ok(Self {
            path: path.to_owned(),
            map: Arc::new(map),
            tensors,
            metadata: metadata.metadata().clone().into_iter().flatten().collect(),
        })
    }
}

/// Maps a file of plain numbers; folders, pipes and empty files are refused.
pub(crate) fn map_regular_file(path: &Path) -> Result<Mmap> {
    // Before opening: opening a pipe would wait for its writer.
    let about = std::fs::metadata(path).map_err(|e| Error::io(path, e))?;
    if about.is_dir() {
        return Err(Error::format(path, "is a folder; a file is needed"));
    }
    if !about.is_file() {
        return Err(Error::format(path, "is not a regular file"));
    }
    if about.len() == 0 {
        return Err(Error::format(path, "the file is empty"));
    }
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    #[expect(unsafe_code, reason = "memory map of a scene or weight file")]
    // SAFETY: the map is read-only and holds plain numbers; a file cut short by another program
    // while mapped would fault, which is the accepted price of not reading gigabytes.
    let map = unsafe { Mmap::map(&file) }.map_err(|e| Error::io(path, e))?;
    Ok(map)
}

/// What is wrong with a file that is no valid safetensors file, for people.
fn explain(bytes: &[u8], error: &SafeTensorError) -> String {
    if let Some(kind) = known_kind(bytes) {
        return format!("is {kind}, not a safetensors file");
    }
    let size = human_bytes(bytes.len() as u64);
    let Some(prefix) = bytes.first_chunk::<8>() else {
        return format!("truncated or not a safetensors file: {size} hold no header");
    };
    let claimed = u64::from_le_bytes(*prefix);
    let header = usize::try_from(claimed)
        .ok()
        .and_then(|len| bytes.get(8..len.checked_add(8)?));
    let Some(header) = header else {
        return format!(
            "truncated or not a safetensors file: the header claims {claimed} bytes, \
             the file has {size}"
        );
    };
    match error {
        SafeTensorError::MetadataIncompleteBuffer => {
            let needed = serde_json::from_slice::<Metadata>(header)
                .map_or(0, |metadata| metadata.data_len() as u64 + claimed + 8);
            format!(
                "truncated or damaged: its tensors need {}, the file has {size}",
                human_bytes(needed)
            )
        }
        SafeTensorError::InvalidHeader(_) | SafeTensorError::InvalidHeaderDeserialization(_) => {
            misfit_tensor(header)
                .unwrap_or_else(|| format!("not a safetensors file or damaged: {error}"))
        }
        _ => misfit_tensor(header).unwrap_or_else(|| format!("damaged header: {error}")),
    }
}

/// Names the first tensor whose byte range contradicts its shape.
fn misfit_tensor(header: &[u8]) -> Option<String> {
    let header: serde_json::Value = serde_json::from_slice(header).ok()?;
    header.as_object()?.iter().find_map(|(name, info)| {
        let shape: Vec<u64> = serde_json::from_value(info.get("shape")?.clone()).ok()?;
        let dtype: Dtype = serde_json::from_value(info.get("dtype")?.clone()).ok()?;
        let [start, end]: [u64; 2] =
            serde_json::from_value(info.get("data_offsets")?.clone()).ok()?;
        let bits = shape
            .iter()
            .try_fold(dtype.bitsize() as u64, |bits, &n| bits.checked_mul(n));
        let stored = end.checked_sub(start);
        (bits.map(|bits| bits / 8) != stored || stored.is_none()).then(|| {
            format!(
                "damaged header: tensor `{name}` is {dtype} {shape:?}, which needs {}, \
                 but bytes {start}..{end} are set aside for it",
                bits.map_or_else(
                    || "more bytes than a file can have".to_owned(),
                    |bits| human_bytes(bits / 8)
                ),
            )
        })
    })
}

/// True if a file begins with a line of plain text; the length that begins a safetensors file has
/// bytes of zero.
fn is_text(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(64)];
    start.len() >= 8
        && start
            .iter()
            .all(|b| matches!(b, b'\t' | b'\r' | b'\n' | b' '..=b'~'))
}

/// Recognises files that people take for a scene or a checkpoint.
fn known_kind(bytes: &[u8]) -> Option<&'static str> {
    let starts = |magic: &[u8]| bytes.starts_with(magic);
    let kind = match () {
        () if starts(b"\x89PNG") => "a PNG image",
        () if starts(b"\xff\xd8\xff") => "a JPEG image",
        () if starts(b"GIF8") => "a GIF image",
        () if starts(b"RIFF") => "a WebP image or an AVI video",
        () if bytes.get(4..8) == Some(b"ftyp") => "an MP4 video",
        () if starts(b"PK\x03\x04") => {
            "a zip archive (a PyTorch checkpoint? convert it to safetensors)"
        }
        () if starts(b"\x80\x02") => "a Python pickle (convert it to safetensors)",
        () if starts(b"GGUF") => "a GGUF file",
        () if starts(b"ply") => "a PLY point cloud",
        () if starts(b"glTF") => "a GLB file",
        () if starts(b"\x93NUMPY") => "a NumPy array",
        () if starts(b"version https://git-lfs") => {
            "a Git LFS pointer (the file itself was not downloaded)"
        }
        () if starts(b"<!DOCTYPE") || starts(b"<html") => "a web page (a failed download?)",
        () if is_text(bytes) => "a text file (camera paths are compared by `one4d eval pose`)",
        () => return None,
    };
    Some(kind)
}

//! Files that hold a network's tensors: safetensors in one file or in shards, scaled 8-bit floats,
//! and GGUF; pickles are converted once by [`pickle`]. Files are mapped, and a tensor is read when a
//! network asks for it.

mod bare_tensor;
mod find;
mod fp8;
mod gguf;
pub mod pickle;

pub use find::weight_paths;
pub use fp8::Float8;
pub use gguf::{GgufFile, GgufType};

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::quantized::QTensor;
use candle_core::{DType, Device, Tensor};
use safetensors::tensor::Dtype;

use crate::scene::{TensorFile, TensorInfo};
use crate::{Error, Result};

/// One opened file.
enum WeightFile {
    Safetensors(TensorFile),
    Gguf(GgufFile),
}

/// A tensor in the form in which its file has it.
pub enum StoredTensor {
    /// f32 or bf16; f16 has become bf16.
    Plain(Tensor),
    /// Blocks of integers with scales.
    Blocks(QTensor),
    /// 8-bit floats with scales.
    Float8(Float8),
}

/// Sizes of one tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredBytes {
    /// In the file, without scales.
    pub file: u64,
    /// In memory as [`StoredTensor`].
    pub held: u64,
    /// Whether memory then holds every value as the file has it.
    pub is_exact: bool,
}

/// Tensors of one or several files under one set of names.
pub struct WeightFiles {
    files: Vec<WeightFile>,
    /// File and shape of every tensor that a network may ask for.
    tensors: BTreeMap<String, (usize, Vec<usize>)>,
    paths: Vec<PathBuf>,
}

impl WeightFiles {
    /// Maps files and reads their headers; the kind is told by the first bytes.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Format`] naming the file and what is wrong with it, or for a name that
    /// two files hold; [`Error::Invalid`] without a file.
    pub fn open(paths: &[impl AsRef<Path>]) -> Result<Self> {
        let mut all = Self {
            files: Vec::new(),
            tensors: BTreeMap::new(),
            paths: paths.iter().map(|path| path.as_ref().to_owned()).collect(),
        };
        if all.paths.is_empty() {
            return Err(Error::invalid("weight files", "none was given"));
        }
        for path in all.paths.clone() {
            all.add(&path)?;
        }
        Ok(all)
    }

    fn add(&mut self, path: &Path) -> Result<()> {
        let file = match FileKind::of(path)? {
            FileKind::Gguf => WeightFile::Gguf(GgufFile::open(path)?),
            FileKind::Pickle => return Err(FileKind::refuse_pickle(path)),
            FileKind::Other => WeightFile::Safetensors(TensorFile::open(path)?),
        };
        for (name, shape) in file.shapes() {
            let index = self.files.len();
            if let Some((other, _)) = self.tensors.insert(name.clone(), (index, shape)) {
                let other = self.paths[other].display();
                return Err(Error::format(path, format!("{name} stands in {other} too")));
            }
        }
        self.files.push(file);
        Ok(())
    }

    /// Where the tensors come from.
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// Names in order; scales of 8-bit floats are not among them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Shape of a tensor, slowest axis first.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        Some(self.tensors.get(name)?.1.as_slice())
    }

    /// Reads a tensor: as it is stored, 8-bit floats and quantised blocks as f32.
    ///
    /// # Errors
    /// [`Error::Format`] for a type that no network has or a scale that does not fit.
    pub fn load(&self, name: &str, device: &Device) -> Result<Option<Tensor>> {
        let Some((index, _)) = self.tensors.get(name) else {
            return Ok(None);
        };
        let tensor = match &self.files[*index] {
            WeightFile::Gguf(file) => file.load(name, device)?,
            WeightFile::Safetensors(file) if fp8::is_scaled(file, name) => {
                fp8::load(file, name, device)?
            }
            WeightFile::Safetensors(file) => load_plain(file, name, device)?,
        };
        Ok(Some(tensor))
    }

    /// Reads a tensor without widening it. Off the CPU, 8-bit floats become bf16.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_stored(&self, name: &str, device: &Device) -> Result<Option<StoredTensor>> {
        let Some((index, _)) = self.tensors.get(name) else {
            return Ok(None);
        };
        let narrow = |tensor: Tensor| -> Result<Tensor> {
            Ok(match tensor.dtype() {
                DType::F16 | DType::F64 => tensor.to_dtype(DType::BF16)?,
                _ => tensor,
            })
        };
        Ok(Some(match &self.files[*index] {
            WeightFile::Gguf(file) => match file.quantised(name, device)? {
                Some(blocks) => StoredTensor::Blocks(blocks),
                None => {
                    let wide = file.load(name, device)?;
                    StoredTensor::Plain(if file.is_half(name) {
                        wide.to_dtype(DType::BF16)?
                    } else {
                        wide
                    })
                }
            },
            WeightFile::Safetensors(file) if fp8::is_float8(file, name) => {
                if device.is_cpu() {
                    StoredTensor::Float8(fp8::load_stored(file, name)?)
                } else {
                    let wide = self.load(name, device)?;
                    let wide = wide.ok_or_else(|| Error::weights(&file.path, name))?;
                    StoredTensor::Plain(wide.to_dtype(DType::BF16)?)
                }
            }
            WeightFile::Safetensors(file) => {
                StoredTensor::Plain(narrow(load_plain(file, name, device)?)?)
            }
        }))
    }

    /// Some rows of a table `[O, I]` as f32 or as they are stored, `[rows, I]`, without reading the rest.
    ///
    /// # Errors
    /// As [`Self::load`]; [`Error::Format`] for a row that the table does not have.
    pub fn load_rows(&self, name: &str, rows: &[u32], device: &Device) -> Result<Option<Tensor>> {
        let Some((index, shape)) = self.tensors.get(name) else {
            return Ok(None);
        };
        let path = &self.paths[*index];
        let &[count, width] = shape.as_slice() else {
            return Err(Error::format(path, format!("{name} {shape:?} is no table")));
        };
        if let Some(row) = rows.iter().find(|&&row| row as usize >= count) {
            return Err(Error::format(
                path,
                format!("{name} has {count} rows, not {row}"),
            ));
        }
        let gather = |bytes: &[u8]| -> Vec<u8> {
            let row_bytes = bytes.len() / count.max(1);
            let row = |&row: &u32| &bytes[row as usize * row_bytes..][..row_bytes];
            rows.iter().flat_map(row).copied().collect()
        };
        Ok(Some(match &self.files[*index] {
            WeightFile::Gguf(file) => {
                file.load_gathered(name, (rows.len(), width), gather, device)?
            }
            WeightFile::Safetensors(file) if fp8::is_float8(file, name) => {
                let floats = fp8::load_stored(file, name)?;
                let mut wide = vec![0.0; rows.len() * width];
                for (row, wide) in rows.iter().zip(wide.chunks_exact_mut(width.max(1))) {
                    floats.widen(*row as usize, wide);
                }
                Tensor::from_vec(wide, (rows.len(), width), device)?
            }
            WeightFile::Safetensors(file) => {
                let info = plain_info(file, name)?;
                let bytes = gather(&file.map[info.bytes.clone()]);
                let dtype = plain_dtype(file, name, info.dtype)?;
                Tensor::from_raw_buffer(&bytes, dtype, &[rows.len(), width], device)?
            }
        }))
    }

    /// Sizes of a tensor, from the header alone.
    pub fn stored_bytes(&self, name: &str) -> Option<StoredBytes> {
        let (index, shape) = self.tensors.get(name)?;
        let count = shape.iter().product::<usize>() as u64;
        Some(match &self.files[*index] {
            WeightFile::Gguf(file) => {
                let tensor = file.tensors().get(name)?;
                StoredBytes {
                    file: tensor.num_bytes(),
                    held: tensor.num_bytes(),
                    is_exact: !file.is_f16(name),
                }
            }
            WeightFile::Safetensors(file) => {
                let info = file.tensors.get(name)?;
                let held = match info.dtype {
                    Dtype::F8_E4M3 => count + fp8::scale_bytes(file, name),
                    Dtype::F64 => 2 * count,
                    _ => info.bytes.len() as u64,
                };
                StoredBytes {
                    file: info.bytes.len() as u64,
                    held,
                    is_exact: !matches!(info.dtype, Dtype::F16 | Dtype::F64),
                }
            }
        })
    }
}

/// The string metadata of a safetensors file; empty for folders, indices and other formats.
///
/// # Errors
/// Those of opening the file.
pub fn string_metadata(path: &Path) -> Result<BTreeMap<String, String>> {
    let is_index = path.extension().is_some_and(|e| e == "json");
    if path.is_dir() || is_index || !matches!(FileKind::of(path)?, FileKind::Other) {
        return Ok(BTreeMap::new());
    }
    Ok(TensorFile::open(path)?.metadata)
}

impl WeightFile {
    fn shapes(&self) -> Vec<(String, Vec<usize>)> {
        match self {
            Self::Gguf(file) => file
                .tensors()
                .iter()
                .map(|(name, info)| (name.clone(), info.shape.clone()))
                .collect(),
            Self::Safetensors(file) => file
                .tensors
                .iter()
                .filter(|(name, _)| !fp8::is_helper(file, name))
                .map(|(name, info)| (name.clone(), info.shape.clone()))
                .collect(),
        }
    }
}

/// What the first bytes of a file say.
pub(crate) enum FileKind {
    /// GGUF.
    Gguf,
    /// A pickle, bare or in a zip.
    Pickle,
    /// Safetensors, or nothing that is known.
    Other,
}

impl FileKind {
    /// Looks at a file.
    pub(crate) fn of(path: &Path) -> Result<Self> {
        use std::io::Read as _;
        // Before opening: opening a pipe would wait for its writer. The safetensors reader has the
        // words for what is no regular file.
        let about = std::fs::metadata(path).map_err(|e| Error::io(path, e))?;
        if !about.is_file() {
            return Ok(Self::Other);
        }
        let mut start = [0; 4];
        let mut file = std::fs::File::open(path).map_err(|e| Error::io(path, e))?;
        let count = file.read(&mut start).map_err(|e| Error::io(path, e))?;
        Ok(match &start[..count] {
            b"GGUF" => Self::Gguf,
            // A zip, or a bare pickle of protocol 2 to 5.
            [b'P', b'K', 3, 4] | [0x80, 2..=5, ..] if !is_safetensors(path) => Self::Pickle,
            _ => Self::Other,
        })
    }

    /// What to do with a pickle.
    pub(crate) fn refuse_pickle(path: &Path) -> Error {
        let reason = "is a pickle, which is not read directly; convert it with \
                      `one4d models convert`";
        Error::format(path, reason)
    }
}

/// A safetensors file whose header happens to begin like a pickle is still one.
fn is_safetensors(path: &Path) -> bool {
    path.extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("safetensors"))
}

fn plain_info<'a>(file: &'a TensorFile, name: &str) -> Result<&'a TensorInfo> {
    let info = file.tensors.get(name);
    info.ok_or_else(|| Error::weights(&file.path, format!("{name} is missing")))
}

/// Our name of a type in the file.
fn plain_dtype(file: &TensorFile, name: &str, dtype: Dtype) -> Result<DType> {
    Ok(match dtype {
        Dtype::F64 => DType::F64,
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        Dtype::F8_E4M3 => DType::F8E4M3,
        Dtype::I64 => DType::I64,
        Dtype::U32 => DType::U32,
        Dtype::U8 => DType::U8,
        other => {
            let reason = format!("{name} is of type {other}, which no network here has");
            return Err(Error::format(&file.path, reason));
        }
    })
}

fn load_plain(file: &TensorFile, name: &str, device: &Device) -> Result<Tensor> {
    let info = plain_info(file, name)?;
    let dtype = plain_dtype(file, name, info.dtype)?;
    let bytes = &file.map[info.bytes.clone()];
    let tensor = Tensor::from_raw_buffer(bytes, dtype, &info.shape, device)?;
    // Copies and products of 8-bit floats are not implemented everywhere.
    Ok(if dtype == DType::F8E4M3 {
        tensor.to_dtype(DType::F32)?
    } else {
        tensor
    })
}

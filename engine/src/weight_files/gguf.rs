//! GGUF, as city96's converters write it for Wan: mapped, types read tensor by tensor.
//!
//! Format: ggml-org/ggml `docs/gguf.md`, versions 2 and 3. Own reader, because candle's stops at four
//! axes and the patch embedding has five. Blocks are unpacked by candle.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QTensor, ggml_file::qtensor_from_ggml};
use candle_core::{Device, Tensor};
use memmap2::Mmap;

use crate::scene::map_regular_file;
use crate::{Error, Result};

const MAX_TENSORS: u64 = 1 << 20;
const MAX_PAIRS: u64 = 1 << 16;
const MAX_AXES: u32 = 8;
const MAX_NAME_BYTES: u64 = 1 << 16;
const MAX_ARRAY_DEPTH: u32 = 4;
const DEFAULT_ALIGNMENT: u64 = 32;

/// How a tensor is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GgufType(GgmlDType);

impl GgufType {
    fn of(code: u32) -> Option<Self> {
        Some(Self(match code {
            0 => GgmlDType::F32,
            1 => GgmlDType::F16,
            2 => GgmlDType::Q4_0,
            3 => GgmlDType::Q4_1,
            6 => GgmlDType::Q5_0,
            7 => GgmlDType::Q5_1,
            8 => GgmlDType::Q8_0,
            10 => GgmlDType::Q2K,
            11 => GgmlDType::Q3K,
            12 => GgmlDType::Q4K,
            13 => GgmlDType::Q5K,
            14 => GgmlDType::Q6K,
            30 => GgmlDType::BF16,
            _ => return None,
        }))
    }

    /// Name for people.
    pub fn name(self) -> String {
        format!("{:?}", self.0)
    }
}

/// One tensor of a GGUF file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GgufTensor {
    /// How it is stored.
    pub kind: GgufType,
    /// Shape, slowest axis first.
    pub shape: Vec<usize>,
    /// Where its bytes lie in the file.
    bytes: std::ops::Range<usize>,
}

impl GgufTensor {
    /// Size in the file.
    pub fn num_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }
}

/// A GGUF file: mapped, header checked against the file's length.
#[derive(Clone, Debug)]
pub struct GgufFile {
    path: PathBuf,
    map: Arc<Mmap>,
    tensors: BTreeMap<String, GgufTensor>,
    /// `general.architecture`.
    architecture: Option<String>,
}

impl GgufFile {
    /// Maps a file and reads its header.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Format`] saying what is wrong with it.
    pub fn open(path: &Path) -> Result<Self> {
        let map = map_regular_file(path)?;
        let header = read_header(&map).map_err(|reason| Error::format(path, reason))?;
        Ok(Self {
            path: path.to_owned(),
            map: Arc::new(map),
            tensors: header.tensors,
            architecture: header.architecture,
        })
    }

    /// Tensors by name.
    pub fn tensors(&self) -> &BTreeMap<String, GgufTensor> {
        &self.tensors
    }

    /// What the file says that it holds, such as `wan`.
    pub fn architecture(&self) -> Option<&str> {
        self.architecture.as_deref()
    }

    /// Reads a tensor of blocks as it is; `None` for plain floats.
    ///
    /// # Errors
    /// [`Error::Weights`] for an unknown name.
    pub fn quantised(&self, name: &str, device: &Device) -> Result<Option<QTensor>> {
        let info = self.info(name)?;
        if matches!(
            info.kind.0,
            GgmlDType::F32 | GgmlDType::F16 | GgmlDType::BF16
        ) {
            return Ok(None);
        }
        let bytes = &self.map[info.bytes.clone()];
        let blocks = qtensor_from_ggml(info.kind.0, bytes, info.shape.clone(), device)?;
        Ok(Some(blocks))
    }

    /// Rows of a table as f32 `[rows, width]`; `gather` picks their bytes.
    ///
    /// # Errors
    /// [`Error::Weights`] for an unknown name.
    pub(super) fn load_gathered(
        &self,
        name: &str,
        (rows, width): (usize, usize),
        gather: impl FnOnce(&[u8]) -> Vec<u8>,
        device: &Device,
    ) -> Result<Tensor> {
        let info = self.info(name)?;
        let bytes = gather(&self.map[info.bytes.clone()]);
        let blocks = qtensor_from_ggml(info.kind.0, &bytes, vec![rows, width], &Device::Cpu)?;
        Ok(blocks.dequantize(&Device::Cpu)?.to_device(device)?)
    }

    /// True for 16-bit floats.
    pub(super) fn is_half(&self, name: &str) -> bool {
        let half = |info: &GgufTensor| matches!(info.kind.0, GgmlDType::F16 | GgmlDType::BF16);
        self.tensors.get(name).is_some_and(half)
    }

    /// True if a tensor is f16, which bf16 cannot hold exactly.
    pub(super) fn is_f16(&self, name: &str) -> bool {
        let f16 = |info: &GgufTensor| matches!(info.kind.0, GgmlDType::F16);
        self.tensors.get(name).is_some_and(f16)
    }

    fn info(&self, name: &str) -> Result<&GgufTensor> {
        let info = self.tensors.get(name);
        info.ok_or_else(|| Error::weights(&self.path, format!("{name} is missing")))
    }

    /// Reads a tensor as f32.
    ///
    /// # Errors
    /// [`Error::Weights`] for an unknown name.
    pub fn load(&self, name: &str, device: &Device) -> Result<Tensor> {
        let info = self.info(name)?;
        let bytes = &self.map[info.bytes.clone()];
        // The length and the alignment that candle relies on were checked with the header.
        let quantised = qtensor_from_ggml(info.kind.0, bytes, info.shape.clone(), &Device::Cpu)?;
        Ok(quantised.dequantize(&Device::Cpu)?.to_device(device)?)
    }
}

struct Header {
    tensors: BTreeMap<String, GgufTensor>,
    architecture: Option<String>,
}

/// A value of the header, as far as anything here needs it.
enum Value {
    Number(u64),
    Text(String),
    Other,
}

fn read_header(map: &[u8]) -> std::result::Result<Header, String> {
    let mut at = Reader { bytes: map, at: 0 };
    if at.take(4)? != b"GGUF" {
        return Err("is no GGUF file".to_owned());
    }
    let version = at.u32()?;
    if !(2..=3).contains(&version) {
        return Err(format!("GGUF version {version} is not known (2 and 3 are)"));
    }
    let (num_tensors, num_pairs) = (at.u64()?, at.u64()?);
    if num_tensors > MAX_TENSORS || num_pairs > MAX_PAIRS {
        return Err(format!(
            "the header claims {num_tensors} tensors and {num_pairs} values"
        ));
    }
    let (mut architecture, mut alignment) = (None, DEFAULT_ALIGNMENT);
    for _ in 0..num_pairs {
        let key = at.text()?;
        let kind = at.u32()?;
        match (key.as_str(), at.value(kind, 0)?) {
            ("general.architecture", Value::Text(text)) => architecture = Some(text),
            ("general.alignment", Value::Number(number)) => alignment = number,
            _ => {}
        }
    }
    if !alignment.is_power_of_two() || !(4..=1 << 16).contains(&alignment) {
        return Err(format!("an alignment of {alignment} bytes"));
    }
    let mut entries = Vec::new();
    for _ in 0..num_tensors {
        entries.push(at.entry()?);
    }
    let start = (at.at as u64).next_multiple_of(alignment);
    let mut tensors = BTreeMap::new();
    for (name, kind, shape, offset) in entries {
        let length = byte_length(kind, &shape).ok_or_else(|| {
            format!(
                "{name} {shape:?} is no whole number of blocks of {}",
                kind.name()
            )
        })?;
        let first = start
            .checked_add(offset)
            .filter(|_| offset % alignment == 0);
        let range = first
            .and_then(|first| Some((first, first.checked_add(length)?)))
            .filter(|&(_, end)| end <= map.len() as u64)
            .ok_or_else(|| format!("truncated: {name} lies past the end of the file"))?;
        let info = GgufTensor {
            kind,
            shape,
            bytes: range.0 as usize..range.1 as usize,
        };
        if tensors.insert(name.clone(), info).is_some() {
            return Err(format!("{name} stands there twice"));
        }
    }
    Ok(Header {
        tensors,
        architecture,
    })
}

/// Bytes of a tensor; `None` if it is no whole number of blocks a row, or too large to count.
fn byte_length(kind: GgufType, shape: &[usize]) -> Option<u64> {
    let count = shape
        .iter()
        .try_fold(1_u64, |count, &n| count.checked_mul(n as u64))?;
    let (block, size) = (kind.0.block_size() as u64, kind.0.type_size() as u64);
    let row = shape.last().copied().unwrap_or(1) as u64;
    (row % block == 0 && count % block == 0).then_some(())?;
    (count / block).checked_mul(size)
}

/// A place in the header; every read is checked against the end.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

type Read<T> = std::result::Result<T, String>;

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Read<&'a [u8]> {
        let end = self.at.checked_add(count);
        let part = end.and_then(|end| self.bytes.get(self.at..end));
        let part = part.ok_or("truncated: the file ends within its header")?;
        self.at += count;
        Ok(part)
    }

    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    fn u32(&mut self) -> Read<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Read<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn text(&mut self) -> Read<String> {
        let length = self.u64()?;
        if length > MAX_NAME_BYTES.max(self.bytes.len() as u64) {
            return Err(format!("a text of {length} bytes in the header"));
        }
        let bytes = self.take(length as usize)?;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    /// A value of type `kind`; arrays are passed over.
    fn value(&mut self, kind: u32, depth: u32) -> Read<Value> {
        Ok(match kind {
            0 | 1 | 7 => Value::Number(u64::from(self.array::<1>()?[0])),
            2 | 3 => Value::Number(u64::from(u16::from_le_bytes(self.array()?))),
            4 | 5 => Value::Number(u64::from(self.u32()?)),
            6 => {
                self.take(4)?;
                Value::Other
            }
            8 => Value::Text(self.text()?),
            9 if depth < MAX_ARRAY_DEPTH => {
                let (element, count) = (self.u32()?, self.u64()?);
                if count > self.bytes.len() as u64 {
                    return Err(format!("an array of {count} values in the header"));
                }
                for _ in 0..count {
                    self.value(element, depth + 1)?;
                }
                Value::Other
            }
            10 | 11 => Value::Number(self.u64()?),
            12 => {
                self.take(8)?;
                Value::Other
            }
            other => return Err(format!("a value of unknown type {other} in the header")),
        })
    }

    /// Name, type, shape and offset of a tensor.
    fn entry(&mut self) -> Read<(String, GgufType, Vec<usize>, u64)> {
        let name = self.text()?;
        let axes = self.u32()?;
        if axes > MAX_AXES {
            return Err(format!("{name} has {axes} axes"));
        }
        let mut shape = Vec::new();
        for _ in 0..axes {
            let side = usize::try_from(self.u64()?).map_err(|_| format!("{name} is too large"))?;
            shape.push(side);
        }
        // The file lists the fastest axis first.
        shape.reverse();
        let code = self.u32()?;
        let kind = GgufType::of(code).ok_or_else(|| format!("{name} is of unknown type {code}"))?;
        Ok((name, kind, shape, self.u64()?))
    }
}

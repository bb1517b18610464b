//! Pickles of one tensor by itself, as `torch.save(tensor, path)` leaves them: 4DNeX's domain
//! embeddings. candle's reader looks for dictionaries only.
//!
//! Runs in the converter's process alone, like everything that reads a pickle.

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::Path;

use candle_core::pickle::{Object, Stack, TensorInfo};
use candle_core::{Device, Error, Result, Tensor};
use zip::ZipArchive;

/// Ending of the archive member that describes the tensor.
const DESCRIPTION: &str = "data.pkl";

/// The tensor that the file is, under the file's name without its ending; `None` if it is something
/// else.
pub(super) fn info(source: &Path) -> Result<Option<(String, TensorInfo)>> {
    let mut archive = archive(source)?;
    let members: Vec<String> = archive
        .file_names()
        .filter_map(|name| Some(name.ok()?.into_owned()))
        .collect();
    let Some(member) = members.iter().find(|name| name.ends_with(DESCRIPTION)) else {
        return Ok(None);
    };
    let folder = Path::new(member.strip_suffix(".pkl").unwrap_or(member));
    let mut stack = Stack::empty();
    stack.read_loop(&mut BufReader::new(
        archive.by_name(member).map_err(Error::wrap)?,
    ))?;
    let name = source.file_stem().unwrap_or_default().to_string_lossy();
    let name = Object::Unicode(name.into_owned());
    let info = stack.finalize()?.into_tensor_info(name, folder)?;
    Ok(info.map(|info| (info.name.clone(), info)))
}

/// Reads the tensor; what it says of its size has been checked against the limit on memory.
pub(super) fn read(source: &Path, info: &TensorInfo) -> Result<Tensor> {
    let layout = &info.layout;
    if !layout.is_contiguous() {
        candle_core::bail!("{} is not contiguous", info.name);
    }
    let mut archive = archive(source)?;
    let mut data = archive.by_name(&info.path).map_err(Error::wrap)?;
    let wanted = layout.shape().elem_count() * info.dtype.size_in_bytes();
    let offset = layout.start_offset() as u64;
    std::io::copy(&mut data.by_ref().take(offset), &mut std::io::sink())?;
    let mut bytes = Vec::new();
    data.take(wanted as u64).read_to_end(&mut bytes)?;
    if bytes.len() != wanted {
        candle_core::bail!("{} is cut short", info.name);
    }
    Tensor::from_raw_buffer(&bytes, info.dtype, layout.dims(), &Device::Cpu)
}

fn archive(source: &Path) -> Result<ZipArchive<BufReader<File>>> {
    ZipArchive::new(BufReader::new(File::open(source)?)).map_err(Error::wrap)
}

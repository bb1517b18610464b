//! PyTorch's `.pth` pickles, converted once to safetensors in a process of their own.
//!
//! candle's reader runs no code: classes become inert objects. But a hostile file can make it panic,
//! exhaust the stack or ask for all memory, so it only ever runs in a child with a limit on memory;
//! whatever happens there, the parent gets a file or an error.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use candle_core::pickle::{PthTensors, TensorInfo};
use candle_core::{DType, Device, Tensor};
use serde_json::json;

use super::bare_tensor;
use crate::atomic_file::AtomicFile;
use crate::job::JobCtx;
use crate::{Error, Result};

/// Argument that makes `one4d` a converter; what follows are source, target and limit in bytes.
pub const CHILD_ARGUMENT: &str = "convert-pickle";

/// Keys under which some files wrap their state one level deep.
const WRAPPERS: [&str; 4] = ["model_state", "state_dict", "model", "module"];

/// Memory that a conversion may take beyond a multiple of the file.
const HEADROOM_BYTES: u64 = 1 << 30;
/// Between two looks at the child.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_mins(30);

/// Where the converted file of a pickle lies: beside it, `NAME.pth.safetensors`, a name that no
/// publisher gives, so that nobody's own file is taken for it or overwritten.
pub fn converted_path(source: &Path) -> PathBuf {
    let mut name = source.as_os_str().to_owned();
    name.push(".safetensors");
    PathBuf::from(name)
}

/// True for a name that pickles of weights have.
pub fn is_pickle(path: &Path) -> bool {
    let ending = path.extension().unwrap_or_default().to_string_lossy();
    ["pth", "pt"].contains(&ending.to_lowercase().as_str())
}

/// The converted file of a pickle, if there is one that is not older.
pub fn converted(source: &Path) -> Option<PathBuf> {
    let target = converted_path(source);
    let modified = |path: &Path| {
        std::fs::metadata(path)
            .and_then(|data| data.modified())
            .ok()
    };
    (modified(&target)? >= modified(source)?).then_some(target)
}

/// Converts a pickle in a child process of `program` (`one4d` itself) and returns the new file's path;
/// does nothing if a converted file that is not older lies beside it.
///
/// # Errors
/// [`Error::Io`] if the child cannot be started; [`Error::Format`] with what the child said, or how
/// it ended; [`Error::Cancelled`] within a tenth of a second.
pub fn convert(program: &Path, source: &Path, ctx: &JobCtx) -> Result<PathBuf> {
    let about = std::fs::metadata(source).map_err(|e| Error::io(source, e))?;
    if let Some(target) = converted(source) {
        return Ok(target);
    }
    let target = converted_path(source);
    // The largest tensor is held some times over while it is copied.
    let limit = about.len().saturating_mul(4).saturating_add(HEADROOM_BYTES);
    let mut child = Command::new(program)
        .arg(CHILD_ARGUMENT)
        .args([source, &target])
        .arg(limit.to_string())
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| Error::io(program, e))?;
    let said = child.stderr.take().map(listen).transpose()?;
    let outcome = wait(&mut child, ctx);
    let said = said
        .and_then(|thread| thread.join().ok())
        .unwrap_or_default();
    let status = outcome?.map_err(|reason| Error::format(source, reason))?;
    if status.success() {
        return Ok(target);
    }
    let lines: Vec<&str> = said
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let reason = match (
        status.code(),
        lines.iter().find(|line| !line.starts_with("note:")),
    ) {
        (Some(1), Some(line)) => (*line).to_owned(),
        (_, line) => format!(
            "the converter gave up ({status}){}{}; the file is damaged or asks for more than it holds: \
             fetch it again, or take a safetensors copy",
            if line.is_some() { ": " } else { "" },
            line.copied().unwrap_or_default(),
        ),
    };
    Err(Error::format(source, reason))
}

/// Collects what the child says, so that it never waits for a reader; bounded, whatever it is.
fn listen(stream: ChildStderr) -> Result<JoinHandle<String>> {
    let collect = move || {
        let mut text = Vec::new();
        // A stream that breaks off has said what it had to say.
        let _ = stream.take(1 << 16).read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    };
    std::thread::Builder::new()
        .name("one4d-converter".to_owned())
        .spawn(collect)
        .map_err(|e| Error::io("converter", e))
}

/// Waits for the child; kills it on cancellation or after [`LONGEST`].
fn wait(
    child: &mut Child,
    ctx: &JobCtx,
) -> Result<std::result::Result<std::process::ExitStatus, String>> {
    let start = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Ok(Ok(status));
        }
        let late = start.elapsed() > LONGEST;
        let cancelled = ctx.check();
        if late || cancelled.is_err() {
            let _ = child.kill();
            let _ = child.wait();
            cancelled?;
            return Ok(Err("the converter did not come to an end".to_owned()));
        }
        std::thread::sleep(pause);
        pause = (2 * pause).min(LONGEST_PAUSE);
    }
}

/// What the child does: limits its own memory, then converts.
///
/// # Errors
/// [`Error::Format`] saying what is wrong with the file; [`Error::Io`] for the target.
pub fn convert_here(source: &Path, target: &Path, limit_bytes: u64) -> Result<()> {
    limit_memory(limit_bytes)?;
    let bad = |reason: String| Error::format(source, reason);
    let state = Contents::open(source).map_err(|e| bad(format!("no pickle of tensors: {e}")))?;
    if state.infos.is_empty() {
        return Err(bad("the pickle holds no tensors".to_owned()));
    }
    let mut header = BTreeMap::new();
    let mut end = 0_u64;
    for (name, info) in &state.infos {
        let kind = safetensors_type(info.dtype)
            .ok_or_else(|| bad(format!("{name} is of type {:?}", info.dtype)))?;
        let bytes = info
            .layout
            .dims()
            .iter()
            .try_fold(info.dtype.size_in_bytes() as u64, |n, &side| {
                n.checked_mul(side as u64)
            })
            .and_then(|bytes| end.checked_add(bytes))
            .filter(|&next| next <= limit_bytes)
            .ok_or_else(|| {
                bad(format!(
                    "{name} {:?} is larger than the file",
                    info.layout.dims()
                ))
            })?;
        header.insert(
            name.clone(),
            json!({"dtype": kind, "shape": info.layout.dims(), "data_offsets": [end, bytes]}),
        );
        end = bytes;
    }
    let mut text = serde_json::to_vec(&header).map_err(|e| bad(e.to_string()))?;
    // The data begins at a multiple of eight.
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut file = AtomicFile::create(target, 8 + text.len() as u64 + end)?;
    file.write_all(&(text.len() as u64).to_le_bytes())?;
    file.write_all(&text)?;
    for name in state.infos.keys() {
        let tensor = state.get(name).map_err(|e| bad(format!("{name}: {e}")))?;
        let tensor = tensor.ok_or_else(|| bad(format!("{name} is missing")))?;
        file.write_all(&bytes_of(&tensor)?)?;
    }
    file.commit()
}

/// What a pickle holds: a dictionary of tensors, or one tensor by itself.
struct Contents {
    infos: BTreeMap<String, TensorInfo>,
    /// Reads the tensors of a dictionary; `None` for a tensor by itself.
    dictionary: Option<PthTensors>,
    source: PathBuf,
}

impl Contents {
    /// The state at the top, or one level below under a usual key, or the tensor that the file is,
    /// under the name of the file.
    fn open(source: &Path) -> candle_core::Result<Self> {
        let plain = PthTensors::new(source, None)?;
        let wrapped = || {
            let below = |key: &&str| PthTensors::new(source, Some(key)).ok();
            let mut all = WRAPPERS.iter().filter_map(below);
            all.find(|state| !state.tensor_infos().is_empty())
        };
        let state = if plain.tensor_infos().is_empty() {
            wrapped()
        } else {
            Some(plain)
        };
        let infos = match &state {
            Some(state) => state.tensor_infos().clone().into_iter().collect(),
            None => bare_tensor::info(source)?.into_iter().collect(),
        };
        Ok(Self {
            infos,
            dictionary: state,
            source: source.to_owned(),
        })
    }

    fn get(&self, name: &str) -> candle_core::Result<Option<Tensor>> {
        match (&self.dictionary, self.infos.get(name)) {
            (Some(state), _) => state.get(name),
            (None, Some(info)) => bare_tensor::read(&self.source, info).map(Some),
            (None, None) => Ok(None),
        }
    }
}

fn safetensors_type(dtype: DType) -> Option<&'static str> {
    Some(match dtype {
        DType::F64 => "F64",
        DType::F32 => "F32",
        DType::F16 => "F16",
        DType::BF16 => "BF16",
        DType::I64 => "I64",
        DType::U32 => "U32",
        DType::U8 => "U8",
        _ => return None,
    })
}

fn bytes_of(tensor: &Tensor) -> Result<Vec<u8>> {
    let flat = tensor.to_device(&Device::Cpu)?.flatten_all()?;
    Ok(match flat.dtype() {
        DType::F64 => bytemuck::cast_slice(&flat.to_vec1::<f64>()?).to_vec(),
        DType::F32 => bytemuck::cast_slice(&flat.to_vec1::<f32>()?).to_vec(),
        DType::F16 => bytemuck::cast_slice(&flat.to_vec1::<half::f16>()?).to_vec(),
        DType::BF16 => bytemuck::cast_slice(&flat.to_vec1::<half::bf16>()?).to_vec(),
        DType::I64 => bytemuck::cast_slice(&flat.to_vec1::<i64>()?).to_vec(),
        DType::U32 => bytemuck::cast_slice(&flat.to_vec1::<u32>()?).to_vec(),
        _ => flat.to_vec1::<u8>()?,
    })
}

/// Limits the address space of this process.
#[cfg(unix)]
fn limit_memory(bytes: u64) -> Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let limit = Rlimit {
        current: Some(bytes),
        maximum: Some(bytes),
    };
    setrlimit(Resource::As, limit)
        .map_err(|error| Error::invalid("memory limit of the converter", error.to_string()))
}

#[cfg(not(unix))]
#[expect(
    clippy::unnecessary_wraps,
    reason = "the same signature on every system"
)]
fn limit_memory(_bytes: u64) -> Result<()> {
    Ok(())
}

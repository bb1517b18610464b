//! Flow from files: Middlebury and Sintel `.flo`, NumPy `[H, W, 2]` (also `[2, H, W]`).

use std::path::{Path, PathBuf};

use super::{FlowField, FlowProvider};
use crate::import::{Budget, NpyArray, Reason, tagged_plane};
use crate::{Error, Result};

/// Beyond this a vector of a `.flo` file means unknown.
const UNKNOWN: f32 = 1e9;

/// Reads a flow file.
///
/// # Errors
/// [`Error::Io`]; [`Error::Format`] naming what is wrong.
pub fn read_flow(path: &Path) -> Result<FlowField> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    let is_npy = path.extension().is_some_and(|e| e == "npy");
    let parsed = if is_npy {
        parse_npy(&bytes)
    } else {
        parse_flo(&bytes)
    };
    parsed.map_err(|reason| Error::format(path, reason))
}

fn parse_flo(bytes: &[u8]) -> Reason<FlowField> {
    let (width, height, values) = tagged_plane(bytes, 2)?;
    let known = |v: &[f32; 2]| {
        let is_known = v.iter().all(|x| x.abs() < UNKNOWN);
        if is_known { *v } else { [f32::NAN; 2] }
    };
    Ok(FlowField {
        height,
        width,
        vectors: values.as_chunks::<2>().0.iter().map(known).collect(),
    })
}

fn parse_npy(bytes: &[u8]) -> Reason<FlowField> {
    let array = NpyArray::parse(bytes)?;
    let values = array.to_f32(&Budget::default())?;
    match array.shape[..] {
        [height, width, 2] if height * width > 0 => Ok(FlowField {
            height,
            width,
            vectors: values.as_chunks::<2>().0.to_vec(),
        }),
        [2, height, width] if height * width > 0 => {
            let (u, v) = values.split_at(height * width);
            Ok(FlowField {
                height,
                width,
                vectors: u.iter().zip(v).map(|(u, v)| [*u, *v]).collect(),
            })
        }
        _ => Err(format!("[H, W, 2] required, got {:?}", array.shape)),
    }
}

/// Flow that lies in files, one a pair of frames.
#[derive(Clone, Debug, Default)]
pub struct FlowFiles {
    /// `[T - 1]`: from frame `i` to `i + 1`.
    pub forward: Vec<PathBuf>,
    /// `[T - 1]`: from frame `i + 1` to `i`; may be empty.
    pub backward: Vec<PathBuf>,
}

impl FlowFiles {
    /// The `.flo` and `.npy` files of a folder by name, one from each frame to the next; those of its
    /// folder `backward`, if there is one, lead from each frame to the one before.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Format`] if there are not `frames - 1` of a kind.
    pub fn of_folder(folder: &Path, frames: usize) -> Result<Self> {
        let forward = listed(folder, frames)?;
        let other_way = folder.join("backward");
        let backward = if other_way.is_dir() {
            listed(&other_way, frames)?
        } else {
            Vec::new()
        };
        Ok(Self { forward, backward })
    }
}

fn listed(folder: &Path, frames: usize) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| Error::io(folder, e))?.path();
        if path.extension().is_some_and(|e| e == "flo" || e == "npy") {
            files.push(path);
        }
    }
    files.sort();
    if files.len() + 1 == frames {
        return Ok(files);
    }
    Err(Error::format(
        folder,
        format!(
            "holds {} .flo or .npy files; {} are required for {frames} frames, one from each to the \
             next",
            files.len(),
            frames.saturating_sub(1)
        ),
    ))
}

impl FlowProvider for FlowFiles {
    fn forward(&mut self, frame_idx: usize) -> Result<FlowField> {
        let path = self.forward.get(frame_idx).ok_or_else(|| {
            Error::invalid(
                "flow files",
                format!(
                    "frame {frame_idx} has none, {} were given",
                    self.forward.len()
                ),
            )
        })?;
        read_flow(path)
    }

    fn backward(&mut self, frame_idx: usize) -> Result<Option<FlowField>> {
        let before = frame_idx.checked_sub(1);
        before
            .and_then(|i| self.backward.get(i))
            .map(|path| read_flow(path))
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flo_files_are_read_and_wild_vectors_are_unknown() {
        let mut bytes = 202_021.25_f32.to_le_bytes().to_vec();
        bytes.extend(2_i32.to_le_bytes());
        bytes.extend(1_i32.to_le_bytes());
        for x in [1.5_f32, -2.0, 1e10, 0.0] {
            bytes.extend(x.to_le_bytes());
        }
        let field = parse_flo(&bytes).unwrap();
        assert_eq!((field.width, field.height), (2, 1));
        assert_eq!(field.vectors[0], [1.5, -2.0]);
        assert!(field.vectors[1][0].is_nan());
        assert!(parse_flo(&bytes[..20]).is_err());
    }
}

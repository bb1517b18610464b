//! Files of data sets: listed in the order of their frames, read under a budget, errors by name.

use std::path::{Path, PathBuf};

use crate::import::{Budget, Reason};
use crate::{Error, Result};

/// Most files that one folder may hold.
const MAX_FILES: usize = 500_000;
/// Memory that reading one frame may take, bytes.
const FRAME_BYTES: u64 = 1 << 30;

/// What one frame may take.
pub(super) fn frame_budget() -> Budget {
    Budget::new(FRAME_BYTES)
}

/// Parses a file; a reason becomes an error that names it.
///
/// # Errors
/// [`Error::Io`]; [`Error::Format`] for what the budget or the parser refuses.
pub(super) fn parse<T>(
    path: &Path,
    budget: &Budget,
    parse: impl FnOnce(&[u8]) -> Reason<T>,
) -> Result<T> {
    let length = path.metadata().map_err(|e| Error::io(path, e))?.len();
    budget
        .take("the file", length as usize, 1)
        .map_err(|reason| Error::format(path, reason))?;
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    parse(&bytes).map_err(|reason| Error::format(path, reason))
}

/// Parses a text file.
///
/// # Errors
/// As [`parse`], and for what is no UTF-8.
pub(super) fn parse_text<T>(path: &Path, read: impl FnOnce(&str) -> Reason<T>) -> Result<T> {
    parse(path, &frame_budget(), |bytes| {
        read(std::str::from_utf8(bytes).map_err(|_| "is no text")?)
    })
}

/// The first of several folders below `root` that exists.
pub(super) fn first_folder(root: &Path, names: &[&str]) -> Option<PathBuf> {
    names
        .iter()
        .map(|name| root.join(name))
        .find(|path| path.is_dir())
}

/// Names in a folder, sorted by their characters as Python sorts them.
///
/// # Errors
/// [`Error::Io`]; [`Error::Format`] for more files than any data set has.
pub(super) fn names(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))? {
        let entry = entry.map_err(|e| Error::io(folder, e))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
        if names.len() > MAX_FILES {
            let reason = format!("holds more than {MAX_FILES} files");
            return Err(Error::format(folder, reason));
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Names of the folders in a folder, sorted.
///
/// # Errors
/// As [`names`].
pub(super) fn folders(folder: &Path) -> Result<Vec<String>> {
    let mut found = names(folder)?;
    found.retain(|name| folder.join(name).is_dir());
    Ok(found)
}

/// Files of a folder with an ending, sorted by name.
///
/// # Errors
/// As [`names`]; [`Error::Format`] if there are none.
pub(super) fn sorted(folder: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let mut found = names(folder)?;
    found.retain(|name| name.ends_with(ending));
    if found.is_empty() {
        return Err(Error::format(folder, format!("holds no *{ending}")));
    }
    Ok(found.iter().map(|name| folder.join(name)).collect())
}

/// Numbers and files `PREFIX NUMBER SUFFIX` of a folder by ascending number.
///
/// # Errors
/// As [`names`]; [`Error::Format`] if there are none.
pub(super) fn numbered(folder: &Path, prefix: &str, suffix: &str) -> Result<Vec<(u64, PathBuf)>> {
    let mut found: Vec<(u64, PathBuf)> = names(folder)?
        .iter()
        .filter_map(|name| {
            let digits = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
            let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            is_number.then_some(())?;
            Some((digits.parse().ok()?, folder.join(name)))
        })
        .collect();
    found.sort_unstable();
    if found.is_empty() {
        let reason = format!("holds no {prefix}NUMBER{suffix}");
        return Err(Error::format(folder, reason));
    }
    Ok(found)
}

/// [`numbered`] files whose numbers run on without a gap.
///
/// # Errors
/// As [`numbered`]; [`Error::Format`] naming the first frame that is missing.
pub(crate) fn consecutive(folder: &Path, prefix: &str, suffix: &str) -> Result<Vec<PathBuf>> {
    let found = numbered(folder, prefix, suffix)?;
    let first = found.first().map_or(0, |(number, _)| *number);
    for (i, (number, path)) in found.iter().enumerate() {
        let expected = first + i as u64;
        if *number != expected {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            return Err(Error::format(
                folder,
                format!("frame {expected} is missing: {name} follows (frames must run on)"),
            ));
        }
    }
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// Folders at most `depth` levels below `root`, and `root` itself, that hold a file or folder of a
/// name; by their paths relative to `root`, sorted. What lies below such a folder is not searched.
///
/// # Errors
/// As [`names`].
pub(super) fn holding(root: &Path, depth: usize, marker: &str) -> Result<Vec<(String, PathBuf)>> {
    if root.join(marker).exists() {
        let name = root.file_name().unwrap_or_default().to_string_lossy();
        return Ok(vec![(name.into_owned(), root.to_owned())]);
    }
    let mut found = Vec::new();
    if depth > 0 {
        for name in folders(root)? {
            let folder = root.join(&name);
            let is_here = folder.join(marker).exists();
            for (below, path) in holding(&folder, depth - 1, marker)? {
                let full = if is_here {
                    name.clone()
                } else {
                    format!("{name}/{below}")
                };
                found.push((full, path));
            }
        }
    }
    Ok(found)
}

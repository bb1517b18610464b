//! The files of an import, whether they lie in a folder, in a zip archive or alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::archive::Archive;
use super::budget::{Budget, Reason};
use crate::{Error, Result};

/// Most files that a folder may hold.
const MAX_FILES: usize = 200_000;
/// Folders below the one that was named that are looked into.
const MAX_DEPTH: usize = 4;

/// Files by their names relative to the root, parts joined by `/`.
#[derive(Debug)]
pub(super) struct Files {
    root: PathBuf,
    places: BTreeMap<String, Place>,
    archive: Option<Archive>,
}

#[derive(Debug)]
enum Place {
    Disk(PathBuf),
    Member(String),
}

impl Files {
    /// Lists a folder, a zip archive, or the one file (with its siblings left alone).
    pub(super) fn open(path: &Path) -> Result<Self> {
        let mut files = Self {
            root: path.to_owned(),
            places: BTreeMap::new(),
            archive: None,
        };
        if path.is_dir() {
            files.list(path, "", 0)?;
        } else if path
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("zip"))
        {
            let archive =
                Archive::open(path.to_owned()).map_err(|reason| Error::format(path, reason))?;
            files.places = without_common_folder(archive.names())
                .map(|(short, whole)| (short, Place::Member(whole)))
                .collect();
            files.archive = Some(archive);
        } else {
            path.metadata().map_err(|e| Error::io(path, e))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            files
                .places
                .insert(name.into_owned(), Place::Disk(path.to_owned()));
        }
        Ok(files)
    }

    fn list(&mut self, folder: &Path, prefix: &str, depth: usize) -> Result<()> {
        for entry in std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))? {
            let path = entry.map_err(|e| Error::io(folder, e))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let name = format!("{prefix}{name}");
            if path.is_dir() {
                if depth < MAX_DEPTH {
                    self.list(&path, &format!("{name}/"), depth + 1)?;
                }
            } else {
                self.places.insert(name, Place::Disk(path));
            }
            if self.places.len() > MAX_FILES {
                return Err(Error::format(
                    &self.root,
                    format!("holds more than {MAX_FILES} files"),
                ));
            }
        }
        Ok(())
    }

    /// All names, sorted.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.places.keys().map(String::as_str)
    }

    /// True if there is such a file.
    pub(super) fn has(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// What was opened.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The bytes of a file.
    pub(super) fn read(&self, name: &str, budget: &Budget) -> Result<Vec<u8>> {
        match self.places.get(name) {
            Some(Place::Disk(path)) => {
                let length = path.metadata().map_err(|e| Error::io(path, e))?.len();
                budget
                    .take("the file", length as usize, 1)
                    .map_err(|reason| Error::format(path, reason))?;
                std::fs::read(path).map_err(|e| Error::io(path, e))
            }
            Some(Place::Member(member)) => self
                .archive
                .as_ref()
                .ok_or_else(|| "the archive is not open".to_owned())
                .and_then(|archive| archive.read(member, budget))
                .map_err(|reason| Error::format(&self.root, reason)),
            None => Err(Error::format(&self.root, format!("{name} is missing"))),
        }
    }

    /// Parses a file; a reason becomes an error that names it.
    pub(super) fn parse<T>(
        &self,
        name: &str,
        budget: &Budget,
        parse: impl FnOnce(&[u8]) -> Reason<T>,
    ) -> Result<T> {
        let bytes = self.read(name, budget)?;
        parse(&bytes).map_err(|reason| self.error(name, reason))
    }

    /// The text of a file.
    pub(super) fn text(&self, name: &str, budget: &Budget) -> Result<String> {
        String::from_utf8(self.read(name, budget)?).map_err(|_| self.error(name, "is no text"))
    }

    /// An error about a file.
    pub(super) fn error(&self, name: &str, reason: impl Into<String>) -> Error {
        match self.places.get(name) {
            Some(Place::Disk(path)) => Error::format(path, reason),
            _ => Error::format(&self.root, format!("{name}: {}", reason.into())),
        }
    }

    /// A path under which a file lies on disk: its own, or that of a copy in `scratch`.
    pub(super) fn on_disk(&self, name: &str, scratch: &Path, budget: &Budget) -> Result<PathBuf> {
        if let Some(Place::Disk(path)) = self.places.get(name) {
            return Ok(path.clone());
        }
        let bytes = self.read(name, budget)?;
        let copy = scratch.join(name.rsplit('/').next().unwrap_or(name));
        std::fs::write(&copy, bytes).map_err(|e| Error::io(&copy, e))?;
        Ok(copy)
    }

    /// Files `prefix NUMBER suffix` by ascending number, which must run on without a gap.
    ///
    /// # Errors
    /// [`Error::Format`] naming the first frame that is missing.
    pub(super) fn numbered(&self, prefix: &str, suffix: &str) -> Result<Vec<String>> {
        let mut found: Vec<(u64, &str)> = self
            .names()
            .filter_map(|name| {
                let digits = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
                let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
                is_number.then_some(())?;
                Some((digits.parse().ok()?, name))
            })
            .collect();
        found.sort_unstable();
        let first = found.first().map_or(0, |f| f.0);
        for (i, (number, _)) in found.iter().enumerate() {
            let expected = first + i as u64;
            if *number != expected {
                return Err(Error::format(
                    &self.root,
                    format!("{prefix}{expected}{suffix} is missing (frames must run on)"),
                ));
            }
        }
        Ok(found.into_iter().map(|(_, name)| name.to_owned()).collect())
    }

    /// Files directly in `folder` with an ending, sorted.
    pub(super) fn ending(&self, folder: &str, ending: &str) -> Vec<String> {
        self.names()
            .filter(|name| {
                name.strip_prefix(folder)
                    .is_some_and(|rest| !rest.contains('/') && rest.ends_with(ending))
            })
            .map(str::to_owned)
            .collect()
    }
}

/// Names with a folder that all share taken off: archives often hold one.
fn without_common_folder<'a>(
    names: impl Iterator<Item = &'a str>,
) -> impl Iterator<Item = (String, String)> {
    let names: Vec<String> = names.map(str::to_owned).collect();
    let mut cut = 0;
    while let Some(folder) = names.first().and_then(|name| {
        name[cut..]
            .find('/')
            .map(|end| name[..=cut + end].to_owned())
    }) {
        if !names.iter().all(|name| name.starts_with(&folder)) {
            break;
        }
        cut = folder.len();
    }
    // Folders of a layout itself, like `camera/`, are no wrapping where nothing stands beside them.
    names
        .into_iter()
        .map(move |name| (name[cut..].to_owned(), name))
}

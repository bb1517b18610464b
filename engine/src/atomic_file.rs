//! Files that are complete under their final name or not there at all.
//!
//! Bytes go to a temporary file in the same folder; only [`AtomicFile::commit`] flushes it to the
//! disk and renames it. Whatever happens before (an error, a panic, a cancelled job) removes the
//! temporary file and leaves what stood under the final name.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::{Error, Result};

/// Room asked for beyond the expected size, so that a full disk is noticed before the work.
const HEADROOM: f64 = 1.2;

/// A file under construction.
#[derive(Debug)]
pub struct AtomicFile {
    writer: BufWriter<NamedTempFile>,
    path: PathBuf,
}

impl AtomicFile {
    /// Starts a file of about `expected_bytes` that will be called `path`; its folder must exist.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder cannot be written, [`Error::Format`] if `path` is something
    /// other than a regular file, [`Error::Limit`] if the disk has too little room.
    pub fn create(path: impl AsRef<Path>, expected_bytes: u64) -> Result<Self> {
        let path = path.as_ref();
        if fs::metadata(path).is_ok_and(|existing| !existing.is_file()) {
            return Err(Error::format(
                path,
                "exists and is not a regular file; choose another name",
            ));
        }
        let folder = folder_of(path);
        check_free_space(folder, expected_bytes)?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(".one4d-").suffix(".part");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let temp = builder
            .tempfile_in(folder)
            .map_err(|e| Error::io(path, e))?;
        Ok(Self {
            writer: BufWriter::with_capacity(1 << 20, temp),
            path: path.to_owned(),
        })
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// [`Error::Io`] naming the final path, for example when the disk is full.
    pub fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        self.writer
            .write_all(bytes)
            .map_err(|e| Error::io(&self.path, e))
    }

    /// Makes the bytes durable and gives the file its final name, replacing what stood there.
    ///
    /// # Errors
    /// [`Error::Io`]; the final name then holds what it held before.
    pub fn commit(self) -> Result<()> {
        let Self { writer, path } = self;
        let named = |e| Error::io(&path, e);
        let temp = writer.into_inner().map_err(|e| named(e.into_error()))?;
        temp.as_file().sync_all().map_err(named)?;
        // A link is written through, as an editor would.
        let target = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
        temp.persist(&target).map_err(|e| named(e.error))?;
        // The rename itself is durable only once the folder is; not every system lets a folder be
        // opened, and the file is complete either way.
        if let Ok(folder) = File::open(folder_of(&target)) {
            let _ = folder.sync_all();
        }
        Ok(())
    }
}

/// Writes a whole file at once; see [`AtomicFile`].
///
/// # Errors
/// As [`AtomicFile::create`] and [`AtomicFile::commit`].
pub fn write(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    let mut file = AtomicFile::create(path, bytes.len() as u64)?;
    file.write_all(bytes)?;
    file.commit()
}

/// Makes a folder to write into, with those above it; one that is there already serves.
///
/// # Errors
/// [`Error::Format`] where a file has its name, [`Error::Io`].
pub fn create_folder(folder: &Path) -> Result<()> {
    if folder.is_file() {
        return Err(Error::format(
            folder,
            "is a file; name a folder to write into",
        ));
    }
    fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))
}

/// Checks that `folder` has room for `bytes` and a fifth more.
///
/// # Errors
/// [`Error::Limit`] with both figures. Where the system does not tell, there is no check.
pub fn check_free_space(folder: &Path, bytes: u64) -> Result<()> {
    let required = (bytes as f64 * HEADROOM) as u64;
    match free_bytes(folder) {
        Some(available) if available < required => Err(Error::Limit {
            what: format!("disk space in {}", folder.display()),
            required: human_bytes(required),
            available: human_bytes(available),
        }),
        _ => Ok(()),
    }
}

/// A size for people: "1.5 MiB".
pub fn human_bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit == "B" {
        format!("{bytes} B")
    } else {
        format!("{value:.1} {unit}")
    }
}

/// Bytes that this user may still write to the disk of `folder`, where the system tells.
#[cfg(unix)]
pub fn free_bytes(folder: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

/// Bytes that this user may still write to the disk of `folder`, where the system tells.
#[cfg(not(unix))]
pub fn free_bytes(_folder: &Path) -> Option<u64> {
    None
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_file_leaves_the_old_one_and_no_litter() -> Result<()> {
        let folder = tempfile::tempdir().map_err(|e| Error::io("tempdir", e))?;
        let path = folder.path().join("a.bin");
        write(&path, b"old")?;
        let mut file = AtomicFile::create(&path, 3)?;
        file.write_all(b"new")?;
        drop(file);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        Ok(())
    }

    #[test]
    fn too_small_a_disk_is_noticed_before_writing() {
        let folder = std::env::temp_dir();
        let error = AtomicFile::create(folder.join("never"), u64::MAX / 4);
        if free_bytes(&folder).is_some() {
            assert!(matches!(error, Err(Error::Limit { .. })), "{error:?}");
        }
    }

    #[test]
    fn sizes_read_like_sizes() {
        assert_eq!(human_bytes(17), "17 B");
        assert_eq!(human_bytes(1536), "1.5 KiB");
        assert_eq!(human_bytes(3 << 30), "3.0 GiB");
    }
}

//! The layout of the hub's cache on disk, shared with every other tool that reads it.
//!
//! ```text
//! models--org--name/
//!   blobs/HASH              contents, named by SHA-256 or git's hash
//!   blobs/HASH.incomplete   as much as has arrived
//!   refs/main               the commit that a branch stood at
//!   snapshots/COMMIT/a/b    links into blobs
//! .locks/models--org--name/HASH.lock
//! ```

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::names::{is_revision, is_sha1};
use crate::job::JobCtx;
use crate::{Error, Result, atomic_file};

/// The part of the cache that belongs to one model.
#[derive(Clone, Debug)]
pub struct RepoCache {
    folder: PathBuf,
    locks: PathBuf,
}

impl RepoCache {
    /// The part of `cache` that belongs to `hub_id`; nothing is made yet.
    pub fn new(cache: &Path, hub_id: &str) -> Self {
        let name = format!("models--{}", hub_id.replace('/', "--"));
        Self {
            folder: cache.join(&name),
            locks: cache.join(".locks").join(name),
        }
    }

    /// Folder of the model.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A content under its hash.
    pub fn blob(&self, hash: &str) -> PathBuf {
        self.folder.join("blobs").join(hash)
    }

    /// As much of a content as has arrived.
    pub fn incomplete(&self, hash: &str) -> PathBuf {
        self.folder.join("blobs").join(format!("{hash}.incomplete"))
    }

    /// Folder of the files at a commit.
    pub fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// The commit that a revision stood at when it was last fetched.
    pub fn commit_of(&self, revision: &str) -> Option<String> {
        if is_sha1(revision) {
            return Some(revision.to_owned());
        }
        if !is_revision(revision) {
            return None;
        }
        let text = fs::read_to_string(self.folder.join("refs").join(revision)).ok()?;
        let commit = text.trim();
        is_sha1(commit).then(|| commit.to_owned())
    }

    /// Commits with a folder, in name order.
    pub fn commits(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.folder.join("snapshots")) else {
            return Vec::new();
        };
        let mut commits: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| is_sha1(name))
            .collect();
        commits.sort();
        commits
    }

    /// Files of the newest commit by `refs/main`, else of the last in name order.
    pub fn files(&self) -> Vec<PathBuf> {
        let Some(commit) = self.commit_of("main").or_else(|| self.commits().pop()) else {
            return Vec::new();
        };
        let listed = super::present::files_below(&self.snapshot(&commit));
        listed.into_iter().map(|(_, path)| path).collect()
    }

    /// Bytes that have arrived of contents that are not complete.
    pub fn incomplete_bytes(&self) -> u64 {
        let Ok(entries) = fs::read_dir(self.folder.join("blobs")) else {
            return 0;
        };
        entries
            .flatten()
            .filter(|entry| entry.path().extension().is_some_and(|e| e == "incomplete"))
            .filter_map(|entry| Some(entry.metadata().ok()?.len()))
            .sum()
    }

    /// Makes the folders that fetching needs.
    ///
    /// # Errors
    /// [`Error::Io`] naming the folder.
    pub(super) fn make_folders(&self) -> Result<()> {
        for folder in [&self.folder.join("blobs"), &self.locks] {
            fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        }
        Ok(())
    }

    /// Notes which commit a branch or tag stands at.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn write_ref(&self, revision: &str, commit: &str) -> Result<()> {
        if revision == commit {
            return Ok(());
        }
        let path = self.folder.join("refs").join(revision);
        make_parent(&path)?;
        atomic_file::write(&path, commit.as_bytes())
    }

    /// Makes `snapshots/COMMIT/NAME` stand for a content; `name` has been found safe.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Format`] where a link leads out of the snapshot.
    pub(super) fn link(&self, commit: &str, name: &str, hash: &str) -> Result<PathBuf> {
        let snapshot = self.snapshot(commit);
        let path = snapshot.join(name);
        refuse_linked_folders(&snapshot, name)?;
        make_parent(&path)?;
        let up = "../".repeat(name.split('/').count() + 1);
        let target = PathBuf::from(format!("{up}blobs/{hash}"));
        if fs::read_link(&path).is_ok_and(|there| there == target) {
            return Ok(path);
        }
        let blob = self.blob(hash);
        place_link(&target, &blob, &path)?;
        Ok(path)
    }

    /// Takes the lock of a content, waiting while another process has it; released when dropped.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Cancelled`] while waiting.
    pub(super) fn lock(&self, hash: &str, ctx: &JobCtx) -> Result<File> {
        const POLL: Duration = Duration::from_millis(50);
        let path = self.locks.join(format!("{hash}.lock"));
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|e| Error::io(&path, e))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => {
                    ctx.check()?;
                    std::thread::sleep(POLL);
                }
                Err(TryLockError::Error(error)) => return Err(Error::io(&path, error)),
            }
        }
    }
}

fn make_parent(path: &Path) -> Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(|e| Error::io(parent, e))
}

/// Folders between the snapshot and the file must be real ones, or files would land elsewhere.
fn refuse_linked_folders(snapshot: &Path, name: &str) -> Result<()> {
    let mut folder = snapshot.to_owned();
    for part in name.split('/') {
        if fs::symlink_metadata(&folder).is_ok_and(|about| about.is_symlink()) {
            let reason = "is a link where the cache has a folder; remove it";
            return Err(Error::format(folder, reason));
        }
        folder.push(part);
    }
    Ok(())
}

/// Puts a link in place of whatever stands at `path`, at once.
#[cfg(unix)]
fn place_link(target: &Path, _blob: &Path, path: &Path) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let temporary = path.with_file_name(name);
    // Left by a process of the same number that was killed.
    let _ = fs::remove_file(&temporary);
    std::os::unix::fs::symlink(target, &temporary).map_err(|e| Error::io(path, e))?;
    fs::rename(&temporary, path).map_err(|e| {
        let _ = fs::remove_file(&temporary);
        Error::io(path, e)
    })
}

/// Links need a privilege elsewhere; as other tools do there, the content moves into the snapshot.
#[cfg(not(unix))]
fn place_link(_target: &Path, blob: &Path, path: &Path) -> Result<()> {
    fs::rename(blob, path).map_err(|e| Error::io(path, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789012345678901234567890123456789";

    #[test]
    fn links_lead_from_any_depth_to_the_content() {
        let folder = tempfile::tempdir().unwrap();
        let cache = RepoCache::new(folder.path(), "org/name");
        cache.make_folders().unwrap();
        fs::write(cache.blob("aa"), b"content").unwrap();
        fs::write(cache.blob("bb"), b"newer").unwrap();
        for name in ["a.bin", "x/y/a.bin"] {
            let path = cache.link(COMMIT, name, "aa").unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"content");
            #[cfg(unix)]
            {
                cache.link(COMMIT, name, "bb").unwrap();
                assert_eq!(fs::read(path).unwrap(), b"newer");
            }
        }
        let left = fs::read_dir(cache.snapshot(COMMIT)).unwrap().count();
        assert_eq!(left, 2, "no temporary link stays");
        cache.write_ref("main", COMMIT).unwrap();
        assert_eq!(cache.commit_of("main").as_deref(), Some(COMMIT));
        assert_eq!(cache.commit_of("../../etc/passwd"), None);
        assert_eq!(cache.commits(), [COMMIT]);
    }

    #[cfg(unix)]
    #[test]
    fn a_linked_folder_does_not_lead_files_out() {
        let folder = tempfile::tempdir().unwrap();
        let cache = RepoCache::new(&folder.path().join("cache"), "org/name");
        cache.make_folders().unwrap();
        fs::write(cache.blob("aa"), b"content").unwrap();
        let outside = folder.path().join("outside");
        fs::create_dir_all(&outside).unwrap();
        fs::create_dir_all(cache.snapshot(COMMIT)).unwrap();
        std::os::unix::fs::symlink(&outside, cache.snapshot(COMMIT).join("x")).unwrap();
        let error = cache.link(COMMIT, "x/a.bin", "aa").unwrap_err();
        assert!(error.to_string().contains("is a link"), "{error}");
        assert_eq!(fs::read_dir(outside).unwrap().count(), 0);
    }
}

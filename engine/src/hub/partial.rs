//! A content that is arriving: its file, its hash so far, and the tag that it was sent under.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::listing::ContentHash;
use super::plan::PlannedFile;
use crate::job::JobCtx;
use crate::{Error, Result};

/// Bytes that are read at once.
const READ_BYTES: usize = 1 << 20;

/// A hash under way.
pub(super) enum Hasher {
    Sha256(Sha256),
    Git(Sha1),
}

impl Hasher {
    /// The kind of hash that `expected` is, of a content of so many bytes.
    pub(super) fn new(expected: &ContentHash, bytes: u64) -> Self {
        match expected {
            ContentHash::Sha256(_) => Self::Sha256(Sha256::new()),
            ContentHash::Git(_) => {
                let mut hash = Sha1::new();
                hash.update(format!("blob {bytes}\0"));
                Self::Git(hash)
            }
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(bytes),
            Self::Git(hash) => hash.update(bytes),
        }
    }

    /// Lower-case hexadecimal digits of what has been taken in so far.
    pub(super) fn hex(&self) -> String {
        let digest = match self {
            Self::Sha256(hash) => hash.clone().finalize().to_vec(),
            Self::Git(hash) => hash.clone().finalize().to_vec(),
        };
        digest.iter().fold(String::new(), |mut hex, byte| {
            // Writing to a string does not fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}

/// A content that is arriving.
pub(super) struct Partial<'a> {
    path: PathBuf,
    file: File,
    expected: &'a PlannedFile,
    hasher: Hasher,
    length: u64,
    /// Bytes that were there before this process began.
    inherited: u64,
    tag: Option<String>,
    discarded: bool,
}

impl<'a> Partial<'a> {
    /// Takes up what has arrived of a content, or begins with nothing; what cannot be a beginning of it
    /// is dropped.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Cancelled`] while what is there is read for its hash.
    pub(super) fn open(path: &Path, expected: &'a PlannedFile, ctx: &JobCtx) -> Result<Self> {
        let io = |error| Error::io(path, error);
        let is_plain = fs::symlink_metadata(path).map_or(true, |about| about.is_file());
        if !is_plain {
            fs::remove_file(path).map_err(io)?;
        }
        let file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)
            .map_err(io)?;
        let mut partial = Self {
            path: path.to_owned(),
            file,
            expected,
            hasher: Hasher::new(&expected.hash, expected.bytes),
            length: 0,
            inherited: 0,
            tag: fs::read_to_string(tag_path(path))
                .ok()
                .and_then(|tag| strong(&tag)),
            discarded: false,
        };
        let length = partial.file.metadata().map_err(io)?.len();
        if length > expected.bytes {
            partial.clear()?;
            return Ok(partial);
        }
        let mut buffer = vec![0; READ_BYTES];
        loop {
            ctx.check()?;
            let count = partial.file.read(&mut buffer).map_err(io)?;
            if count == 0 {
                break;
            }
            partial.hasher.update(&buffer[..count]);
            partial.length += count as u64;
        }
        partial.inherited = partial.length;
        Ok(partial)
    }

    /// Bytes that are there.
    pub(super) fn len(&self) -> u64 {
        self.length
    }

    /// True while some of it was there before this process began.
    pub(super) fn is_resumed(&self) -> bool {
        self.inherited > 0
    }

    /// The tag under which it was sent.
    pub(super) fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Notes the tag of the answer that is being taken; only a strong one says anything about bytes.
    pub(super) fn set_tag(&mut self, tag: Option<&str>) {
        let tag = tag.and_then(strong);
        if tag == self.tag {
            return;
        }
        let path = tag_path(&self.path);
        // Without the note a later run resumes on the strength of the checksum alone.
        let _ = match &tag {
            Some(tag) => fs::write(path, tag),
            None => fs::remove_file(path),
        };
        self.tag = tag;
    }

    /// Appends.
    ///
    /// # Errors
    /// [`Error::Io`], for example when the disk is full; what was written before stays.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(0) => return Err(Error::io(&self.path, std::io::ErrorKind::WriteZero.into())),
                Ok(count) => {
                    self.hasher.update(&rest[..count]);
                    self.length += count as u64;
                    rest = &rest[count..];
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io(&self.path, error)),
            }
        }
        Ok(())
    }

    /// Hands what was written to the system.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn flush(&mut self) -> Result<()> {
        self.file.flush().map_err(|e| Error::io(&self.path, e))
    }

    /// Begins with nothing.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn clear(&mut self) -> Result<()> {
        let io = |error| Error::io(&self.path, error);
        self.file.set_len(0).map_err(io)?;
        self.file.seek(SeekFrom::Start(0)).map_err(io)?;
        self.hasher = Hasher::new(&self.expected.hash, self.expected.bytes);
        self.length = 0;
        self.inherited = 0;
        self.set_tag(None);
        Ok(())
    }

    /// Takes away what cannot be resumed.
    pub(super) fn discard(&mut self) {
        self.discarded = true;
        let _ = fs::remove_file(tag_path(&self.path));
        let _ = fs::remove_file(&self.path);
    }

    /// Compares the hash of the whole content.
    ///
    /// # Errors
    /// The hash that it has in place of the expected one.
    pub(super) fn check(&self) -> std::result::Result<(), String> {
        let found = self.hasher.hex();
        if self.length == self.expected.bytes && found == self.expected.hash.hex() {
            Ok(())
        } else {
            Err(found)
        }
    }

    /// Makes the bytes durable and gives them their name.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn finish(self, blob: &Path) -> Result<()> {
        self.file.sync_all().map_err(|e| Error::io(&self.path, e))?;
        fs::rename(&self.path, blob).map_err(|e| Error::io(blob, e))?;
        let _ = fs::remove_file(tag_path(&self.path));
        // The rename is durable once the folder is; not every system lets a folder be opened.
        if let Some(Ok(folder)) = blob.parent().map(File::open) {
            let _ = folder.sync_all();
        }
        Ok(())
    }
}

impl Drop for Partial<'_> {
    /// An empty file says nothing and would look like a download under way.
    fn drop(&mut self) {
        if self.length == 0 && !self.discarded {
            let is_empty = fs::metadata(&self.path).is_ok_and(|about| about.len() == 0);
            if is_empty {
                let _ = fs::remove_file(&self.path);
                let _ = fs::remove_file(tag_path(&self.path));
            }
        }
    }
}

fn tag_path(path: &Path) -> PathBuf {
    path.with_extension("incomplete.etag")
}

/// A tag that stands for exact bytes.
fn strong(tag: &str) -> Option<String> {
    let tag = tag.trim();
    let is_strong = tag.len() > 2
        && tag.len() < 256
        && tag.starts_with('"')
        && tag.ends_with('"')
        && tag.bytes().all(|byte| byte.is_ascii_graphic());
    is_strong.then(|| tag.to_owned())
}

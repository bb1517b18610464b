//! Zip archives (and so npz): central directory, stored and deflated members, zip64.
//!
//! Written here because an import needs less than a zip library offers and stricter limits: declared
//! sizes are taken from the budget before a member is unpacked, names that lead out of the archive
//! are refused, checksums are compared. Format: PKWARE APPNOTE 6.3.10.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;

use flate2::Crc;
use flate2::read::DeflateDecoder;

use super::budget::{Budget, Reason};

/// Most members.
const MAX_MEMBERS: usize = 20_000;
/// Largest central directory, bytes.
const MAX_DIRECTORY: u64 = 16 << 20;
/// End record with the longest comment.
const MAX_END: u64 = 22 + 65_535;

/// Where the archive's bytes are.
#[derive(Clone, Debug)]
enum Source {
    File(PathBuf),
    Bytes(Vec<u8>),
}

#[derive(Clone, Copy, Debug)]
struct Member {
    method: u16,
    crc: u32,
    packed: u64,
    unpacked: u64,
    header_at: u64,
}

/// An opened archive.
#[derive(Clone, Debug)]
pub(crate) struct Archive {
    source: Source,
    members: BTreeMap<String, Member>,
}

impl Archive {
    /// Opens an archive on disk.
    pub(crate) fn open(path: PathBuf) -> Reason<Self> {
        Self::of(Source::File(path))
    }

    /// Opens an archive in memory.
    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Reason<Self> {
        Self::of(Source::Bytes(bytes))
    }

    /// Names of the members, sorted.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.members.keys().map(String::as_str)
    }

    /// Unpacks a member.
    pub(crate) fn read(&self, name: &str, budget: &Budget) -> Reason<Vec<u8>> {
        let member = self
            .members
            .get(name)
            .ok_or_else(|| format!("has no member {name}"))?;
        self.unpack(member, budget)
            .map_err(|reason| format!("{name}: {reason}"))
    }

    fn of(source: Source) -> Reason<Self> {
        let mut archive = Self {
            source,
            members: BTreeMap::new(),
        };
        let (start, length, count) = archive.directory_place()?;
        if count > MAX_MEMBERS as u64 || length > MAX_DIRECTORY {
            return Err(format!(
                "{count} members in a directory of {length} bytes, at most {MAX_MEMBERS} are read"
            ));
        }
        let directory = archive.bytes_at(start, length as usize)?;
        let mut rest = &directory[..];
        for _ in 0..count {
            let (name, member, after) = parse_member(rest)?;
            rest = after;
            if name.ends_with('/') {
                continue;
            }
            check_name(&name)?;
            if archive.members.insert(name.clone(), member).is_some() {
                return Err(format!("holds {name} twice"));
            }
        }
        Ok(archive)
    }

    fn length(&self) -> Reason<u64> {
        match &self.source {
            Source::Bytes(bytes) => Ok(bytes.len() as u64),
            Source::File(path) => path.metadata().map(|m| m.len()).map_err(|e| e.to_string()),
        }
    }

    fn bytes_at(&self, start: u64, length: usize) -> Reason<Vec<u8>> {
        let truncated = || "truncated or damaged zip archive".to_owned();
        let total = self.length()?;
        if start
            .checked_add(length as u64)
            .is_none_or(|end| end > total)
        {
            return Err(truncated());
        }
        match &self.source {
            Source::Bytes(bytes) => {
                let start = start as usize;
                Ok(bytes[start..start + length].to_vec())
            }
            Source::File(path) => {
                let mut file = File::open(path).map_err(|e| e.to_string())?;
                file.seek(SeekFrom::Start(start))
                    .map_err(|e| e.to_string())?;
                let mut bytes = vec![0; length];
                file.read_exact(&mut bytes).map_err(|_| truncated())?;
                Ok(bytes)
            }
        }
    }

    /// Start, length and number of members of the central directory.
    fn directory_place(&self) -> Reason<(u64, u64, u64)> {
        let total = self.length()?;
        let tail_start = total.saturating_sub(MAX_END);
        let tail = self.bytes_at(tail_start, (total - tail_start) as usize)?;
        let end = tail
            .windows(4)
            .rposition(|w| w == b"PK\x05\x06")
            .filter(|at| tail.len() >= at + 22)
            .ok_or("no zip archive: the end record is missing")?;
        let record = &tail[end..];
        let (count, length, start) = (u16_at(record, 10), u32_at(record, 12), u32_at(record, 16));
        if count != u16::MAX && length != u32::MAX && start != u32::MAX {
            return Ok((u64::from(start), u64::from(length), u64::from(count)));
        }
        let locator_at = (tail_start + end as u64)
            .checked_sub(20)
            .ok_or("damaged zip64 end record")?;
        let locator = self.bytes_at(locator_at, 20)?;
        if !locator.starts_with(b"PK\x06\x07") {
            return Err("the zip64 locator is missing".to_owned());
        }
        let record = self.bytes_at(u64_at(&locator, 8), 56)?;
        if !record.starts_with(b"PK\x06\x06") {
            return Err("the zip64 end record is missing".to_owned());
        }
        Ok((
            u64_at(&record, 48),
            u64_at(&record, 40),
            u64_at(&record, 32),
        ))
    }

    fn unpack(&self, member: &Member, budget: &Budget) -> Reason<Vec<u8>> {
        let unpacked = usize::try_from(member.unpacked).map_err(|e| e.to_string())?;
        let packed = usize::try_from(member.packed).map_err(|e| e.to_string())?;
        let header = self.bytes_at(member.header_at, 30)?;
        if !header.starts_with(b"PK\x03\x04") {
            return Err("the local header is missing".to_owned());
        }
        let skipped = 30 + u64::from(u16_at(&header, 26)) + u64::from(u16_at(&header, 28));
        let start = member.header_at + skipped;
        if start
            .checked_add(member.packed)
            .is_none_or(|end| self.length().is_ok_and(|n| end > n))
        {
            return Err("truncated".to_owned());
        }
        budget.take("an archive member", unpacked, 1)?;
        let packed = self.bytes_at(start, packed)?;
        let bytes = match member.method {
            0 => packed,
            8 => {
                let mut bytes = Vec::new();
                // One byte more than declared shows a member that is longer than it says.
                DeflateDecoder::new(&packed[..])
                    .take(member.unpacked + 1)
                    .read_to_end(&mut bytes)
                    .map_err(|e| format!("damaged: {e}"))?;
                bytes
            }
            method => {
                return Err(format!(
                    "compression method {method} (stored and deflate are read)"
                ));
            }
        };
        if bytes.len() != unpacked {
            return Err(format!("{unpacked} bytes declared, {} found", bytes.len()));
        }
        let mut crc = Crc::new();
        crc.update(&bytes);
        if crc.sum() == member.crc {
            Ok(bytes)
        } else {
            Err("damaged: the checksum differs".to_owned())
        }
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// Name, place and what follows of one central directory record.
fn parse_member(bytes: &[u8]) -> Reason<(String, Member, &[u8])> {
    let damaged = || "damaged zip directory".to_owned();
    if bytes.len() < 46 || !bytes.starts_with(b"PK\x01\x02") {
        return Err(damaged());
    }
    let [name, extra, comment] = [28, 30, 32].map(|at| usize::from(u16_at(bytes, at)));
    let end = 46 + name + extra + comment;
    if bytes.len() < end {
        return Err(damaged());
    }
    let text = String::from_utf8_lossy(&bytes[46..46 + name]).into_owned();
    let mut member = Member {
        method: u16_at(bytes, 10),
        crc: u32_at(bytes, 16),
        packed: u64::from(u32_at(bytes, 20)),
        unpacked: u64::from(u32_at(bytes, 24)),
        header_at: u64::from(u32_at(bytes, 42)),
    };
    widen(&mut member, &bytes[46 + name..46 + name + extra]);
    if u16_at(bytes, 8) & 1 != 0 {
        return Err(format!("{text} is encrypted"));
    }
    Ok((text, member, &bytes[end..]))
}

/// Replaces what the 32-bit fields could not hold by the zip64 extra field.
fn widen(member: &mut Member, mut extra: &[u8]) {
    while extra.len() >= 4 {
        let (kind, length) = (u16_at(extra, 0), usize::from(u16_at(extra, 2)));
        let Some(mut field) = extra.get(4..4 + length) else {
            return;
        };
        if kind == 1 {
            for value in [
                &mut member.unpacked,
                &mut member.packed,
                &mut member.header_at,
            ] {
                if *value == u64::from(u32::MAX) && field.len() >= 8 {
                    *value = u64_at(field, 0);
                    field = &field[8..];
                }
            }
        }
        extra = &extra[4 + length..];
    }
}

/// Refuses names that lead out of the archive.
fn check_name(name: &str) -> Reason<()> {
    let bad = name.is_empty()
        || name.starts_with('/')
        || name.contains(['\\', '\0', ':'])
        || name.split('/').any(|part| part == "..")
        || name.split('/').count() > 16;
    if bad {
        Err(format!("holds a member with the name {name:?}"))
    } else {
        Ok(())
    }
}

//! A first look over the boxes of an MP4 file, before its tables are built in memory.
//!
//! The demuxer allocates for as many samples as a table claims, and says of a cut file only that a
//! box is too large; both are caught here.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::atomic_file::human_bytes;
use crate::{Error, Result};

/// Most samples in all tracks: ten hours of video at 60 frames a second, with sound.
const MAX_SAMPLES: u64 = 4_000_000;

/// Boxes that hold boxes on the way to the sample tables.
const CONTAINERS: [&[u8; 4]; 7] = [
    b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf",
];

/// Checks that every box lies within the file and that the tables claim a sane number of samples.
///
/// # Errors
/// [`Error::Format`] for a truncated file or one without an index, [`Error::Limit`] for too many
/// samples.
pub(super) fn check(path: &Path, file: &mut (impl Read + Seek)) -> Result<()> {
    let io = |e| Error::io(path, e);
    let length = file.seek(SeekFrom::End(0)).map_err(io)?;
    let mut scan = Scan {
        path,
        samples: 0,
        has_index: false,
    };
    scan.boxes(file, 0..length, 0)?;
    if !scan.has_index {
        return Err(Error::format(
            path,
            "truncated: the video has no index (moov), as when a recording was cut off",
        ));
    }
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    Ok(())
}

struct Scan<'a> {
    path: &'a Path,
    samples: u64,
    has_index: bool,
}

impl Scan<'_> {
    fn boxes(
        &mut self,
        file: &mut (impl Read + Seek),
        range: std::ops::Range<u64>,
        depth: usize,
    ) -> Result<()> {
        let mut at = range.start;
        // A few bytes of padding after the last box are common.
        while at + 8 <= range.end && depth < CONTAINERS.len() {
            let header = self.read::<8>(file, at)?;
            let [s0, s1, s2, s3, kind @ ..] = header;
            let (content, size) = match u32::from_be_bytes([s0, s1, s2, s3]) {
                0 => (8, range.end - at),
                1 => (16, u64::from_be_bytes(self.read(file, at + 8)?)),
                size => (8, u64::from(size)),
            };
            let end = at
                .checked_add(size)
                .filter(|&end| size >= content && end <= range.end)
                .ok_or_else(|| self.cut(kind, size, range.end - at))?;
            self.has_index |= &kind == b"moov";
            if CONTAINERS.contains(&&kind) {
                self.boxes(file, at + content..end, depth + 1)?;
            }
            // stsz: version, sample size, count; trun: version, count.
            let count_at = match &kind {
                b"stsz" => 8,
                b"trun" => 4,
                _ => u64::MAX,
            };
            if count_at < size - content {
                let count = u32::from_be_bytes(self.read(file, at + content + count_at)?);
                self.count(u64::from(count))?;
            }
            at = end;
        }
        Ok(())
    }

    fn read<const N: usize>(&self, file: &mut (impl Read + Seek), at: u64) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        file.seek(SeekFrom::Start(at))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(|_| Error::format(self.path, "truncated: the file ends within a box"))?;
        Ok(bytes)
    }

    fn cut(&self, kind: [u8; 4], size: u64, available: u64) -> Error {
        Error::format(
            self.path,
            format!(
                "truncated or damaged: box `{}` claims {}, {} are left",
                kind.escape_ascii(),
                human_bytes(size),
                human_bytes(available)
            ),
        )
    }

    fn count(&mut self, samples: u64) -> Result<()> {
        self.samples += samples;
        if self.samples <= MAX_SAMPLES {
            return Ok(());
        }
        Err(Error::Limit {
            what: format!("samples in {}", self.path.display()),
            required: format!("at least {}", self.samples),
            available: MAX_SAMPLES.to_string(),
        })
    }
}

//! What every reader of moving pictures offers, and which one a file needs.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Frame, MediaInfo, animation, frames_dir, mp4};
use crate::job::JobCtx;
use crate::{Error, Result};

/// Longest time that decoding one video may take.
const MAX_DECODE: Duration = Duration::from_mins(5);

/// Receives a frame by its place in display order.
pub(super) type FrameSink<'a> = &'a mut dyn FnMut(usize, Frame) -> Result<()>;

/// A reader of moving pictures whose frame times are known before any frame is decoded.
pub(super) trait FrameSource {
    /// Time of each frame in display order, seconds, rising from 0.
    fn times_secs(&self) -> &[f64];

    /// What the source is; sizes may be those of the storage, before turning upright.
    fn info(&self) -> MediaInfo;

    /// What the user should know, after decoding.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// Decodes the wanted frames, upright, each once, in any order.
    fn decode(
        &mut self,
        wanted: &BTreeSet<usize>,
        ctx: &JobCtx,
        sink: FrameSink<'_>,
    ) -> std::result::Result<(), Refusal>;
}

/// Why a reader did not deliver.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The file may be fine, but not for this reader.
    Unsupported(String),
    /// The file is not fine.
    Failed(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Kinds of files, told apart by their first bytes and never by their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SourceKind {
    Folder,
    Mp4,
    /// GIF, PNG or WebP, which may be animated.
    Animation(image::ImageFormat),
    /// An image that never moves.
    Still,
    Unknown,
}

impl SourceKind {
    /// # Errors
    /// [`Error::Io`] if the file cannot be read, [`Error::Format`] if it is empty.
    pub(super) fn of(path: &Path) -> Result<Self> {
        let about = std::fs::metadata(path).map_err(|e| Error::io(path, e))?;
        if about.is_dir() {
            return Ok(Self::Folder);
        }
        if !about.is_file() {
            return Err(Error::format(path, "is not a regular file"));
        }
        if about.len() == 0 {
            return Err(Error::format(path, "the file is empty"));
        }
        let mut start = Vec::with_capacity(32);
        File::open(path)
            .and_then(|file| file.take(32).read_to_end(&mut start))
            .map_err(|e| Error::io(path, e))?;
        let boxes: [&[u8]; 5] = [b"ftyp", b"moov", b"mdat", b"wide", b"free"];
        if start.get(4..8).is_some_and(|kind| boxes.contains(&kind)) {
            return Ok(Self::Mp4);
        }
        Ok(match image::guess_format(&start) {
            Ok(
                format @ (image::ImageFormat::Gif
                | image::ImageFormat::Png
                | image::ImageFormat::WebP),
            ) => Self::Animation(format),
            Ok(_) => Self::Still,
            Err(_) => Self::Unknown,
        })
    }
}

/// Opens the built-in reader for a file.
pub(super) fn open(path: &Path) -> std::result::Result<Box<dyn FrameSource>, Refusal> {
    let still = || {
        Error::format(
            path,
            "is a still image; give it as an image, not as a video",
        )
    };
    match SourceKind::of(path)? {
        SourceKind::Folder => Ok(Box::new(frames_dir::FramesDir::open(path)?)),
        SourceKind::Mp4 => Ok(Box::new(mp4::Mp4Video::open(path)?)),
        SourceKind::Animation(format) => {
            let animation = animation::Animation::open(path, format)?;
            Ok(Box::new(animation.ok_or_else(still)?))
        }
        SourceKind::Still => Err(still().into()),
        SourceKind::Unknown => Err(Refusal::Unsupported(
            "is no video that the built-in readers know (MP4, GIF, WebP, PNG, a folder of images)"
                .to_owned(),
        )),
    }
}

/// Ends a decoding that takes too long.
pub(super) struct Deadline(Instant);

impl Deadline {
    pub(super) fn start() -> Self {
        Self(Instant::now() + MAX_DECODE)
    }

    pub(super) fn is_past(&self) -> bool {
        Instant::now() > self.0
    }

    /// # Errors
    /// [`Error::Cancelled`], or [`Error::Limit`] past the deadline.
    pub(super) fn check(&self, path: &Path, ctx: &JobCtx) -> Result<()> {
        ctx.check()?;
        if !self.is_past() {
            return Ok(());
        }
        Err(Error::Limit {
            what: format!("time to decode {}; cut it shorter", path.display()),
            required: "more".to_owned(),
            available: format!("{} s", MAX_DECODE.as_secs()),
        })
    }
}

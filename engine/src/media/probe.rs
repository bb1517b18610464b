//! What a media file is, without decoding it where that can be avoided.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::source::{self, Refusal, SourceKind};
use super::{animation, ffmpeg, image};
use crate::Result;
use crate::job::JobCtx;

/// Kinds of media.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaKind {
    /// One picture.
    Image,
    /// A video file or an animated image.
    Video,
    /// A folder of pictures.
    Folder,
}

/// What a file or folder holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MediaInfo {
    /// Kind.
    pub kind: MediaKind,
    /// Width in pixels, upright.
    pub width: usize,
    /// Height in pixels, upright.
    pub height: usize,
    /// Frames, 1 for an image.
    pub num_frames: usize,
    /// Mean frames per second, where there is time.
    pub fps: Option<f64>,
    /// How it is coded: "H.264", "JPEG".
    pub codec: String,
}

/// Tells what a file or folder holds.
///
/// # Errors
/// As [`load_image`](super::load_image) and [`load_video`](super::load_video).
pub fn probe(path: impl AsRef<Path>) -> Result<MediaInfo> {
    let path = path.as_ref();
    let kind = SourceKind::of(path)?;
    let still = match kind {
        SourceKind::Still => true,
        SourceKind::Animation(format) => animation::Animation::open(path, format)?.is_none(),
        _ => false,
    };
    if still {
        let (width, height) = image::dimensions(path)?;
        super::check_size(path, width, height)?;
        return Ok(MediaInfo {
            kind: MediaKind::Image,
            width: width as usize,
            height: height as usize,
            num_frames: 1,
            fps: None,
            codec: image::format_name(path)?,
        });
    }
    match source::open(path) {
        Ok(source) => Ok(source.info()),
        Err(Refusal::Failed(error)) => Err(error),
        Err(Refusal::Unsupported(reason)) => {
            use super::source::FrameSource as _;
            Ok(ffmpeg::open(path, &reason, &JobCtx::silent())?.info())
        }
    }
}

//! Images and videos from disk: decoded, turned upright, brought to the model's size.
//!
//! Videos are read by pure-Rust decoders (MP4 with H.264, animated GIF, PNG and WebP, folders of
//! images), so that they open on a fresh machine; whatever these do not read goes to `ffmpeg`, where
//! it is installed. Third-party decoders run under limits of size, time and frames, and a panic in
//! one of them is an error that names the file.

mod animation;
mod ffmpeg;
mod frames_dir;
mod h264;
mod image;
mod mp4;
mod mp4_boxes;
mod orient;
mod probe;
mod resize;
mod sampling;
mod source;
mod sps;
mod yuv;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

pub use self::image::load_image;
pub use probe::{MediaInfo, MediaKind, probe};
pub(crate) use resize::resize;
pub use resize::{CropRect, fit};
pub use sampling::Sampling;

use crate::job::{JobCtx, Stage};
use crate::{Error, Result};
use source::{FrameSource, Refusal};

/// Largest side of an image or a video frame, pixels.
pub const MAX_SIDE_PX: u32 = 16_384;

/// Smallest side: below this there is nothing to see, and a file is more likely broken.
pub const MIN_SIDE_PX: u32 = 16;

/// Memory that one decoder may ask for.
const MAX_DECODE_BYTES: u64 = 512 << 20;

/// Memory that the frames of a clip may take.
const MAX_CLIP_BYTES: u64 = 2 << 30;

/// How far from square pixels may be before frames are stretched; sizes are rounded to whole pixels.
const PIXEL_ASPECT_TOLERANCE: f64 = 0.02;

/// An upright picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// `[H, W, 3]` sRGB.
    pub rgb: Vec<u8>,
}

/// Which frames of a video are wanted, and how large.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClipRequest {
    /// How many, at least 1.
    pub frames: usize,
    /// Where in time.
    pub sampling: Sampling,
    /// Height and width that each frame is fitted to; `None` keeps the video's own.
    pub size: Option<[usize; 2]>,
}

/// Frames of a video.
#[derive(Clone, Debug, PartialEq)]
pub struct Clip {
    /// As many as were asked for, all of one size.
    pub frames: Vec<Frame>,
    /// Time of each in the source, seconds from its first frame.
    pub times_secs: Vec<f64>,
    /// Frames per second of the clip as sampled.
    pub fps: f64,
    /// What the source is.
    pub info: MediaInfo,
    /// The part of the source that is seen, where frames were fitted.
    pub crop: Option<CropRect>,
    /// What was done otherwise than asked.
    pub warnings: Vec<String>,
}

/// Decodes the wanted frames of a video file, an animated image or a folder of images.
///
/// # Errors
/// [`Error::Io`], [`Error::Format`] naming the file and what is wrong with it, [`Error::Limit`] for
/// sizes beyond the limits, [`Error::Cancelled`] between frames.
pub fn load_video(path: impl AsRef<Path>, request: &ClipRequest, ctx: &JobCtx) -> Result<Clip> {
    let path = path.as_ref();
    if request.frames == 0 {
        return Err(Error::invalid(
            "frames",
            "at least one frame must be asked for",
        ));
    }
    let built_in = source::open(path).and_then(|mut source| read(path, &mut *source, request, ctx));
    match built_in {
        Ok(clip) => Ok(clip),
        Err(Refusal::Failed(error)) => Err(error),
        Err(Refusal::Unsupported(reason)) => {
            let mut source = ffmpeg::open(path, &reason, ctx)?;
            read(path, &mut source, request, ctx).map_err(|refusal| match refusal {
                // Why the built-in reader passed is what a user can act on.
                Refusal::Failed(Error::Format { reason: said, .. })
                | Refusal::Unsupported(said) => Error::format(path, format!("{reason}; {said}")),
                Refusal::Failed(error) => error,
            })
        }
    }
}

fn read(
    path: &Path,
    source: &mut dyn FrameSource,
    request: &ClipRequest,
    ctx: &JobCtx,
) -> std::result::Result<Clip, Refusal> {
    let times = source.times_secs().to_vec();
    if times.is_empty() {
        return Err(Error::format(path, "holds 0 frames").into());
    }
    let mut info = source.info();
    let picked = sampling::pick(&times, request.frames, request.sampling);
    let wanted: BTreeSet<usize> = picked.frames.iter().copied().collect();
    let mut decoded: BTreeMap<usize, Frame> = BTreeMap::new();
    let mut crop = None;
    ctx.step(Stage::Media, 0, wanted.len())?;
    source.decode(&wanted, ctx, &mut |frame_idx, frame| {
        (info.width, info.height) = (frame.width, frame.height);
        let frame = match request.size {
            Some([height, width]) => {
                let (fitted, rect) = fit(&frame, height, width)?;
                crop = Some(rect);
                fitted
            }
            None => frame,
        };
        check_clip_bytes(path, &frame, wanted.len())?;
        decoded.insert(frame_idx, frame);
        ctx.step(Stage::Media, decoded.len(), wanted.len())
    })?;
    let frames = picked
        .frames
        .iter()
        .map(|idx| {
            decoded.get(idx).cloned().ok_or_else(|| {
                Error::format(
                    path,
                    format!("frame {idx} of {} could not be decoded", times.len()),
                )
            })
        })
        .collect::<Result<Vec<Frame>>>()?;
    same_size(path, &frames)?;
    let mut warnings = source.warnings();
    warnings.extend(picked.warning);
    Ok(Clip {
        times_secs: picked.frames.iter().map(|&idx| times[idx]).collect(),
        frames,
        fps: picked.fps,
        info,
        crop,
        warnings,
    })
}

fn check_clip_bytes(path: &Path, frame: &Frame, frames: usize) -> Result<()> {
    let required = (frame.rgb.len() * frames) as u64;
    if required <= MAX_CLIP_BYTES {
        return Ok(());
    }
    Err(Error::Limit {
        what: format!("memory for {frames} frames of {}", path.display()),
        required: crate::atomic_file::human_bytes(required),
        available: crate::atomic_file::human_bytes(MAX_CLIP_BYTES),
    })
}

fn same_size(path: &Path, frames: &[Frame]) -> Result<()> {
    let size = |frame: &Frame| (frame.width, frame.height);
    let odd = frames
        .windows(2)
        .find(|pair| size(&pair[0]) != size(&pair[1]));
    odd.map_or(Ok(()), |pair| {
        Err(Error::format(
            path,
            format!(
                "its frames differ in size ({} x {} and {} x {} pixels); ask for one size",
                pair[0].width, pair[0].height, pair[1].width, pair[1].height
            ),
        ))
    })
}

/// Runs a third-party decoder; a panic in it becomes an error that names the file.
fn guarded<T>(path: &Path, what: &str, decode: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(decode))
        .map_err(|_| Error::format(path, format!("damaged: the {what} decoder failed on it")))
}

/// Checks the size of a picture before its pixels are decoded.
fn check_size(path: &Path, width: u32, height: u32) -> Result<()> {
    let (small, large) = (width.min(height), width.max(height));
    if small < MIN_SIDE_PX {
        return Err(Error::format(
            path,
            format!("is {width} x {height} pixels; at least {MIN_SIDE_PX} a side are needed"),
        ));
    }
    if large > MAX_SIDE_PX {
        return Err(Error::format(
            path,
            format!("is {width} x {height} pixels, over the limit of {MAX_SIDE_PX} a side"),
        ));
    }
    let required = 3 * u64::from(width) * u64::from(height);
    if required > MAX_DECODE_BYTES {
        return Err(Error::Limit {
            what: format!("memory to decode {}", path.display()),
            required: crate::atomic_file::human_bytes(required),
            available: crate::atomic_file::human_bytes(MAX_DECODE_BYTES),
        });
    }
    Ok(())
}

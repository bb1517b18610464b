//! Animated GIF, PNG and WebP.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use image::codecs::{gif::GifDecoder, png::PngDecoder, webp::WebPDecoder};
use image::{AnimationDecoder as _, Frames, ImageDecoder as _, ImageFormat, ImageResult};

use super::image::{image_error, limits, on_white};
use super::source::{Deadline, FrameSink, FrameSource, Refusal};
use super::{Frame, MediaInfo, MediaKind, check_size, guarded};
use crate::job::JobCtx;
use crate::{Error, Result};

/// Most frames that an animation may have.
const MAX_FRAMES: usize = 20_000;

/// Time a frame stands where the file says zero, as browsers show it.
const DEFAULT_DELAY_SECS: f64 = 0.1;

/// An animated image.
pub(super) struct Animation {
    path: PathBuf,
    format: ImageFormat,
    width: usize,
    height: usize,
    times: Vec<f64>,
    duration_secs: f64,
}

impl Animation {
    /// Opens an image that moves; `None` if it has a single frame.
    pub(super) fn open(path: &Path, format: ImageFormat) -> Result<Option<Self>> {
        let mut animation = Self {
            path: path.to_owned(),
            format,
            width: 0,
            height: 0,
            times: Vec::new(),
            duration_secs: 0.0,
        };
        // The times stand between the frames, so that they take a first pass.
        let deadline = Deadline::start();
        let mut time = 0.0;
        animation.each_frame(|this, frame| {
            deadline.check(&this.path, &JobCtx::silent())?;
            (this.width, this.height) = (
                frame.buffer().width() as usize,
                frame.buffer().height() as usize,
            );
            this.times.push(time);
            let (numerator, denominator) = frame.delay().numer_denom_ms();
            let delay = f64::from(numerator) / f64::from(denominator.max(1)) / 1000.0;
            time += if delay > 0.0 {
                delay
            } else {
                DEFAULT_DELAY_SECS
            };
            Ok(this.times.len() < MAX_FRAMES)
        })?;
        animation.duration_secs = time;
        Ok((animation.times.len() > 1).then_some(animation))
    }

    /// Decodes frame by frame until `visit` says stop.
    fn each_frame(
        &mut self,
        mut visit: impl FnMut(&mut Self, image::Frame) -> Result<bool>,
    ) -> Result<()> {
        let path = self.path.clone();
        let Some(mut frames) = guarded(&path, "image", || frames(&path, self.format))?? else {
            return Ok(());
        };
        while let Some(frame) = guarded(&path, "image", || frames.next())? {
            let frame = frame.map_err(|e| image_error(&path, &e))?;
            if !visit(self, frame)? {
                break;
            }
        }
        Ok(())
    }
}

/// The frames of a file; `None` for a PNG or WebP that does not move.
fn frames(path: &Path, format: ImageFormat) -> Result<Option<Frames<'static>>> {
    let file = BufReader::new(File::open(path).map_err(|e| Error::io(path, e))?);
    let bad = |e| image_error(path, &e);
    let size = |(width, height)| check_size(path, width, height);
    match format {
        ImageFormat::Gif => {
            let mut decoder = GifDecoder::new(file).map_err(bad)?;
            size(decoder.dimensions())?;
            decoder.set_limits(limits()).map_err(bad)?;
            Ok(Some(decoder.into_frames()))
        }
        ImageFormat::Png => {
            let decoder = PngDecoder::with_limits(file, limits()).map_err(bad)?;
            size(decoder.dimensions())?;
            let moving: ImageResult<Option<_>> = match decoder.is_apng() {
                Ok(true) => decoder.apng().map(Some),
                Ok(false) => Ok(None),
                Err(error) => Err(error),
            };
            Ok(moving
                .map_err(bad)?
                .map(image::AnimationDecoder::into_frames))
        }
        _ => {
            let mut decoder = WebPDecoder::new(file).map_err(bad)?;
            size(decoder.dimensions())?;
            decoder.set_limits(limits()).map_err(bad)?;
            Ok(decoder.has_animation().then(|| decoder.into_frames()))
        }
    }
}

impl FrameSource for Animation {
    fn times_secs(&self) -> &[f64] {
        &self.times
    }

    fn info(&self) -> MediaInfo {
        MediaInfo {
            kind: MediaKind::Video,
            width: self.width,
            height: self.height,
            num_frames: self.times.len(),
            fps: Some(self.times.len() as f64 / self.duration_secs),
            codec: format!("animated {:?}", self.format),
        }
    }

    fn decode(
        &mut self,
        wanted: &BTreeSet<usize>,
        ctx: &JobCtx,
        sink: FrameSink<'_>,
    ) -> std::result::Result<(), Refusal> {
        let deadline = Deadline::start();
        let last = wanted.last().copied().unwrap_or(0);
        let mut frame_idx = 0;
        self.each_frame(|this, frame| {
            deadline.check(&this.path, ctx)?;
            if wanted.contains(&frame_idx) {
                let buffer = frame.buffer();
                let shown = Frame {
                    width: buffer.width() as usize,
                    height: buffer.height() as usize,
                    rgb: on_white(buffer),
                };
                sink(frame_idx, shown)?;
            }
            frame_idx += 1;
            Ok(frame_idx <= last)
        })?;
        Ok(())
    }
}

//! What the user gave, at the model's size: files to observed frames.

use std::path::Path;

use super::{Observed, ObservedFrame};
use crate::job::{JobCtx, Stage};
use crate::media::{self, ClipRequest, Sampling};
use crate::{Error, Result};

/// Observed frames at the model's size.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservedClip {
    /// Frame index and `[H, W, 3]` sRGB of every observed frame, by ascending index.
    pub frames: Vec<(usize, Vec<u8>)>,
    /// Frames of the clip, `4k + 1`.
    pub num_frames: usize,
}

impl ObservedClip {
    /// True where a frame was observed, `[F]`.
    pub fn known(&self) -> Vec<bool> {
        let mut known = vec![false; self.num_frames];
        for (at, _) in &self.frames {
            known[*at] = true;
        }
        known
    }

    /// The clip in `[-1, 1]`, planar `[3, F, H, W]`; frames that were not observed are 0 (mid grey).
    pub fn planar(&self, pixels: usize) -> Vec<f32> {
        let mut video = vec![0.0; 3 * self.num_frames * pixels];
        for (at, rgb) in &self.frames {
            for (i, channels) in rgb.chunks_exact(3).enumerate() {
                for (c, &value) in channels.iter().enumerate() {
                    video[(c * self.num_frames + at) * pixels + i] = f32::from(value) / 127.5 - 1.0;
                }
            }
        }
        video
    }
}

/// Size that the model works at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClipSize {
    /// Frames, `4k + 1`.
    pub frames: usize,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
}

/// Reads what was observed, resized and centre-cropped to the model's size.
///
/// # Errors
/// Those of reading; [`Error::Invalid`] for positions outside the clip or given twice.
pub fn observe(observed: &Observed, size: ClipSize, ctx: &JobCtx) -> Result<ObservedClip> {
    let frames = match observed {
        Observed::Nothing => Vec::new(),
        Observed::Frames(frames) => sparse(frames, size, ctx)?,
        Observed::Video(path) => video(path, size, ctx)?,
    };
    Ok(ObservedClip {
        frames,
        num_frames: size.frames,
    })
}

fn sparse(frames: &[ObservedFrame], size: ClipSize, ctx: &JobCtx) -> Result<Vec<(usize, Vec<u8>)>> {
    let mut placed: Vec<(usize, Vec<u8>)> = Vec::with_capacity(frames.len());
    for (done, frame) in frames.iter().enumerate() {
        ctx.step(Stage::Media, done, frames.len())?;
        if frame.at >= size.frames {
            return Err(Error::invalid(
                format!("position {} of {}", frame.at, frame.path.display()),
                format!("the clip has the frames 0 to {}", size.frames - 1),
            ));
        }
        if placed.iter().any(|(at, _)| *at == frame.at) {
            return Err(Error::invalid(
                format!("position {} of {}", frame.at, frame.path.display()),
                "another image stands there already",
            ));
        }
        let image = media::load_image(&frame.path)?;
        let (fitted, _crop) = media::fit(&image, size.height, size.width)?;
        placed.push((frame.at, fitted.rgb));
    }
    placed.sort_by_key(|(at, _)| *at);
    Ok(placed)
}

fn video(path: &Path, size: ClipSize, ctx: &JobCtx) -> Result<Vec<(usize, Vec<u8>)>> {
    let request = ClipRequest {
        frames: size.frames,
        sampling: Sampling::Even,
        size: Some([size.height, size.width]),
    };
    let clip = media::load_video(path, &request, ctx)?;
    for warning in clip.warnings {
        ctx.warn(Stage::Media, warning);
    }
    Ok(clip
        .frames
        .into_iter()
        .map(|frame| frame.rgb)
        .enumerate()
        .collect())
}

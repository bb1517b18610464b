//! What the user gave, at the model's size: files to observed frames.

use std::path::Path;

use super::{Observed, ObservedFrame};
use crate::job::{JobCtx, Stage};
use crate::media::{self, ClipRequest, Sampling};
use crate::models::one4d::four_d_nex;
use crate::models::pillow;
use crate::{Error, Result};

/// Observed frames at the model's size.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservedClip {
    /// Frame index and `[H, W, 3]` sRGB of every observed frame, by ascending index.
    pub frames: Vec<(usize, Vec<u8>)>,
    /// Frames of the clip, `4k + 1`.
    pub num_frames: usize,
    /// `H`, pixels.
    pub height: usize,
    /// `W`, pixels.
    pub width: usize,
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
    pub fn planar(&self) -> Vec<f32> {
        let pixels = self.height * self.width;
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

/// How what was given is brought to a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fitting {
    /// To the model's size, the middle cut out.
    Crop(ClipSize),
    /// One image, stretched to a size with about its own aspect ratio: 4DNeX.
    Stretch {
        /// Frames of the clip, `4k + 1`.
        frames: usize,
        /// Pixels of a frame, about.
        area_px: usize,
        /// What sides are multiples of.
        multiple: usize,
    },
}

/// Reads what was observed, at the size of the clip that is to be made.
///
/// # Errors
/// Those of reading; [`Error::Invalid`] for positions outside the clip or given twice, or for
/// anything but one image at the first frame where that is all the model takes.
pub fn observe(observed: &Observed, fitting: Fitting, ctx: &JobCtx) -> Result<ObservedClip> {
    match fitting {
        Fitting::Crop(size) => {
            let frames = match observed {
                Observed::Nothing => Vec::new(),
                Observed::Frames(frames) => sparse(frames, size, ctx)?,
                Observed::Video(path) => video(path, size, ctx)?,
            };
            Ok(ObservedClip {
                frames,
                num_frames: size.frames,
                height: size.height,
                width: size.width,
            })
        }
        Fitting::Stretch {
            frames,
            area_px,
            multiple,
        } => {
            let Observed::Frames(images) = observed else {
                return Err(one_image_only());
            };
            let [image] = images.as_slice() else {
                return Err(one_image_only());
            };
            if image.at != 0 {
                return Err(one_image_only());
            }
            ctx.step(Stage::Media, 0, 1)?;
            stretched(&image.path, frames, (area_px, multiple))
        }
    }
}

/// What a model that is given one image says to anything else.
pub(super) fn one_image_only() -> Error {
    let reason = "this model takes one image, at the first frame";
    Error::invalid("what was observed", reason)
}

fn stretched(
    path: &Path,
    num_frames: usize,
    (area, multiple): (usize, usize),
) -> Result<ObservedClip> {
    let image = media::load_image(path)?;
    let [height, width] = four_d_nex::size_of_image(area, image.width, image.height, multiple);
    let (image_width, image_height) = (image.width as u32, image.height as u32);
    let picture = image::RgbImage::from_raw(image_width, image_height, image.rgb)
        .ok_or_else(|| Error::format(path, "has another size than it says"))?;
    let stretched = pillow::bicubic(&picture, width as u32, height as u32);
    Ok(ObservedClip {
        frames: vec![(0, stretched.into_raw())],
        num_frames,
        height,
        width,
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

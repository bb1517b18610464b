//! Clips cut out of sequences: which frames, which part of the picture, at which size.
//!
//! A seed determines a clip. Every twentieth sequence by the digest of its name is held out, and one at
//! least, so that validation sees scenes that training never did, on every machine the same ones.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use glam::DVec3;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::sequence::{Sequence, SourceFrame};
use super::{SequenceReader, TrainingSet};
use crate::datasets::TrainingClip;
use crate::geometry::{Camera, Intrinsics, WorldFromCamera};
use crate::job::JobCtx;
use crate::media::{CropRect, Frame, resize};
use crate::scene::validity;
use crate::{Error, Result};

/// One sequence in so many is held out.
const HELD_OUT_EVERY: u64 = 20;
/// Relative step to a neighbour's depth that makes an edge.
const EDGE_STEP: f32 = 0.03;
/// Share of a clip's pixels that must have depth.
const MIN_KNOWN: f64 = 0.05;
/// Draws until a clip must have been found.
const MAX_DRAWS: usize = 64;

/// How clips are cut.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClipSampling {
    /// Least and largest step between frames of a clip, in frames of the sequence.
    pub stride: [usize; 2],
    /// Least share of the largest rectangle of the clip's shape that is seen, in `(0, 1]`; between it
    /// and 1 the share is drawn, and the place of the rectangle.
    pub min_crop: f64,
}

impl Default for ClipSampling {
    fn default() -> Self {
        Self {
            stride: [1, 3],
            min_crop: 0.8,
        }
    }
}

impl ClipSampling {
    /// Checks that the values can be used.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the field.
    pub fn check(&self) -> Result<()> {
        let [least, most] = self.stride;
        if least == 0 || most < least {
            let reason = format!("[{least}, {most}] is no range of steps from 1 on");
            return Err(Error::invalid("data.parts.stride", reason));
        }
        if !(self.min_crop > 0.0 && self.min_crop <= 1.0) {
            let reason = format!("must be in (0, 1], is {}", self.min_crop);
            return Err(Error::invalid("data.parts.min_crop", reason));
        }
        Ok(())
    }
}

/// Which sequences clips are cut from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// Those for training.
    Training,
    /// Those that are held out.
    HeldOut,
}

/// A data set on disk as a source of clips.
pub struct TrainingFiles {
    set: TrainingSet,
    root: PathBuf,
    reader: Box<dyn SequenceReader>,
    opened: Vec<OnceLock<Arc<Sequence>>>,
    held_out: Vec<bool>,
}

/// Frames of a sequence and a part of the picture.
struct Window {
    frames: Vec<usize>,
    /// Share of the largest rectangle, and where it lies in the room that is left, 0..1 each.
    share: f64,
    place: [f64; 2],
}

impl TrainingFiles {
    /// Lists the sequences of a data set.
    ///
    /// # Errors
    /// Those of [`TrainingSet::open`]; [`Error::Invalid`] if there is only one sequence, of which none
    /// could be held out.
    pub fn open(set: TrainingSet, root: &Path) -> Result<Self> {
        let reader = set.open(root)?;
        let names = reader.names();
        if names.len() < 2 {
            let reason = format!(
                "{} holds one sequence of {}; two are needed, one of them for validation",
                root.display(),
                set.name()
            );
            return Err(Error::invalid("data.parts.root", reason));
        }
        let held_out = held_out(names);
        Ok(Self {
            set,
            root: root.to_owned(),
            opened: names.iter().map(|_| OnceLock::new()).collect(),
            held_out,
            reader,
        })
    }

    /// Indices of the sequences of a split.
    fn sequences(&self, split: Split) -> Vec<usize> {
        let wanted = split == Split::HeldOut;
        let of_split = |i: &usize| self.held_out[*i] == wanted;
        let all = (0..self.held_out.len()).filter(of_split);
        all.collect()
    }

    fn sequence(&self, index: usize) -> Result<Arc<Sequence>> {
        if let Some(sequence) = self.opened[index].get() {
            return Ok(Arc::clone(sequence));
        }
        let sequence = Arc::new(self.reader.open(index)?);
        Ok(Arc::clone(self.opened[index].get_or_init(|| sequence)))
    }

    /// Cuts the clip of a seed.
    ///
    /// # Shapes
    /// - `size`: `T`, `H`, `W` of the clip
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Format`] for damaged files; [`Error::Invalid`] if no sequence is long
    /// enough or has depth; [`Error::Cancelled`].
    pub fn clip(
        &self,
        seed: u64,
        how: &ClipSampling,
        size: [usize; 3],
        split: Split,
        ctx: &JobCtx,
    ) -> Result<TrainingClip> {
        how.check()?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut candidates = self.sequences(split);
        for _ in 0..MAX_DRAWS {
            ctx.check()?;
            if candidates.is_empty() {
                break;
            }
            let pick = rng.random_range(0..candidates.len());
            let sequence = self.sequence(candidates[pick])?;
            let Some(window) = draw(&sequence, how, size[0], &mut rng) else {
                candidates.swap_remove(pick);
                continue;
            };
            let frames = sequence.read(&window.frames, ctx)?;
            let clip = self.assemble(&frames, &window, size, &sequence.caption)?;
            let known = clip.depth.iter().filter(|d| d.is_finite()).count();
            if known as f64 >= MIN_KNOWN * clip.depth.len() as f64 {
                return Ok(clip);
            }
        }
        Err(Error::invalid(
            format!("{} in {}", self.set.name(), self.root.display()),
            format!(
                "no sequence has {} frames in steps of {} with enough depth",
                size[0], how.stride[0]
            ),
        ))
    }

    fn assemble(
        &self,
        frames: &[SourceFrame],
        window: &Window,
        [count, height, width]: [usize; 3],
        caption: &str,
    ) -> Result<TrainingClip> {
        let pixels = height * width;
        let first = frames[0].camera.world_from_camera;
        let has_motion = frames.iter().all(|frame| frame.dynamic.is_some());
        let mut clip = TrainingClip {
            size: [count, height, width],
            rgb: Vec::with_capacity(count * pixels * 3),
            points: Vec::with_capacity(count * pixels * 3),
            depth: Vec::with_capacity(count * pixels),
            cameras: Vec::with_capacity(count),
            dynamic: has_motion.then(Vec::new),
            valid: Vec::with_capacity(count * pixels),
            caption: caption.to_owned(),
            scale: self.reader.scale(),
        };
        for frame in frames {
            let crop = window.crop(frame, height, width);
            let picture = Frame {
                width: frame.width,
                height: frame.height,
                rgb: frame.rgb.clone(),
            };
            clip.rgb.extend(resize(&picture, crop, height, width)?.rgb);
            let camera = Camera {
                intrinsics: seen_through(frame.camera.intrinsics, crop, height, width),
                world_from_camera: frame.camera.world_from_camera.relative_to(first),
            };
            let sources: Vec<usize> = (0..pixels)
                .map(|at| source_pixel(frame.width, crop, at, height, width))
                .collect();
            push_geometry(&mut clip, frame, &camera, &sources, width);
            if let (Some(all), Some(own)) = (&mut clip.dynamic, &frame.dynamic) {
                all.extend(sources.iter().map(|&source| own[source]));
            }
            clip.cameras.push(camera);
        }
        Ok(clip)
    }
}

/// Which sequences are held out: one in twenty by its digest, and at least one, but never all.
fn held_out(names: &[String]) -> Vec<bool> {
    let digests: Vec<u64> = names.iter().map(|name| digest(name)).collect();
    let least = digests.iter().min().copied();
    let mut held: Vec<bool> = digests.iter().map(|d| d % HELD_OUT_EVERY == 0).collect();
    if held.iter().all(|h| *h == held[0]) {
        held = digests.iter().map(|d| Some(*d) == least).collect();
    }
    held
}

fn digest(name: &str) -> u64 {
    let bytes = Sha256::digest(name.as_bytes());
    bytes.iter().take(8).fold(0, |n, b| n << 8 | u64::from(*b))
}

/// Draws a window of a sequence; `None` if the sequence is too short for the least stride.
fn draw(
    sequence: &Sequence,
    how: &ClipSampling,
    frames: usize,
    rng: &mut ChaCha8Rng,
) -> Option<Window> {
    let last = sequence.len().checked_sub(1)?;
    let steps = frames.checked_sub(1)?;
    let longest = last.checked_div(steps).unwrap_or(how.stride[1]);
    let most = how.stride[1].min(longest);
    if most < how.stride[0] {
        return None;
    }
    let stride = rng.random_range(how.stride[0]..=most);
    let first = rng.random_range(0..=last - stride * steps);
    Some(Window {
        frames: (0..frames).map(|i| first + i * stride).collect(),
        share: how.min_crop + (1.0 - how.min_crop) * rng.random::<f64>(),
        place: [rng.random(), rng.random()],
    })
}

impl Window {
    /// The part of a frame that is seen, of the shape `height` to `width` up to rounding.
    fn crop(&self, frame: &SourceFrame, height: usize, width: usize) -> CropRect {
        let (own_h, own_w) = (frame.height as f64, frame.width as f64);
        let largest = (own_w / width as f64).min(own_h / height as f64) * self.share;
        let side = |wanted: usize, own: usize| {
            let pixels = (wanted as f64 * largest).round() as usize;
            pixels.clamp(1, own)
        };
        let (w, h) = (side(width, frame.width), side(height, frame.height));
        let start = |room: usize, place: f64| (room as f64 * place).round() as usize;
        CropRect {
            x: start(frame.width - w, self.place[0]),
            y: start(frame.height - h, self.place[1]),
            width: w,
            height: h,
        }
    }
}

/// The lens of a part of the picture at another size.
fn seen_through(lens: Intrinsics, crop: CropRect, height: usize, width: usize) -> Intrinsics {
    let (x, y) = (
        width as f64 / crop.width as f64,
        height as f64 / crop.height as f64,
    );
    Intrinsics {
        fx_px: lens.fx_px * x,
        fy_px: lens.fy_px * y,
        cx_px: (lens.cx_px - crop.x as f64) * x,
        cy_px: (lens.cy_px - crop.y as f64) * y,
    }
}

/// The pixel of the frame in which the centre of the clip's pixel `at` lies: depth is not mixed.
fn source_pixel(
    frame_width: usize,
    crop: CropRect,
    at: usize,
    height: usize,
    width: usize,
) -> usize {
    let inside = |place: usize, wanted: usize, own: usize| (2 * place + 1) * own / (2 * wanted);
    let column = crop.x + inside(at % width, width, crop.width);
    let row = crop.y + inside(at / width, height, crop.height);
    row * frame_width + column
}

/// Appends depth, points and validity of a frame.
fn push_geometry(
    clip: &mut TrainingClip,
    frame: &SourceFrame,
    camera: &Camera,
    sources: &[usize],
    width: usize,
) {
    let start = clip.depth.len();
    let pose: WorldFromCamera = camera.world_from_camera;
    for (at, &source) in sources.iter().enumerate() {
        let depth = frame.depth[source];
        let ray = camera.intrinsics.ray(at % width, at / width);
        let (known, point) = if depth.is_finite() && depth > 0.0 {
            (true, pose.transform(ray * f64::from(depth)))
        } else {
            (false, DVec3::NAN)
        };
        clip.points.extend(point.as_vec3().to_array());
        clip.depth.push(if known { depth } else { f32::NAN });
        let without = if known {
            0
        } else if depth == f32::INFINITY {
            validity::FINITE | validity::NOT_SKY | validity::CONSISTENT
        } else {
            validity::FINITE | validity::CONSISTENT
        };
        clip.valid.push(validity::GOOD & !without);
    }
    let depth = &clip.depth[start..];
    for at in 0..depth.len() {
        let right = (at % width + 1 < width).then_some(at + 1);
        let below = (at + width < depth.len()).then_some(at + width);
        for other in [right, below].into_iter().flatten() {
            let (near, far) = (depth[at].min(depth[other]), depth[at].max(depth[other]));
            if far > near * (1.0 + EDGE_STEP) {
                clip.valid[start + at] &= !validity::NOT_EDGE;
                clip.valid[start + other] &= !validity::NOT_EDGE;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_sequences_are_held_out_and_most_are_not() {
        for count in [2, 5, 400] {
            let names: Vec<String> = (0..count).map(|i| format!("sequence {i}")).collect();
            let held = held_out(&names).iter().filter(|h| **h).count();
            assert!(held >= 1 && held <= 1 + count / 10, "{held} of {count}");
        }
    }
}

//! An opened sequence: cameras in memory, pictures and depth read when asked.

use std::path::{Path, PathBuf};

use super::disk;
use super::spatial_vid::VideoFiles;
use crate::geometry::{Camera, Intrinsics};
use crate::import::{Budget, Reason, pictures};
use crate::job::JobCtx;
use crate::metrics::DepthMap;
use crate::{Error, Result};

/// A frame as the data set has it, in the house's conventions.
#[derive(Clone, Debug)]
pub struct SourceFrame {
    /// `H`, pixels.
    pub height: usize,
    /// `W`, pixels.
    pub width: usize,
    /// `[H, W, 3]` sRGB.
    pub rgb: Vec<u8>,
    /// `[H, W]` z-depth; NaN = none, infinite = sky.
    pub depth: Vec<f32>,
    /// Lens and place; pixel centres at +0.5.
    pub camera: Camera,
    /// `[H, W]` 255 where the data set says that the world moves, else 0.
    pub dynamic: Option<Vec<u8>>,
}

/// Decodes one file of depth: NaN = none, infinite = sky.
pub(super) type DepthCode = fn(&[u8], &Budget) -> Reason<DepthMap>;

/// Picture and depth of one frame.
#[derive(Clone, Debug)]
pub(super) struct FrameFiles {
    pub(super) rgb: PathBuf,
    pub(super) depth: PathBuf,
}

/// Where the frames of a sequence are.
#[derive(Debug)]
pub(super) enum Frames {
    /// Files of their own.
    Files {
        files: Vec<FrameFiles>,
        code: DepthCode,
    },
    /// A video, and an archive of disparity.
    Video(VideoFiles),
}

/// A sequence with its cameras.
#[derive(Debug)]
pub struct Sequence {
    /// Its name.
    pub name: String,
    /// `[N]`; lenses for pictures of the size of `lens_size`.
    pub(super) cameras: Vec<Camera>,
    /// Height and width for which the lenses are stated; `None`: the pictures' own.
    pub(super) lens_size: Option<(f64, f64)>,
    /// What it shows; empty where the data set does not say.
    pub caption: String,
    pub(super) frames: Frames,
}

impl Sequence {
    /// Number of frames.
    pub fn len(&self) -> usize {
        self.cameras.len()
    }

    /// True without frames.
    pub fn is_empty(&self) -> bool {
        self.cameras.is_empty()
    }

    /// Reads frames by their indices.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Format`], naming the file; [`Error::Invalid`] for an index past the
    /// end; [`Error::Cancelled`].
    pub fn read(&self, indices: &[usize], ctx: &JobCtx) -> Result<Vec<SourceFrame>> {
        if let Some(past) = indices.iter().find(|i| **i >= self.len()) {
            let reason = format!("frame {past} of {} in {}", self.len(), self.name);
            return Err(Error::invalid("frame", reason));
        }
        match &self.frames {
            Frames::Files { files, code } => indices
                .iter()
                .map(|&i| {
                    ctx.check()?;
                    let depth = read_depth(&files[i].depth, *code)?;
                    let rgb = read_rgb(&files[i].rgb, &depth)?;
                    self.frame(i, rgb, depth, None)
                })
                .collect(),
            Frames::Video(video) => video
                .read(indices, ctx)?
                .into_iter()
                .zip(indices)
                .map(|(read, &i)| self.frame(i, read.rgb, read.depth, read.dynamic))
                .collect(),
        }
    }

    fn frame(
        &self,
        index: usize,
        rgb: Vec<u8>,
        depth: DepthMap,
        dynamic: Option<Vec<u8>>,
    ) -> Result<SourceFrame> {
        let camera = self.cameras[index];
        let (height, width) = (depth.height as f64, depth.width as f64);
        let (lens_h, lens_w) = self.lens_size.unwrap_or((height, width));
        let (x, y) = (width / lens_w, height / lens_h);
        let lens = camera.intrinsics;
        let intrinsics = Intrinsics {
            fx_px: lens.fx_px * x,
            fy_px: lens.fy_px * y,
            cx_px: lens.cx_px * x,
            cy_px: lens.cy_px * y,
        };
        let usable = [intrinsics.fx_px, intrinsics.fy_px]
            .iter()
            .all(|f| f.is_finite() && *f > 0.0)
            && camera.world_from_camera.translation.is_finite();
        if !usable {
            let reason = format!("the camera of frame {index} of {} is none", self.name);
            return Err(Error::invalid("camera", reason));
        }
        Ok(SourceFrame {
            height: depth.height,
            width: depth.width,
            rgb,
            depth: depth.values,
            camera: Camera {
                intrinsics,
                ..camera
            },
            dynamic,
        })
    }
}

fn read_depth(path: &Path, code: DepthCode) -> Result<DepthMap> {
    let budget = disk::frame_budget();
    disk::parse(path, &budget, |bytes| {
        let map = code(bytes, &budget)?;
        if map.values.is_empty() || map.values.len() != map.height * map.width {
            return Err(format!("depth of {} x {} pixels", map.width, map.height));
        }
        Ok(map)
    })
}

/// The picture at the size of the depth.
fn read_rgb(path: &Path, depth: &DepthMap) -> Result<Vec<u8>> {
    let budget = disk::frame_budget();
    disk::parse(path, &budget, |bytes| {
        let picture = pictures::rgb(bytes, &budget)?;
        Ok(pictures::fitted(picture, depth.height, depth.width))
    })
}

/// Frames that have both a picture and depth, by number, as many as there are cameras for.
///
/// # Errors
/// [`Error::Format`] if a camera's frame is missing or the cameras are too few.
pub(super) fn pair_files(
    folder: &Path,
    rgb: Vec<(u64, PathBuf)>,
    depth: Vec<(u64, PathBuf)>,
    cameras: usize,
) -> Result<Vec<FrameFiles>> {
    if rgb.len() != depth.len() || rgb.len() != cameras {
        return Err(Error::format(
            folder,
            format!(
                "{} pictures, {} depth files and {cameras} cameras; as many of each required",
                rgb.len(),
                depth.len()
            ),
        ));
    }
    rgb.into_iter()
        .zip(depth)
        .map(|((own, rgb), (other, depth))| {
            if own == other {
                return Ok(FrameFiles { rgb, depth });
            }
            let reason = format!("has a picture of frame {own} and depth of frame {other}");
            Err(Error::format(folder, reason))
        })
        .collect()
}

/// A 16-bit map decoded value by value.
pub(super) fn grey16_depth(
    bytes: &[u8],
    budget: &Budget,
    decode: impl Fn(u16) -> f32,
) -> Reason<DepthMap> {
    let grey = pictures::grey16(bytes, budget)?;
    Ok(DepthMap {
        height: grey.height,
        width: grey.width,
        values: grey.values.into_iter().map(decode).collect(),
    })
}

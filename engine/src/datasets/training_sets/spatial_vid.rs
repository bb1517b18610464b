//! SpatialVID: a video, an archive of disparity in half precision, poses, lenses and masks.
//!
//! Only some frames of a video are annotated; `indexes.txt` says which. Depth is
//! `clip(1 / Z, 1e-3, 1e2)`; where `Z` is 0.01 or less the pixel is sky or as good as. Masks are
//! sparse: per annotated frame the three arrays of a CSR matrix, anything but 0 moves.

use std::path::{Path, PathBuf};

use super::SequenceReader;
use super::disk;
use super::sequence::{Frames, Sequence};
use crate::geometry::{Camera, WorldFromCamera};
use crate::import::{Budget, NpyArray, Reason, archive::Archive, npz::Npz, numbers, pictures};
use crate::job::JobCtx;
use crate::media::{ClipRequest, Sampling, load_video, probe};
use crate::metrics::DepthMap;
use crate::scene::ScaleTag;
use crate::{Error, Result};

/// Disparity that stands for the farthest depth.
const FAR_DISPARITY: f32 = 1e-2;
/// Nearest depth.
const MIN_DEPTH: f32 = 1e-3;

pub(super) struct SpatialVid {
    names: Vec<String>,
    places: Vec<PathBuf>,
    root: PathBuf,
    skipped: Vec<(String, String)>,
}

/// Files of one clip.
#[derive(Debug)]
pub(super) struct VideoFiles {
    video: PathBuf,
    disparity: PathBuf,
    /// Members of the archive, one an annotated frame.
    members: Vec<String>,
    /// Frame of the video of each annotated frame.
    video_frames: Vec<usize>,
    masks: Option<PathBuf>,
}

/// One frame as read.
pub(super) struct VideoFrame {
    pub(super) rgb: Vec<u8>,
    pub(super) depth: DepthMap,
    pub(super) dynamic: Option<Vec<u8>>,
}

impl SpatialVid {
    pub(super) fn find(root: &Path) -> Result<Self> {
        let mut found = Self {
            names: Vec::new(),
            places: Vec::new(),
            root: root.to_owned(),
            skipped: Vec::new(),
        };
        let annotations = root.join("annotations");
        if !annotations.is_dir() {
            return Ok(found);
        }
        for group in disk::folders(&annotations)? {
            for id in disk::folders(&annotations.join(&group))? {
                let name = format!("{group}/{id}");
                let place = annotations.join(&name);
                let missing = [
                    root.join(format!("videos/{name}.mp4")),
                    root.join(format!("depths/{name}.zip")),
                    place.join("poses.npy"),
                ]
                .into_iter()
                .find(|path| !path.is_file());
                match missing {
                    Some(path) => {
                        let reason = format!("{} is missing", path.display());
                        found.skipped.push((name, reason));
                    }
                    None => {
                        found.names.push(name);
                        found.places.push(place);
                    }
                }
            }
        }
        Ok(found)
    }
}

impl SequenceReader for SpatialVid {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn skipped(&self) -> &[(String, String)] {
        &self.skipped
    }

    fn scale(&self) -> ScaleTag {
        ScaleTag::UpToScale
    }

    fn open(&self, index: usize) -> Result<Sequence> {
        let (name, place) = (&self.names[index], &self.places[index]);
        let poses = poses(&place.join("poses.npy"))?;
        let lenses_path = place.join("intrinsics.npy");
        // Shares of width and height: lenses for a picture of 1 x 1.
        let lenses = array(&lenses_path, |shape, values| {
            numbers::lenses_by_four(shape, values, poses.len(), 0.0)
        })?;
        let cameras: Vec<Camera> = numbers::cameras(&lenses, &poses)
            .map_err(|reason| Error::format(&lenses_path, reason))?;
        let indexes = place.join("indexes.txt");
        let video_frames = disk::parse_text(&indexes, video_frames)?;
        let disparity = self.root.join(format!("depths/{name}.zip"));
        let members: Vec<String> = Archive::open(disparity.clone())
            .map_err(|reason| Error::format(&disparity, reason))?
            .names()
            .filter(|member| member.strip_suffix(".exr").is_some())
            .map(str::to_owned)
            .collect();
        for (path, count) in [(&indexes, video_frames.len()), (&disparity, members.len())] {
            if count != cameras.len() {
                let reason = format!("{count} frames, poses.npy has {}", cameras.len());
                return Err(Error::format(path, reason));
            }
        }
        let masks = place.join("dyn_masks.npz");
        Ok(Sequence {
            name: name.clone(),
            cameras,
            lens_size: Some((1.0, 1.0)),
            caption: caption(&place.join("caption.json"))?,
            frames: Frames::Video(VideoFiles {
                video: self.root.join(format!("videos/{name}.mp4")),
                disparity,
                members,
                video_frames,
                masks: masks.is_file().then_some(masks),
            }),
        })
    }
}

fn array<T>(path: &Path, read: impl FnOnce(&[usize], &[f64]) -> Reason<T>) -> Result<T> {
    let budget = disk::frame_budget();
    disk::parse(path, &budget, |bytes| {
        let array = NpyArray::parse(bytes)?;
        read(&array.shape, &array.to_f64(&budget)?)
    })
}

fn poses(path: &Path) -> Result<Vec<WorldFromCamera>> {
    array(path, numbers::poses_w2c_quaternion)
}

/// Lines `i video_frame`, `i` from 0 on.
fn video_frames(text: &str) -> Reason<Vec<usize>> {
    let mut found = Vec::new();
    for row in numbers::rows(text)? {
        let [own, frame] = row[..] else {
            return Err(format!("2 numbers a line required, got {}", row.len()));
        };
        let is_index = (0.0..1e7).contains(&frame) && frame.fract() == 0.0;
        if own != found.len() as f64 || !is_index {
            return Err(format!("line {own} {frame} is out of order or no frame"));
        }
        found.push(frame as usize);
    }
    Ok(found)
}

/// The longest text of the captions, which is the description of the whole scene under whatever key a
/// release files it; empty where there is none.
fn caption(path: &Path) -> Result<String> {
    if !path.is_file() {
        return Ok(String::new());
    }
    let value: serde_json::Value = disk::parse_text(path, |text| {
        serde_json::from_str(text).map_err(|e| e.to_string())
    })?;
    let texts = value
        .as_object()
        .into_iter()
        .flat_map(serde_json::Map::values);
    let longest = texts
        .filter_map(serde_json::Value::as_str)
        .max_by_key(|text| text.len());
    Ok(longest.unwrap_or_default().to_owned())
}

impl VideoFiles {
    /// Reads annotated frames; the video is decoded once for all of them.
    pub(super) fn read(&self, indices: &[usize], ctx: &JobCtx) -> Result<Vec<VideoFrame>> {
        let archive = Archive::open(self.disparity.clone())
            .map_err(|reason| Error::format(&self.disparity, reason))?;
        let mut depths = Vec::with_capacity(indices.len());
        for &i in indices {
            ctx.check()?;
            let depth = self.depth(&archive, i);
            depths.push(depth.map_err(|reason| Error::format(&self.disparity, reason))?);
        }
        let Some(size) = depths.first().map(|map| [map.height, map.width]) else {
            return Ok(Vec::new());
        };
        if depths.iter().any(|map| [map.height, map.width] != size) {
            let reason = "frames of different sizes";
            return Err(Error::format(&self.disparity, reason));
        }
        let rgb = self.pictures(indices, size, ctx)?;
        let masks = self.masks(indices, size)?;
        Ok(rgb
            .into_iter()
            .zip(depths)
            .zip(masks)
            .map(|((rgb, depth), dynamic)| VideoFrame {
                rgb,
                depth,
                dynamic,
            })
            .collect())
    }

    fn depth(&self, archive: &Archive, index: usize) -> Reason<DepthMap> {
        let budget = disk::frame_budget();
        let name = &self.members[index];
        let bytes = archive.read(name, &budget)?;
        let mut map = pictures::exr_channel(&bytes, &["Z"], &budget)
            .map_err(|reason| format!("{name}: {reason}"))?;
        for value in &mut map.values {
            *value = if !value.is_finite() {
                f32::NAN
            } else if *value <= FAR_DISPARITY {
                f32::INFINITY
            } else {
                value.recip().max(MIN_DEPTH)
            };
        }
        Ok(map)
    }

    fn pictures(&self, indices: &[usize], size: [usize; 2], ctx: &JobCtx) -> Result<Vec<Vec<u8>>> {
        let count = probe(&self.video)?.num_frames;
        let wanted: Vec<usize> = indices.iter().map(|&i| self.video_frames[i]).collect();
        if let Some(past) = wanted.iter().find(|frame| **frame >= count) {
            let reason = format!("has {count} frames, indexes.txt names frame {past}");
            return Err(Error::format(&self.video, reason));
        }
        let request = ClipRequest {
            frames: count,
            sampling: Sampling::Even,
            size: Some(size),
        };
        let clip = load_video(&self.video, &request, ctx)?;
        Ok(wanted
            .into_iter()
            .map(|frame| clip.frames[frame].rgb.clone())
            .collect())
    }

    fn masks(&self, indices: &[usize], size: [usize; 2]) -> Result<Vec<Option<Vec<u8>>>> {
        let Some(path) = &self.masks else {
            return Ok(vec![None; indices.len()]);
        };
        let budget = disk::frame_budget();
        disk::parse(path, &budget, |bytes| {
            let npz = Npz::parse(bytes.to_vec())?;
            let (_, shape) = npz.f64("shape", &budget)?;
            let [.., height, width] = shape[..] else {
                return Err("`shape` is none".to_owned());
            };
            if !(height >= 1.0 && width >= 1.0 && height * width < 1e9) {
                return Err(format!("masks of {width} x {height} pixels"));
            }
            let mask_size = [height as usize, width as usize];
            indices
                .iter()
                .map(|&i| csr_mask(&npz, i, mask_size, size, &budget).map(Some))
                .collect()
        })
    }
}

/// The mask of annotated frame `i`, by nearest pixels at another size.
fn csr_mask(
    npz: &Npz,
    i: usize,
    [height, width]: [usize; 2],
    [out_height, out_width]: [usize; 2],
    budget: &Budget,
) -> Reason<Vec<u8>> {
    let read = |part: &str| Ok::<_, String>(npz.f64(&format!("f_{i}_{part}"), budget)?.1);
    let (data, columns, starts) = (read("data")?, read("indices")?, read("indptr")?);
    if starts.len() != height + 1 || data.len() != columns.len() {
        return Err(format!(
            "the mask of frame {i} is no matrix of {height} rows"
        ));
    }
    budget.take("a mask", height * width + out_height * out_width, 1)?;
    let mut mask = vec![0_u8; height * width];
    for (row, bounds) in starts.windows(2).enumerate() {
        let (first, end) = (bounds[0] as usize, bounds[1] as usize);
        let entries = columns.get(first..end).zip(data.get(first..end));
        let (columns, data) = entries.ok_or_else(|| format!("the mask of frame {i} is damaged"))?;
        for (column, value) in columns.iter().zip(data) {
            let column = *column as usize;
            if column >= width {
                return Err(format!("the mask of frame {i} has a column {column}"));
            }
            mask[row * width + column] = if *value == 0.0 { 0 } else { 255 };
        }
    }
    let from = |at: usize, own: usize, other: usize| (2 * at + 1) * other / (2 * own);
    Ok((0..out_height * out_width)
        .map(|at| {
            let row = from(at / out_width, out_height, height);
            let column = from(at % out_width, out_width, width);
            mask[row * width + column]
        })
        .collect())
}

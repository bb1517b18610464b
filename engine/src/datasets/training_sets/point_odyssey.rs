//! PointOdyssey: pictures, 16-bit depth and `anno.npz` with cameras.
//!
//! The annotations also hold tracks of thousands of points, hundreds of megabytes: only the two
//! camera arrays are taken out of the archive.

use std::path::{Path, PathBuf};

use super::SequenceReader;
use super::disk;
use super::sequence::{Frames, Sequence, grey16_depth, pair_files};
use crate::geometry::Camera;
use crate::import::{Budget, NpyArray, Reason, archive::Archive, numbers};
use crate::metrics::DepthMap;
use crate::scene::ScaleTag;
use crate::{Error, Result};

/// Metres that the largest value stands for.
const RANGE_M: f32 = 1000.0;
/// Depth beyond is dropped, as MonST3R does.
const FAR_M: f32 = 80.0;

pub(super) struct PointOdyssey {
    names: Vec<String>,
    folders: Vec<PathBuf>,
    skipped: Vec<(String, String)>,
}

impl PointOdyssey {
    pub(super) fn find(root: &Path) -> Result<Self> {
        let (with, without): (Vec<_>, Vec<_>) = disk::holding(root, 2, "rgbs")?
            .into_iter()
            .partition(|(_, folder)| folder.join("anno.npz").is_file());
        let (names, folders) = with.into_iter().unzip();
        let why = || "anno.npz is missing".to_owned();
        let skipped = without.into_iter().map(|(name, _)| (name, why())).collect();
        Ok(Self {
            names,
            folders,
            skipped,
        })
    }
}

impl SequenceReader for PointOdyssey {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn skipped(&self) -> &[(String, String)] {
        &self.skipped
    }

    fn scale(&self) -> ScaleTag {
        ScaleTag::Metric
    }

    fn open(&self, index: usize) -> Result<Sequence> {
        let folder = &self.folders[index];
        let path = folder.join("anno.npz");
        let cameras = cameras(&path).map_err(|reason| Error::format(&path, reason))?;
        let rgb = disk::numbered(&folder.join("rgbs"), "rgb_", ".jpg")?;
        let depth = disk::numbered(&folder.join("depths"), "depth_", ".png")?;
        Ok(Sequence {
            name: self.names[index].clone(),
            frames: Frames::Files {
                files: pair_files(folder, rgb, depth, cameras.len())?,
                code: depth_map,
            },
            cameras,
            lens_size: None,
            caption: String::new(),
        })
    }
}

fn cameras(path: &Path) -> Reason<Vec<Camera>> {
    let budget = disk::frame_budget();
    let archive = Archive::open(path.to_owned())?;
    let array = |key: &str| -> Reason<(Vec<usize>, Vec<f64>)> {
        let bytes = archive.read(&format!("{key}.npy"), &budget)?;
        let array = NpyArray::parse(&bytes).map_err(|why| format!("{key}: {why}"))?;
        Ok((array.shape.clone(), array.to_f64(&budget)?))
    };
    let (shape, values) = array("extrinsics")?;
    let poses = numbers::poses_w2c(&shape, &values)?;
    let (shape, values) = array("intrinsics")?;
    let lenses = numbers::lenses(&shape, &values, poses.len(), 0.0)?;
    numbers::cameras(&lenses, &poses)
}

fn depth_map(bytes: &[u8], budget: &Budget) -> Reason<DepthMap> {
    grey16_depth(bytes, budget, |raw| {
        let depth = f32::from(raw) * (RANGE_M / 65_535.0);
        if raw > 0 && depth <= FAR_M {
            depth
        } else {
            f32::NAN
        }
    })
}

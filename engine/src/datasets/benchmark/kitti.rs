//! KITTI depth: sparse 16-bit PNG in 1/256 m.

use std::path::Path;

use super::{DepthEncoding, DepthTruth, sequence_folder};
use crate::Result;
use crate::datasets::disk;

/// The validation drives of the depth set; camera `image_02`.
pub(super) const SEQUENCES: [&str; 13] = [
    "2011_09_26_drive_0002_sync",
    "2011_09_26_drive_0005_sync",
    "2011_09_26_drive_0013_sync",
    "2011_09_26_drive_0020_sync",
    "2011_09_26_drive_0023_sync",
    "2011_09_26_drive_0036_sync",
    "2011_09_26_drive_0079_sync",
    "2011_09_26_drive_0095_sync",
    "2011_09_26_drive_0113_sync",
    "2011_09_28_drive_0037_sync",
    "2011_09_29_drive_0026_sync",
    "2011_09_30_drive_0016_sync",
    "2011_10_03_drive_0047_sync",
];

const FRAMES: usize = 110;
const GATHERED: [&str; 3] = [
    "depth_selection/val_selection_cropped/groundtruth_depth_gathered",
    "val_selection_cropped/groundtruth_depth_gathered",
    "groundtruth_depth_gathered",
];

pub(super) fn depth(root: &Path, names: &[String]) -> Result<Option<DepthTruth>> {
    let raw = || {
        sequence_folder(root, &["val", ""], names)
            .map(|folder| folder.join("proj_depth/groundtruth/image_02"))
    };
    let Some(folder) = sequence_folder(root, &GATHERED, names).or_else(raw) else {
        return Ok(None);
    };
    let mut frames = disk::sorted(&folder, ".png")?;
    frames.truncate(FRAMES);
    Ok(Some(DepthTruth {
        frames,
        // Some drives are shorter than 110 frames, and no list says which.
        published_frames: None,
        encoding: DepthEncoding::Png16 { per_metre: 256.0 },
    }))
}

//! Bonn RGB-D dynamic: depth as 16-bit PNG in 1/5000 m.

use std::path::Path;

use super::{DepthEncoding, DepthTruth, sequence_folder};
use crate::datasets::disk;
use crate::{Error, Result};

/// The five sequences of the published depth evaluations, without `rgbd_bonn_`.
pub(super) const SEQUENCES: [&str; 5] = [
    "balloon2",
    "crowd2",
    "crowd3",
    "person_tracking2",
    "synchronous",
];

/// First frame of the sorted list that is measured, and the number of frames.
const FIRST: usize = 30;
const FRAMES: usize = 110;

pub(super) fn depth(root: &Path, names: &[String]) -> Result<Option<DepthTruth>> {
    let Some(folder) = sequence_folder(root, &["", "rgbd_bonn_dataset"], names) else {
        return Ok(None);
    };
    let prepared = folder.join("depth_110");
    let frames = if prepared.is_dir() {
        disk::sorted(&prepared, ".png")?
    } else {
        let all = folder.join("depth");
        let found = disk::sorted(&all, ".png")?;
        let kept: Vec<_> = found.into_iter().skip(FIRST).take(FRAMES).collect();
        if kept.is_empty() {
            let reason = format!("holds no frame after the first {FIRST}, which are left out");
            return Err(Error::format(&all, reason));
        }
        kept
    };
    Ok(Some(DepthTruth {
        frames,
        published_frames: Some(FRAMES),
        encoding: DepthEncoding::Png16 { per_metre: 5000.0 },
    }))
}

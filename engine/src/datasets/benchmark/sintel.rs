//! MPI Sintel: `.dpt` depth and `.cam` cameras of the training half.

use std::path::{Path, PathBuf};

use super::{DepthEncoding, DepthTruth, PoseTruth};
use crate::Result;
use crate::datasets::disk;
use crate::import::read_cam;

/// All sequences of the training half with their numbers of frames.
pub(super) const FRAMES: [(&str, usize); 23] = [
    ("alley_1", 50),
    ("alley_2", 50),
    ("ambush_2", 21),
    ("ambush_4", 33),
    ("ambush_5", 50),
    ("ambush_6", 20),
    ("ambush_7", 50),
    ("bamboo_1", 50),
    ("bamboo_2", 50),
    ("bandage_1", 50),
    ("bandage_2", 50),
    ("cave_2", 50),
    ("cave_4", 50),
    ("market_2", 50),
    ("market_5", 50),
    ("market_6", 40),
    ("mountain_1", 50),
    ("shaman_2", 50),
    ("shaman_3", 50),
    ("sleeping_1", 50),
    ("sleeping_2", 50),
    ("temple_2", 50),
    ("temple_3", 50),
];

/// Sequences whose cameras move enough to be compared.
pub(super) const POSE: [&str; 14] = [
    "alley_2",
    "ambush_4",
    "ambush_5",
    "ambush_6",
    "cave_2",
    "cave_4",
    "market_2",
    "market_5",
    "market_6",
    "shaman_3",
    "sleeping_1",
    "sleeping_2",
    "temple_2",
    "temple_3",
];

fn folder(root: &Path, kind: &str, sequence: &str) -> Option<PathBuf> {
    let base = disk::first_folder(root, &["training", ""])?;
    Some(base.join(kind).join(sequence)).filter(|path| path.is_dir())
}

fn published_frames(sequence: &str) -> Option<usize> {
    FRAMES.iter().find(|s| s.0 == sequence).map(|s| s.1)
}

pub(super) fn depth(root: &Path, sequence: &str) -> Result<Option<DepthTruth>> {
    let Some(folder) = folder(root, "depth", sequence) else {
        return Ok(None);
    };
    Ok(Some(DepthTruth {
        frames: disk::consecutive(&folder, "frame_", ".dpt")?,
        published_frames: published_frames(sequence),
        encoding: DepthEncoding::Dpt,
    }))
}

pub(super) fn cameras(root: &Path, sequence: &str) -> Result<Option<PoseTruth>> {
    let Some(folder) = folder(root, "camdata_left", sequence) else {
        return Ok(None);
    };
    let poses = disk::consecutive(&folder, "frame_", ".cam")?
        .iter()
        .map(|path| Ok(Some(read_cam(path)?.1.inverse())))
        .collect::<Result<_>>()?;
    Ok(Some(PoseTruth {
        poses,
        times_secs: None,
        published_frames: published_frames(sequence),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_that_of_the_data_set() {
        assert_eq!(FRAMES.iter().map(|s| s.1).sum::<usize>(), 1064);
        assert!(POSE.iter().all(|name| published_frames(name).is_some()));
    }
}

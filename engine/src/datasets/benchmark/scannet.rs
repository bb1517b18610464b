//! ScanNet: depth as 16-bit PNG in millimetres, cameras as 4x4 matrices from camera to world.

use std::path::{Path, PathBuf};

use glam::DVec3;

use super::{DepthEncoding, DepthTruth, PoseTruth};
use crate::datasets::disk;
use crate::geometry::WorldFromCamera;
use crate::import::{Reason, numbers, rotation_of_rows};
use crate::{Error, Result};

const FRAMES: usize = 90;
const STRIDE: usize = 3;

/// The hundred test scenes.
pub(super) fn sequences() -> Vec<String> {
    (707..=806).map(|n| format!("scene{n:04}_00")).collect()
}

fn folder(root: &Path, sequence: &str) -> Option<PathBuf> {
    disk::first_folder(root, &[sequence, &format!("scannetv2/{sequence}")])
}

pub(super) fn depth(root: &Path, sequence: &str) -> Result<Option<DepthTruth>> {
    let Some(folder) = folder(root, sequence) else {
        return Ok(None);
    };
    let prepared = folder.join("depth_90");
    let frames = if prepared.is_dir() {
        disk::sorted(&prepared, ".png")?
    } else {
        thinned(disk::numbered(&folder.join("depth"), "", ".png")?)
    };
    Ok(Some(DepthTruth {
        frames,
        published_frames: Some(FRAMES),
        encoding: DepthEncoding::Png16 { per_metre: 1000.0 },
    }))
}

pub(super) fn cameras(root: &Path, sequence: &str) -> Result<Option<PoseTruth>> {
    let Some(folder) = folder(root, sequence) else {
        return Ok(None);
    };
    let prepared = folder.join("pose_90.txt");
    let poses = if prepared.is_file() {
        disk::parse_text(&prepared, |text| {
            let rows = numbers::rows(text)?;
            let pose = |(i, row): (usize, &Vec<f64>)| {
                pose(row).map_err(|reason| format!("pose {i}: {reason}"))
            };
            rows.iter().enumerate().map(pose).collect::<Reason<_>>()
        })?
    } else {
        thinned(disk::numbered(&folder.join("pose"), "", ".txt")?)
            .iter()
            .map(|path| disk::parse_text(path, |text| pose(&numbers::rows(text)?.concat())))
            .collect::<Result<Vec<_>>>()?
    };
    if poses.is_empty() {
        return Err(Error::format(&prepared, "holds no pose"));
    }
    Ok(Some(PoseTruth {
        poses,
        times_secs: None,
        published_frames: Some(FRAMES),
    }))
}

/// Every third of the first 270.
fn thinned(files: Vec<(u64, PathBuf)>) -> Vec<PathBuf> {
    let kept = files.into_iter().step_by(STRIDE).take(FRAMES);
    kept.map(|(_, path)| path).collect()
}

/// A pose by its 16 numbers; `None` where they are not finite: the camera was lost.
fn pose(m: &[f64]) -> Reason<Option<WorldFromCamera>> {
    if m.len() != 16 {
        return Err(format!("16 numbers required, got {}", m.len()));
    }
    if !m.iter().all(|x| x.is_finite()) {
        return Ok(None);
    }
    let turn = [m[0], m[1], m[2], m[4], m[5], m[6], m[8], m[9], m[10]];
    Ok(Some(WorldFromCamera {
        rotation: rotation_of_rows(&turn)?,
        translation: DVec3::new(m[3], m[7], m[11]),
    }))
}

//! TUM RGB-D, the dynamic scenes of freiburg3: camera paths from motion capture.

use std::path::Path;

use super::{PoseTruth, sequence_folder};
use crate::datasets::disk;
use crate::import::{QuaternionOrder, Reason, read_trajectory};
use crate::metrics::Trajectory;
use crate::{Error, Result};

/// The eight scenes, without `rgbd_dataset_freiburg3_`.
pub(super) const SEQUENCES: [&str; 8] = [
    "sitting_halfsphere",
    "sitting_rpy",
    "sitting_static",
    "sitting_xyz",
    "walking_halfsphere",
    "walking_rpy",
    "walking_static",
    "walking_xyz",
];

const FRAMES: usize = 90;
const STRIDE: usize = 3;
/// A picture and a pose farther apart than this do not belong together, seconds.
const MAX_GAP_SECS: f64 = 0.02;

pub(super) fn cameras(root: &Path, names: &[String]) -> Result<Option<PoseTruth>> {
    let Some(folder) = sequence_folder(root, &[""], names) else {
        return Ok(None);
    };
    let prepared = folder.join("groundtruth_90.txt");
    let Trajectory { times_secs, poses } = if prepared.is_file() {
        read(&prepared)?
    } else {
        let truth_path = folder.join("groundtruth.txt");
        let truth = read(&truth_path)?;
        let pictures = disk::parse_text(&folder.join("rgb.txt"), picture_times)?;
        let mut kept = Trajectory::default();
        for (_, at) in associate(&pictures, &truth.times_secs)
            .into_iter()
            .step_by(STRIDE)
            .take(FRAMES)
        {
            kept.times_secs.push(truth.times_secs[at]);
            kept.poses.push(truth.poses[at]);
        }
        if kept.is_empty() {
            let reason = format!("no pose lies within {MAX_GAP_SECS} s of a picture of rgb.txt");
            return Err(Error::format(&truth_path, reason));
        }
        kept
    };
    Ok(Some(PoseTruth {
        poses: poses.into_iter().map(Some).collect(),
        times_secs: Some(times_secs),
        published_frames: Some(FRAMES),
    }))
}

fn read(path: &Path) -> Result<Trajectory> {
    Ok(read_trajectory(path, Some(QuaternionOrder::WLast))?.trajectory)
}

/// Times of lines `time path`; `#` starts a comment.
fn picture_times(text: &str) -> Reason<Vec<f64>> {
    let mut times = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let word = line.split_whitespace().next().unwrap_or_default();
        let time: f64 = word
            .parse()
            .map_err(|_| format!("line {}: a time and a path required, got `{line}`", i + 1))?;
        if !time.is_finite() {
            return Err(format!("line {}: the time is not finite", i + 1));
        }
        times.push(time);
    }
    Ok(times)
}

/// Pairs of indices `(picture, pose)` by time: the closest pairs first, each index once, in the order
/// of the pictures. The rule of the data set's own `associate.py`, under which the published frames
/// were chosen; taking the nearest pose for every picture can use a pose twice.
fn associate(pictures: &[f64], poses: &[f64]) -> Vec<(usize, usize)> {
    let mut by_time: Vec<usize> = (0..poses.len()).collect();
    by_time.sort_by(|a, b| poses[*a].total_cmp(&poses[*b]));
    let mut near: Vec<(f64, usize, usize)> = Vec::new();
    for (picture, time) in pictures.iter().enumerate() {
        let first = by_time.partition_point(|&at| poses[at] <= time - MAX_GAP_SECS);
        near.extend(
            by_time[first..]
                .iter()
                .take_while(|at| poses[**at] < time + MAX_GAP_SECS)
                .map(|&at| ((poses[at] - time).abs(), picture, at))
                .filter(|(gap, _, _)| *gap < MAX_GAP_SECS),
        );
    }
    near.sort_by(|a, b| {
        let times = |x: &(f64, usize, usize)| (pictures[x.1], poses[x.2]);
        let (own, other) = (times(a), times(b));
        a.0.total_cmp(&b.0)
            .then(own.0.total_cmp(&other.0))
            .then(own.1.total_cmp(&other.1))
    });
    let (mut picture_used, mut pose_used) = (vec![false; pictures.len()], vec![false; poses.len()]);
    let mut pairs = Vec::new();
    for (_, picture, pose) in near {
        if !picture_used[picture] && !pose_used[pose] {
            (picture_used[picture], pose_used[pose]) = (true, true);
            pairs.push((picture, pose));
        }
    }
    pairs.sort_by(|a, b| pictures[a.0].total_cmp(&pictures[b.0]));
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_pair_wins_and_each_pose_serves_once() {
        // Both pictures are nearest to the pose at 1.000; the second is closer to it.
        let pairs = associate(&[0.995, 1.002, 2.0], &[1.0, 0.98, 5.0]);
        assert_eq!(pairs, [(0, 1), (1, 0)]);
        assert!(associate(&[1.0], &[1.02]).is_empty());
    }

    #[test]
    fn lists_are_read_and_damaged_lines_named() {
        assert_eq!(
            picture_times("# a\n1.5 rgb/1.png\n\n2 b\n").unwrap(),
            [1.5, 2.0]
        );
        assert!(
            picture_times("1.5 a\nx b\n")
                .unwrap_err()
                .contains("line 2")
        );
    }
}

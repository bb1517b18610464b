//! Timed camera trajectories and the TUM text format.

use std::fmt::Write as _;
use std::path::Path;

use glam::{DMat3, DQuat, DVec3};

use crate::geometry::{Camera, WorldFromCamera};
use crate::{Error, Result, atomic_file};

/// Camera poses with time stamps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trajectory {
    /// `[N]` seconds, in file order.
    pub times_secs: Vec<f64>,
    /// `[N]`.
    pub poses: Vec<WorldFromCamera>,
}

impl Trajectory {
    /// The path of a clip's cameras at a frame rate.
    pub fn from_cameras(cameras: &[Camera], fps: f64) -> Self {
        Self {
            times_secs: (0..cameras.len()).map(|i| i as f64 / fps).collect(),
            poses: cameras.iter().map(|c| c.world_from_camera).collect(),
        }
    }

    /// Number of poses.
    pub fn len(&self) -> usize {
        self.poses.len()
    }

    /// True without poses.
    pub fn is_empty(&self) -> bool {
        self.poses.is_empty()
    }

    /// Reads lines `time x y z qx qy qz qw`, camera to world, quaternion with w last; `#` starts a
    /// comment line.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Format`] with the line number for a line of other than 8 numbers, or
    /// for a quaternion of no length.
    pub fn read_tum(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
        Self::parse_tum(&text).map_err(|reason| Error::format(path, reason))
    }

    fn parse_tum(text: &str) -> std::result::Result<Self, String> {
        let mut found = Self::default();
        for (line_idx, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (time, pose) =
                parse_line(line).map_err(|reason| format!("line {}: {reason}", line_idx + 1))?;
            found.times_secs.push(time);
            found.poses.push(pose);
        }
        Ok(found)
    }

    /// Writes the TUM format, `w >= 0`, readable by evo; every number reads back to 1e-9.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Limit`] of the disk.
    pub fn write_tum(&self, path: &Path) -> Result<()> {
        let mut text = String::from("# time x y z qx qy qz qw (camera to world)\n");
        for (time, pose) in self.times_secs.iter().zip(&self.poses) {
            let q = DQuat::from_mat3(&pose.rotation);
            let [x, y, z, w] = if q.w < 0.0 { -q } else { q }.to_array();
            let t = pose.translation;
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{time:.9} {:.10} {:.10} {:.10} {x:.12} {y:.12} {z:.12} {w:.12}",
                t.x, t.y, t.z
            );
        }
        atomic_file::write(path, text.as_bytes())
    }

    /// Pairs of indices `(own, other)` whose times lie within `max_gap_secs`.
    ///
    /// Walks the trajectory with fewer stamps and takes the nearest stamp of the other, the rule of
    /// evo (MichaelGrupp/evo, evo/core/sync.py @ 26d0953).
    pub fn associate(&self, other: &Self, max_gap_secs: f64) -> Vec<(usize, usize)> {
        let own_is_shorter = self.len() <= other.len();
        let (short, long) = if own_is_shorter {
            (self, other)
        } else {
            (other, self)
        };
        let mut pairs = Vec::with_capacity(short.len());
        for (i, time) in short.times_secs.iter().enumerate() {
            let gap = |j: &usize| (long.times_secs[*j] - time).abs();
            let nearest = (0..long.len()).min_by(|a, b| gap(a).total_cmp(&gap(b)));
            if let Some(j) = nearest.filter(|j| gap(j) <= max_gap_secs) {
                pairs.push(if own_is_shorter { (i, j) } else { (j, i) });
            }
        }
        pairs
    }
}

fn parse_line(line: &str) -> std::result::Result<(f64, WorldFromCamera), String> {
    let numbers: Vec<f64> = line
        .split([' ', '\t', ','])
        .filter(|word| !word.is_empty())
        .map(|word| word.parse().map_err(|_| format!("`{word}` is no number")))
        .collect::<std::result::Result<_, String>>()?;
    let [time, x, y, z, qx, qy, qz, qw] = numbers[..] else {
        return Err(format!("8 numbers required, got {}", numbers.len()));
    };
    let q = DQuat::from_xyzw(qx, qy, qz, qw);
    let length = q.length();
    if !(length > 1e-6 && length.is_finite()) {
        return Err("the quaternion has no length".to_owned());
    }
    let pose = WorldFromCamera {
        rotation: DMat3::from_quat(q * (1.0 / length)),
        translation: DVec3::new(x, y, z),
    };
    Ok((time, pose))
}

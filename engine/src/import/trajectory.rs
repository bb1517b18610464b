//! Camera paths as text and as Sintel cameras, told apart by what stands in them.
//!
//! | format | line | pose |
//! |---|---|---|
//! | TUM | `t x y z qx qy qz qw` | camera to world |
//! | MonST3R, Geo4D, CUT3R `pred_traj.txt` | `i x y z qw qx qy qz` | camera to world, **w first** |
//! | KITTI odometry | 12 numbers, `[R | t]` by rows | camera to world |
//! | ScanNet | 16 numbers, 4 x 4 by rows | camera to world |
//! | EuRoC csv | `t[ns], x, y, z, qw, qx, qy, qz, ...` | camera (body) to world |
//! | Sintel `.cam`, one a frame | binary, `K` and `[R | t]` | **world to camera** |

use std::path::{Path, PathBuf};
use std::str::FromStr;

use glam::{DMat3, DQuat, DVec3};
use serde::Serialize;

use crate::geometry::{CameraFromWorld, Intrinsics, WorldFromCamera};
use crate::metrics::Trajectory;
use crate::{Error, Result};

/// Largest trajectory file, bytes: a million poses.
const MAX_BYTES: u64 = 512 << 20;
/// First number of the files of MPI Sintel.
pub(crate) const SINTEL_TAG: f32 = 202_021.25;
/// A first pose that stands this close to no turn tells the order of its quaternion.
const NEAR_ONE: f64 = 0.999;

/// Place of `w` among the four numbers of a quaternion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum QuaternionOrder {
    /// `w x y z`.
    WFirst,
    /// `x y z w`.
    WLast,
}

impl FromStr for QuaternionOrder {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "wxyz" => Ok(Self::WFirst),
            "xyzw" => Ok(Self::WLast),
            _ => Err(Error::invalid(
                "quaternion order",
                format!("`{name}` is neither wxyz nor xyzw"),
            )),
        }
    }
}

/// What the first column of a trajectory says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stamps {
    /// Time in seconds.
    Seconds,
    /// The number of the frame, 0, 1, 2, ...
    Counter,
    /// There is none; poses stand in the order of the frames.
    None,
}

/// A camera path and how it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct TrajectoryFile {
    /// The poses.
    pub trajectory: Trajectory,
    /// What its times are.
    pub stamps: Stamps,
    /// Name of the format, for people.
    pub format: &'static str,
    /// What had to be guessed.
    pub notes: Vec<String>,
}

/// Reads a camera path: a text file, a Sintel `.cam` or a folder of them.
///
/// `order` settles the order of quaternions where it is known; else the file and those beside it
/// decide, and [`TrajectoryFile::notes`] says how.
///
/// # Errors
/// [`Error::Io`]; [`Error::Format`] with the line for what is no pose.
pub fn read_trajectory(path: &Path, order: Option<QuaternionOrder>) -> Result<TrajectoryFile> {
    if path.is_dir() {
        return read_cam_folder(path);
    }
    if path.extension().is_some_and(|e| e == "cam") {
        let (_, pose) = read_cam(path)?;
        return Ok(untimed(vec![pose.inverse()], "Sintel .cam"));
    }
    let length = path.metadata().map_err(|e| Error::io(path, e))?.len();
    if length > MAX_BYTES {
        return Err(Error::format(
            path,
            format!("{length} bytes, a trajectory has {MAX_BYTES} at most"),
        ));
    }
    let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
    let by_frame_number = is_beside_frames(path);
    parse_trajectory(&text, order, by_frame_number).map_err(|reason| Error::format(path, reason))
}

/// True if the files beside say that this is a tool's path by frame number.
fn is_beside_frames(path: &Path) -> bool {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    ["pred_intrinsics.txt", "frame_0000.npy"]
        .iter()
        .any(|name| folder.join(name).is_file())
}

/// Reads a camera path from text; see [`read_trajectory`]. `by_frame_number`: the files beside say
/// that a tool of the MonST3R family wrote it.
pub(crate) fn parse_trajectory(
    text: &str,
    order: Option<QuaternionOrder>,
    by_frame_number: bool,
) -> std::result::Result<TrajectoryFile, String> {
    let mut rows: Vec<(usize, Vec<f64>)> = Vec::new();
    for (line_idx, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let numbers =
            numbers_of(line).map_err(|reason| format!("line {}: {reason}", line_idx + 1))?;
        if let Some((_, first)) = rows
            .first()
            .filter(|(_, first)| first.len() != numbers.len())
        {
            return Err(format!(
                "line {}: {} numbers, the lines before have {}",
                line_idx + 1,
                numbers.len(),
                first.len()
            ));
        }
        rows.push((line_idx + 1, numbers));
    }
    let Some((_, first)) = rows.first() else {
        return Err("holds no pose".to_owned());
    };
    let is_csv = text
        .lines()
        .find(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .is_some_and(|line| line.contains(','));
    match (first.len(), is_csv) {
        (8, false) => quaternions(&rows, order, by_frame_number),
        (12, false) => matrices(&rows, "KITTI poses"),
        (16, false) => matrices(&rows, "ScanNet poses"),
        (8.., true) => euroc(&rows),
        (n, _) => Err(format!(
            "{n} numbers a line are no known camera path (8: TUM, 12: KITTI, 16: ScanNet)"
        )),
    }
}

fn numbers_of(line: &str) -> std::result::Result<Vec<f64>, String> {
    line.split([' ', '\t', ','])
        .filter(|word| !word.is_empty())
        .map(|word| {
            let number: f64 = word.parse().map_err(|_| format!("`{word}` is no number"))?;
            if number.is_finite() {
                Ok(number)
            } else {
                Err(format!("`{word}`: the pose of this frame is not known"))
            }
        })
        .collect()
}

fn quaternions(
    rows: &[(usize, Vec<f64>)],
    order: Option<QuaternionOrder>,
    by_frame_number: bool,
) -> std::result::Result<TrajectoryFile, String> {
    let counted = rows
        .iter()
        .enumerate()
        .all(|(i, (_, row))| row[0] == i as f64);
    let mut notes = Vec::new();
    let order = order.unwrap_or_else(|| {
        let first = &rows[0].1;
        let unturned_if_w_first = first[4].abs() > NEAR_ONE && first[7].abs() < 1.0 - NEAR_ONE;
        if counted && by_frame_number {
            QuaternionOrder::WFirst
        } else if counted && unturned_if_w_first {
            notes.push(
                "frame numbers instead of times and a first quaternion of (1, 0, 0, 0): read with \
                 w first; --quaternion xyzw reads it the other way"
                    .to_owned(),
            );
            QuaternionOrder::WFirst
        } else {
            QuaternionOrder::WLast
        }
    });
    let mut trajectory = Trajectory::default();
    for (line, row) in rows {
        let q = match order {
            QuaternionOrder::WFirst => [row[5], row[6], row[7], row[4]],
            QuaternionOrder::WLast => [row[4], row[5], row[6], row[7]],
        };
        let rotation = rotation_of(q).map_err(|reason| format!("line {line}: {reason}"))?;
        trajectory.times_secs.push(row[0]);
        trajectory.poses.push(WorldFromCamera {
            rotation,
            translation: DVec3::new(row[1], row[2], row[3]),
        });
    }
    Ok(TrajectoryFile {
        trajectory,
        stamps: if counted {
            Stamps::Counter
        } else {
            Stamps::Seconds
        },
        format: match order {
            QuaternionOrder::WFirst => "poses with w first",
            QuaternionOrder::WLast => "TUM",
        },
        notes,
    })
}

/// The rotation of a quaternion `x y z w` of any length but zero.
pub(crate) fn rotation_of(xyzw: [f64; 4]) -> std::result::Result<DMat3, String> {
    let q = DQuat::from_array(xyzw);
    let length = q.length();
    if length > 1e-6 && length.is_finite() {
        Ok(DMat3::from_quat(q * (1.0 / length)))
    } else {
        Err("the quaternion has no length".to_owned())
    }
}

/// The rotation in nine numbers by rows, if they are one up to rounding.
pub(crate) fn rotation_of_rows(rows: &[f64]) -> std::result::Result<DMat3, String> {
    let m = <[f64; 9]>::try_from(rows)
        .map(|m| DMat3::from_cols_array(&m).transpose())
        .map_err(|_| format!("9 numbers required, got {}", rows.len()))?;
    let gram = m * m.transpose() - DMat3::IDENTITY;
    let off = gram
        .to_cols_array()
        .iter()
        .fold(0.0, |a: f64, x| a.max(x.abs()));
    if off < 1e-2 && m.determinant() > 0.0 {
        Ok(m)
    } else {
        Err("the matrix is no rotation".to_owned())
    }
}

fn matrices(
    rows: &[(usize, Vec<f64>)],
    format: &'static str,
) -> std::result::Result<TrajectoryFile, String> {
    let poses = rows
        .iter()
        .map(|(line, m)| {
            let turn = [m[0], m[1], m[2], m[4], m[5], m[6], m[8], m[9], m[10]];
            Ok(WorldFromCamera {
                rotation: rotation_of_rows(&turn)
                    .map_err(|reason| format!("line {line}: {reason}"))?,
                translation: DVec3::new(m[3], m[7], m[11]),
            })
        })
        .collect::<std::result::Result<_, String>>()?;
    Ok(untimed(poses, format))
}

fn euroc(rows: &[(usize, Vec<f64>)]) -> std::result::Result<TrajectoryFile, String> {
    let mut trajectory = Trajectory::default();
    for (line, row) in rows {
        let rotation = rotation_of([row[5], row[6], row[7], row[4]])
            .map_err(|reason| format!("line {line}: {reason}"))?;
        trajectory.times_secs.push(row[0] * 1e-9);
        trajectory.poses.push(WorldFromCamera {
            rotation,
            translation: DVec3::new(row[1], row[2], row[3]),
        });
    }
    Ok(TrajectoryFile {
        trajectory,
        stamps: Stamps::Seconds,
        format: "EuRoC",
        notes: Vec::new(),
    })
}

fn untimed(poses: Vec<WorldFromCamera>, format: &'static str) -> TrajectoryFile {
    TrajectoryFile {
        trajectory: Trajectory {
            times_secs: (0..poses.len()).map(|i| i as f64).collect(),
            poses,
        },
        stamps: Stamps::None,
        format,
        notes: Vec::new(),
    }
}

fn read_cam_folder(folder: &Path) -> Result<TrajectoryFile> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(|e| Error::io(folder, e))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "cam"))
        .collect();
    files.sort();
    if files.is_empty() {
        return Err(Error::format(folder, "holds no .cam file"));
    }
    let poses = files
        .iter()
        .map(|file| Ok(read_cam(file)?.1.inverse()))
        .collect::<Result<Vec<_>>>()?;
    Ok(untimed(poses, "Sintel .cam"))
}

/// Reads a Sintel camera: tag, `K` as nine doubles, world to camera as twelve, both by rows.
///
/// # Errors
/// [`Error::Io`]; [`Error::Format`] for a wrong tag or length.
pub fn read_cam(path: &Path) -> Result<(Intrinsics, CameraFromWorld)> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    parse_cam(&bytes).map_err(|reason| Error::format(path, reason))
}

fn parse_cam(bytes: &[u8]) -> std::result::Result<(Intrinsics, CameraFromWorld), String> {
    let Some((tag, numbers)) = bytes.split_first_chunk::<4>() else {
        return Err("truncated: no tag".to_owned());
    };
    if f32::from_le_bytes(*tag) != SINTEL_TAG {
        return Err("the tag 202021.25 is missing".to_owned());
    }
    if numbers.len() < 21 * 8 {
        return Err(format!("truncated: {} of 168 bytes", numbers.len()));
    }
    let n: Vec<f64> = numbers
        .as_chunks::<8>()
        .0
        .iter()
        .map(|c| f64::from_le_bytes(*c))
        .collect();
    if !n[..21].iter().all(|x| x.is_finite()) {
        return Err("a number is not finite".to_owned());
    }
    let m = &n[9..];
    let turn = [m[0], m[1], m[2], m[4], m[5], m[6], m[8], m[9], m[10]];
    let intrinsics = Intrinsics {
        fx_px: n[0],
        fy_px: n[4],
        cx_px: n[2],
        cy_px: n[5],
    };
    let pose = CameraFromWorld {
        rotation: rotation_of_rows(&turn)?,
        translation: DVec3::new(m[3], m[7], m[11]),
    };
    Ok((intrinsics, pose))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> TrajectoryFile {
        parse_trajectory(text, None, false).unwrap()
    }

    #[test]
    fn the_number_of_columns_tells_the_format() {
        let turn = DMat3::from_rotation_y(0.5);
        let r = turn.transpose().to_cols_array();
        let kitti = format!(
            "{} {} {} 1 {} {} {} 2 {} {} {} 3\n",
            r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7], r[8]
        );
        let found = read(&kitti);
        assert_eq!((found.format, found.stamps), ("KITTI poses", Stamps::None));
        let pose = found.trajectory.poses[0];
        assert!((pose.rotation.x_axis - turn.x_axis).length() < 1e-12);
        assert_eq!(pose.translation, DVec3::new(1.0, 2.0, 3.0));
        let scannet = format!("{} 0 0 0 1\n", kitti.trim());
        assert_eq!(read(&scannet).trajectory.poses[0], pose);
        let euroc = "#ts,x\n1403636579763555584,1,2,3,0.5,0.5,0.5,0.5,0,0,0\n";
        let found = read(euroc);
        assert_eq!(found.format, "EuRoC");
        assert!((found.trajectory.times_secs[0] - 1_403_636_579.763_555_6).abs() < 1e-6);
        assert!(parse_trajectory("1 2 3\n", None, false).is_err());
        assert!(parse_trajectory("# nothing\n", None, false).is_err());
    }

    #[test]
    fn the_order_of_quaternions_follows_what_stands_beside_and_what_is_asked() {
        let numbered = "0 0 0 0 0.6 0.8 0 0\n1 0 0 0 0.6 0.8 0 0\n";
        let w_first = DMat3::from_quat(DQuat::from_xyzw(0.8, 0.0, 0.0, 0.6));
        let w_last = DMat3::from_quat(DQuat::from_xyzw(0.6, 0.8, 0.0, 0.0));
        let rotation = |order, beside| {
            let found = parse_trajectory(numbered, order, beside).unwrap();
            found.trajectory.poses[0].rotation
        };
        assert_eq!(rotation(None, true), w_first);
        assert_eq!(rotation(None, false), w_last);
        assert_eq!(rotation(Some(QuaternionOrder::WFirst), false), w_first);
        assert_eq!(rotation(Some(QuaternionOrder::WLast), true), w_last);
        let unturned = read("0 0 0 0 1 0 0 0\n1 0 0 0 0.9 0.1 0 0\n");
        assert_eq!(unturned.notes.len(), 1);
        assert_eq!(unturned.trajectory.poses[0].rotation, DMat3::IDENTITY);
        // With real times the file is TUM, whatever its first pose.
        let timed = read("5.25 0 0 0 1 0 0 0\n5.5 0 0 0 1 0 0 0\n");
        assert_eq!(timed.format, "TUM");
    }

    #[test]
    fn a_sintel_camera_is_read_as_world_to_camera() {
        let mut bytes = SINTEL_TAG.to_le_bytes().to_vec();
        let k = [500.0, 0.0, 320.0, 0.0, 510.0, 240.0, 0.0, 0.0, 1.0];
        let rt = [0.0, -1.0, 0.0, 4.0, 1.0, 0.0, 0.0, 5.0, 0.0, 0.0, 1.0, 6.0];
        for x in k.iter().chain(&rt) {
            bytes.extend(f64::to_le_bytes(*x));
        }
        let (lens, pose) = parse_cam(&bytes).unwrap();
        assert_eq!((lens.fy_px, lens.cx_px), (510.0, 320.0));
        assert_eq!(pose.transform(DVec3::X), DVec3::new(4.0, 6.0, 6.0));
        assert!(parse_cam(&bytes[..100]).is_err());
        bytes[0] ^= 1;
        assert!(parse_cam(&bytes).is_err());
    }
}

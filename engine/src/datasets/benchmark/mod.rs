//! Ground truth of published evaluations, read from the data sets' own files.
//!
//! | data set | depth | cameras | sequences | frames |
//! |---|---|---|---|---|
//! | `sintel` | `training/depth/SEQ/frame_%04d.dpt` | `training/camdata_left/SEQ/frame_%04d.cam` | 23 for depth, 14 for cameras | all |
//! | `bonn` | `rgbd_bonn_SEQ/depth_110/*.png`, else `depth/*.png` | none, see below | 5 | the sorted frames 30..140 |
//! | `tum-dynamics` | none | `groundtruth_90.txt`, else `rgb.txt` with `groundtruth.txt` | 8 of freiburg3 | every third, 90 at most |
//! | `kitti` | `groundtruth_depth_gathered/SEQ_02/*.png`, else `SEQ/proj_depth/groundtruth/image_02/*.png` | none | 13 | the first 110 that have truth |
//! | `scannet` | `SEQ/depth_90/*.png`, else `SEQ/depth/*.png` | `SEQ/pose_90.txt`, else `SEQ/pose/*.txt` | `scene0707_00` to `scene0806_00` | every third of the first 270 |
//!
//! Lists and choice of frames as in Junyi42/monst3r (dust3r, datasets_preprocess @ 574cc77). Its Bonn
//! cameras are cut out of the ground truth by line number, without regard to time: errors against
//! them mean nothing, so Bonn is not read for cameras.

mod bonn;
mod kitti;
mod scannet;
mod sintel;
mod tum;

use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::disk;
use crate::geometry::WorldFromCamera;
use crate::import::{pictures, read_depth_dpt};
use crate::metrics::{DepthMap, DepthSet};
use crate::{Error, Result};

/// A data set of published evaluations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Benchmark {
    /// MPI Sintel, training half.
    Sintel,
    /// Bonn RGB-D dynamic.
    Bonn,
    /// The eight moving scenes of TUM RGB-D.
    TumDynamics,
    /// KITTI depth, validation drives.
    Kitti,
    /// ScanNet, test scenes.
    Scannet,
}

/// True depth of a sequence, a file a frame.
#[derive(Clone, Debug)]
pub struct DepthTruth {
    /// The files that are measured, in order.
    pub frames: Vec<PathBuf>,
    /// How many the published evaluation has, where it is known.
    pub published_frames: Option<usize>,
    encoding: DepthEncoding,
}

/// How a file holds depth.
#[derive(Clone, Copy, Debug)]
enum DepthEncoding {
    /// Sintel's `.dpt`.
    Dpt,
    /// 16-bit grey PNG of so many units a metre, 0 = none.
    Png16 { per_metre: f32 },
}

/// True cameras of a sequence.
#[derive(Clone, Debug)]
pub struct PoseTruth {
    /// `[N]`; `None` where the data set lost the camera.
    pub poses: Vec<Option<WorldFromCamera>>,
    /// `[N]` seconds, where the data set has times.
    pub times_secs: Option<Vec<f64>>,
    /// How many frames the published evaluation has, where it is known.
    pub published_frames: Option<usize>,
}

impl DepthTruth {
    /// Reads a frame; no truth = 0 or below, or not finite.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Format`], naming the file.
    pub fn read(&self, frame_idx: usize) -> Result<DepthMap> {
        let path = &self.frames[frame_idx];
        let budget = disk::frame_budget();
        disk::parse(path, &budget, |bytes| match self.encoding {
            DepthEncoding::Dpt => read_depth_dpt(bytes),
            DepthEncoding::Png16 { per_metre } => {
                let grey = pictures::grey16(bytes, &budget)?;
                Ok(DepthMap {
                    height: grey.height,
                    width: grey.width,
                    values: grey
                        .values
                        .iter()
                        .map(|&raw| f32::from(raw) / per_metre)
                        .collect(),
                })
            }
        })
    }
}

impl Benchmark {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Sintel,
        Self::Bonn,
        Self::TumDynamics,
        Self::Kitti,
        Self::Scannet,
    ];

    /// Its name, as it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sintel => "sintel",
            Self::Bonn => "bonn",
            Self::TumDynamics => "tum-dynamics",
            Self::Kitti => "kitti",
            Self::Scannet => "scannet",
        }
    }

    /// Whose limits of depth it has.
    pub fn depth_set(self) -> DepthSet {
        match self {
            Self::Sintel => DepthSet::Sintel,
            Self::Bonn => DepthSet::Bonn,
            Self::Kitti => DepthSet::Kitti,
            Self::Scannet => DepthSet::Scannet,
            Self::TumDynamics => DepthSet::Other,
        }
    }

    /// The sequences of the depth evaluation.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a set that has none.
    pub fn depth_sequences(self) -> Result<Vec<String>> {
        Ok(match self {
            Self::Sintel => sintel::FRAMES.iter().map(|s| s.0.to_owned()).collect(),
            Self::Bonn => owned(&bonn::SEQUENCES),
            Self::Kitti => owned(&kitti::SEQUENCES),
            Self::Scannet => scannet::sequences(),
            Self::TumDynamics => {
                return Err(Error::invalid(
                    "--dataset tum-dynamics",
                    "is evaluated for cameras only (one4d eval pose)",
                ));
            }
        })
    }

    /// The sequences of the camera evaluation.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a set that has none.
    pub fn pose_sequences(self) -> Result<Vec<String>> {
        Ok(match self {
            Self::Sintel => owned(&sintel::POSE),
            Self::TumDynamics => owned(&tum::SEQUENCES),
            Self::Scannet => scannet::sequences(),
            Self::Bonn => {
                return Err(Error::invalid(
                    "--dataset bonn",
                    "has no valid camera evaluation: the published one takes true poses by line \
                     number without regard to time; compare a path of your own with one4d eval pose \
                     --pred FILE --gt groundtruth.txt",
                ));
            }
            Self::Kitti => {
                return Err(Error::invalid(
                    "--dataset kitti",
                    "is evaluated for depth only; compare paths with one4d eval pose --pred FILE \
                     --gt FILE",
                ));
            }
        })
    }

    /// Names under which a sequence's folder may stand, the data set's own first.
    pub fn folder_names(self, sequence: &str) -> Vec<String> {
        let and = |other: &[String]| [other, &[sequence.to_owned()]].concat();
        match self {
            Self::Sintel | Self::Scannet => and(&[]),
            Self::Bonn => and(&[format!("rgbd_bonn_{sequence}")]),
            Self::TumDynamics => and(&[
                format!("rgbd_dataset_freiburg3_{sequence}"),
                format!("freiburg3_{sequence}"),
            ]),
            Self::Kitti => and(&[format!("{sequence}_02")]),
        }
    }

    /// True depth of a sequence; `None` if the data set has no folder for it under `root`.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Format`] for a folder that is there and cannot be used.
    pub fn depth_truth(self, root: &Path, sequence: &str) -> Result<Option<DepthTruth>> {
        match self {
            Self::Sintel => sintel::depth(root, sequence),
            Self::Bonn => bonn::depth(root, &self.folder_names(sequence)),
            Self::Kitti => kitti::depth(root, &self.folder_names(sequence)),
            Self::Scannet => scannet::depth(root, sequence),
            Self::TumDynamics => Ok(None),
        }
    }

    /// True cameras of a sequence; `None` if the data set has no folder for it under `root`.
    ///
    /// # Errors
    /// As [`Self::depth_truth`].
    pub fn pose_truth(self, root: &Path, sequence: &str) -> Result<Option<PoseTruth>> {
        match self {
            Self::Sintel => sintel::cameras(root, sequence),
            Self::TumDynamics => tum::cameras(root, &self.folder_names(sequence)),
            Self::Scannet => scannet::cameras(root, sequence),
            Self::Bonn | Self::Kitti => Ok(None),
        }
    }

    /// Where its files are looked for, for people.
    pub fn layout(self) -> &'static str {
        match self {
            Self::Sintel => {
                "training/depth/SEQ/frame_0001.dpt and training/camdata_left/SEQ/frame_0001.cam"
            }
            Self::Bonn => "rgbd_bonn_SEQ/depth_110/*.png or rgbd_bonn_SEQ/depth/*.png",
            Self::TumDynamics => {
                "rgbd_dataset_freiburg3_SEQ/groundtruth_90.txt, or rgb.txt and groundtruth.txt there"
            }
            Self::Kitti => {
                "depth_selection/val_selection_cropped/groundtruth_depth_gathered/SEQ_02/*.png or \
                 val/SEQ/proj_depth/groundtruth/image_02/*.png"
            }
            Self::Scannet => {
                "SEQ/depth_90/*.png and SEQ/pose_90.txt, or SEQ/depth/*.png and SEQ/pose/*.txt"
            }
        }
    }
}

impl FromStr for Benchmark {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|set| set.name() == name)
            .ok_or_else(|| {
                let names: Vec<&str> = Self::ALL.iter().map(|set| set.name()).collect();
                let reason = format!("`{name}` is none of {}", names.join(", "));
                Error::invalid("data set", reason)
            })
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// The first folder `BASE/NAME` that exists, bases in order.
fn sequence_folder(root: &Path, bases: &[&str], names: &[String]) -> Option<PathBuf> {
    bases
        .iter()
        .flat_map(|base| names.iter().map(move |name| root.join(base).join(name)))
        .find(|path| path.is_dir())
}

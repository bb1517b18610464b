//! Data sets for training, read from their own files into the house's conventions.
//!
//! | name | depth | cameras | made right |
//! |---|---|---|---|
//! | `omniworld-game` | 16-bit PNG, `d / (1000 - 999 d) / 0.004`, relative | `camera/split_*.json`, world to camera, w first | one sequence a split |
//! | `bedlam` | EXR channel `Depth`, cm | Unreal CSV, degrees, left-handed yaw | axes, cm; portrait close-ups and HDRI scenes left out |
//! | `pointodyssey` | 16-bit PNG, `1000 raw / 65535` m | `anno.npz`, world to camera | depth beyond 80 m dropped |
//! | `tartanair` | `.npy` m, sky about 10000 | `pose_left.txt`, camera to world in NED | axes; sky marked |
//! | `spatialvid` | zip of half EXR, disparity | `poses.npy`, world to camera | inverted; sky where disparity is 0 |
//! | `dynamic-replica` | 16-bit PNG that holds half floats | `frame_annotations_*.jgz`, PyTorch3D, NDC | flips, transpose, pixels |
//!
//! A [`SequenceReader`] lists sequences and opens one; an opened [`Sequence`] has its cameras in memory
//! and reads frames when asked. [`check_sequences`] projects frames into later ones, which shows wrong
//! axes, transposes and units at once.

mod bedlam;
mod clip;
mod dynamic_replica;
mod omni_world;
mod point_odyssey;
mod self_test;
mod sequence;
mod spatial_vid;
mod tartan_air;

use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use clip::{ClipSampling, Split, TrainingFiles};
pub use self_test::{CheckReport, CheckRequest, check_sequences};
pub use sequence::{Sequence, SourceFrame};

use super::disk;
use crate::scene::ScaleTag;
use crate::{Error, Result};

/// A data set for training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TrainingSet {
    /// OmniWorld-Game.
    #[serde(rename = "omniworld-game")]
    OmniworldGame,
    /// BEDLAM.
    #[serde(rename = "bedlam")]
    Bedlam,
    /// PointOdyssey 1.2.
    #[serde(rename = "pointodyssey")]
    PointOdyssey,
    /// TartanAir.
    #[serde(rename = "tartanair")]
    TartanAir,
    /// SpatialVID and SpatialVID-HQ.
    #[serde(rename = "spatialvid")]
    SpatialVid,
    /// Dynamic Replica.
    #[serde(rename = "dynamic-replica")]
    DynamicReplica,
}

/// Sequences of a data set on disk.
pub trait SequenceReader: Send + Sync {
    /// Names of the sequences, sorted.
    fn names(&self) -> &[String];

    /// What was found and left out, with the reason.
    fn skipped(&self) -> &[(String, String)];

    /// What a unit of length means.
    fn scale(&self) -> ScaleTag;

    /// Reads cameras and caption of a sequence and lists its frames.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Format`], naming the file.
    fn open(&self, index: usize) -> Result<Sequence>;
}

impl TrainingSet {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::OmniworldGame,
        Self::Bedlam,
        Self::PointOdyssey,
        Self::TartanAir,
        Self::SpatialVid,
        Self::DynamicReplica,
    ];

    /// Its name, as it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::OmniworldGame => "omniworld-game",
            Self::Bedlam => "bedlam",
            Self::PointOdyssey => "pointodyssey",
            Self::TartanAir => "tartanair",
            Self::SpatialVid => "spatialvid",
            Self::DynamicReplica => "dynamic-replica",
        }
    }

    /// Lists the sequences below a folder: the whole data set, or any part of it.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Format`] if there is none, naming what was looked for.
    pub fn open(self, root: &Path) -> Result<Box<dyn SequenceReader>> {
        std::fs::read_dir(root).map_err(|e| Error::io(root, e))?;
        let reader: Box<dyn SequenceReader> = match self {
            Self::OmniworldGame => Box::new(omni_world::OmniWorld::find(root)?),
            Self::Bedlam => Box::new(bedlam::Bedlam::find(root)?),
            Self::PointOdyssey => Box::new(point_odyssey::PointOdyssey::find(root)?),
            Self::TartanAir => Box::new(tartan_air::TartanAir::find(root)?),
            Self::SpatialVid => Box::new(spatial_vid::SpatialVid::find(root)?),
            Self::DynamicReplica => Box::new(dynamic_replica::DynamicReplica::find(root)?),
        };
        if reader.names().is_empty() {
            let left_out: Vec<String> = reader
                .skipped()
                .iter()
                .take(3)
                .map(|(name, reason)| format!("; {name} left out: {reason}"))
                .collect();
            return Err(Error::format(
                root,
                format!(
                    "holds no sequence of {}: looked for {}{}",
                    self.name(),
                    self.layout(),
                    left_out.concat()
                ),
            ));
        }
        Ok(reader)
    }

    fn layout(self) -> &'static str {
        match self {
            Self::OmniworldGame => "SCENE/split_info.json beside color, depth and camera",
            Self::Bedlam => "SCENE/ground_truth/camera/seq_*_camera.csv beside png and depth",
            Self::PointOdyssey => "SEQ/anno.npz beside rgbs and depths",
            Self::TartanAir => "ENV/Easy/P000/pose_left.txt beside image_left and depth_left",
            Self::SpatialVid => "annotations/group_*/UUID/poses.npy, with videos and depths",
            Self::DynamicReplica => "frame_annotations_*.jgz",
        }
    }
}

impl FromStr for TrainingSet {
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

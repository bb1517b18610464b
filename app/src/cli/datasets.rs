//! `one4d datasets`: data sets for training, before a run relies on them.

use std::path::PathBuf;

use one4d_engine::datasets::training_sets::{CheckRequest, TrainingSet};
use one4d_engine::worker::JobRequest;

/// The subcommands.
#[derive(Debug, clap::Subcommand)]
pub enum Datasets {
    /// Carry points of frames into later ones and compare depth: shows wrong axes, poses and units.
    Check(CheckArgs),
}

/// Check that frames, depth and cameras of a data set belong together.
///
/// For every sequence the points of a frame are carried by the cameras into the frame --gap later; the
/// median relative difference to its depth must stay below 2 %. A camera that hardly moves proves
/// nothing and says so. The exit code is 3 if a sequence fails or cannot be read.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// omniworld-game, bedlam, pointodyssey, tartanair, spatialvid or dynamic-replica.
    #[arg(long, value_name = "NAME")]
    dataset: TrainingSet,
    /// Folder of the data set, or of a part of it.
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
    /// Frames between the two of a pair.
    #[arg(long, default_value_t = 5)]
    gap: usize,
    /// Pairs of a sequence, spread over it.
    #[arg(long, default_value_t = 3)]
    pairs: usize,
    /// Sequences to check, spread over the data set; 0 for all.
    #[arg(long, default_value_t = 20)]
    sequences: usize,
}

impl CheckArgs {
    /// The job that was asked for.
    pub fn request(self) -> JobRequest {
        JobRequest::CheckDataset(CheckRequest {
            set: self.dataset,
            root: self.root,
            gap: self.gap,
            pairs: self.pairs,
            sequences: self.sequences,
        })
    }
}

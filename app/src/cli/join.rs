//! `one4d join`: windows of a long clip made into one scene.

use std::path::PathBuf;

use one4d_engine::worker::{JobRequest, JoinRequest};

use super::export::scene_file;

/// Join overlapping scenes of one clip, each in a world and scale of its own, into one.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Scene files in the order of time, two or more, or the folders that `generate` wrote.
    #[arg(required = true, num_args = 2.., value_name = "SCENE")]
    windows: Vec<PathBuf>,
    /// Frames that each shares with the one before.
    #[arg(long, value_name = "N")]
    overlap: usize,
    /// The scene file to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl Args {
    /// The job that was asked for.
    pub fn request(self) -> JobRequest {
        JobRequest::Join(JoinRequest {
            windows: self.windows.iter().map(|path| scene_file(path)).collect(),
            overlap: self.overlap,
            out: self.out,
        })
    }
}

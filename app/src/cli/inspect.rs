//! `one4d inspect`: what a file holds.

use std::path::PathBuf;

use one4d_engine::worker::JobRequest;

/// Say what a file or model folder holds, and what it needs.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A scene, checkpoint, adapter, or the folder of a model.
    file: PathBuf,
}

impl Args {
    /// The job that was asked for.
    pub fn request(self) -> JobRequest {
        JobRequest::Inspect(self.file)
    }
}

//! `one4d train`: codec, base and adapter stages.

use std::path::PathBuf;

use one4d_engine::worker::{JobRequest, TrainRequest};

/// Train a model or adapters; an interrupted run goes on where it stopped.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Configuration of the run, JSON.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Folder of the run: checkpoints, curves and the resulting model.
    #[arg(long, value_name = "DIR")]
    run: PathBuf,
    /// Stop after this many seconds, keeping a checkpoint.
    #[arg(long, value_name = "SECS")]
    max_secs: Option<f64>,
}

impl Args {
    /// The job that was asked for.
    pub fn request(self) -> JobRequest {
        JobRequest::Train(TrainRequest {
            config: self.config,
            run: self.run,
            max_secs: self.max_secs,
        })
    }
}

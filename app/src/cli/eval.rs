//! `one4d eval`: tables of a model's errors.

use std::path::PathBuf;

use one4d_engine::worker::{EvalRequest, JobRequest};

use super::world::World;

/// What to measure on.
#[derive(Debug, clap::Subcommand)]
pub enum Eval {
    /// Procedural clips that training never saw, with exact ground truth.
    Synthetic(Args),
}

/// Measure a model on unseen procedural clips.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of a model; the bundled one if not given.
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Number of clips.
    #[arg(long, default_value_t = 32)]
    clips: usize,
    /// First seed of the clips; training uses other seeds.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How varied their worlds are.
    #[arg(long, value_enum, default_value_t)]
    world: World,
    /// Denoising steps.
    #[arg(long)]
    steps: Option<usize>,
    /// Folder for the table, as JSON and as text.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Args {
    /// The job that was asked for.
    pub fn request(self) -> JobRequest {
        JobRequest::EvalSynthetic(EvalRequest {
            model: self.model,
            clips: self.clips,
            seed: self.seed,
            world: self.world.width(),
            steps: self.steps,
            out: self.out,
        })
    }
}

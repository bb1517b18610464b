//! `one4d render`: procedural scenes.

use std::path::PathBuf;

use one4d_engine::worker::{JobRequest, RenderRequest};

use super::world::World;

/// Render procedural scenes with exact geometry.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// First seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Number of clips; each becomes `clip-SEED.one4d` with its caption and first frame beside it.
    #[arg(long, default_value_t = 1)]
    clips: usize,
    /// Frames of a clip.
    #[arg(long, default_value_t = 17)]
    frames: usize,
    /// Height in pixels.
    #[arg(long, default_value_t = 96)]
    height: usize,
    /// Width in pixels.
    #[arg(long, default_value_t = 160)]
    width: usize,
    /// How varied the worlds are.
    #[arg(long, value_enum, default_value_t)]
    world: World,
    /// Write only one picture with the middle frame of every clip.
    #[arg(long)]
    contact_sheet: bool,
    /// Folder to write into.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl Args {
    /// The job that was asked for.
    pub fn request(self) -> JobRequest {
        JobRequest::Render(RenderRequest {
            seed: self.seed,
            clips: self.clips,
            frames: self.frames,
            height: self.height,
            width: self.width,
            world: self.world.width(),
            contact_sheet: self.contact_sheet,
            out: self.out,
        })
    }
}

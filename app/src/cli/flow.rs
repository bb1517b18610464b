//! `one4d flow`: what moves in a scene.

use std::path::PathBuf;

use one4d_engine::worker::{JobRequest, MotionRequest, SceneSource};

use super::export::scene_file;

/// Find what moves in a scene, and add its scene flow and mask.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A scene file, the folder that `generate` wrote, or what another tool left; it needs cameras and depth.
    scene: PathBuf,
    /// Folder of .flo or .npy files, one from each frame to the next; computed if not given.
    #[arg(long, value_name = "DIR")]
    flow: Option<PathBuf>,
    /// The scene file to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl Args {
    /// The job that was asked for.
    pub fn request(self) -> JobRequest {
        JobRequest::FindMotion(MotionRequest {
            scene: SceneSource::File(scene_file(&self.scene)),
            flow: self.flow,
            out: Some(self.out),
        })
    }
}

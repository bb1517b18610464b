//! `one4d export`: a scene in other formats.

use std::path::PathBuf;
use std::sync::Arc;

use one4d_engine::scene::{self, validity};
use one4d_engine::worker::{ExportFormat, ExportRequest, JobRequest, Output};
use one4d_engine::{Error, Result};

use super::output::Printer;

/// Write a scene in other formats.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The scene file.
    scene: PathBuf,
    /// Formats, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', required = true)]
    format: Vec<Format>,
    /// Folder to write into.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// First frame.
    #[arg(long, default_value_t = 0)]
    first: usize,
    /// One past the last frame; all if not given.
    #[arg(long)]
    end: Option<usize>,
    /// Every n-th pixel in both directions.
    #[arg(long, default_value_t = 1)]
    stride: usize,
    /// Keep every finite point, also depth edges, clipped points and sky.
    #[arg(long)]
    all_points: bool,
    /// Keep only pixels of at least this confidence.
    #[arg(long, default_value_t = 0.0)]
    min_confidence: f32,
}

/// `--format`.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    /// The scene file itself.
    Scene,
    /// Binary PLY, one file a frame.
    Ply,
    /// GLB, one file a frame, and sequence.json.
    Glb,
    /// One GLB in which the frames are shown in turn.
    GlbAnimated,
}

impl Args {
    /// Opens the scene and exports it.
    ///
    /// # Errors
    /// Those of opening and writing; [`Error::Invalid`] for a range outside the scene.
    pub fn run(self, printer: &Printer) -> Result<Output> {
        let scene = Arc::new(scene::open(&self.scene)?);
        let end = self.end.unwrap_or(scene.num_frames);
        if self.first >= end || end > scene.num_frames {
            return Err(Error::invalid(
                "frame range",
                format!(
                    "{}..{end} is not inside the scene's {} frames",
                    self.first, scene.num_frames
                ),
            ));
        }
        let formats = self.format.iter().map(|format| match format {
            Format::Scene => ExportFormat::Scene,
            Format::Ply => ExportFormat::Ply,
            Format::Glb => ExportFormat::GlbFrames,
            Format::GlbAnimated => ExportFormat::GlbAnimated,
        });
        printer.run_job(JobRequest::Export(ExportRequest {
            scene,
            formats: formats.collect(),
            out: self.out,
            first: self.first,
            end,
            stride: self.stride,
            required_validity: if self.all_points {
                validity::FINITE
            } else {
                validity::GOOD
            },
            min_confidence: self.min_confidence,
        }))
    }
}

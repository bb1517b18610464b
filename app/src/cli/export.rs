//! `one4d export`: a scene in other formats.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use one4d_engine::export::BroughtFormat;
use one4d_engine::scene::{self, Scene4d, validity};
use one4d_engine::worker::{ExportFormat, ExportRequest, JobRequest, Output};
use one4d_engine::{Error, Result};

use super::output::Printer;
use crate::video::{ORBIT_PX, OrbitShot, VideoFormat, VideoKind};
use crate::viewport::headless::Look;
use crate::viewport::headless_device;

/// Write a scene in other formats.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The scene file, or the folder that `generate` wrote.
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
    /// A video of the frames, H.264.
    Mp4,
    /// A video of the depth in colours.
    Mp4Depth,
    /// A video of the points while the eye swings around them; needs a graphics adapter.
    Mp4Orbit,
}

impl Format {
    /// The engine's own format of this name.
    fn file(self) -> Option<ExportFormat> {
        match self {
            Self::Scene => Some(ExportFormat::Scene),
            Self::Ply => Some(ExportFormat::Ply),
            Self::Glb => Some(ExportFormat::GlbFrames),
            Self::GlbAnimated => Some(ExportFormat::GlbAnimated),
            Self::Mp4 | Self::Mp4Depth | Self::Mp4Orbit => None,
        }
    }

    /// What a video of this name shows.
    fn video(self) -> Option<VideoKind> {
        match self {
            Self::Mp4 => Some(VideoKind::Frames),
            Self::Mp4Depth => Some(VideoKind::Depth),
            Self::Mp4Orbit => Some(VideoKind::Orbit),
            _ => None,
        }
    }
}

impl Args {
    /// Opens the scene and exports it.
    ///
    /// # Errors
    /// Those of opening and writing; [`Error::Invalid`] for a range outside the scene.
    pub fn run(self, printer: &Printer) -> Result<Output> {
        let scene = Arc::new(scene::open(scene_file(&self.scene))?);
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
        let videos = self.format.iter().filter_map(|format| format.video());
        let brought = videos
            .map(|kind| Ok(Arc::new(video(kind, &scene)?) as Arc<dyn BroughtFormat>))
            .collect::<Result<Vec<_>>>()?;
        printer.run_job(JobRequest::Export(ExportRequest {
            scene,
            formats: self.format.iter().filter_map(|f| f.file()).collect(),
            brought,
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

/// A video with the view in which a scene opens, drawn without a window.
fn video(kind: VideoKind, scene: &Arc<Scene4d>) -> Result<VideoFormat> {
    let needs_device = kind == VideoKind::Orbit;
    let gpu = needs_device.then(|| {
        let refused = |error: wgpu::RequestDeviceError| {
            Error::invalid("graphics adapter", format!("gives no device: {error}"))
        };
        headless_device().map_err(refused)
    });
    let shot = gpu.transpose()?.flatten().map(|gpu| OrbitShot {
        gpu,
        scene: Arc::clone(scene),
        orbit: None,
        size_px: ORBIT_PX,
        look: Look::default(),
    });
    VideoFormat::new(kind, shot)
}

/// The scene of a folder that `generate` wrote, or the file itself.
pub(super) fn scene_file(path: &Path) -> PathBuf {
    let inside = path.join("scene.one4d");
    if inside.is_file() {
        inside
    } else {
        path.to_owned()
    }
}

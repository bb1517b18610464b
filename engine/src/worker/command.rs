//! What a front end asks of the engine.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::datasets::synthetic::WorldWidth;
use crate::datasets::training_sets::CheckRequest;
use crate::eval::BenchmarkRequest;
use crate::export::BroughtFormat;
use crate::import::ImportRequest;
use crate::pipeline::Request;
use crate::scene::Scene4d;

/// Identifies a job for its whole life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct JobId(pub u64);

/// A message to the engine thread.
#[derive(Debug)]
pub enum Command {
    /// Runs a job once those before it have ended.
    Run {
        /// Its name from now on.
        job: JobId,
        /// What to do.
        request: Box<JobRequest>,
    },
    /// Drops cached models.
    Unload,
    /// Ends the thread after the running job was cancelled.
    Shutdown,
}

/// The kinds of jobs.
#[derive(Clone, Debug)]
pub enum JobRequest {
    /// Generates a scene; if a folder is given, saves it there with previews and a report.
    Generate {
        /// What to generate.
        request: Request,
        /// Where to save it.
        out: Option<PathBuf>,
    },
    /// Opens a scene file, or what another tool left.
    Open(PathBuf),
    /// Makes a scene file of what another tool left.
    Import {
        /// What to read.
        request: ImportRequest,
        /// The scene file to write.
        out: PathBuf,
    },
    /// Finds what moves in a scene: scene flow and mask.
    FindMotion(MotionRequest),
    /// Joins overlapping windows of a long clip into one scene.
    Join(JoinRequest),
    /// Writes a scene in other formats.
    Export(ExportRequest),
    /// Trains a stage of a model.
    Train(TrainRequest),
    /// Measures a model on procedural clips.
    EvalSynthetic(EvalRequest),
    /// Measures predictions on a data set.
    EvalBenchmark(BenchmarkRequest),
    /// Checks that frames and cameras of a training set belong together.
    CheckDataset(CheckRequest),
    /// Says what a file or model folder holds.
    Inspect(PathBuf),
    /// Renders procedural clips.
    Render(RenderRequest),
}

/// Where a scene comes from.
#[derive(Clone, Debug)]
pub enum SceneSource {
    /// It is open.
    Open(Arc<Scene4d>),
    /// A scene file, or what another tool left.
    File(PathBuf),
}

/// What to look for motion in.
#[derive(Clone, Debug)]
pub struct MotionRequest {
    /// The scene; it must have cameras and depth.
    pub scene: SceneSource,
    /// Folder of `.flo` or `.npy` files; `None` computes the flow from the pictures.
    pub flow: Option<PathBuf>,
    /// The scene file to write; `None` only shows the scene.
    pub out: Option<PathBuf>,
}

/// Which windows to join.
#[derive(Clone, Debug)]
pub struct JoinRequest {
    /// Scene files in the order of time.
    pub windows: Vec<PathBuf>,
    /// Frames that neighbours share.
    pub overlap: usize,
    /// The scene file to write.
    pub out: PathBuf,
}

/// Formats that a scene can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportFormat {
    /// The scene file itself, `scene.one4d`.
    Scene,
    /// Binary PLY, one file a frame.
    Ply,
    /// GLB, one file a frame and `sequence.json`.
    GlbFrames,
    /// One GLB, frames shown in turn by STEP scale.
    GlbAnimated,
}

/// What to export.
#[derive(Clone, Debug)]
pub struct ExportRequest {
    /// The scene.
    pub scene: Arc<Scene4d>,
    /// Formats to write.
    pub formats: Vec<ExportFormat>,
    /// Formats that the front end writes itself, after those.
    pub brought: Vec<Arc<dyn BroughtFormat>>,
    /// Folder to write into.
    pub out: PathBuf,
    /// First frame.
    pub first: usize,
    /// One past the last frame.
    pub end: usize,
    /// Every n-th pixel in both directions, at least 1.
    pub stride: usize,
    /// Keep only pixels whose validity has all of these bits.
    pub required_validity: u8,
    /// Keep only pixels of at least this confidence, where the scene has one.
    pub min_confidence: f32,
}

/// What to train; the trainer reads the rest from the configuration file.
#[derive(Clone, Debug)]
pub struct TrainRequest {
    /// Configuration file of the run, JSON.
    pub config: PathBuf,
    /// Run folder: checkpoints, curves, the resulting bundle.
    pub run: PathBuf,
    /// Stop after this many seconds, keeping a checkpoint.
    pub max_secs: Option<f64>,
}

/// What to measure.
#[derive(Clone, Debug)]
pub struct EvalRequest {
    /// Folder of the model bundle; `None` for the bundled model.
    pub model: Option<PathBuf>,
    /// Number of unseen clips.
    pub clips: usize,
    /// Seed of the clips.
    pub seed: u64,
    /// How varied their worlds are.
    pub world: WorldWidth,
    /// Denoising steps; `None` for the model's default.
    pub steps: Option<usize>,
    /// Folder for the table; `None` to only report it.
    pub out: Option<PathBuf>,
}

/// What to render.
#[derive(Clone, Debug)]
pub struct RenderRequest {
    /// First seed.
    pub seed: u64,
    /// Number of clips.
    pub clips: usize,
    /// Frames of a clip.
    pub frames: usize,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// How varied the worlds are.
    pub world: WorldWidth,
    /// Write only one picture with the middle frame of every clip.
    pub contact_sheet: bool,
    /// Folder to write into.
    pub out: PathBuf,
}

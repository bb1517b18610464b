//! `one4d eval`: errors of a model, of camera paths and of depth.

use std::path::PathBuf;

use one4d_engine::Result;
use one4d_engine::eval::{DepthPair, PosePair, eval_depth_pair, eval_pose_pair};
use one4d_engine::import::QuaternionOrder;
use one4d_engine::metrics::{DepthPreset, DepthSet, PoseAlignment};
use one4d_engine::worker::{EvalRequest, JobRequest, Output};

use super::world::World;

/// What to measure on.
#[derive(Debug, clap::Subcommand)]
pub enum Eval {
    /// Procedural clips that training never saw, with exact ground truth.
    Synthetic(Args),
    /// Camera paths: ATE and RPE by evo's definitions.
    Pose(PoseArgs),
    /// Depth, by the rules of a published evaluation.
    Depth(DepthArgs),
}

/// `--align`.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Align {
    /// Rotation, translation and scale.
    Sim3,
    /// Rotation and translation.
    Se3,
    /// Nothing.
    None,
}

/// Compare a camera path with the true one: TUM, KITTI, ScanNet, EuRoC, MonST3R or Sintel files.
#[derive(Debug, clap::Args)]
pub struct PoseArgs {
    /// The estimated path.
    #[arg(long, value_name = "FILE")]
    pred: PathBuf,
    /// The true path.
    #[arg(long, value_name = "FILE")]
    gt: PathBuf,
    /// What is fitted to the true path first.
    #[arg(long, value_enum, default_value = "sim3")]
    align: Align,
    /// Largest difference of times that are taken for the same, seconds.
    #[arg(long, default_value_t = 0.01, value_name = "S")]
    max_dt: f64,
    /// Order of the estimate's quaternions, wxyz or xyzw, where the file alone does not tell.
    #[arg(long)]
    quaternion: Option<QuaternionOrder>,
}

impl PoseArgs {
    /// Reads both files and compares them.
    ///
    /// # Errors
    /// Those of reading, or if no two poses belong together.
    pub fn run(self) -> Result<Output> {
        let report = eval_pose_pair(&PosePair {
            predicted: self.pred,
            truth: self.gt,
            alignment: match self.align {
                Align::Sim3 => PoseAlignment::Sim3,
                Align::Se3 => PoseAlignment::Se3,
                Align::None => PoseAlignment::None,
            },
            max_gap_secs: self.max_dt,
            quaternion: self.quaternion,
        })?;
        Ok(Output {
            files: Vec::new(),
            report,
        })
    }
}

/// `--limits`.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Limits {
    /// MPI Sintel.
    Sintel,
    /// Bonn.
    Bonn,
    /// KITTI.
    Kitti,
    /// ScanNet.
    Scannet,
    /// No limits.
    #[default]
    None,
}

/// Compare predicted depth with true depth.
#[derive(Debug, clap::Args)]
pub struct DepthArgs {
    /// Predicted depth, .npy of [H, W] or [T, H, W]; disparity for the preset depthcrafter.
    #[arg(long, value_name = "FILE")]
    pred: PathBuf,
    /// True depth, .npy or Sintel .dpt.
    #[arg(long, value_name = "FILE")]
    gt: PathBuf,
    /// monst3r, geo4d, cut3r-scale, cut3r-shift, depthcrafter or exact-l1.
    #[arg(long)]
    preset: DepthPreset,
    /// Data set whose limits of depth the preset applies.
    #[arg(long, value_enum, default_value_t)]
    limits: Limits,
    /// Measure only true depth below this, and clip the prediction to it, instead of the limits.
    #[arg(long, value_name = "D")]
    max_depth: Option<f64>,
}

impl DepthArgs {
    /// Reads both files and compares them.
    ///
    /// # Errors
    /// Those of reading, or if no pixel can be measured.
    pub fn run(self) -> Result<Output> {
        let report = eval_depth_pair(&DepthPair {
            predicted: self.pred,
            truth: self.gt,
            preset: self.preset,
            set: match self.limits {
                Limits::Sintel => DepthSet::Sintel,
                Limits::Bonn => DepthSet::Bonn,
                Limits::Kitti => DepthSet::Kitti,
                Limits::Scannet => DepthSet::Scannet,
                Limits::None => DepthSet::Other,
            },
            max_depth: self.max_depth,
        })?;
        Ok(Output {
            files: Vec::new(),
            report,
        })
    }
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

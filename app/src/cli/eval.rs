//! `one4d eval`: errors of a model, of camera paths and of depth.

use std::path::PathBuf;

use one4d_engine::datasets::benchmark::Benchmark;
use one4d_engine::eval::{
    AgreementRequest, BenchmarkReport, BenchmarkRequest, DepthPair, Measure, PoseMeasure, PosePair,
    TableFiles, eval_depth_pair, eval_pose_pair, run_agreement,
};
use one4d_engine::import::QuaternionOrder;
use one4d_engine::metrics::{DepthPreset, DepthSet, PoseAlignment};
use one4d_engine::worker::{EvalRequest, JobRequest, Output};
use one4d_engine::{Error, Result};

use super::output::Printer;
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
    /// Depth, cameras and motion of clips against others' estimates of them, as WorldReel measures.
    Worldreel(WorldreelArgs),
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

/// Compare a camera path with the true one, or all paths of a data set.
///
/// One pair: --pred FILE --gt FILE in the format of TUM, KITTI, ScanNet, EuRoC, MonST3R or Sintel.
///
/// A data set: --dataset sintel|tum-dynamics|scannet --root DIR --pred DIR. Under --pred each sequence
/// has a folder SEQ with pred_traj.txt, trajectory.txt, traj.txt, poses.txt, SEQ.txt, frame_*.cam or
/// scene.one4d, or in any layout that one4d import reads; or a file SEQ.txt, SEQ.one4d, SEQ.npz,
/// SEQ.zip or SEQ.pkl. SEQ is the short name (alley_2, sitting_xyz) or the data set's own folder name.
/// One pose a frame, or poses with times. A sequence that cannot be measured is a row that says why;
/// the exit code is 3 then.
#[derive(Debug, clap::Args)]
pub struct PoseArgs {
    /// The estimated path; with --dataset the folder of all predictions.
    #[arg(long, value_name = "PATH")]
    pred: PathBuf,
    /// The true path.
    #[arg(long, value_name = "FILE", required_unless_present = "dataset")]
    gt: Option<PathBuf>,
    /// What is fitted to the true path first.
    #[arg(long, value_enum, default_value = "sim3")]
    align: Align,
    /// Largest difference of times that are taken for the same, seconds.
    #[arg(long, default_value_t = 0.01, value_name = "S")]
    max_dt: f64,
    /// Order of the estimate's quaternions, wxyz or xyzw, where the file alone does not tell.
    #[arg(long)]
    quaternion: Option<QuaternionOrder>,
    #[command(flatten)]
    set: SetArgs,
}

impl PoseArgs {
    /// Compares the pair, or the whole data set.
    ///
    /// # Errors
    /// Those of reading, or if no two poses belong together.
    pub fn run(self, printer: &Printer) -> Result<Output> {
        let alignment = match self.align {
            Align::Sim3 => PoseAlignment::Sim3,
            Align::Se3 => PoseAlignment::Se3,
            Align::None => PoseAlignment::None,
        };
        let Some(gt) = self.gt else {
            let measure = Measure::Pose(PoseMeasure {
                alignment,
                max_gap_secs: self.max_dt,
                quaternion: self.quaternion,
            });
            return self.set.run(self.pred, measure, printer);
        };
        let report = eval_pose_pair(&PosePair {
            predicted: self.pred,
            truth: gt,
            alignment,
            max_gap_secs: self.max_dt,
            quaternion: self.quaternion,
        })?;
        Ok(Output {
            files: Vec::new(),
            report,
        })
    }
}

/// The part of the arguments that asks for a whole data set.
#[derive(Debug, clap::Args)]
struct SetArgs {
    /// sintel, bonn, tum-dynamics, kitti or scannet: measure all its sequences.
    #[arg(long, value_name = "NAME", conflicts_with = "gt", requires = "root")]
    dataset: Option<Benchmark>,
    /// Folder of the data set, as it was unpacked.
    #[arg(long, value_name = "DIR", requires = "dataset")]
    root: Option<PathBuf>,
    /// Measure this sequence only; may be given several times.
    #[arg(long, value_name = "SEQ", requires = "dataset")]
    sequence: Vec<String>,
    /// Measure every n-th frame of the list; 3 makes TUM's 90 frames One4D's 30.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "dataset")]
    every: usize,
    /// Write a line a sequence here.
    #[arg(long, value_name = "FILE", requires = "dataset")]
    csv: Option<PathBuf>,
    /// Write a table for a paper here.
    #[arg(long, value_name = "FILE", requires = "dataset")]
    latex: Option<PathBuf>,
    /// Write the report as JSON here; --json prints it.
    #[arg(long, value_name = "FILE", requires = "dataset")]
    report: Option<PathBuf>,
}

impl SetArgs {
    fn run(self, predictions: PathBuf, measure: Measure, printer: &Printer) -> Result<Output> {
        let (Some(benchmark), Some(root)) = (self.dataset, self.root) else {
            return Err(Error::invalid(
                "--dataset",
                "needs --root, the data set's folder",
            ));
        };
        printer.run_job(JobRequest::EvalBenchmark(BenchmarkRequest {
            benchmark,
            root,
            predictions,
            sequences: self.sequence,
            every: self.every,
            measure,
            tables: TableFiles {
                csv: self.csv,
                latex: self.latex,
                json: self.report,
            },
        }))
    }
}

/// Compare predicted clips with others' estimates of the same clips: depth, cameras, what moves.
///
/// Under --gt each clip is a folder or a file (.one4d, .npz, .zip, .pkl): a scene, or any layout that
/// one4d import reads, such as ViPE's. Under --pred it has the same name and any of those forms, or depth
/// (frame_0000.npy and on, depth.npy) and cameras (pred_traj.txt, NAME.txt) as one4d eval depth and
/// pose read them. Every clip under --gt is a row; one that cannot be measured, or only in part, says
/// why, and the exit code is 3 then.
#[derive(Debug, clap::Args)]
pub struct WorldreelArgs {
    /// Folder of the predicted clips.
    #[arg(long, value_name = "DIR")]
    pred: PathBuf,
    /// Folder of the clips that they are compared with.
    #[arg(long, value_name = "DIR")]
    gt: PathBuf,
    /// Measure this clip only; may be given several times.
    #[arg(long, value_name = "NAME")]
    sequence: Vec<String>,
    /// Measure every n-th frame.
    #[arg(long, value_name = "N", default_value_t = 1)]
    every: usize,
    /// Write a line a clip here.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write a table for a paper here.
    #[arg(long, value_name = "FILE")]
    latex: Option<PathBuf>,
    /// Write the report as JSON here; --json prints it.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

impl WorldreelArgs {
    /// Compares all clips.
    ///
    /// # Errors
    /// Those of [`run_agreement`].
    pub fn run(self, printer: &Printer) -> Result<Output> {
        let request = AgreementRequest {
            truth: self.gt,
            predictions: self.pred,
            sequences: self.sequence,
            every: self.every,
            tables: TableFiles {
                csv: self.csv,
                latex: self.latex,
                json: self.report,
            },
        };
        let BenchmarkReport { files, report } =
            printer.run_here(|ctx| run_agreement(&request, ctx))?;
        Ok(Output { files, report })
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

/// Compare predicted depth with true depth, or that of a whole data set.
///
/// One pair: --pred FILE --gt FILE, .npy or Sintel .dpt.
///
/// A data set: --dataset sintel|bonn|kitti|scannet --root DIR --pred DIR. Under --pred each sequence has
/// a folder SEQ with frame_0000.npy and on (or 0000.npy, or a folder depth of either), depth.npy of
/// [T, H, W] or scene.one4d, or in any layout that one4d import reads; or a file SEQ.npy, SEQ.one4d,
/// SEQ.npz, SEQ.zip or SEQ.pkl. SEQ is the short name (alley_1, balloon2) or the data set's own folder
/// name. One frame of depth a frame of the list, of any size. For the preset depthcrafter .npy hold
/// disparity, as does an npz of one array `depth`; depth of scenes is inverted. A sequence that cannot
/// be measured is a row that says why; the exit code is 3 then.
#[derive(Debug, clap::Args)]
pub struct DepthArgs {
    /// Predicted depth, .npy of [H, W] or [T, H, W]; with --dataset the folder of all predictions.
    #[arg(long, value_name = "PATH")]
    pred: PathBuf,
    /// True depth, .npy or Sintel .dpt.
    #[arg(long, value_name = "FILE", required_unless_present = "dataset")]
    gt: Option<PathBuf>,
    /// monst3r, geo4d, cut3r-scale, cut3r-shift, depthcrafter, worldreel or exact-l1.
    #[arg(long)]
    preset: DepthPreset,
    /// Data set whose limits of depth the preset applies to a pair.
    #[arg(long, value_enum, default_value_t, conflicts_with = "dataset")]
    limits: Limits,
    /// Measure only true depth below this, and clip the prediction to it, instead of the limits.
    #[arg(long, value_name = "D", conflicts_with = "dataset")]
    max_depth: Option<f64>,
    #[command(flatten)]
    set: SetArgs,
}

impl DepthArgs {
    /// Compares the pair, or the whole data set.
    ///
    /// # Errors
    /// Those of reading, or if no pixel can be measured.
    pub fn run(self, printer: &Printer) -> Result<Output> {
        let Some(gt) = self.gt else {
            let measure = Measure::Depth(self.preset);
            return self.set.run(self.pred, measure, printer);
        };
        let report = eval_depth_pair(&DepthPair {
            predicted: self.pred,
            truth: gt,
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

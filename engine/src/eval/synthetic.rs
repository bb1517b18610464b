//! The table of `one4d eval synthetic`: tasks by methods on unseen procedural clips.

use std::path::Path;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::baselines::Baseline;
use super::scores::{SceneScores, SelfScores, score_scene, score_self};
use crate::datasets::synthetic::{Clip, ClipSpec, WorldWidth, render};
use crate::job::{JobCtx, Stage};
use crate::metrics::Table;
use crate::scene::Scene4d;
use crate::{Error, Result, atomic_file};

/// First seed of evaluation clips; training and validation draw theirs below.
pub const EVAL_FIRST_SEED: u64 = 1 << 48;
/// Clips that each evaluation seed may ask for.
const SEEDS_EACH: u64 = 1 << 20;

/// The tasks of One4D: they differ in the observed frames alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvalTask {
    /// Every frame is observed.
    Video,
    /// First, middle and last frame.
    Sparse,
    /// The first frame.
    Image,
    /// Nothing but the caption.
    Text,
}

impl EvalTask {
    /// All tasks, from much to little given.
    pub const ALL: [Self; 4] = [Self::Video, Self::Sparse, Self::Image, Self::Text];

    /// For people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Sparse => "sparse, 3 frames",
            Self::Image => "image",
            Self::Text => "text",
        }
    }

    /// Indices of the observed frames of a clip, ascending.
    pub fn observed(self, frames: usize) -> Vec<usize> {
        let mut observed = match self {
            Self::Video => (0..frames).collect(),
            Self::Sparse => vec![0, frames / 2, frames.saturating_sub(1)],
            Self::Image => vec![0],
            Self::Text => Vec::new(),
        };
        observed.dedup();
        observed
    }
}

/// What to evaluate on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SyntheticEval {
    /// Number of clips.
    pub clips: usize,
    /// Chooses the clips; different seeds share none.
    pub seed: u64,
    /// `T`.
    pub frames: usize,
    /// `H`, pixels.
    pub height: usize,
    /// `W`, pixels.
    pub width: usize,
    /// How varied the worlds are.
    pub world: WorldWidth,
    /// Tasks to run.
    pub tasks: Vec<EvalTask>,
}

/// What a predictor is given.
#[derive(Clone, Copy, Debug)]
pub struct TaskInput<'a> {
    /// The task.
    pub task: EvalTask,
    /// The rendered clip; only `observed` frames of its colours and its caption may be used.
    pub clip: &'a Clip,
    /// Indices of the observed frames.
    pub observed: &'a [usize],
    /// Seed for the prediction's own noise.
    pub seed: u64,
}

/// Who made a prediction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The predictor under test.
    Model,
    /// A guess.
    Baseline(Baseline),
}

impl Method {
    /// For people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Baseline(baseline) => baseline.label(),
        }
    }
}

/// Plain means over clips of one method in one task; `None` where there is nothing to compare.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskRow {
    /// Clips measured.
    pub clips: usize,
    /// Depth AbsRel after one median scale a clip.
    pub abs_rel: Option<f64>,
    /// Depth delta < 1.25 after the same, percent.
    pub delta_percent: Option<f64>,
    /// Depth AbsRel after one scale and shift a clip (L1).
    pub affine_abs_rel: Option<f64>,
    /// Depth delta < 1.25 after the same, percent.
    pub affine_delta_percent: Option<f64>,
    /// Absolute trajectory error, RMSE after Sim(3), metres.
    pub ate: Option<f64>,
    /// Relative translation error, RMSE, metres a frame.
    pub rpe_translation: Option<f64>,
    /// Relative rotation error, RMSE, degrees a frame.
    pub rpe_rotation_deg: Option<f64>,
    /// Clips whose trajectory or estimate stood still and could not be aligned by similarity.
    pub degenerate_paths: usize,
    /// Relative point error after one scale about camera 0.
    pub point_relative: Option<f64>,
    /// Colours, decibels.
    pub psnr_db: Option<f64>,
    /// Colours, structural similarity.
    pub ssim: Option<f64>,
    /// Share of true depth that was predicted, percent.
    pub coverage_percent: Option<f64>,
    /// Median distance of points from their pixels' rays, pixels.
    pub ray_residual_px: Option<f64>,
    /// Share of pixels that pass every check, percent.
    pub good_percent: Option<f64>,
    /// Seconds a clip.
    pub secs: Option<f64>,
}

/// One prediction's figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClipRecord {
    /// Seed of the clip.
    pub clip_seed: u64,
    /// The task.
    pub task: EvalTask,
    /// Who predicted.
    pub method: Method,
    /// Against the truth; `None` for text, which has no truth to compare with.
    pub scores: Option<SceneScores>,
    /// Against itself.
    pub self_scores: SelfScores,
    /// How long the prediction took.
    pub secs: f64,
}

/// The result of an evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SyntheticReport {
    /// What was evaluated.
    pub eval: SyntheticEval,
    /// How figures were aligned and averaged.
    pub protocol: String,
    /// Means, in order of tasks and methods.
    pub rows: Vec<(EvalTask, Method, TaskRow)>,
    /// Every prediction.
    pub records: Vec<ClipRecord>,
}

/// Runs `predict` and the baselines on unseen clips and gathers the table.
///
/// # Errors
/// [`Error::Invalid`] without clips or tasks; whatever `predict` fails with;
/// [`Error::Shape`] if it returns another size than the clip's; [`Error::Cancelled`].
pub fn run_synthetic(
    eval: &SyntheticEval,
    predict: &mut dyn FnMut(&TaskInput<'_>) -> Result<Scene4d>,
    ctx: &JobCtx,
) -> Result<SyntheticReport> {
    if eval.clips == 0 || eval.tasks.is_empty() || eval.clips as u64 > SEEDS_EACH {
        let reason = format!(
            "needs a task and 1 to {SEEDS_EACH} clips, got {}",
            eval.clips
        );
        return Err(Error::invalid("evaluation", reason));
    }
    let total = eval.clips * eval.tasks.len();
    let mut records = Vec::new();
    for clip_idx in 0..eval.clips {
        let clip = render(&clip_spec(eval, clip_idx)?)?;
        let truth = clip.to_scene();
        for (task_idx, &task) in eval.tasks.iter().enumerate() {
            ctx.step(
                Stage::Evaluate,
                clip_idx * eval.tasks.len() + task_idx,
                total,
            )?;
            let observed = task.observed(eval.frames);
            let input = TaskInput {
                task,
                clip: &clip,
                observed: &observed,
                seed: clip.spec.seed,
            };
            let start = Instant::now();
            let predicted = predict(&input)?;
            let secs = start.elapsed().as_secs_f64();
            records.push(record(&input, Method::Model, &predicted, &truth, secs)?);
            if task == EvalTask::Text {
                continue;
            }
            for baseline in Baseline::ALL {
                let guess = baseline.predict(&truth, &observed);
                records.push(record(
                    &input,
                    Method::Baseline(baseline),
                    &guess,
                    &truth,
                    0.0,
                )?);
            }
        }
    }
    ctx.step(Stage::Evaluate, total, total)?;
    Ok(SyntheticReport {
        eval: eval.clone(),
        protocol: PROTOCOL.to_owned(),
        rows: summarise(eval, &records),
        records,
    })
}

const PROTOCOL: &str = "Depth: pixels with ground truth, sky excluded, one median scale a clip \
    (`affine`: one L1 scale and shift a clip). Trajectory: Umeyama Sim(3); a path that stands still \
    takes the depth's scale, first orientation and mean position. RGB over all frames. Plain means \
    over clips. Text has no ground truth: self-consistency only.";

fn clip_spec(eval: &SyntheticEval, clip_idx: usize) -> Result<ClipSpec> {
    let first = eval
        .seed
        .checked_mul(SEEDS_EACH)
        .and_then(|offset| EVAL_FIRST_SEED.checked_add(offset))
        .ok_or_else(|| Error::invalid("evaluation seed", format!("{} is too large", eval.seed)))?;
    Ok(ClipSpec {
        seed: first + clip_idx as u64,
        frames: eval.frames,
        height: eval.height,
        width: eval.width,
        world: eval.world,
    })
}

fn record(
    input: &TaskInput<'_>,
    method: Method,
    predicted: &Scene4d,
    truth: &Scene4d,
    secs: f64,
) -> Result<ClipRecord> {
    let scores = match input.task {
        EvalTask::Text => None,
        _ => Some(score_scene(predicted, truth)?),
    };
    Ok(ClipRecord {
        clip_seed: input.clip.spec.seed,
        task: input.task,
        method,
        scores,
        self_scores: score_self(predicted),
        secs,
    })
}

fn summarise(eval: &SyntheticEval, records: &[ClipRecord]) -> Vec<(EvalTask, Method, TaskRow)> {
    let baselines = Baseline::ALL.map(Method::Baseline);
    let mut rows = Vec::new();
    for &task in &eval.tasks {
        for method in std::iter::once(Method::Model).chain(baselines) {
            let of_row: Vec<&ClipRecord> = records
                .iter()
                .filter(|r| r.task == task && r.method == method)
                .collect();
            if !of_row.is_empty() {
                rows.push((task, method, row(&of_row)));
            }
        }
    }
    rows
}

fn row(records: &[&ClipRecord]) -> TaskRow {
    let mean = |figure: &dyn Fn(&ClipRecord) -> Option<f64>| {
        let found: Vec<f64> = records.iter().filter_map(|r| figure(r)).collect();
        (!found.is_empty()).then(|| found.iter().sum::<f64>() / found.len() as f64)
    };
    let scored = |figure: &dyn Fn(&SceneScores) -> Option<f64>| {
        mean(&|r| r.scores.as_ref().and_then(figure))
    };
    let is_degenerate = |r: &&&ClipRecord| {
        r.scores
            .as_ref()
            .is_some_and(|s| s.pose.is_some_and(|p| p.degenerate))
    };
    TaskRow {
        clips: records.len(),
        abs_rel: scored(&|s| Some(s.depth?.abs_rel)),
        delta_percent: scored(&|s| Some(s.depth?.delta[0] * 100.0)),
        affine_abs_rel: scored(&|s| Some(s.depth_affine?.abs_rel)),
        affine_delta_percent: scored(&|s| Some(s.depth_affine?.delta[0] * 100.0)),
        ate: scored(&|s| Some(s.pose?.ate.rmse)),
        rpe_translation: scored(&|s| Some(s.pose?.rpe_translation.rmse)),
        rpe_rotation_deg: scored(&|s| Some(s.pose?.rpe_rotation_deg.rmse)),
        degenerate_paths: records.iter().filter(is_degenerate).count(),
        point_relative: scored(&|s| Some(s.points?.relative)),
        psnr_db: scored(&|s| Some(s.psnr_db)),
        ssim: scored(&|s| s.ssim),
        coverage_percent: scored(&|s| Some(s.depth?.coverage * 100.0)),
        ray_residual_px: mean(&|r| r.self_scores.ray_residual_px),
        good_percent: mean(&|r| Some(r.self_scores.good * 100.0)),
        secs: mean(&|r| (r.method == Method::Model).then_some(r.secs)),
    }
}

impl SyntheticReport {
    /// The table for people.
    pub fn to_text(&self) -> String {
        let eval = &self.eval;
        let mut table = Table::new(&[
            "task / method",
            "AbsRel",
            "d<1.25 %",
            "AbsRel aff",
            "d<1.25 aff %",
            "ATE m",
            "RPE-t m",
            "RPE-r deg",
            "points",
            "PSNR dB",
            "SSIM",
            "covered %",
            "ray px",
            "good %",
            "s/clip",
        ]);
        for (task, method, row) in &self.rows {
            table.push(
                format!("{} / {}", task.label(), method.label()),
                &[
                    (row.abs_rel, 3),
                    (row.delta_percent, 1),
                    (row.affine_abs_rel, 3),
                    (row.affine_delta_percent, 1),
                    (row.ate, 4),
                    (row.rpe_translation, 4),
                    (row.rpe_rotation_deg, 3),
                    (row.point_relative, 3),
                    (row.psnr_db, 2),
                    (row.ssim, 3),
                    (row.coverage_percent, 1),
                    (row.ray_residual_px, 2),
                    (row.good_percent, 1),
                    (row.secs, 2),
                ],
            );
        }
        format!(
            "{} procedural clips of {} x {} x {} ({:?} worlds), seed {}\n{}\n\n{table}",
            eval.clips, eval.frames, eval.height, eval.width, eval.world, eval.seed, self.protocol
        )
    }

    /// The report with every record, as JSON.
    ///
    /// # Errors
    /// [`Error::Invalid`] if a figure cannot be represented.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string_pretty(self)
            .map_err(|e| Error::invalid("evaluation report", format!("cannot be written: {e}")))
    }

    /// Writes `eval.json` and `eval.txt` into an existing folder.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Limit`] of the disk.
    pub fn write(&self, folder: &Path) -> Result<()> {
        atomic_file::write(folder.join("eval.json"), self.to_json()?.as_bytes())?;
        atomic_file::write(folder.join("eval.txt"), self.to_text().as_bytes())
    }
}

//! One job as people see it: stage, step, time left and preview.

use std::collections::HashMap;
use std::sync::Arc;

use one4d_engine::job::{Preview, Progress, Stage};
use one4d_engine::worker::{JobId, JobRequest, Output};

use super::timings::Timings;

/// Where a job stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Phase {
    /// Waiting for the jobs before it.
    Queued,
    /// Under way.
    Running,
    /// Finished.
    Done,
    /// Stopped by the person.
    Cancelled,
    /// Stopped by an error.
    Failed(Failure),
}

/// What went wrong, in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// What happened.
    pub title: String,
    /// To which file and why.
    pub cause: String,
    /// Everything that helps to find the reason; copyable.
    pub details: String,
}

/// One job.
#[derive(Clone, Debug)]
pub struct JobCard {
    /// Its name in the engine.
    pub id: JobId,
    /// What was asked for; retry asks for the same.
    pub request: JobRequest,
    /// Title for people.
    pub title: String,
    /// Where it stands.
    pub phase: Phase,
    /// True once cancelling was asked for and the job has not ended.
    pub stopping: bool,
    /// Memory and time that it takes, once planned.
    pub memory_plan: Option<String>,
    /// The stages it passes.
    pub plan: Vec<Stage>,
    /// Newest report.
    pub progress: Option<Progress>,
    /// Newest picture.
    pub preview: Option<Arc<Preview>>,
    /// Share of the work that is done, 0..1; never falls.
    pub fraction: f32,
    /// What was done otherwise than asked.
    pub warnings: Vec<String>,
    /// What it left behind.
    pub output: Option<Output>,
    /// Seconds from start to end, once ended.
    pub took_secs: Option<f64>,
    pub(super) started_secs: f64,
    pub(super) stage_started_secs: f64,
    pub(super) finished_stages: HashMap<Stage, f64>,
}

impl JobCard {
    pub(super) fn new(id: JobId, request: JobRequest) -> Self {
        Self {
            id,
            title: title(&request),
            request,
            phase: Phase::Queued,
            stopping: false,
            memory_plan: None,
            plan: Vec::new(),
            progress: None,
            preview: None,
            fraction: 0.0,
            warnings: Vec::new(),
            output: None,
            took_secs: None,
            started_secs: 0.0,
            stage_started_secs: 0.0,
            finished_stages: HashMap::new(),
        }
    }

    /// True until the job has ended.
    pub fn is_active(&self) -> bool {
        matches!(self.phase, Phase::Queued | Phase::Running)
    }

    /// True for a job that makes a scene.
    pub fn is_generation(&self) -> bool {
        matches!(self.request, JobRequest::Generate { .. })
    }

    /// Seconds since the job began.
    pub fn elapsed_secs(&self, now_secs: f64) -> f64 {
        self.took_secs
            .unwrap_or_else(|| (now_secs - self.started_secs).max(0.0))
    }

    /// Seconds left, from the measured steps of this stage and what the stages after it took last time.
    pub fn left_secs(&self, timings: &Timings, now_secs: f64) -> Option<f64> {
        let progress = self.progress?;
        let spent = now_secs - self.stage_started_secs;
        let measured = (progress.done > 0 && spent > 0.0)
            .then(|| spent / progress.done as f64 * (progress.total - progress.done) as f64);
        let known = timings.stage_secs(progress.stage);
        let this_stage = measured.or_else(|| known.map(|secs| (secs - spent).max(0.0)))?;
        let later: f64 = self
            .stages_after(progress.stage)
            .filter_map(|stage| timings.stage_secs(stage))
            .sum();
        Some(this_stage + later)
    }

    fn stages_after(&self, stage: Stage) -> impl Iterator<Item = Stage> {
        let at = self.plan.iter().position(|&s| s == stage);
        self.plan.iter().skip(at.map_or(0, |at| at + 1)).copied()
    }

    pub(super) fn advance(&mut self, progress: Progress, timings: &Timings, now_secs: f64) {
        let entered = self
            .progress
            .is_none_or(|last| last.stage != progress.stage);
        if entered {
            if let Some(last) = self.progress {
                self.finished_stages
                    .insert(last.stage, now_secs - self.stage_started_secs);
            }
            self.stage_started_secs = now_secs;
        }
        self.progress = Some(progress);
        let share = self.share(progress, timings);
        self.fraction = self.fraction.max(share);
    }

    /// Share of the planned work, each stage weighted by what it took last time.
    fn share(&self, progress: Progress, timings: &Timings) -> f32 {
        let within = progress.done as f64 / progress.total.max(1) as f64;
        let Some(at) = self.plan.iter().position(|&s| s == progress.stage) else {
            return 0.0;
        };
        let weight = |stage: &Stage| timings.weight(*stage);
        let whole: f64 = self.plan.iter().map(weight).sum();
        let before: f64 = self.plan[..at].iter().map(weight).sum();
        ((before + within * weight(&progress.stage)) / whole.max(1e-9)) as f32
    }
}

fn title(request: &JobRequest) -> String {
    match request {
        JobRequest::Generate { request, .. } if request.prompt.is_empty() => {
            format!("Scene, seed {}", request.seed)
        }
        JobRequest::Generate { request, .. } => request.prompt.clone(),
        JobRequest::Open(path) => format!("Open {}", super::file_name(path)),
        JobRequest::Import { request, .. } => {
            format!("Import {}", super::file_name(&request.path))
        }
        JobRequest::Export(export) => {
            let frames = export.end.saturating_sub(export.first);
            let plural = if frames == 1 { "frame" } else { "frames" };
            format!("Export {frames} {plural}")
        }
        JobRequest::FindMotion(_) => "Find what moves".to_owned(),
        JobRequest::Join(join) => format!("Join {} scenes", join.windows.len()),
        JobRequest::Train(_) => "Training".to_owned(),
        JobRequest::EvalSynthetic(_) | JobRequest::EvalBenchmark(_) => "Evaluation".to_owned(),
        JobRequest::CheckDataset(check) => format!("Check {}", check.set.name()),
        JobRequest::Inspect(path) => format!("Inspect {}", super::file_name(path)),
        JobRequest::Render(render) => format!("Render {} clips", render.clips),
    }
}

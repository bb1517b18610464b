//! The queue as people see it: cards with stage, step, time left and preview.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use one4d_engine::job::{Preview, Progress, Stage};
use one4d_engine::worker::{ExportFormat, JobId, JobRequest, Output, Status};

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
    started_secs: f64,
    stage_started_secs: f64,
    finished_stages: HashMap<Stage, f64>,
}

impl JobCard {
    fn new(id: JobId, request: JobRequest) -> Self {
        Self {
            id,
            title: title(&request),
            request,
            phase: Phase::Queued,
            stopping: false,
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

    fn advance(&mut self, progress: Progress, timings: &Timings, now_secs: f64) {
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

/// What the stages of a job took the last time, seconds; kept between sessions.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Timings {
    stages: HashMap<Stage, f64>,
    /// Steps of the denoising behind `stages`.
    sample_steps: usize,
}

impl Timings {
    /// Seconds that a stage took last time.
    pub fn stage_secs(&self, stage: Stage) -> Option<f64> {
        self.stages.get(&stage).copied()
    }

    /// Seconds that a generation with `steps` steps will take; `None` before the first one.
    pub fn estimate_secs(&self, steps: usize) -> Option<f64> {
        let sample = self.stage_secs(Stage::Sample)?;
        let rest: f64 = self.stages.values().sum::<f64>() - sample;
        Some(rest + sample * steps as f64 / self.sample_steps.max(1) as f64)
    }

    fn weight(&self, stage: Stage) -> f64 {
        let usual = match stage {
            Stage::Sample | Stage::Train => 20.0,
            Stage::Decode | Stage::Optimise | Stage::Load => 2.0,
            _ => 0.5,
        };
        self.stage_secs(stage).map_or(usual, |secs| secs.max(0.05))
    }

    fn learn(&mut self, card: &JobCard) {
        if !card.is_generation() {
            return;
        }
        self.stages.clone_from(&card.finished_stages);
        if let JobRequest::Generate { request, .. } = &card.request {
            self.sample_steps = request.steps.unwrap_or(1);
        }
    }
}

/// All cards, newest last.
#[derive(Clone, Debug, Default)]
pub struct Jobs {
    cards: Vec<JobCard>,
    /// What stages took last time.
    pub timings: Timings,
}

impl Jobs {
    /// All cards, oldest first.
    pub fn cards(&self) -> &[JobCard] {
        &self.cards
    }

    /// The card of a job.
    pub fn card(&self, id: JobId) -> Option<&JobCard> {
        self.cards.iter().find(|card| card.id == id)
    }

    /// The job under way.
    pub fn running(&self) -> Option<&JobCard> {
        self.cards.iter().find(|card| card.phase == Phase::Running)
    }

    /// Jobs that have not ended.
    pub fn num_active(&self) -> usize {
        self.cards.iter().filter(|card| card.is_active()).count()
    }

    /// Adds a card for a job that was handed to the engine.
    pub fn add(&mut self, id: JobId, request: JobRequest) {
        self.cards.push(JobCard::new(id, request));
    }

    /// Takes a card away, if its job has ended.
    pub fn remove(&mut self, id: JobId) {
        self.cards.retain(|card| card.id != id || card.is_active());
    }

    /// The job was asked to stop.
    pub fn mark_stopping(&mut self, id: JobId) {
        if let Some(card) = self.card_mut(id) {
            card.stopping = card.is_active();
        }
    }

    /// The job left the queue.
    pub fn started(&mut self, id: JobId, plan: Vec<Stage>, now_secs: f64) {
        if let Some(card) = self.card_mut(id) {
            card.phase = Phase::Running;
            card.plan = plan;
            card.started_secs = now_secs;
            card.stage_started_secs = now_secs;
        }
    }

    /// The newest state of the running job.
    pub fn report(&mut self, status: &Status, now_secs: f64) {
        let timings = self.timings.clone();
        if let Some(card) = self.card_mut(status.job)
            && card.is_active()
        {
            card.advance(status.progress, &timings, now_secs);
            if status.preview.is_some() {
                card.preview.clone_from(&status.preview);
            }
        }
    }

    /// Something was done otherwise than asked.
    pub fn warned(&mut self, id: JobId, message: String) {
        if let Some(card) = self.card_mut(id)
            && !card.warnings.contains(&message)
        {
            card.warnings.push(message);
        }
    }

    /// The job is over.
    pub fn ended(&mut self, id: JobId, phase: Phase, output: Option<Output>, now_secs: f64) {
        let Some(card) = self.card_mut(id) else {
            return;
        };
        if let Some(last) = card.progress {
            let secs = now_secs - card.stage_started_secs;
            card.finished_stages.insert(last.stage, secs);
        }
        let ran = card.phase == Phase::Running;
        card.took_secs = ran.then_some(now_secs - card.started_secs);
        card.stopping = false;
        if phase == Phase::Done {
            card.fraction = 1.0;
        }
        let learned = (phase == Phase::Done).then(|| card.clone());
        card.phase = phase;
        card.output = output;
        if let Some(card) = learned {
            self.timings.learn(&card);
        }
    }

    fn card_mut(&mut self, id: JobId) -> Option<&mut JobCard> {
        self.cards.iter_mut().find(|card| card.id == id)
    }
}

/// The scene file among files that a job wrote.
pub fn scene_file(output: &Output) -> Option<&PathBuf> {
    output.files.iter().find(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with(".one4d") || name == "scene.safetensors"
    })
}

/// For people: "PLY, one file per frame".
pub fn format_label(format: ExportFormat) -> &'static str {
    match format {
        ExportFormat::Scene => "Scene file",
        ExportFormat::Ply => "PLY per frame",
        ExportFormat::GlbFrames => "GLB per frame",
        ExportFormat::GlbAnimated => "GLB animated",
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

#[cfg(test)]
mod tests {
    use super::*;
    use one4d_engine::pipeline::Request;

    fn generate(steps: usize) -> JobRequest {
        JobRequest::Generate {
            request: Request {
                steps: Some(steps),
                ..Request::default()
            },
            out: None,
        }
    }

    fn status(stage: Stage, done: usize, total: usize) -> Status {
        Status {
            job: JobId(1),
            progress: Progress { stage, done, total },
            preview: None,
        }
    }

    fn run_to_end(jobs: &mut Jobs) {
        jobs.add(JobId(1), generate(10));
        jobs.started(
            JobId(1),
            vec![Stage::Load, Stage::Sample, Stage::Decode],
            0.0,
        );
        jobs.report(&status(Stage::Load, 1, 1), 0.5);
        jobs.report(&status(Stage::Sample, 0, 10), 1.0);
        jobs.report(&status(Stage::Sample, 10, 10), 21.0);
        jobs.report(&status(Stage::Decode, 0, 4), 21.0);
        jobs.ended(JobId(1), Phase::Done, None, 24.0);
    }

    #[test]
    fn the_bar_never_goes_back() {
        let mut jobs = Jobs::default();
        jobs.add(JobId(1), generate(10));
        jobs.started(
            JobId(1),
            vec![Stage::Load, Stage::Sample, Stage::Decode],
            0.0,
        );
        let mut last = 0.0;
        for report in [
            status(Stage::Load, 1, 1),
            status(Stage::Sample, 5, 10),
            status(Stage::Sample, 2, 10),
            status(Stage::Load, 0, 1),
            status(Stage::Decode, 1, 4),
        ] {
            jobs.report(&report, 1.0);
            let fraction = jobs.cards()[0].fraction;
            assert!(fraction >= last && fraction <= 1.0);
            last = fraction;
        }
        assert!(last > 0.5);
    }

    #[test]
    fn time_left_comes_from_measured_steps() {
        let mut jobs = Jobs::default();
        jobs.add(JobId(1), generate(10));
        jobs.started(JobId(1), vec![Stage::Sample], 100.0);
        jobs.report(&status(Stage::Sample, 0, 10), 100.0);
        let card = |jobs: &Jobs| jobs.cards()[0].clone();
        assert_eq!(card(&jobs).left_secs(&jobs.timings, 101.0), None);
        jobs.report(&status(Stage::Sample, 4, 10), 108.0);
        let left = card(&jobs).left_secs(&jobs.timings, 108.0).unwrap();
        assert!((left - 12.0).abs() < 1e-9);
    }

    #[test]
    fn a_finished_job_teaches_the_estimate_of_the_next() {
        let mut jobs = Jobs::default();
        assert_eq!(jobs.timings.estimate_secs(10), None);
        run_to_end(&mut jobs);
        let estimate = jobs.timings.estimate_secs(20).unwrap();
        assert!((estimate - (1.0 + 40.0 + 3.0)).abs() < 0.6, "{estimate}");
    }

    #[test]
    fn active_cards_stay_until_they_end() {
        let mut jobs = Jobs::default();
        jobs.add(JobId(1), generate(1));
        jobs.remove(JobId(1));
        assert_eq!(jobs.num_active(), 1);
        jobs.ended(JobId(1), Phase::Cancelled, None, 1.0);
        assert_eq!(jobs.cards()[0].took_secs, None);
        jobs.remove(JobId(1));
        assert!(jobs.cards().is_empty());
    }
}

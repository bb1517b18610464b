//! The queue as people see it: a card a job.

use std::path::PathBuf;

use one4d_engine::job::Stage;
use one4d_engine::worker::{ExportFormat, JobId, JobRequest, Output, Status};

pub use super::job_card::{Failure, JobCard, Phase};
use super::timings::Timings;

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

    /// What the job will take.
    pub fn planned(&mut self, id: JobId, words: String) {
        if let Some(card) = self.card_mut(id) {
            card.memory_plan = Some(words);
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
        if let Some(card) = learned
            && let JobRequest::Generate { request, .. } = &card.request
        {
            let steps = request.steps.unwrap_or(1);
            self.timings.learn(&card.finished_stages, steps);
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

#[cfg(test)]
mod tests {
    use super::*;
    use one4d_engine::job::Progress;
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

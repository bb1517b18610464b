//! The worker's five promises, each on a job that does nothing but keep to the protocol.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use one4d_engine::job::{JobCtx, Preview, Stage};
use one4d_engine::scene::Scene4d;
use one4d_engine::worker::{
    EngineHandle, Event, JobId, JobRequest, JobRunner, Outcome, Output, Status,
};
use one4d_engine::{Error, Result};

/// Runs jobs named by the file they pretend to open.
struct Scripted {
    steps_run: Arc<AtomicUsize>,
}

impl JobRunner for Scripted {
    fn plan(&self, _request: &JobRequest) -> Vec<Stage> {
        vec![Stage::Load, Stage::Sample]
    }

    fn run(
        &mut self,
        request: JobRequest,
        ctx: &JobCtx,
        _show: &dyn Fn(Arc<Scene4d>),
    ) -> Result<Output> {
        let JobRequest::Open(path) = request else {
            return Err(Error::invalid("job", "only scripted jobs run here"));
        };
        match path.to_str().unwrap_or_default() {
            "panic" => panic!("as asked"),
            "backwards" => {
                for done in [3, 1, 9, 2] {
                    ctx.step(Stage::Sample, done, 5)?;
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
            "warnings" => (0..5000).for_each(|_| ctx.warn(Stage::Load, "again")),
            "endless" => {
                for step in 0.. {
                    ctx.step(Stage::Sample, step, usize::MAX)?;
                    self.steps_run.fetch_add(1, Ordering::SeqCst);
                    ctx.preview(Preview {
                        step,
                        width: 1,
                        height: 1,
                        rgb: vec![0; 3],
                    });
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            _ => ctx.step(Stage::Load, 1, 1)?,
        }
        Ok(Output::default())
    }

    fn unload(&mut self) {}
}

fn engine() -> (EngineHandle, Arc<AtomicUsize>) {
    let steps_run = Arc::new(AtomicUsize::new(0));
    let runner = Scripted {
        steps_run: Arc::clone(&steps_run),
    };
    let handle = EngineHandle::start_with(Box::new(runner), || {}).unwrap();
    (handle, steps_run)
}

fn submit(engine: &EngineHandle, script: &str) -> JobId {
    engine.submit(JobRequest::Open(script.into()))
}

/// Events until every one of `jobs` has ended.
fn events_until_ended(engine: &EngineHandle, jobs: &[JobId]) -> Vec<Event> {
    let mut events = Vec::new();
    let ended = |events: &[Event]| {
        let over = |job| {
            events
                .iter()
                .any(|e| matches!(e, Event::Ended { job: j, .. } if *j == job))
        };
        jobs.iter().all(|&job| over(job))
    };
    while !ended(&events) {
        let event = engine.wait(Duration::from_secs(10)).unwrap();
        events.push(event.expect("the job ends within ten seconds"));
    }
    events
}

fn outcomes(events: &[Event], wanted: JobId) -> Vec<&Outcome> {
    events
        .iter()
        .filter_map(|event| match event {
            Event::Ended { job, outcome } if *job == wanted => Some(outcome),
            _ => None,
        })
        .collect()
}

fn wait_for_status(engine: &EngineHandle) -> Status {
    for _ in 0..2000 {
        if let Some(status) = engine.status() {
            return status;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("no status within two seconds");
}

#[test]
fn every_job_ends_exactly_once_also_when_cancelled_in_the_queue() {
    let (engine, _) = engine();
    let running = submit(&engine, "endless");
    let queued = submit(&engine, "quick");
    let last = submit(&engine, "quick");
    engine.cancel(queued);
    engine.cancel(running);
    let events = events_until_ended(&engine, &[running, queued, last]);
    for (job, cancelled) in [(running, true), (queued, true), (last, false)] {
        let outcomes = outcomes(&events, job);
        assert_eq!(outcomes.len(), 1);
        assert_eq!(matches!(outcomes[0], Outcome::Cancelled), cancelled);
    }
    let started = |job| {
        events
            .iter()
            .any(|e| matches!(e, Event::Started { job: j, .. } if *j == job))
    };
    assert!(
        !started(queued),
        "a job cancelled in the queue never starts"
    );
}

#[test]
fn progress_of_a_stage_never_falls_and_never_passes_its_total() {
    let (engine, _) = engine();
    let job = submit(&engine, "backwards");
    let mut seen = Vec::new();
    let mut over = false;
    while !over {
        seen.extend(engine.status().map(|s| s.progress));
        over = engine
            .drain()
            .iter()
            .any(|e| matches!(e, Event::Ended { job: j, .. } if *j == job));
    }
    assert!(seen.iter().all(|p| p.done <= p.total));
    assert!(seen.windows(2).all(|pair| pair[0].done <= pair[1].done));
}

#[test]
fn a_cancelled_job_ends_within_one_step() {
    let (engine, steps_run) = engine();
    let job = submit(&engine, "endless");
    wait_for_status(&engine);
    engine.cancel(job);
    let steps_at_cancel = steps_run.load(Ordering::SeqCst);
    let events = events_until_ended(&engine, &[job]);
    assert!(matches!(outcomes(&events, job)[..], [Outcome::Cancelled]));
    assert!(steps_run.load(Ordering::SeqCst) <= steps_at_cancel + 1);
}

#[test]
fn a_front_end_that_never_looks_neither_stalls_a_job_nor_loses_an_event() {
    let (engine, steps_run) = engine();
    let endless = submit(&engine, "endless");
    while steps_run.load(Ordering::SeqCst) < 100 {
        std::thread::sleep(Duration::from_millis(1));
    }
    engine.cancel(endless);
    let noisy = submit(&engine, "warnings");
    let events = events_until_ended(&engine, &[endless, noisy]);
    assert!(
        events.len() < 100,
        "a handful of events a job, got {}",
        events.len()
    );
    assert!(matches!(outcomes(&events, noisy)[..], [Outcome::Done(_)]));
    assert!(engine.status().is_none(), "an ended job leaves no status");
}

#[test]
fn a_panic_becomes_a_failed_job_and_the_thread_lives() {
    let (engine, _) = engine();
    let broken = submit(&engine, "panic");
    let after = submit(&engine, "quick");
    let events = events_until_ended(&engine, &[broken, after]);
    let [Outcome::Failed(error)] = outcomes(&events, broken)[..] else {
        panic!("the job must fail");
    };
    assert!(error.to_string().contains("as asked"));
    assert!(matches!(outcomes(&events, after)[..], [Outcome::Done(_)]));
}

#[test]
fn dropping_the_handle_ends_a_running_job() {
    let (engine, _) = engine();
    submit(&engine, "endless");
    wait_for_status(&engine);
    drop(engine);
}

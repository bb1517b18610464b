//! The engine thread: takes commands in order, owns device and models.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender};

use super::handle::Tokens;
use super::{Command, Event, JobId, JobRequest, Latest, Outcome, Output, Status};
use crate::job::{JobCtx, JobSink, Preview, Progress, Stage, Warning};
use crate::scene::Scene4d;
use crate::{Error, Result};

/// What does the work of a job; lives on the engine thread and may keep models between jobs.
pub trait JobRunner: Send {
    /// The stages that the job will pass, in order.
    fn plan(&self, request: &JobRequest) -> Vec<Stage>;

    /// Does the job. `show` hands a scene to the front end as soon as there is one.
    fn run(
        &mut self,
        request: JobRequest,
        ctx: &JobCtx,
        show: &dyn Fn(Arc<Scene4d>),
    ) -> Result<Output>;

    /// Drops what is kept between jobs.
    fn unload(&mut self);
}

pub(super) struct EngineThread {
    pub(super) commands: Receiver<Command>,
    pub(super) events: Sender<Event>,
    pub(super) status: Arc<Latest<Status>>,
    pub(super) tokens: Tokens,
    pub(super) wake: Arc<dyn Fn() + Send + Sync>,
}

impl EngineThread {
    pub(super) fn run(self, mut runner: Box<dyn JobRunner>) {
        for command in &self.commands {
            match command {
                Command::Run { job, request } => self.run_job(job, *request, &mut *runner),
                Command::Unload => runner.unload(),
                Command::Shutdown => break,
            }
        }
    }

    fn run_job(&self, job: JobId, request: JobRequest, runner: &mut dyn JobRunner) {
        let token = self
            .tokens
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&job)
            .cloned()
            .unwrap_or_default();
        let outcome = if token.is_cancelled() {
            Outcome::Cancelled
        } else {
            self.send(Event::Started {
                job,
                plan: runner.plan(&request),
            });
            let sink = Sink {
                job,
                events: self.events.clone(),
                status: Arc::clone(&self.status),
                wake: Arc::clone(&self.wake),
                high_water: Mutex::default(),
                warnings: AtomicUsize::new(0),
            };
            let ctx = JobCtx::new(token, Arc::new(sink));
            let show = |scene| self.send(Event::Scene { job, scene });
            catch_unwind(AssertUnwindSafe(|| runner.run(request, &ctx, &show)))
                .unwrap_or_else(|panic| {
                    Err(Error::Panic {
                        message: panic_message(&*panic),
                    })
                })
                .into()
        };
        self.tokens
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&job);
        self.status.clear();
        self.send(Event::Ended { job, outcome });
    }

    fn send(&self, event: Event) {
        // The receiver outlives this thread; a closed queue means that the program is ending.
        let _ = self.events.send(event);
        (self.wake)();
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

/// Most warnings that one job may queue, so that a loop of warnings cannot fill the event queue.
const MAX_WARNINGS: usize = 64;

struct Sink {
    job: JobId,
    events: Sender<Event>,
    status: Arc<Latest<Status>>,
    wake: Arc<dyn Fn() + Send + Sync>,
    high_water: Mutex<Option<Progress>>,
    warnings: AtomicUsize,
}

impl JobSink for Sink {
    fn progress(&self, progress: Progress) {
        let mut high_water = self
            .high_water
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let progress = match *high_water {
            Some(last) if last.stage == progress.stage && last.total == progress.total => {
                Progress {
                    done: progress.done.max(last.done),
                    ..progress
                }
            }
            _ => progress,
        };
        *high_water = Some(progress);
        self.status.update(|slot| {
            let preview = slot.take().and_then(|status| status.preview);
            *slot = Some(Status {
                job: self.job,
                progress,
                preview,
            });
        });
        (self.wake)();
    }

    fn preview(&self, preview: Preview) {
        let preview = Some(Arc::new(preview));
        self.status.update(|slot| {
            if let Some(status) = slot {
                status.preview = preview;
            }
        });
        (self.wake)();
    }

    fn planned(&self, words: String) {
        let _ = self.events.send(Event::Planned {
            job: self.job,
            words,
        });
        (self.wake)();
    }

    fn warn(&self, warning: Warning) {
        if self.warnings.fetch_add(1, Ordering::Relaxed) < MAX_WARNINGS {
            let _ = self.events.send(Event::Warning {
                job: self.job,
                warning,
            });
            (self.wake)();
        }
    }
}

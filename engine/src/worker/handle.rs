//! A front end's hold on the engine thread.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};

use super::thread::{EngineThread, JobRunner};
use super::{Command, Event, JobId, JobRequest, Latest, Status};
use crate::job::CancelToken;
use crate::{Error, Result};

/// Events that may wait; a job makes a handful, so a front end that drains once a frame never fills it.
const EVENT_CAPACITY: usize = 1024;

pub(super) type Tokens = Arc<Mutex<HashMap<JobId, CancelToken>>>;

/// Submits and cancels jobs, and receives what they report. Dropping it ends the thread.
pub struct EngineHandle {
    commands: Sender<Command>,
    events: Receiver<Event>,
    status: Arc<Latest<Status>>,
    tokens: Tokens,
    next_job: AtomicU64,
    thread: Option<JoinHandle<()>>,
}

impl EngineHandle {
    /// Starts the engine thread with the pipeline as its runner.
    ///
    /// `wake` is called after every event and every new status; it must return at once.
    ///
    /// # Errors
    /// [`Error::Io`] if the system gives no thread.
    pub fn start(wake: impl Fn() + Send + Sync + 'static) -> Result<Self> {
        Self::start_with(Box::new(crate::pipeline::PipelineRunner::default()), wake)
    }

    /// Starts the engine thread with another runner, as tests do.
    pub fn start_with(
        runner: Box<dyn JobRunner>,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Result<Self> {
        // Commands are tiny and come from a person's clicks; bounding them would block the window.
        let (commands, command_queue) = unbounded();
        let (event_queue, events) = bounded(EVENT_CAPACITY);
        let status = Arc::new(Latest::default());
        let tokens = Tokens::default();
        let thread = EngineThread {
            commands: command_queue,
            events: event_queue,
            status: Arc::clone(&status),
            tokens: Arc::clone(&tokens),
            wake: Arc::new(wake),
        };
        let thread = std::thread::Builder::new()
            .name("one4d-engine".to_owned())
            .spawn(move || thread.run(runner))
            .map_err(|e| Error::io("engine thread", e))?;
        Ok(Self {
            commands,
            events,
            status,
            tokens,
            next_job: AtomicU64::new(1),
            thread: Some(thread),
        })
    }

    /// Queues a job and returns its name.
    pub fn submit(&self, request: JobRequest) -> JobId {
        let job = JobId(self.next_job.fetch_add(1, Ordering::Relaxed));
        self.tokens().insert(job, CancelToken::default());
        // The thread ends only when this handle is dropped, so the queue is open.
        let _ = self.commands.send(Command::Run {
            job,
            request: Box::new(request),
        });
        job
    }

    /// Asks a job to stop, queued or running; its `Ended` event follows.
    pub fn cancel(&self, job: JobId) {
        if let Some(token) = self.tokens().get(&job) {
            token.cancel();
        }
    }

    /// Drops cached models once the running job has ended.
    pub fn unload(&self) {
        let _ = self.commands.send(Command::Unload);
    }

    /// Takes the events that have come since the last call.
    pub fn drain(&self) -> Vec<Event> {
        self.events.try_iter().collect()
    }

    /// Waits for the next event; `None` after the timeout.
    ///
    /// # Errors
    /// [`Error::Panic`] if the engine thread is gone.
    pub fn wait(&self, timeout: std::time::Duration) -> Result<Option<Event>> {
        match self.events.recv_timeout(timeout) {
            Ok(event) => Ok(Some(event)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Error::Panic {
                message: "the engine thread has ended".to_owned(),
            }),
        }
    }

    /// Newest state of the running job.
    pub fn status(&self) -> Option<Status> {
        self.status.get()
    }

    fn tokens(&self) -> std::sync::MutexGuard<'_, HashMap<JobId, CancelToken>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for EngineHandle {
    fn drop(&mut self) {
        for token in self.tokens().values() {
            token.cancel();
        }
        let _ = self.commands.send(Command::Shutdown);
        let Some(thread) = self.thread.take() else {
            return;
        };
        // Events that nobody will read must not keep the thread from ending.
        while !thread.is_finished() {
            let _ = self
                .events
                .recv_timeout(std::time::Duration::from_millis(10));
        }
        let _ = thread.join();
    }
}

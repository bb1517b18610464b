//! What the engine tells a front end.

use std::path::PathBuf;
use std::sync::Arc;

use super::JobId;
use crate::job::{Preview, Progress, Stage, Warning};
use crate::scene::Scene4d;
use crate::{Error, Result};

/// What must not be lost: a handful a job, through a bounded queue.
#[derive(Clone, Debug)]
pub enum Event {
    /// The job left the queue.
    Started {
        /// The job.
        job: JobId,
        /// The stages it will pass, in order.
        plan: Vec<Stage>,
    },
    /// What the run will take, before it begins.
    Planned {
        /// The job.
        job: JobId,
        /// Memory, time and where the weights live, in one line for people.
        words: String,
    },
    /// A scene is ready to look at.
    Scene {
        /// The job.
        job: JobId,
        /// The scene.
        scene: Arc<Scene4d>,
    },
    /// Something was done otherwise than asked.
    Warning {
        /// The job.
        job: JobId,
        /// What.
        warning: Warning,
    },
    /// The job is over; nothing more will come from it.
    Ended {
        /// The job.
        job: JobId,
        /// How.
        outcome: Outcome,
    },
}

/// How a job ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It did what was asked.
    Done(Output),
    /// It was cancelled.
    Cancelled,
    /// It failed.
    Failed(Arc<Error>),
}

impl From<Result<Output>> for Outcome {
    fn from(result: Result<Output>) -> Self {
        match result {
            Ok(output) => Self::Done(output),
            Err(Error::Cancelled) => Self::Cancelled,
            Err(error) => Self::Failed(Arc::new(error)),
        }
    }
}

/// What a finished job leaves behind.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// Files written, under their final names.
    pub files: Vec<PathBuf>,
    /// The report, as `--json` prints it.
    pub report: serde_json::Value,
}

/// Newest state of the running job; never queued.
#[derive(Clone, Debug)]
pub struct Status {
    /// The job.
    pub job: JobId,
    /// How far it is.
    pub progress: Progress,
    /// The last preview.
    pub preview: Option<Arc<Preview>>,
}

//! What a long computation is given: progress, previews, warnings and cancellation in one handle.
//!
//! Knows no channel and no window; the worker and the tests decide where the reports go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Error, Result};

/// Stages of a job, in the order in which they run.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Reading and resizing the input media.
    Media,
    /// Reading weights.
    Load,
    /// Encoding the observed frames and their mask.
    Condition,
    /// Encoding the prompt.
    Text,
    /// Denoising.
    Sample,
    /// Decoding latents to frames and pointmaps.
    Decode,
    /// Recovering cameras and depth.
    Optimise,
    /// Finding what moves.
    Motion,
    /// Building and saving the scene.
    Save,
    /// Writing exports.
    Export,
    /// Training steps.
    Train,
    /// Rendering procedural scenes.
    Render,
    /// Measuring against ground truth.
    Evaluate,
    /// Downloading the files of a model; steps are bytes.
    Fetch,
    /// Reading files again to compare their checksums; steps are bytes.
    Verify,
}

impl Stage {
    /// What the stage does, for people: "Denoising".
    pub fn label(self) -> &'static str {
        match self {
            Self::Media => "Reading media",
            Self::Load => "Loading weights",
            Self::Condition => "Placing observed frames",
            Self::Text => "Reading the prompt",
            Self::Sample => "Denoising",
            Self::Decode => "Decoding",
            Self::Optimise => "Solving cameras",
            Self::Motion => "Finding what moves",
            Self::Save => "Saving the scene",
            Self::Export => "Exporting",
            Self::Train => "Training",
            Self::Render => "Rendering scenes",
            Self::Evaluate => "Evaluating",
            Self::Fetch => "Downloading",
            Self::Verify => "Verifying",
        }
    }

    /// True where steps are bytes.
    pub fn counts_bytes(self) -> bool {
        matches!(self, Self::Fetch | Self::Verify)
    }
}

/// How far a stage is; within a stage `done` never falls and never passes `total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Progress {
    /// The stage.
    pub stage: Stage,
    /// Steps done, `0..=total`.
    pub done: usize,
    /// Steps in all, at least 1.
    pub total: usize,
}

/// A picture of work under way: one sRGB frame, row-major.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// Which step made it.
    pub step: usize,
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// `[H, W, 3]` sRGB.
    pub rgb: Vec<u8>,
}

/// Something was done otherwise than asked, or a result deserves doubt.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Warning {
    /// Where it happened.
    pub stage: Stage,
    /// What, why, and what to do about it.
    pub message: String,
}

/// A flag that asks a job to stop at its next step.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// Asks the job to stop.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// True once [`Self::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Receiver of a job's reports.
pub trait JobSink: Send + Sync {
    /// The job has moved on.
    fn progress(&self, progress: Progress);
    /// There is something to look at.
    fn preview(&self, _preview: Preview) {}
    /// Something deserves the user's attention.
    fn warn(&self, _warning: Warning) {}
    /// What the run will take, in one line.
    fn planned(&self, _words: String) {}
}

struct Silent;

impl JobSink for Silent {
    fn progress(&self, _progress: Progress) {}
}

/// The handle that every long computation takes.
#[derive(Clone)]
pub struct JobCtx {
    cancel: CancelToken,
    sink: Arc<dyn JobSink>,
}

impl JobCtx {
    /// A context that reports to `sink` and stops when `cancel` says so.
    pub fn new(cancel: CancelToken, sink: Arc<dyn JobSink>) -> Self {
        Self { cancel, sink }
    }

    /// A context that reports nowhere and is never cancelled, for tests and short calls.
    pub fn silent() -> Self {
        Self::new(CancelToken::default(), Arc::new(Silent))
    }

    /// The same job reporting elsewhere; cancelling still stops it.
    pub fn with_sink(&self, sink: Arc<dyn JobSink>) -> Self {
        Self {
            cancel: self.cancel.clone(),
            sink,
        }
    }

    /// The same job reporting nowhere, for work inside a step; cancelling still stops it.
    pub fn quiet(&self) -> Self {
        self.with_sink(Arc::new(Silent))
    }

    /// Reports that `done` of `total` steps of `stage` are done, and checks for cancellation.
    ///
    /// # Errors
    /// [`Error::Cancelled`] once the job's token is set.
    pub fn step(&self, stage: Stage, done: usize, total: usize) -> Result<()> {
        self.check()?;
        let total = total.max(1);
        self.sink.progress(Progress {
            stage,
            done: done.min(total),
            total,
        });
        Ok(())
    }

    /// Checks for cancellation without reporting progress.
    ///
    /// # Errors
    /// [`Error::Cancelled`] once the job's token is set.
    pub fn check(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            Err(Error::Cancelled)
        } else {
            Ok(())
        }
    }

    /// Shows a preview.
    pub fn preview(&self, preview: Preview) {
        self.sink.preview(preview);
    }

    /// Says what the run will take, before it begins.
    pub fn planned(&self, words: String) {
        self.sink.planned(words);
    }

    /// Tells the user that something was done otherwise than asked.
    pub fn warn(&self, stage: Stage, message: impl Into<String>) {
        self.sink.warn(Warning {
            stage,
            message: message.into(),
        });
    }
}

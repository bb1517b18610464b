//! The protocol between any front end and the engine.
//!
//! Its five promises:
//!
//! 1. Every [`Command::Run`] ends in exactly one [`Event::Ended`], also for a job cancelled in the queue.
//! 2. Within a stage `done` never falls and never passes `total`.
//! 3. After [`EngineHandle::cancel`], which sets the job's token at once, `Ended(Cancelled)` comes within one step.
//! 4. The bounded queue carries a handful of events a job; progress and previews are newest-value,
//!    so a minimised window neither stalls a job nor loses an event.
//! 5. A panic inside a job becomes `Failed`, and the thread lives.

mod command;
mod event;
mod handle;
mod latest;
mod thread;

pub use command::{
    Command, EvalRequest, ExportFormat, ExportRequest, JobId, JobRequest, JoinRequest,
    MotionRequest, RenderRequest, SceneSource, TrainRequest,
};
pub use event::{Event, Outcome, Output, Status};
pub use handle::EngineHandle;
pub use latest::Latest;
pub use thread::JobRunner;

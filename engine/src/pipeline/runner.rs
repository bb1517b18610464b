//! The engine thread's work: one arm a kind of job.

use std::sync::Arc;

use crate::job::{JobCtx, Stage};
use crate::scene::Scene4d;
use crate::worker::{JobRequest, JobRunner, Output};
use crate::{Error, Result};

/// Runs every kind of job; keeps the last model loaded between jobs.
#[derive(Default)]
pub struct PipelineRunner {}

impl JobRunner for PipelineRunner {
    fn plan(&self, _request: &JobRequest) -> Vec<Stage> {
        Vec::new()
    }

    fn run(
        &mut self,
        _request: JobRequest,
        _ctx: &JobCtx,
        _show: &dyn Fn(Arc<Scene4d>),
    ) -> Result<Output> {
        Err(Error::invalid("job", "not wired yet"))
    }

    fn unload(&mut self) {}
}

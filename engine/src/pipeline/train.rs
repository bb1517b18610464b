//! A training job: configuration file and run folder in, report out.

use std::fmt::Write as _;

use serde_json::json;

use super::save;
use crate::job::JobCtx;
use crate::training::{self, TrainConfig};
use crate::worker::{Output, TrainRequest};
use crate::{Error, Result};

/// Trains what the configuration asks for and the run folder lacks.
///
/// # Errors
/// Those of [`TrainConfig::read`] and [`training::run`].
pub fn train(request: &TrainRequest, ctx: &JobCtx) -> Result<Output> {
    if request
        .max_secs
        .is_some_and(|secs| !(secs.is_finite() && secs >= 0.0))
    {
        return Err(Error::invalid(
            "--max-secs",
            "must be a number of seconds, 0 or more",
        ));
    }
    let config = TrainConfig::read(&request.config)?;
    save::check_writable(&request.run)?;
    let reached = training::run(&config, &request.run, request.max_secs, ctx)?;
    let mut text = String::new();
    for stage in &reached.stages {
        let _ = writeln!(
            text,
            "{:?}: step {} of {}, loss {:.4}, {:.0} s",
            stage.stage, stage.steps, stage.total, stage.loss, stage.seconds
        );
    }
    if let Some(bundle) = &reached.bundle {
        let _ = writeln!(text, "the model is in {}", bundle.display());
    }
    let mut report = json!(reached);
    report["text"] = json!(text);
    Ok(Output {
        files: Vec::new(),
        report,
    })
}

//! A model against procedural clips that it never saw, and predictions against a data set.

use serde_json::{Value, json};

use super::{Model, Observed, ObservedClip, Request, Settled, Stopwatch, generate_from, save};
use crate::datasets::training_sets::{CheckReport, CheckRequest, check_sequences};
use crate::eval::{
    BenchmarkReport, BenchmarkRequest, EvalTask, SyntheticEval, TaskInput, run_benchmark,
    run_synthetic,
};
use crate::job::JobCtx;
use crate::scene::Scene4d;
use crate::worker::{EvalRequest, Output};
use crate::{Error, Result};

/// Runs every task on every clip and returns the table.
///
/// # Errors
/// Those of rendering, generating and writing.
pub(super) fn synthetic(
    model: &Model,
    base: &Request,
    request: &EvalRequest,
    ctx: &JobCtx,
) -> Result<Output> {
    let settled = Settled::of(base, model)?;
    let eval = SyntheticEval {
        clips: request.clips,
        seed: request.seed,
        frames: settled.frames,
        height: model.manifest.height,
        width: model.manifest.width,
        world: request.world,
        tasks: EvalTask::ALL.to_vec(),
    };
    if let Some(out) = &request.out {
        save::check_writable(out)?;
    }
    let report = run_synthetic(
        &eval,
        &mut |input| predict(model, base, settled, input, ctx),
        ctx,
    )?;
    let mut files = Vec::new();
    if let Some(out) = &request.out {
        report.write(out)?;
        files = vec![out.join("eval.json"), out.join("eval.txt")];
    }
    let value: Value = serde_json::from_str(&report.to_json()?)
        .map_err(|e| Error::invalid("evaluation report", e.to_string()))?;
    let rows: Vec<Value> = report
        .rows
        .iter()
        .map(|(task, method, row)| json!({ "task": task, "method": method.label(), "scores": row }))
        .collect();
    Ok(Output {
        files,
        report: json!({
            "model": model.manifest.name,
            "model_hash": model.hash,
            "trained_steps": model.manifest.trained_steps,
            "settled": settled,
            "eval": value["eval"],
            "protocol": report.protocol,
            "rows": rows,
            "text": report.to_text(),
        }),
    })
}

/// Measures predictions on a data set.
///
/// # Errors
/// Those of [`run_benchmark`], and of folders that cannot be written.
pub(super) fn benchmark(request: &BenchmarkRequest, ctx: &JobCtx) -> Result<Output> {
    let BenchmarkReport { files, report } = run_benchmark(request, ctx)?;
    Ok(Output { files, report })
}

/// Checks that frames and cameras of a training set belong together.
///
/// # Errors
/// Those of [`check_sequences`].
pub(super) fn check_dataset(request: &CheckRequest, ctx: &JobCtx) -> Result<Output> {
    let CheckReport { report } = check_sequences(request, ctx)?;
    Ok(Output {
        files: Vec::new(),
        report,
    })
}

fn predict(
    model: &Model,
    base: &Request,
    settled: Settled,
    input: &TaskInput<'_>,
    ctx: &JobCtx,
) -> Result<Scene4d> {
    let spec = input.clip.spec;
    let bytes = spec.height * spec.width * 3;
    let frame = |at: usize| input.clip.rgb[at * bytes..(at + 1) * bytes].to_vec();
    let clip = ObservedClip {
        frames: input.observed.iter().map(|&at| (at, frame(at))).collect(),
        num_frames: spec.frames,
        height: spec.height,
        width: spec.width,
    };
    let request = Request {
        observed: Observed::Nothing,
        prompt: input.clip.caption.clone(),
        seed: input.seed,
        ..base.clone()
    };
    let settled = Settled {
        seed: input.seed,
        ..settled
    };
    generate_from(
        model,
        &request,
        settled,
        &clip,
        &mut Stopwatch::default(),
        // Progress of the stages inside one clip would hide that of the evaluation.
        &ctx.quiet(),
    )
}

//! The engine thread's work: one arm a kind of job.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use super::{Generated, Model, Request, Stopwatch, bundled_model, generate, save};
use crate::device::device_name;
use crate::import::{self, ImportRequest, Imported};
use crate::job::{JobCtx, Stage};
use crate::scene::{self, Scene4d};
use crate::worker::{JobRequest, JobRunner, Output};
use crate::{Error, Result, export, inspect};

/// Runs every kind of job; keeps the last model loaded between jobs.
#[derive(Default)]
pub struct PipelineRunner {
    loaded: Option<Model>,
}

impl JobRunner for PipelineRunner {
    fn plan(&self, request: &JobRequest) -> Vec<Stage> {
        match request {
            JobRequest::Generate { .. } => vec![
                Stage::Load,
                Stage::Media,
                Stage::Condition,
                Stage::Text,
                Stage::Sample,
                Stage::Decode,
                Stage::Optimise,
                Stage::Save,
            ],
            JobRequest::Open(_) | JobRequest::Inspect(_) => vec![Stage::Load],
            JobRequest::Import { .. } => vec![Stage::Media, Stage::Optimise, Stage::Save],
            JobRequest::Export(_) => vec![Stage::Export],
            JobRequest::Train(_) => vec![Stage::Render, Stage::Train],
            JobRequest::EvalSynthetic(_) => vec![Stage::Load, Stage::Evaluate],
            JobRequest::Render(_) => vec![Stage::Render],
        }
    }

    fn run(
        &mut self,
        request: JobRequest,
        ctx: &JobCtx,
        show: &dyn Fn(Arc<Scene4d>),
    ) -> Result<Output> {
        match request {
            JobRequest::Generate { request, out } => {
                self.generate(&request, out.as_deref(), ctx, show)
            }
            JobRequest::Open(path) => open(&path, ctx, show),
            JobRequest::Import { request, out } => imported(&request, &out, ctx, show),
            JobRequest::Export(request) => exported(&export::run(&request, ctx)?),
            JobRequest::Train(request) => super::train(&request, ctx),
            JobRequest::EvalSynthetic(request) => self.eval_synthetic(&request, ctx),
            JobRequest::Inspect(path) => inspected(&path),
            JobRequest::Render(request) => super::render_clips(&request, ctx),
        }
    }

    fn unload(&mut self) {
        self.loaded = None;
    }
}

impl PipelineRunner {
    fn generate(
        &mut self,
        request: &Request,
        out: Option<&Path>,
        ctx: &JobCtx,
        show: &dyn Fn(Arc<Scene4d>),
    ) -> Result<Output> {
        if let Some(out) = out {
            save::check_writable(out)?;
        }
        let mut watch = Stopwatch::default();
        let model = self.model(request, ctx)?;
        watch.lap(Stage::Load);
        let Generated { scene, settled } = generate(model, request, &mut watch, ctx)?;
        let scene = Arc::new(scene);
        show(Arc::clone(&scene));
        let mut report = json!({
            "model": model.manifest.name,
            "model_hash": model.hash,
            "trained_steps": model.manifest.trained_steps,
            "device": device_name(&model.device),
            "request": request,
            "settled": settled,
            "frames": scene.num_frames,
            "height": scene.height,
            "width": scene.width,
            "flags": scene.meta.flags,
        });
        let mut files = Vec::new();
        if let Some(out) = out {
            files = save::scene_with_previews(&scene, out, ctx)?;
            watch.lap(Stage::Save);
        }
        let total: f64 = watch.stages().iter().map(|stage| stage.secs).sum();
        report["stages"] = json!(watch.stages());
        report["secs"] = json!(total);
        report["text"] = json!(summary(&scene, &watch, total));
        if let Some(out) = out {
            files.push(save::report(&report, out)?);
        }
        report["files"] = json!(files);
        Ok(Output { files, report })
    }

    /// The model that a request names, loaded unless it is the one at hand.
    fn model(&mut self, request: &Request, ctx: &JobCtx) -> Result<&Model> {
        let folder = match &request.model {
            Some(folder) => folder.clone(),
            None => bundled_model()?,
        };
        let device = request.device.open()?;
        let at_hand = self
            .loaded
            .take()
            .filter(|model| model.folder == folder && model.device.same_device(&device));
        let model = match at_hand {
            Some(model) => model,
            None => Model::load(&folder, &device, ctx)?,
        };
        Ok(self.loaded.insert(model))
    }

    fn eval_synthetic(
        &mut self,
        request: &crate::worker::EvalRequest,
        ctx: &JobCtx,
    ) -> Result<Output> {
        let base = Request {
            model: request.model.clone(),
            steps: request.steps,
            ..Request::default()
        };
        let model = self.model(&base, ctx)?;
        super::eval::synthetic(model, &base, request, ctx)
    }
}

fn open(path: &Path, ctx: &JobCtx, show: &dyn Fn(Arc<Scene4d>)) -> Result<Output> {
    let is_scene = path
        .extension()
        .is_some_and(|e| e == "one4d" || e == "safetensors");
    if !is_scene && import::is_importable(path) {
        let found = import::import(&ImportRequest::new(path), ctx)?;
        return Ok(show_imported(path, found, ctx, show));
    }
    ctx.step(Stage::Load, 0, 1)?;
    let scene = Arc::new(scene::open(path)?);
    ctx.step(Stage::Load, 1, 1)?;
    let report = json!({
        "scene": path,
        "frames": scene.num_frames,
        "height": scene.height,
        "width": scene.width,
    });
    show(scene);
    Ok(Output {
        files: Vec::new(),
        report,
    })
}

fn imported(
    request: &ImportRequest,
    out: &Path,
    ctx: &JobCtx,
    show: &dyn Fn(Arc<Scene4d>),
) -> Result<Output> {
    let found = import::import(request, ctx)?;
    ctx.step(Stage::Save, 0, 1)?;
    found.scene.save(out)?;
    ctx.step(Stage::Save, 1, 1)?;
    let mut output = show_imported(&request.path, found, ctx, show);
    output.files = vec![out.to_owned()];
    output.report["files"] = json!(output.files);
    Ok(output)
}

/// Shows an imported scene; what had to be assumed becomes warnings.
fn show_imported(
    path: &Path,
    found: Imported,
    ctx: &JobCtx,
    show: &dyn Fn(Arc<Scene4d>),
) -> Output {
    for note in &found.notes {
        ctx.warn(Stage::Media, note.clone());
    }
    let scene = Arc::new(found.scene);
    let report = json!({
        "source": path,
        "tool": found.tool,
        "notes": found.notes,
        "frames": scene.num_frames,
        "height": scene.height,
        "width": scene.width,
        "flags": scene.meta.flags,
        "text": format!(
            "{}: {} frames of {} x {}",
            found.tool, scene.num_frames, scene.width, scene.height
        ),
    });
    show(scene);
    Output {
        files: Vec::new(),
        report,
    }
}

fn exported(files: &[PathBuf]) -> Result<Output> {
    let bytes = files.iter().try_fold(0, |sum, file| {
        let length = file.metadata().map_err(|e| Error::io(file, e))?.len();
        Ok::<u64, Error>(sum + length)
    })?;
    Ok(Output {
        files: files.to_vec(),
        report: json!({ "files": files, "bytes": bytes }),
    })
}

fn inspected(path: &Path) -> Result<Output> {
    let inspection = inspect::inspect(path)?;
    let mut report = json!(inspection);
    report["text"] = json!(inspection.to_string());
    Ok(Output {
        files: Vec::new(),
        report,
    })
}

/// What a finished run says to a person.
fn summary(scene: &Scene4d, watch: &Stopwatch, total_secs: f64) -> String {
    let stages: Vec<String> = watch
        .stages()
        .iter()
        .filter(|stage| stage.secs >= 0.05)
        .map(|stage| format!("{} {:.1} s", stage.stage.label().to_lowercase(), stage.secs))
        .collect();
    format!(
        "{} frames of {} x {} in {total_secs:.1} s ({})",
        scene.num_frames,
        scene.width,
        scene.height,
        stages.join(", ")
    )
}

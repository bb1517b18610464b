//! The engine thread's work: one arm a kind of job.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use super::{
    Generated, LoraWish, Model, Request, Stopwatch, bundled_model, generate, plan_request, save,
};
use crate::device::device_name;
use crate::import::{self, ImportRequest, Imported};
use crate::job::{JobCtx, Stage};
use crate::memory::{self, PeakMeter};
use crate::models::StepCacheReport;
use crate::plan::{Holding, Plan, Rates, bytes_for_people};
use crate::scene::{self, Scene4d};
use crate::worker::{JobRequest, JobRunner, Output};
use crate::{Error, Result, export, inspect};

/// Runs every kind of job; keeps the last model loaded between jobs.
#[derive(Default)]
pub struct PipelineRunner {
    loaded: Option<Model>,
    /// What the loaded model holds, where the program counts its memory.
    loaded_bytes: u64,
    /// Speed of this machine, measured once.
    rates: Option<Rates>,
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
            JobRequest::FindMotion(_) => vec![Stage::Load, Stage::Motion, Stage::Save],
            JobRequest::Join(_) => vec![Stage::Load, Stage::Optimise, Stage::Save],
            JobRequest::Export(_) => vec![Stage::Export],
            JobRequest::Train(_) => vec![Stage::Render, Stage::Train],
            JobRequest::EvalSynthetic(_) => vec![Stage::Load, Stage::Evaluate],
            JobRequest::EvalBenchmark(_) | JobRequest::CheckDataset(_) => vec![Stage::Evaluate],
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
            JobRequest::FindMotion(request) => super::motion::find(&request, ctx, show),
            JobRequest::Join(request) => super::windows::join(&request, ctx, show),
            JobRequest::Export(request) => exported(&export::run(&request, ctx)?),
            JobRequest::Train(request) => super::train(&request, ctx),
            JobRequest::EvalSynthetic(request) => self.eval_synthetic(&request, ctx),
            JobRequest::EvalBenchmark(request) => super::eval::benchmark(&request, ctx),
            JobRequest::CheckDataset(request) => super::eval::check_dataset(&request, ctx),
            JobRequest::Inspect(path) => inspected(&path),
            JobRequest::Render(request) => super::render_clips(&request, ctx),
        }
    }

    fn unload(&mut self) {
        self.loaded = None;
        self.loaded_bytes = 0;
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
        let plan = self.plan_memory(request)?;
        ctx.planned(plan.summary());
        let kept = self.bytes_at_hand(&plan, &LoraWish::from(request));
        let meter = PeakMeter::start();
        let model = self.model(request, plan.holding, ctx)?;
        watch.lap(Stage::Load);
        let Generated {
            scene,
            settled,
            joins,
        } = generate(model, request, &mut watch, ctx)?;
        let peak_bytes = meter.peak_bytes().map(|peak| peak + kept);
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
            "plan": plan,
            "peak_bytes": peak_bytes,
        });
        if !joins.is_empty() {
            report["joins"] = json!(joins);
        }
        if let Some(reuse) = watch.reuse() {
            report["step_cache"] = json!(reuse);
        }
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

    /// The plan of a request, which the run will follow.
    ///
    /// # Errors
    /// [`Error::Memory`] if nothing fits, with what would.
    fn plan_memory(&mut self, request: &Request) -> Result<Plan> {
        let rates = match self.rates {
            Some(rates) => rates,
            None => Rates::measure(&request.device.open()?)?,
        };
        self.rates = Some(rates);
        let plan = plan_request(request, Some(rates), self.loaded_bytes)?;
        if plan.fits {
            return Ok(plan);
        }
        Err(Error::Memory {
            model: plan.model.clone(),
            required: bytes_for_people(plan.peak_bytes),
            available: bytes_for_people(plan.limit_bytes),
            // The first says what is missing, as the error does.
            advice: plan.advice.iter().skip(1).cloned().collect(),
            frames: plan.fitting_frames,
        })
    }

    /// What the model at hand holds, if it is the plan's; another one is dropped.
    fn bytes_at_hand(&mut self, plan: &Plan, wish: &LoraWish) -> u64 {
        let at_hand = self.loaded.as_ref();
        let same = at_hand.is_some_and(|model| {
            model.manifest.name == plan.model
                && model.holding == plan.holding
                && model.wish == *wish
        });
        if !same {
            self.unload();
        }
        self.loaded_bytes
    }

    /// The model that a request names, loaded unless it is the one at hand and held so.
    fn model(&mut self, request: &Request, holding: Holding, ctx: &JobCtx) -> Result<&Model> {
        let folder = match &request.model {
            Some(folder) => folder.clone(),
            None => bundled_model()?,
        };
        let device = request.device.open()?;
        let wish = LoraWish::from(request);
        let at_hand = self
            .loaded
            .take()
            .filter(|model| model.folder == folder && model.device.same_device(&device))
            .filter(|model| model.holding == holding && model.wish == wish);
        let model = match at_hand {
            Some(model) => model,
            None => {
                let before = memory::held_bytes().unwrap_or(0);
                let model = Model::load(&folder, &wish, &device, holding, ctx)?;
                let after = memory::held_bytes().unwrap_or(0);
                self.loaded_bytes = after.saturating_sub(before);
                model
            }
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
        let plan = self.plan_memory(&base)?;
        let model = self.model(&base, plan.holding, ctx)?;
        super::eval::synthetic(model, &base, request, ctx)
    }
}

/// True for a scene file by its name.
pub(super) fn is_scene_file(path: &Path) -> bool {
    path.extension()
        .is_some_and(|e| e == "one4d" || e == "safetensors")
}

fn open(path: &Path, ctx: &JobCtx, show: &dyn Fn(Arc<Scene4d>)) -> Result<Output> {
    if !is_scene_file(path) && import::is_importable(path) {
        let found = anchored(import::import(&ImportRequest::new(path), ctx)?, ctx)?;
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
    let found = anchored(import::import(request, ctx)?, ctx)?;
    ctx.step(Stage::Save, 0, 1)?;
    found.scene.save(out)?;
    ctx.step(Stage::Save, 1, 1)?;
    let mut output = show_imported(&request.path, found, ctx, show);
    output.files = vec![out.to_owned()];
    output.report["files"] = json!(output.files);
    Ok(output)
}

/// An imported clip with its frames in one place, where they were centred one by one.
fn anchored(found: Imported, ctx: &JobCtx) -> Result<Imported> {
    Ok(Imported {
        scene: super::anchor::reanchored(found.scene, ctx)?,
        ..found
    })
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
    ) + &watch.reuse().map(reuse_line).unwrap_or_default()
}

/// What a step cache did, and how wrong it was.
fn reuse_line(reuse: StepCacheReport) -> String {
    let steps = reuse.computed + reuse.reused;
    let error = match reuse.checks {
        0 => "no check".to_owned(),
        _ => format!(
            "off by {:.1} % where it was checked, at most {:.1} %",
            100.0 * reuse.mean_error,
            100.0 * reuse.largest_error
        ),
    };
    format!("\n{} of {steps} steps reused; {error}", reuse.reused)
}

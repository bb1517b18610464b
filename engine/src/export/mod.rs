//! Scenes in other formats: PLY, GLB a frame with `sequence.json`, one animated GLB, the scene file.
//!
//! Every file is complete under its final name or not there. No exporter writes a number that is
//! not finite. One format, one file; a new one is a new module and a line in `write_format`. What
//! the engine cannot write itself, a front end brings as [`BroughtFormat`].

mod brought;
mod document;
mod glb;
mod gltf;
mod ply;
mod selection;
mod sequence;

pub use brought::BroughtFormat;

use std::fs;
use std::path::{Path, PathBuf};

use crate::atomic_file::{check_free_space, create_folder};
use crate::job::{JobCtx, Stage};
use crate::worker::{ExportFormat, ExportRequest};
use crate::{Error, Result};

/// Frame rate of scenes that do not tell theirs.
pub const DEFAULT_FPS: f64 = 16.0;

/// Progress of an export, in files or frames.
struct Steps<'a> {
    ctx: &'a JobCtx,
    done: usize,
    total: usize,
}

impl Steps<'_> {
    /// Counts one file or frame.
    fn advance(&mut self) -> Result<()> {
        self.done += 1;
        self.ctx.step(Stage::Export, self.done, self.total)
    }

    fn warn(&self, message: impl Into<String>) {
        self.ctx.warn(Stage::Export, message);
    }
}

/// Writes the scene in every format that was asked for; returns the files in the order written.
///
/// # Errors
/// [`Error::Invalid`] if the request contradicts the scene or no point is left, [`Error::Limit`] and [`Error::Io`] from
/// the disk, [`Error::Cancelled`] between frames; files finished by then stay.
pub fn run(request: &ExportRequest, ctx: &JobCtx) -> Result<Vec<PathBuf>> {
    check(request)?;
    check_some_point(request)?;
    create_folder(&request.out)?;
    check_free_space(&request.out, estimate_bytes(request))?;
    let mut steps = Steps {
        ctx,
        done: 0,
        total: num_all_steps(request),
    };
    ctx.step(Stage::Export, 0, steps.total)?;
    let mut files = Vec::new();
    for &format in &request.formats {
        files.extend(write_format(request, format, &mut steps)?);
    }
    for format in &request.brought {
        files.extend(format.write(request, ctx, &mut || steps.advance())?);
    }
    Ok(files)
}

fn num_all_steps(request: &ExportRequest) -> usize {
    let own = request.formats.iter().map(|&f| num_steps(request, f));
    let brought = request.brought.iter().map(|f| f.num_steps(request));
    own.chain(brought).sum()
}

/// Bytes that [`run`] will write, from the share of pixels kept in a few frames; 0 for a request
/// that [`run`] would refuse.
pub fn estimate_bytes(request: &ExportRequest) -> u64 {
    if check(request).is_err() {
        return 0;
    }
    let points = selection::estimate_points(request);
    let frames = (request.end - request.first) as u64;
    let brought = request.brought.iter().map(|f| f.estimate_bytes(request));
    request
        .formats
        .iter()
        .map(|format| match format {
            ExportFormat::Scene => request.scene.file_bytes() + 4096,
            ExportFormat::Ply => points * ply::point_bytes(&request.scene) + 512 * frames,
            ExportFormat::GlbFrames => points * glb::POINT_BYTES + 2560 * frames,
            ExportFormat::GlbAnimated => points * glb::POINT_BYTES + 2048 * frames,
        })
        .chain(brought)
        .sum()
}

fn write_format(
    request: &ExportRequest,
    format: ExportFormat,
    steps: &mut Steps<'_>,
) -> Result<Vec<PathBuf>> {
    match format {
        ExportFormat::Scene => write_scene(request, steps),
        ExportFormat::Ply => ply::write_frames(request, steps),
        ExportFormat::GlbFrames => sequence::write_frames(request, steps),
        ExportFormat::GlbAnimated => glb::write_animated(request, steps),
    }
}

fn num_steps(request: &ExportRequest, format: ExportFormat) -> usize {
    match format {
        ExportFormat::Scene => 1,
        _ => request.end - request.first,
    }
}

fn write_scene(request: &ExportRequest, steps: &mut Steps<'_>) -> Result<Vec<PathBuf>> {
    let whole = request.first == 0 && request.end == request.scene.num_frames;
    if !whole || request.stride > 1 {
        steps.warn("the scene file holds every frame and pixel, whatever the range and stride");
    }
    let path = request.out.join("scene.one4d");
    request.scene.save(&path)?;
    steps.advance()?;
    Ok(vec![path])
}

fn check(request: &ExportRequest) -> Result<()> {
    request.scene.check()?;
    let frames = request.scene.num_frames;
    if request.formats.is_empty() && request.brought.is_empty() {
        return Err(Error::invalid("export", "no format was chosen"));
    }
    if request.first >= request.end || request.end > frames {
        return Err(Error::invalid(
            "frame range",
            format!(
                "{}..{} is not within the scene's {frames} frames",
                request.first, request.end
            ),
        ));
    }
    if request.stride == 0 {
        return Err(Error::invalid("stride", "must be at least 1"));
    }
    if !(0.0..=1.0).contains(&request.min_confidence) {
        return Err(Error::invalid(
            "minimum confidence",
            format!("{} is not between 0 and 1", request.min_confidence),
        ));
    }
    Ok(())
}

/// Refuses to write files of points without a single one.
fn check_some_point(request: &ExportRequest) -> Result<()> {
    let needs_points = request.formats.iter().any(|f| *f != ExportFormat::Scene);
    let mut frames = request.first..request.end;
    if !needs_points || frames.any(|frame| !selection::select(request, frame).is_empty()) {
        return Ok(());
    }
    Err(Error::invalid(
        "export",
        "no frame of the range has a point that is finite and passes the filters; \
         lower the confidence, drop the validity filter or choose other frames",
    ))
}

/// The scene's frame rate; says so where it has to be assumed.
fn fps(request: &ExportRequest, steps: &Steps<'_>) -> f64 {
    let fps = request.scene.meta.fps;
    if fps.is_finite() && fps > 0.0 {
        return fps;
    }
    steps.warn(format!(
        "the scene does not tell its frame rate; {DEFAULT_FPS} per second are assumed"
    ));
    DEFAULT_FPS
}

/// Creates and returns a folder below the output folder.
fn subfolder(request: &ExportRequest, name: &str) -> Result<PathBuf> {
    let folder = request.out.join(name);
    fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, e))?;
    Ok(folder)
}

fn frame_path(folder: &Path, frame_idx: usize, extension: &str) -> PathBuf {
    folder.join(format!("frame_{frame_idx:05}.{extension}"))
}

/// Where the scene comes from, as name and value.
fn provenance(request: &ExportRequest) -> Vec<(&'static str, String)> {
    let meta = &request.scene.meta;
    [
        (
            "title",
            Some(&meta.title).filter(|t| !t.is_empty()).cloned(),
        ),
        ("model", meta.model.clone()),
        ("model_hash", meta.model_hash.clone()),
        ("prompt", meta.prompt.clone()),
        ("seed", meta.seed.map(|seed| seed.to_string())),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect()
}

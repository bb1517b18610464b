//! Videos longer than the model: overlapping windows, one after another, joined into one scene.
//!
//! Every window is observed whole and drawn from the same noise, and is a world and a scale of its
//! own until [`join_windows`] brings it to the first one's. First all windows are denoised, which
//! leaves latents of a few megabytes, then one after another is decoded and solved; only its scene is
//! kept. So memory grows with the scene and not with the model, and stages follow in their order.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::run::{develop, draw};
use super::runner::is_scene_file;
use super::{Model, ObservedClip, Request, Settled, Stopwatch};
use crate::job::{JobCtx, JobSink, Preview, Progress, Stage, Warning};
use crate::postopt::{JoinReport, Window, join_windows, window_spans};
use crate::scene::{self, Scene4d};
use crate::worker::{JoinRequest, Output};
use crate::{Error, Result};

/// Drift of a join, in median depths or degrees, from which on the user is told.
const MUCH_DRIFT: f64 = 0.05;
const MUCH_TURN_DEG: f64 = 2.0;

/// Frames that neighbouring windows share: a third of them. `None` for windows too short to overlap.
pub(super) fn overlap(length: usize) -> Option<usize> {
    Some(length / 3).filter(|n| *n > 0)
}

/// Generates every window of the clip and joins them.
///
/// # Errors
/// As [`super::generate_from`] and [`join_windows`].
pub(super) fn generate(
    model: &Model,
    request: &Request,
    settled: Settled,
    clip: &ObservedClip,
    watch: &mut Stopwatch,
    ctx: &JobCtx,
) -> Result<(Scene4d, Vec<JoinReport>)> {
    let length = model.manifest.frames;
    let spans = window_spans(settled.frames, length, overlap(length).unwrap_or(0))?;
    let inner = |done: usize| {
        ctx.with_sink(Arc::new(OfWindows {
            whole: ctx.clone(),
            done,
            windows: spans.len(),
        }))
    };
    let of_window = |span: &Range<usize>| Settled {
        frames: span.len(),
        ..settled
    };
    let mut drawn = Vec::with_capacity(spans.len());
    for (done, span) in spans.iter().enumerate() {
        let (part, seen) = (of_window(span), cut(clip, span));
        drawn.push(draw(model, request, part, &seen, watch, &inner(done))?);
    }
    let mut windows = Vec::with_capacity(spans.len());
    for (done, (span, latents)) in spans.iter().zip(drawn).enumerate() {
        let (part, seen) = (of_window(span), cut(clip, span));
        let given = (&seen, &latents);
        let scene = develop(model, request, part, given, watch, &inner(done))?;
        windows.push(Window {
            first: span.start,
            scene: Arc::new(scene),
        });
    }
    ctx.check()?;
    let (mut scene, joins) = join_windows(&windows)?;
    scene.meta.settings = json!({
        "request": request,
        "settled": settled,
        "windows": spans.iter().map(|s| [s.start, s.end]).collect::<Vec<_>>(),
        "joins": joins,
    });
    tell(&joins, ctx);
    Ok((scene, joins))
}

/// The observed frames of a window, counted from its first.
fn cut(clip: &ObservedClip, span: &Range<usize>) -> ObservedClip {
    let inside = clip.frames.iter().filter(|(at, _)| span.contains(at));
    ObservedClip {
        frames: inside
            .map(|(at, rgb)| (at - span.start, rgb.clone()))
            .collect(),
        num_frames: span.len(),
        height: clip.height,
        width: clip.width,
    }
}

/// Warns of joins whose windows disagree about where the camera was.
fn tell(joins: &[JoinReport], ctx: &JobCtx) {
    for join in joins {
        if join.centre > MUCH_DRIFT || join.rotation_deg > MUCH_TURN_DEG {
            ctx.warn(
                Stage::Optimise,
                format!(
                    "the windows that meet at frame {} disagree: their cameras are {:.1} degrees and \
                     {:.1} % of the depth apart",
                    join.at,
                    join.rotation_deg,
                    join.centre * 100.0
                ),
            );
        }
    }
}

/// A window's reports as part of all windows': stages count over the whole clip.
struct OfWindows {
    whole: JobCtx,
    done: usize,
    windows: usize,
}

impl JobSink for OfWindows {
    fn progress(&self, progress: Progress) {
        let done = self.done * progress.total + progress.done;
        // A cancelled job is noticed by the window's own next check.
        let _ = self
            .whole
            .step(progress.stage, done, self.windows * progress.total);
    }

    fn preview(&self, preview: Preview) {
        self.whole.preview(preview);
    }

    fn warn(&self, warning: Warning) {
        self.whole.warn(warning.stage, warning.message);
    }
}

/// Joins scene files.
///
/// # Errors
/// Those of opening; [`Error::Invalid`] for windows that do not overlap as was said, and as
/// [`join_windows`].
pub(super) fn join(
    request: &JoinRequest,
    ctx: &JobCtx,
    show: &dyn Fn(Arc<Scene4d>),
) -> Result<Output> {
    let windows = placed(request, ctx)?;
    ctx.step(Stage::Optimise, 0, 1)?;
    let (mut scene, joins) = join_windows(&windows)?;
    scene.meta.settings = json!({
        "joined_from": request.windows,
        "overlap": request.overlap,
        "joins": joins,
    });
    tell(&joins, ctx);
    ctx.step(Stage::Save, 0, 1)?;
    scene.save(&request.out)?;
    ctx.step(Stage::Save, 1, 1)?;
    let text = format!(
        "{} windows joined to {} frames of {} x {}",
        windows.len(),
        scene.num_frames,
        scene.width,
        scene.height
    );
    let report = json!({
        "frames": scene.num_frames,
        "height": scene.height,
        "width": scene.width,
        "joins": joins,
        "flags": scene.meta.flags,
        "files": [request.out],
        "text": text,
    });
    show(Arc::new(scene));
    Ok(Output {
        files: vec![request.out.clone()],
        report,
    })
}

/// The windows in their places, each sharing the overlap with the one before.
fn placed(request: &JoinRequest, ctx: &JobCtx) -> Result<Vec<Window>> {
    let total = request.windows.len();
    if total < 2 {
        return Err(Error::invalid("windows", "at least two scenes are needed"));
    }
    let mut windows: Vec<Window> = Vec::with_capacity(total);
    let mut end = 0;
    for (done, path) in request.windows.iter().enumerate() {
        ctx.step(Stage::Load, done, total)?;
        let scene = Arc::new(open_window(path)?);
        let first = if done == 0 {
            0
        } else {
            let shared = request.overlap;
            let shortest = scene.num_frames.min(windows[done - 1].scene.num_frames);
            if shared == 0 || shared >= shortest {
                return Err(Error::invalid(
                    format!("overlap of {shared} frames"),
                    format!(
                        "between 1 and {} are possible at {}",
                        shortest.saturating_sub(1),
                        path.display()
                    ),
                ));
            }
            end - shared
        };
        end = first + scene.num_frames;
        windows.push(Window { first, scene });
    }
    Ok(windows)
}

fn open_window(path: &Path) -> Result<Scene4d> {
    if !is_scene_file(path) {
        let reason = "is no scene file; import what other tools left first";
        return Err(Error::format(path, reason));
    }
    scene::open(path)
}

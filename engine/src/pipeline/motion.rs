//! What moves in a scene: its scene flow and mask, from flow files or from its own pictures.

use std::sync::Arc;

use serde_json::json;

use super::runner::is_scene_file;
use crate::flow::{DenseFlow, FlowFiles, FlowProvider, find_motion};
use crate::import::{self, ImportRequest};
use crate::job::{JobCtx, Stage};
use crate::scene::{self, Plane, Scene4d};
use crate::worker::{MotionRequest, Output, SceneSource};
use crate::{Error, Result};

/// Finds what moves and adds it to the scene.
///
/// # Errors
/// Those of opening and of the flow; [`Error::Invalid`] for a scene without cameras or depth.
pub(super) fn find(
    request: &MotionRequest,
    ctx: &JobCtx,
    show: &dyn Fn(Arc<Scene4d>),
) -> Result<Output> {
    ctx.step(Stage::Load, 0, 1)?;
    let scene = match &request.scene {
        SceneSource::Open(scene) => Arc::clone(scene),
        SceneSource::File(path) if is_scene_file(path) => Arc::new(scene::open(path)?),
        SceneSource::File(path) => Arc::new(import::import(&ImportRequest::new(path), ctx)?.scene),
    };
    if scene.num_frames < 2 {
        return Err(Error::invalid(
            "scene",
            "motion needs two frames, this one has 1",
        ));
    }
    let mut source: Box<dyn FlowProvider> = match &request.flow {
        Some(folder) => Box::new(FlowFiles::of_folder(folder, scene.num_frames)?),
        None => Box::new(DenseFlow::new(Arc::clone(&scene))),
    };
    ctx.step(Stage::Load, 1, 1)?;
    let found = find_motion(&scene, &mut *source, ctx)?;
    let moving = Arc::new(Scene4d {
        scene_flow: Some(Plane::new(found.scene_flow)),
        dynamic: Some(Plane::new(found.mask)),
        ..(*scene).clone()
    });
    moving.check()?;
    let mut files = Vec::new();
    if let Some(out) = &request.out {
        ctx.step(Stage::Save, 0, 1)?;
        moving.save(out)?;
        ctx.step(Stage::Save, 1, 1)?;
        files.push(out.clone());
    }
    show(Arc::clone(&moving));
    let report = json!({
        "frames": moving.num_frames,
        "moving": found.report.moving,
        "static_jitter": found.report.static_jitter,
        "flow": if request.flow.is_some() { "files" } else { "computed" },
        "files": files,
        "text": format!(
            "{:.1} % of the clip moves; what stands still jitters by {:.2} % of its depth",
            found.report.moving * 100.0,
            found.report.static_jitter * 100.0
        ),
    });
    Ok(Output { files, report })
}

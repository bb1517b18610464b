//! Scenes whose frames were centred one by one, brought back to one place and solved again.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::Result;
use crate::flow::{DenseFlow, FlowProvider, offsets_by_flow};
use crate::job::{JobCtx, Stage};
use crate::postopt::reanchor::move_frames;
use crate::postopt::{PointmapClip, SolveOptions, solve};
use crate::scene::{Plane, Points, Scene4d, SolverFlag, validity};

/// Recovers where the camera goes, where the scene's flags say that this was lost; warns if the
/// pictures hold too little that stands still, and then leaves the scene as it is.
///
/// # Errors
/// Those of the solver; [`crate::Error::Cancelled`].
pub(super) fn reanchored(scene: Scene4d, ctx: &JobCtx) -> Result<Scene4d> {
    let lost = (None, SolverFlag::PerFrameCentred);
    if scene.num_frames < 2 || !scene.meta.flags.contains(&lost) {
        return Ok(scene);
    }
    let scene = Arc::new(scene);
    let mut flow = DenseFlow::without_cameras(Arc::clone(&scene));
    match reanchor(&scene, &mut flow, ctx)? {
        Some(found) => Ok(found),
        None => {
            ctx.warn(
                Stage::Motion,
                "every frame is centred on its own, and too little stands still to find where the \
                 camera goes",
            );
            Ok(Arc::unwrap_or_clone(scene))
        }
    }
}

/// The scene with its frames in one place and cameras solved anew; `None` where matches do not agree.
///
/// # Errors
/// Those of the flow and the solver; [`crate::Error::Cancelled`].
pub fn reanchor(
    scene: &Scene4d,
    flow: &mut dyn FlowProvider,
    ctx: &JobCtx,
) -> Result<Option<Scene4d>> {
    let Some(offsets) = offsets_by_flow(scene, flow, ctx)? else {
        return Ok(None);
    };
    let mut points = Vec::with_capacity(scene.points.len());
    for i in 0..scene.num_frames {
        points.extend_from_slice(&scene.frame_points(i));
    }
    move_frames(&mut points, &offsets);
    // Edges are found again; what was ruled out beforehand stays so.
    let before = validity::FINITE | validity::NOT_CLIPPED | validity::NOT_SKY;
    let valid: Vec<u8> = scene
        .valid
        .as_slice()
        .iter()
        .map(|bits| (bits & before) | validity::NOT_EDGE)
        .collect();
    let clip = PointmapClip {
        points: &points,
        valid: Some(&valid),
        confidence: None,
        frames: scene.num_frames,
        height: scene.height,
        width: scene.width,
    };
    let solution = solve(&clip, &SolveOptions::default(), ctx)?;
    let mut meta = scene.meta.clone();
    meta.flags = solution.flags;
    let note = "every frame was centred on its own; where the camera goes was recovered from what \
                stands still in the pictures";
    let known = meta.settings.get("notes").and_then(Value::as_array);
    let mut notes = known.cloned().unwrap_or_default();
    notes.push(json!(note));
    if !meta.settings.is_object() {
        meta.settings = json!({});
    }
    meta.settings["notes"] = json!(notes);
    let found = Scene4d {
        points: Points::F32(Plane::new(solution.points)),
        valid: Plane::new(solution.valid),
        depth: Some(Plane::new(solution.depth)),
        cameras: Some(solution.cameras.into()),
        scene_flow: None,
        meta,
        ..scene.clone()
    };
    found.check()?;
    Ok(Some(found))
}

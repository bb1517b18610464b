//! One GLB a frame and `sequence.json`, which says how they belong together.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::gltf::{NodePose, lens_warning, node_poses};
use super::{Steps, fps, frame_path, glb, provenance, subfolder};
use crate::atomic_file;
use crate::geometry::Camera;
use crate::worker::ExportRequest;
use crate::{Error, Result};

/// Writes `glb/frame_00000.glb` and so on, and last `glb/sequence.json`, whose presence says that
/// the sequence is whole.
pub(super) fn write_frames(request: &ExportRequest, steps: &mut Steps<'_>) -> Result<Vec<PathBuf>> {
    let fps = fps(request, steps);
    let folder = subfolder(request, "glb")?;
    let cameras = glb::cameras(request);
    if let Some(warning) = cameras.and_then(|all| lens_warning(&request.scene, all)) {
        steps.warn(warning);
    }
    let poses = cameras.map(node_poses);
    let mut files = Vec::new();
    let mut entries = Vec::new();
    for position in 0..request.end - request.first {
        let frame = glb::FrameCount::of(request, request.first + position);
        let path = frame_path(&folder, frame.frame_idx, "glb");
        let camera = cameras.map(|all| &all[position]);
        glb::write_frame(request, &frame, camera, &path)?;
        let pose = poses.as_ref().map(|all| &all[position]);
        entries.push(json!({
            "file": path.file_name().map(|name| name.to_string_lossy()),
            "frame": frame.frame_idx,
            "time_secs": position as f64 / fps,
            "points": frame.count,
            "camera": camera.zip(pose).map(|(c, p)| camera_entry(request, c, p)),
        }));
        files.push(path);
        steps.advance()?;
    }
    let path = folder.join("sequence.json");
    let provenance: serde_json::Map<String, Value> = provenance(request)
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    let sequence = json!({
        "format": "one4d-sequence",
        "version": 1,
        "fps": fps,
        "axes": "glTF: x right, y up, camera looks down -z",
        "scale": request.scene.meta.scale,
        "width_px": request.scene.width,
        "height_px": request.scene.height,
        "provenance": provenance,
        "frames": entries,
    });
    let text = serde_json::to_string_pretty(&sequence)
        .map_err(|e| Error::format(&path, format!("cannot be written: {e}")))?;
    atomic_file::write(&path, text.as_bytes())?;
    files.push(path);
    Ok(files)
}

fn camera_entry(request: &ExportRequest, camera: &Camera, pose: &NodePose) -> Value {
    let k = &camera.intrinsics;
    json!({
        "fx_px": k.fx_px, "fy_px": k.fy_px, "cx_px": k.cx_px, "cy_px": k.cy_px,
        "yfov_rad": k.fov_y_rad(request.scene.height),
        "translation": pose.translation,
        "rotation_xyzw": pose.rotation,
    })
}

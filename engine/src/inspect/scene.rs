//! Scenes, described from their header.

use super::{Inspection, Kind, reason};
use crate::atomic_file::human_bytes;
use crate::scene::{self, TensorFile};

/// True for a file that means to be a scene, right or wrong.
pub(super) fn is_scene(file: &TensorFile) -> bool {
    file.metadata.contains_key("format_version")
        || ["rgb", "points", "valid"]
            .iter()
            .all(|name| file.tensors.contains_key(*name))
}

pub(super) fn describe(file: &TensorFile, found: &mut Inspection) {
    found.kind = Kind::Scene;
    let scene = match scene::open(&file.path) {
        Ok(scene) => scene,
        Err(error) => {
            found.problems.push(reason(&error));
            return;
        }
    };
    let meta = &scene.meta;
    found.fact("frames", scene.num_frames);
    found.fact("size", format!("{} x {} pixels", scene.width, scene.height));
    found.fact("rate", format!("{} frames per second", meta.fps));
    found.fact("scale", meta.scale.label());
    for (name, value) in [
        ("title", Some(&meta.title).filter(|title| !title.is_empty())),
        ("prompt", meta.prompt.as_ref()),
        ("model", meta.model.as_ref()),
    ] {
        if let Some(value) = value {
            found.fact(name, value);
        }
    }
    if let Some(seed) = meta.seed {
        found.fact("seed", seed);
    }
    let planes = [
        ("cameras", scene.cameras.is_some()),
        ("depth", scene.depth.is_some()),
        ("confidence", scene.confidence.is_some()),
        ("scene flow", scene.scene_flow.is_some()),
        ("dynamic mask", scene.dynamic.is_some()),
    ];
    let held: Vec<&str> = planes.iter().filter(|p| p.1).map(|p| p.0).collect();
    found.fact(
        "also holds",
        if held.is_empty() {
            "nothing".to_owned()
        } else {
            held.join(", ")
        },
    );
    for (frame_idx, flag) in &meta.flags {
        let whose = frame_idx.map_or_else(|| "clip".to_owned(), |idx| format!("frame {idx}"));
        found.fact("flag", format!("{flag:?} ({whose})"));
    }
    // The viewport keeps 12 bytes of position and 4 of colour for every pixel.
    let shown = 16 * (scene.num_frames * scene.pixels_per_frame()) as u64;
    found.needs.push(format!(
        "{} of GPU memory to show every frame",
        human_bytes(shown)
    ));
}

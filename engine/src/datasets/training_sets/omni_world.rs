//! OmniWorld-Game: a scene is cut into splits, each with its own `camera/split_N.json`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use glam::DVec3;
use serde::Deserialize;

use super::SequenceReader;
use super::disk;
use super::sequence::{FrameFiles, Frames, Sequence, grey16_depth};
use crate::geometry::{Camera, CameraFromWorld, Intrinsics};
use crate::import::{Budget, Reason, rotation_of};
use crate::metrics::DepthMap;
use crate::scene::ScaleTag;
use crate::{Error, Result};

pub(super) struct OmniWorld {
    names: Vec<String>,
    places: Vec<Place>,
}

struct Place {
    scene: PathBuf,
    split: usize,
    frames: Vec<u64>,
}

#[derive(Deserialize)]
struct SplitInfo {
    split: Vec<Vec<u64>>,
}

/// Cameras of a split: `w x y z` and translation, world to camera.
#[derive(Deserialize)]
struct SplitCameras {
    focals: Vec<f64>,
    cx: f64,
    cy: f64,
    quats: Vec<[f64; 4]>,
    trans: Vec<[f64; 3]>,
}

impl OmniWorld {
    pub(super) fn find(root: &Path) -> Result<Self> {
        let (mut names, mut places) = (Vec::new(), Vec::new());
        for (name, scene) in disk::holding(root, 2, "split_info.json")? {
            let info: SplitInfo = disk::parse_text(&scene.join("split_info.json"), json)?;
            for (split, frames) in info.split.into_iter().enumerate() {
                names.push(format!("{name}/split_{split}"));
                places.push(Place {
                    scene: scene.clone(),
                    split,
                    frames,
                });
            }
        }
        Ok(Self { names, places })
    }
}

impl SequenceReader for OmniWorld {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn skipped(&self) -> &[(String, String)] {
        &[]
    }

    fn scale(&self) -> ScaleTag {
        ScaleTag::UpToScale
    }

    fn open(&self, index: usize) -> Result<Sequence> {
        let Place {
            scene,
            split,
            frames,
        } = &self.places[index];
        let path = scene.join(format!("camera/split_{split}.json"));
        let cameras = disk::parse_text(&path, |text| cameras(&json(text)?))?;
        if cameras.len() != frames.len() {
            let reason = format!(
                "{} cameras, split_info.json lists {} frames",
                cameras.len(),
                frames.len()
            );
            return Err(Error::format(&path, reason));
        }
        let file = |kind: &str, number: u64| scene.join(format!("{kind}/{number:06}.png"));
        Ok(Sequence {
            name: self.names[index].clone(),
            cameras,
            lens_size: None,
            caption: String::new(),
            frames: Frames::Files {
                files: frames
                    .iter()
                    .map(|&number| FrameFiles {
                        rgb: file("color", number),
                        depth: file("depth", number),
                    })
                    .collect(),
                code: depth_map,
            },
        })
    }
}

fn json<T: serde::de::DeserializeOwned>(text: &str) -> Reason<T> {
    serde_json::from_str(text).map_err(|e| e.to_string())
}

fn cameras(split: &SplitCameras) -> Reason<Vec<Camera>> {
    let lengths = BTreeMap::from([
        ("focals", split.focals.len()),
        ("quats", split.quats.len()),
        ("trans", split.trans.len()),
    ]);
    if lengths.values().any(|n| *n != split.focals.len()) {
        return Err(format!("arrays of different lengths: {lengths:?}"));
    }
    (0..split.focals.len())
        .map(|i| {
            let [w, x, y, z] = split.quats[i];
            let pose = CameraFromWorld {
                rotation: rotation_of([x, y, z, w]).map_err(|why| format!("frame {i}: {why}"))?,
                translation: DVec3::from_array(split.trans[i]),
            };
            Ok(Camera {
                intrinsics: Intrinsics {
                    fx_px: split.focals[i],
                    fy_px: split.focals[i],
                    cx_px: split.cx,
                    cy_px: split.cy,
                },
                world_from_camera: pose.inverse(),
            })
        })
        .collect()
}

/// `d / (1000 - 999 d) / 0.004` with `d = raw / 65535`; near and far ends are no depth.
fn depth_map(bytes: &[u8], budget: &Budget) -> Reason<DepthMap> {
    grey16_depth(bytes, budget, |raw| {
        let d = f32::from(raw) / 65_535.0;
        if d < 0.0015 || raw > 65_500 {
            f32::NAN
        } else {
            d / (1000.0 - 999.0 * d) / 0.004
        }
    })
}

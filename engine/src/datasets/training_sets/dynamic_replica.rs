//! Dynamic Replica: one gzipped JSON list of frames, PyTorch3D cameras, half floats in 16-bit PNG.
//!
//! PyTorch3D has x left and y up and multiplies rows: the first two columns of `R` and the first two
//! numbers of `T` change sign, then `R` is transposed. Lenses are in NDC: `f_px = f s`,
//! `pp_px = (w, h) / 2 - pp s` with `s = min(h, w) / 2` for `ndc_isotropic`, else `(w, h) / 2`.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use glam::{DMat3, DVec3};
use half::f16;
use serde::Deserialize;

use super::SequenceReader;
use super::disk;
use super::sequence::{FrameFiles, Frames, Sequence, grey16_depth};
use crate::geometry::{Camera, CameraFromWorld, Intrinsics};
use crate::import::{Budget, Reason, rotation_of_rows};
use crate::metrics::DepthMap;
use crate::scene::ScaleTag;
use crate::{Error, Result};

/// Most bytes that the annotations may unpack to.
const MAX_ANNOTATION_BYTES: u64 = 4 << 30;
/// Depth below is none.
const MIN_DEPTH: f32 = 1e-5;

pub(super) struct DynamicReplica {
    names: Vec<String>,
    sequences: Vec<Annotated>,
}

/// Frames of one sequence and eye, and the folder that their paths start from.
struct Annotated {
    folder: PathBuf,
    frames: Vec<Annotation>,
}

#[derive(Deserialize)]
struct Annotation {
    sequence_name: String,
    camera_name: String,
    #[serde(default)]
    frame_number: u64,
    image: ImageAnnotation,
    depth: PathAnnotation,
    viewpoint: Viewpoint,
}

#[derive(Deserialize)]
struct ImageAnnotation {
    path: String,
    /// Height, width.
    size: [f64; 2],
}

#[derive(Deserialize)]
struct PathAnnotation {
    path: String,
}

#[derive(Deserialize)]
struct Viewpoint {
    #[serde(rename = "R")]
    r: [[f64; 3]; 3],
    #[serde(rename = "T")]
    t: [f64; 3],
    focal_length: [f64; 2],
    principal_point: [f64; 2],
    #[serde(default)]
    intrinsics_format: String,
}

impl DynamicReplica {
    pub(super) fn find(root: &Path) -> Result<Self> {
        let mut by_name: BTreeMap<String, Annotated> = BTreeMap::new();
        let below = disk::folders(root)?.into_iter().map(|name| root.join(name));
        for folder in std::iter::once(root.to_owned()).chain(below) {
            for name in disk::names(&folder)? {
                let split = name.strip_prefix("frame_annotations_");
                if split.and_then(|rest| rest.strip_suffix(".jgz")).is_none() {
                    continue;
                }
                for frame in annotations(&folder.join(&name))? {
                    let eye = format!("{}_{}", frame.sequence_name, frame.camera_name);
                    let split = folder.strip_prefix(root).unwrap_or(&folder).display();
                    let full = format!("{split}/{eye}");
                    by_name
                        .entry(full.trim_start_matches('/').to_owned())
                        .or_insert_with(|| Annotated {
                            folder: folder.clone(),
                            frames: Vec::new(),
                        })
                        .frames
                        .push(frame);
                }
            }
        }
        for sequence in by_name.values_mut() {
            sequence.frames.sort_by_key(|frame| frame.frame_number);
        }
        let (names, sequences) = by_name.into_iter().unzip();
        Ok(Self { names, sequences })
    }
}

impl SequenceReader for DynamicReplica {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn skipped(&self) -> &[(String, String)] {
        &[]
    }

    fn scale(&self) -> ScaleTag {
        ScaleTag::Metric
    }

    fn open(&self, index: usize) -> Result<Sequence> {
        let Annotated { folder, frames } = &self.sequences[index];
        let error = |reason: String| Error::format(folder, reason);
        let cameras = frames
            .iter()
            .map(|frame| {
                camera(frame).map_err(|reason| format!("frame {}: {reason}", frame.frame_number))
            })
            .collect::<Reason<_>>()
            .map_err(error)?;
        let files = frames
            .iter()
            .map(|frame| {
                Ok(FrameFiles {
                    rgb: below(folder, &frame.image.path)?,
                    depth: below(folder, &frame.depth.path)?,
                })
            })
            .collect::<Reason<_>>()
            .map_err(error)?;
        let [height, width] = frames[0].image.size;
        Ok(Sequence {
            name: self.names[index].clone(),
            cameras,
            lens_size: Some((height, width)),
            caption: String::new(),
            frames: Frames::Files {
                files,
                code: depth_map,
            },
        })
    }
}

fn annotations(path: &Path) -> Result<Vec<Annotation>> {
    let file = std::fs::File::open(path).map_err(|e| Error::io(path, e))?;
    let unpacked = MultiGzDecoder::new(std::io::BufReader::new(file)).take(MAX_ANNOTATION_BYTES);
    serde_json::from_reader(std::io::BufReader::new(unpacked))
        .map_err(|e| Error::format(path, format!("no gzipped list of frames: {e}")))
}

/// A path of the annotations; one that leads out of the folder is refused.
fn below(folder: &Path, path: &str) -> Reason<PathBuf> {
    let leads_out = path.starts_with('/') || path.split(['/', '\\']).any(|part| part == "..");
    if leads_out {
        return Err(format!("the path {path:?} leads out of the data set"));
    }
    Ok(folder.join(path))
}

fn camera(frame: &Annotation) -> Reason<Camera> {
    let Viewpoint {
        r,
        t,
        focal_length: [fx, fy],
        principal_point: [px, py],
        intrinsics_format,
    } = &frame.viewpoint;
    let [height, width] = frame.image.size;
    if !(height >= 1.0 && width >= 1.0) {
        return Err(format!("a picture of {width} x {height} pixels"));
    }
    let (scale_x, scale_y) = if intrinsics_format.eq_ignore_ascii_case("ndc_isotropic") {
        let half = height.min(width) / 2.0;
        (half, half)
    } else {
        (width / 2.0, height / 2.0)
    };
    // Their rows are our columns, and the first two axes of the camera point the other way.
    let rows = rotation_of_rows(r.as_flattened())?;
    let flip = DMat3::from_diagonal(DVec3::new(-1.0, -1.0, 1.0));
    let pose = CameraFromWorld {
        rotation: (rows * flip).transpose(),
        translation: flip * DVec3::from_array(*t),
    };
    Ok(Camera {
        intrinsics: Intrinsics {
            fx_px: fx * scale_x,
            fy_px: fy * scale_y,
            cx_px: width / 2.0 - px * scale_x,
            cy_px: height / 2.0 - py * scale_y,
        },
        world_from_camera: pose.inverse(),
    })
}

/// The 16 bits of a pixel are a half float.
fn depth_map(bytes: &[u8], budget: &Budget) -> Reason<DepthMap> {
    grey16_depth(bytes, budget, |raw| {
        let depth = f16::from_bits(raw).to_f32();
        if depth.is_finite() && depth >= MIN_DEPTH {
            depth
        } else {
            f32::NAN
        }
    })
}

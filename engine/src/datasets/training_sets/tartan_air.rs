//! TartanAir: `ENV/{Easy,Hard}/P000` with left pictures, depth as `.npy` and poses in NED.
//!
//! A pose is camera to world with x forward, y right, z down on both sides. House axes are
//! `(right, down, forward) = (y, z, x)`, so with `P` that permutation `R' = P R P^T`, `t' = P t`.

use std::path::{Path, PathBuf};

use glam::{DMat3, DVec3};

use super::SequenceReader;
use super::disk;
use super::sequence::{Frames, Sequence, pair_files};
use crate::Result;
use crate::geometry::{Camera, Intrinsics, WorldFromCamera};
use crate::import::{Budget, NpyArray, Reason, numbers, rotation_of};
use crate::metrics::DepthMap;
use crate::scene::ScaleTag;

/// Depth from here on is sky, which the renderer puts at about 10000 m.
const SKY_M: f32 = 5_000.0;
/// Height, width and focal length of every picture, pixels.
const SIZE: (f64, f64) = (480.0, 640.0);
const FOCAL_PX: f64 = 320.0;

pub(super) struct TartanAir {
    names: Vec<String>,
    folders: Vec<PathBuf>,
}

impl TartanAir {
    pub(super) fn find(root: &Path) -> Result<Self> {
        let (names, folders) = disk::holding(root, 4, "pose_left.txt")?.into_iter().unzip();
        Ok(Self { names, folders })
    }
}

impl SequenceReader for TartanAir {
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
        let folder = &self.folders[index];
        let cameras = disk::parse_text(&folder.join("pose_left.txt"), cameras)?;
        let rgb = disk::numbered(&folder.join("image_left"), "", "_left.png")?;
        let depth = disk::numbered(&folder.join("depth_left"), "", "_left_depth.npy")?;
        Ok(Sequence {
            name: self.names[index].clone(),
            frames: Frames::Files {
                files: pair_files(folder, rgb, depth, cameras.len())?,
                code: depth_map,
            },
            cameras,
            lens_size: Some(SIZE),
            caption: String::new(),
        })
    }
}

/// Rows `(y, z, x)`.
fn house_from_ned() -> DMat3 {
    DMat3::from_cols(DVec3::Z, DVec3::X, DVec3::Y)
}

fn cameras(text: &str) -> Reason<Vec<Camera>> {
    let turn = house_from_ned();
    let camera = |(i, row): (usize, Vec<f64>)| {
        let [x, y, z, qx, qy, qz, qw] = row[..] else {
            return Err(format!("pose {i}: 7 numbers required, got {}", row.len()));
        };
        let rotation = rotation_of([qx, qy, qz, qw]).map_err(|why| format!("pose {i}: {why}"))?;
        Ok(Camera {
            intrinsics: Intrinsics {
                fx_px: FOCAL_PX,
                fy_px: FOCAL_PX,
                cx_px: SIZE.1 / 2.0,
                cy_px: SIZE.0 / 2.0,
            },
            world_from_camera: WorldFromCamera {
                rotation: turn * rotation * turn.transpose(),
                translation: turn * DVec3::new(x, y, z),
            },
        })
    };
    numbers::rows(text)?
        .into_iter()
        .enumerate()
        .map(camera)
        .collect()
}

fn depth_map(bytes: &[u8], budget: &Budget) -> Reason<DepthMap> {
    let array = NpyArray::parse(bytes)?;
    let [height, width] = array.shape[..] else {
        return Err(format!("[H, W] required, got {:?}", array.shape));
    };
    let values = array.to_f32(budget)?.into_iter().map(|d| {
        if d >= SKY_M {
            f32::INFINITY
        } else if d > 0.0 {
            d
        } else {
            f32::NAN
        }
    });
    Ok(DepthMap {
        height,
        width,
        values: values.collect(),
    })
}

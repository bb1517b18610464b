//! BEDLAM: rendered people, Unreal cameras in CSV, depth as EXR in centimetres.
//!
//! Unreal: x forward, y right, z up, degrees, yaw left-handed. With
//! `R_ue = Rx(roll) Ry(pitch) Rz(-yaw)` and `C` the rows `(y, -z, x)`, world to camera is
//! `C R_ue C^T` and the centre `(y, -z, x) / 100`.

use std::path::{Path, PathBuf};

use glam::{DMat3, DVec3};

use super::SequenceReader;
use super::disk;
use super::sequence::{FrameFiles, Frames, Sequence};
use crate::geometry::{Camera, CameraFromWorld, Intrinsics};
use crate::import::{Budget, Reason, pictures};
use crate::metrics::DepthMap;
use crate::scene::ScaleTag;
use crate::{Error, Result};

/// Scenes before a photographed sky, whose depth is none.
const HDRI: [&str; 4] = [
    "20221010_3_1000_batch01hand",
    "20221017_3_1000_batch01hand",
    "20221018_3-8_250_batch01hand",
    "20221019_3_250_highbmihand",
];
const COLUMNS: [&str; 9] = [
    "x",
    "y",
    "z",
    "yaw",
    "pitch",
    "roll",
    "focal_length",
    "sensor_width",
    "sensor_height",
];

pub(super) struct Bedlam {
    names: Vec<String>,
    places: Vec<(PathBuf, String)>,
    skipped: Vec<(String, String)>,
}

impl Bedlam {
    pub(super) fn find(root: &Path) -> Result<Self> {
        let mut found = Self {
            names: Vec::new(),
            places: Vec::new(),
            skipped: Vec::new(),
        };
        for (scene, folder) in disk::holding(root, 2, "ground_truth/camera")? {
            let name = folder.file_name().unwrap_or_default().to_string_lossy();
            if name.contains("closeup") {
                let why = "portrait close-ups are turned by 90 degrees";
                found.skipped.push((scene, why.to_owned()));
                continue;
            }
            if HDRI.contains(&&*name) {
                let why = "a photographed surrounding without depth";
                found.skipped.push((scene, why.to_owned()));
                continue;
            }
            for file in disk::names(&folder.join("ground_truth/camera"))? {
                if let Some(sequence) = file.strip_suffix("_camera.csv") {
                    found.names.push(format!("{scene}/{sequence}"));
                    found.places.push((folder.clone(), sequence.to_owned()));
                }
            }
        }
        Ok(found)
    }
}

impl SequenceReader for Bedlam {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn skipped(&self) -> &[(String, String)] {
        &self.skipped
    }

    fn scale(&self) -> ScaleTag {
        ScaleTag::Metric
    }

    fn open(&self, index: usize) -> Result<Sequence> {
        let (folder, sequence) = &self.places[index];
        let path = folder.join(format!("ground_truth/camera/{sequence}_camera.csv"));
        let all = disk::parse_text(&path, cameras)?;
        let prefix = format!("{sequence}_");
        let rgb = disk::numbered(&folder.join("png").join(sequence), &prefix, ".png")?;
        let depth_folder = folder.join("depth").join(sequence);
        // Depth may have been rendered for every fifth frame only: those frames make the sequence.
        let depth = disk::numbered(&depth_folder, &prefix, "_depth.exr")?;
        let (mut files, mut cameras) = (Vec::new(), Vec::new());
        for (number, depth) in depth {
            let picture = rgb.binary_search_by_key(&number, |(own, _)| *own);
            let (Ok(at), Some(camera)) = (picture, all.get(number as usize)) else {
                let reason = format!(
                    "frame {number} has depth but no picture, or is past the {} lines of {}",
                    all.len(),
                    path.display()
                );
                return Err(Error::format(&depth_folder, reason));
            };
            cameras.push(*camera);
            files.push(FrameFiles {
                rgb: rgb[at].1.clone(),
                depth,
            });
        }
        Ok(Sequence {
            name: self.names[index].clone(),
            cameras,
            lens_size: Some((1.0, 1.0)),
            caption: String::new(),
            frames: Frames::Files {
                files,
                code: depth_map,
            },
        })
    }
}

/// Cameras by line; lenses for a picture of 1 x 1.
fn cameras(text: &str) -> Reason<Vec<Camera>> {
    let mut lines = text.lines().enumerate();
    let header: Vec<&str> = lines
        .next()
        .map(|(_, line)| line.split(',').map(str::trim).collect())
        .unwrap_or_default();
    let columns = COLUMNS
        .iter()
        .map(|wanted| {
            header
                .iter()
                .position(|name| name == wanted)
                .ok_or_else(|| format!("the column {wanted} is missing"))
        })
        .collect::<Reason<Vec<usize>>>()?;
    let mut cameras = Vec::new();
    for (i, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        let words: Vec<&str> = line.split(',').map(str::trim).collect();
        let number = |column: &usize| -> Reason<f64> {
            let word = words.get(*column).copied().unwrap_or_default();
            word.parse()
                .map_err(|_| format!("line {}: `{word}` is no number", i + 1))
        };
        let row = columns.iter().map(number).collect::<Reason<Vec<f64>>>()?;
        cameras.push(camera(&row));
    }
    Ok(cameras)
}

/// A camera by its numbers in the order of [`COLUMNS`].
fn camera(row: &[f64]) -> Camera {
    let angle = |i: usize| row[i].to_radians();
    let unreal = DMat3::from_rotation_x(angle(5))
        * DMat3::from_rotation_y(angle(4))
        * DMat3::from_rotation_z(-angle(3));
    // Rows (y, -z, x).
    let house = DMat3::from_cols(DVec3::Z, DVec3::X, -DVec3::Y);
    let rotation = house * unreal * house.transpose();
    let centre = house * DVec3::new(row[0], row[1], row[2]) / 100.0;
    Camera {
        intrinsics: Intrinsics {
            fx_px: row[6] / row[7],
            fy_px: row[6] / row[8],
            cx_px: 0.5,
            cy_px: 0.5,
        },
        world_from_camera: CameraFromWorld {
            rotation,
            translation: -(rotation * centre),
        }
        .inverse(),
    }
}

fn depth_map(bytes: &[u8], budget: &Budget) -> Reason<DepthMap> {
    let mut map = pictures::exr_channel(bytes, &["Depth"], budget)?;
    for value in &mut map.values {
        *value = if value.is_finite() && *value > 0.0 {
            *value / 100.0
        } else {
            f32::NAN
        };
    }
    Ok(map)
}

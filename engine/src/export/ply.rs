//! Binary little-endian PLY, one file a frame.
//!
//! `float x y z`, `uchar red green blue`, then what the scene has: `float quality` (MeshLab's name)
//! and `float scalar_confidence` (CloudCompare's), `uchar dynamic`, `float vx vy vz`. No property is
//! called `confidence`, which MeshLab reads wrongly, and no value is NaN, which Blender turns into 0.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::selection::{Kept, select};
use super::{Steps, frame_path, provenance, subfolder};
use crate::Result;
use crate::atomic_file;
use crate::scene::{Half, Plane, Scene4d};
use crate::worker::ExportRequest;

/// Optional columns of a frame.
struct Columns<'a> {
    confidence: Option<&'a [Half]>,
    dynamic: Option<&'a [u8]>,
    /// Three values a pixel; the last frame of a scene has no flow.
    flow: Option<&'a [Half]>,
}

/// Bytes of a point with every column that the scene has.
pub(super) fn point_bytes(scene: &Scene4d) -> u64 {
    let columns = Columns::of(scene, 0);
    15 + columns.confidence.map_or(0, |_| 8)
        + columns.dynamic.map_or(0, |_| 1)
        + columns.flow.map_or(0, |_| 12)
}

/// Writes `ply/frame_00000.ply` and so on.
pub(super) fn write_frames(request: &ExportRequest, steps: &mut Steps<'_>) -> Result<Vec<PathBuf>> {
    let folder = subfolder(request, "ply")?;
    let mut files = Vec::new();
    for frame_idx in request.first..request.end {
        let path = frame_path(&folder, frame_idx, "ply");
        atomic_file::write(&path, &frame_bytes(request, frame_idx))?;
        files.push(path);
        steps.advance()?;
    }
    Ok(files)
}

fn frame_bytes(request: &ExportRequest, frame_idx: usize) -> Vec<u8> {
    let columns = Columns::of(&request.scene, frame_idx);
    let points = select(request, frame_idx);
    let mut bytes = header(request, frame_idx, &columns, points.len()).into_bytes();
    bytes.reserve(points.len() * point_bytes(&request.scene) as usize);
    for point in &points {
        columns.append(&mut bytes, point);
    }
    bytes
}

fn header(
    request: &ExportRequest,
    frame_idx: usize,
    columns: &Columns<'_>,
    count: usize,
) -> String {
    let scene = &request.scene;
    let mut text = String::from("ply\nformat binary_little_endian 1.0\n");
    let mut line = |args: std::fmt::Arguments<'_>| {
        // Writing to a string cannot fail.
        let _ = text.write_fmt(args);
        text.push('\n');
    };
    line(format_args!(
        "comment OpenCV axes: x right, y down, z forward; world = camera of frame 0"
    ));
    line(format_args!(
        "comment frame {frame_idx} of {}, {} frames per second, scale {:?}",
        scene.num_frames, scene.meta.fps, scene.meta.scale
    ));
    for (name, value) in provenance(request) {
        line(format_args!("comment {name}: {}", one_ascii_line(&value)));
    }
    if columns.flow.is_some() {
        line(format_args!("comment vx vy vz: scene units per frame"));
    }
    line(format_args!("element vertex {count}"));
    let optional = [
        (
            "float",
            "quality scalar_confidence",
            columns.confidence.is_some(),
        ),
        ("uchar", "dynamic", columns.dynamic.is_some()),
        ("float", "vx vy vz", columns.flow.is_some()),
    ];
    let always = [("float", "x y z", true), ("uchar", "red green blue", true)];
    for (kind, names, present) in always.into_iter().chain(optional) {
        for name in names.split(' ').filter(|_| present) {
            line(format_args!("property {kind} {name}"));
        }
    }
    line(format_args!("end_header"));
    text
}

/// Header lines are ASCII and end at a line break, whatever the prompt holds.
fn one_ascii_line(text: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_graphic() || c == ' ' {
            c
        } else {
            '?'
        }
    };
    text.chars().take(200).map(plain).collect()
}

impl<'a> Columns<'a> {
    fn of(scene: &'a Scene4d, frame_idx: usize) -> Self {
        let n = scene.pixels_per_frame();
        let halves = |plane: &'a Option<Plane<Half>>, channels: usize| {
            let size = n * channels;
            let plane = plane.as_ref()?.as_slice();
            plane.get(frame_idx * size..(frame_idx + 1) * size)
        };
        Self {
            confidence: halves(&scene.confidence, 1),
            dynamic: scene.frame_dynamic(frame_idx),
            flow: halves(&scene.scene_flow, 3),
        }
    }

    fn append(&self, bytes: &mut Vec<u8>, point: &Kept) {
        for value in point.position {
            bytes.extend(value.to_le_bytes());
        }
        bytes.extend(point.rgb);
        if let Some(plane) = self.confidence {
            let value = finite_or_zero(plane[point.pixel]).to_le_bytes();
            bytes.extend(value);
            bytes.extend(value);
        }
        if let Some(plane) = self.dynamic {
            bytes.push(plane[point.pixel]);
        }
        if let Some(plane) = self.flow {
            for &value in &plane[3 * point.pixel..3 * point.pixel + 3] {
                bytes.extend(finite_or_zero(value).to_le_bytes());
            }
        }
    }
}

fn finite_or_zero(value: Half) -> f32 {
    if value.is_finite() {
        value.to_f32()
    } else {
        0.0
    }
}

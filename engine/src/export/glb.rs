//! GLB point clouds: one frame alone, or all frames shown in turn by STEP scale.
//!
//! Points are f32 positions and f32 linear colours, unlit, without normals. Two passes over the
//! scene: the first counts points and bounds for the JSON, the second streams them out.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::document::{Bounds, Document};
use super::gltf::{camera_json, lens_warning, linear_rgb, node_poses, y_up};
use super::selection::{Kept, select};
use super::{Steps, fps};
use crate::atomic_file::AtomicFile;
use crate::geometry::Camera;
use crate::worker::ExportRequest;
use crate::{Error, Result};

/// Bytes of a point: position and colour.
pub(super) const POINT_BYTES: u64 = 24;

/// A frame's points, counted.
pub(super) struct FrameCount {
    pub(super) frame_idx: usize,
    pub(super) count: usize,
    bounds: Bounds,
}

impl FrameCount {
    pub(super) fn of(request: &ExportRequest, frame_idx: usize) -> Self {
        let points = select(request, frame_idx);
        let mut bounds = Bounds::EMPTY;
        for point in &points {
            bounds.include(y_up(point.position));
        }
        Self {
            frame_idx,
            count: points.len(),
            bounds,
        }
    }
}

/// The cameras of the exported range.
pub(super) fn cameras(request: &ExportRequest) -> Option<&[Camera]> {
    request
        .scene
        .cameras
        .as_deref()?
        .get(request.first..request.end)
}

/// Writes one frame with its camera.
pub(super) fn write_frame(
    request: &ExportRequest,
    frame: &FrameCount,
    camera: Option<&Camera>,
    path: &Path,
) -> Result<()> {
    let mut document = Document::default();
    if frame.count > 0 {
        let mesh = document.point_mesh(frame.count, &frame.bounds, "points");
        let node = document.node(json!({ "name": "points", "mesh": mesh }));
        document.roots.push(node);
    }
    if let Some(camera) = camera {
        let lens = camera_json(
            &request.scene,
            std::slice::from_ref(camera),
            frame.bounds.radius(),
        );
        document.cameras.push(lens);
        let pose = node_poses(std::slice::from_ref(camera))[0];
        let node = document.node(json!({
            "name": "camera", "camera": 0,
            "translation": pose.translation, "rotation": pose.rotation,
        }));
        document.roots.push(node);
    }
    if document.roots.is_empty() {
        let node = document.node(json!({ "name": "empty" }));
        document.roots.push(node);
    }
    document.write(request, path, |file| {
        write_points(file, &select(request, frame.frame_idx))
    })
}

/// Writes `animated.glb`.
pub(super) fn write_animated(
    request: &ExportRequest,
    steps: &mut Steps<'_>,
) -> Result<Vec<PathBuf>> {
    let fps = fps(request, steps);
    let frames: Vec<FrameCount> = (request.first..request.end)
        .map(|frame_idx| {
            steps.ctx.check()?;
            Ok(FrameCount::of(request, frame_idx))
        })
        .collect::<Result<_>>()?;
    if frames.iter().all(|frame| frame.count == 0) {
        return Err(Error::invalid(
            "export",
            "no point is left; lower the minimum confidence or require fewer validity bits",
        ));
    }
    let mut document = Document::default();
    let shown = add_frames(&mut document, &frames);
    let mut tracks = Tracks::default();
    if frames.len() > 1 {
        tracks.add_visibility(&mut document, &shown, frames.len(), fps);
    }
    if let Some(cameras) = cameras(request) {
        if let Some(warning) = lens_warning(&request.scene, cameras) {
            steps.warn(warning);
        }
        add_camera(&mut document, &mut tracks, request, &frames, fps);
    }
    if !tracks.channels.is_empty() {
        document.animations.push(json!({
            "name": "playback", "channels": tracks.channels, "samplers": tracks.samplers,
        }));
    }
    let path = request.out.join("animated.glb");
    document.write(request, &path, |file| {
        for frame in &frames {
            if frame.count > 0 {
                write_points(file, &select(request, frame.frame_idx))?;
            }
            steps.advance()?;
        }
        file.write_all(bytemuck::cast_slice(&tracks.values))
    })?;
    Ok(vec![path])
}

/// Adds a node a frame, each in a wrapper whose scale will show and hide it; returns the wrappers
/// with the position of their frame in the range.
fn add_frames(document: &mut Document, frames: &[FrameCount]) -> Vec<(usize, usize)> {
    let mut wrappers = Vec::new();
    for (position, frame) in frames.iter().enumerate() {
        if frame.count == 0 {
            continue;
        }
        let name = format!("frame_{:05}", frame.frame_idx);
        let mesh = document.point_mesh(frame.count, &frame.bounds, &name);
        let points = document.node(json!({ "name": format!("{name}_points"), "mesh": mesh }));
        // A viewer that does not animate shows the first frame alone.
        let scale = [if position == 0 { 1.0 } else { 0.0 }; 3];
        let wrapper = document.node(json!({
            "name": name, "children": [points], "scale": scale,
        }));
        document.roots.push(wrapper);
        wrappers.push((position, wrapper));
    }
    wrappers
}

fn add_camera(
    document: &mut Document,
    tracks: &mut Tracks,
    request: &ExportRequest,
    frames: &[FrameCount],
    fps: f64,
) {
    let Some(cameras) = cameras(request) else {
        return;
    };
    let radius = frames.iter().map(|f| f.bounds.radius()).fold(0.0, f32::max);
    document
        .cameras
        .push(camera_json(&request.scene, cameras, radius));
    let poses = node_poses(cameras);
    let Some(first) = poses.first() else {
        return;
    };
    let node = document.node(json!({
        "name": "camera", "camera": 0,
        "translation": first.translation, "rotation": first.rotation,
    }));
    document.roots.push(node);
    if poses.len() < 2 {
        return;
    }
    let times: Vec<f32> = (0..poses.len()).map(|i| (i as f64 / fps) as f32).collect();
    let input = tracks.input(document, &times);
    let moves: Vec<f32> = poses.iter().flat_map(|p| p.translation).collect();
    let turns: Vec<f32> = poses.iter().flat_map(|p| p.rotation).collect();
    let moves = tracks.output(document, "VEC3", moves);
    let turns = tracks.output(document, "VEC4", turns);
    tracks.channel(node, "translation", [input, moves], "LINEAR");
    tracks.channel(node, "rotation", [input, turns], "LINEAR");
}

/// Animation samplers and their values, which follow the points in the buffer.
#[derive(Default)]
struct Tracks {
    channels: Vec<serde_json::Value>,
    samplers: Vec<serde_json::Value>,
    values: Vec<f32>,
}

impl Tracks {
    /// Shows each wrapper from its frame's time to the next frame's; the last one to the end.
    fn add_visibility(
        &mut self,
        document: &mut Document,
        wrappers: &[(usize, usize)],
        num_frames: usize,
        fps: f64,
    ) {
        let time = |position: usize| (position as f64 / fps) as f32;
        for &(position, wrapper) in wrappers {
            let last = position + 1 == num_frames;
            let after = (time(position + 1), if last { 1.0 } else { 0.0 });
            let mut keys = vec![(time(position), 1.0), after];
            if position > 0 {
                keys.insert(0, (0.0, 0.0));
            }
            let times: Vec<f32> = keys.iter().map(|key| key.0).collect();
            let scales = keys.iter().flat_map(|key| [key.1; 3]).collect();
            let input = self.input(document, &times);
            let output = self.output(document, "VEC3", scales);
            self.channel(wrapper, "scale", [input, output], "STEP");
        }
    }

    fn input(&mut self, document: &mut Document, times: &[f32]) -> usize {
        self.values.extend(times);
        let bounds = Bounds::of_times(times);
        document.layout.add("SCALAR", times.len(), Some(&bounds))
    }

    fn output(&mut self, document: &mut Document, kind: &str, values: Vec<f32>) -> usize {
        let components = if kind == "VEC3" { 3 } else { 4 };
        let count = values.len() / components;
        self.values.extend(values);
        document.layout.add(kind, count, None)
    }

    fn channel(&mut self, node: usize, path: &str, [input, output]: [usize; 2], how: &str) {
        self.samplers.push(json!({
            "input": input, "output": output, "interpolation": how,
        }));
        self.channels.push(json!({
            "sampler": self.samplers.len() - 1,
            "target": { "node": node, "path": path },
        }));
    }
}

/// Positions of all points, then colours of all points.
fn write_points(file: &mut AtomicFile, points: &[Kept]) -> Result<()> {
    let positions: Vec<[f32; 3]> = points.iter().map(|p| y_up(p.position)).collect();
    file.write_all(bytemuck::cast_slice(&positions))?;
    let colours: Vec<[f32; 3]> = points.iter().map(|p| linear_rgb(p.rgb)).collect();
    file.write_all(bytemuck::cast_slice(&colours))
}

//! Exports: read back by readers of our own, and by plyfile, trimesh and gltf-validator where they
//! are installed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use one4d_engine::export::{estimate_bytes, run};
use one4d_engine::job::{CancelToken, JobCtx, JobSink, Progress};
use one4d_engine::scene::{Points, Scene4d, validity};
use one4d_engine::worker::{ExportFormat, ExportRequest};
use one4d_engine::{Error, Result, scene};
use one4d_tests::readers;
use serde_json::Value;

use crate::scene_file::sample_scene;

/// The sample scene with one bad pixel of each kind: not finite, on an edge, of low confidence.
fn scene_with_bad_pixels() -> Scene4d {
    let mut scene = sample_scene();
    let mut points = scene.points.range(0, 216).into_owned();
    points[3] = f32::NAN;
    scene.points = Points::F32(points.into());
    let mut valid = scene.valid.as_slice().to_vec();
    valid[2] &= !validity::NOT_EDGE;
    scene.valid = valid.into();
    let mut confidence = scene.confidence.take().unwrap().as_slice().to_vec();
    confidence.fill(half(0.9));
    confidence[4] = half(0.1);
    scene.confidence = Some(confidence.into());
    scene
}

fn half(value: f32) -> scene::Half {
    scene::Half::from_f32(value)
}

fn request(scene: Scene4d, formats: &[ExportFormat], out: &Path) -> ExportRequest {
    ExportRequest {
        brought: Vec::new(),
        end: scene.num_frames,
        scene: Arc::new(scene),
        formats: formats.to_vec(),
        out: out.to_owned(),
        first: 0,
        stride: 1,
        required_validity: validity::GOOD,
        min_confidence: 0.5,
    }
}

const ALL: [ExportFormat; 4] = [
    ExportFormat::Scene,
    ExportFormat::Ply,
    ExportFormat::GlbFrames,
    ExportFormat::GlbAnimated,
];

/// A PLY file as its header describes it: columns of f64 by name.
fn read_ply(path: &Path) -> (usize, BTreeMap<String, Vec<f64>>) {
    let bytes = std::fs::read(path).unwrap();
    let end = b"end_header\n";
    let at = bytes.windows(end.len()).position(|w| w == end).unwrap() + end.len();
    let header = std::str::from_utf8(&bytes[..at]).unwrap();
    assert!(header.starts_with("ply\nformat binary_little_endian 1.0\n") && header.is_ascii());
    let count = header
        .lines()
        .find_map(|l| l.strip_prefix("element vertex "))
        .unwrap();
    let count: usize = count.parse().unwrap();
    let properties: Vec<(&str, &str)> = header
        .lines()
        .filter_map(|l| l.strip_prefix("property ")?.split_once(' '))
        .collect();
    let mut columns: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let mut rest = &bytes[at..];
    for _ in 0..count {
        for (kind, name) in &properties {
            let value = if *kind == "float" {
                let (value, after) = rest.split_first_chunk::<4>().unwrap();
                rest = after;
                f64::from(f32::from_le_bytes(*value))
            } else {
                let (value, after) = rest.split_first().unwrap();
                rest = after;
                f64::from(*value)
            };
            columns.entry((*name).to_owned()).or_default().push(value);
        }
    }
    assert!(rest.is_empty(), "{} bytes too many", rest.len());
    (count, columns)
}

/// A GLB file: its JSON and its buffer.
struct Glb {
    json: Value,
    buffer: Vec<u8>,
}

impl Glb {
    fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        assert_eq!(&bytes[..4], b"glTF");
        assert_eq!((word(4), word(8)), (2, bytes.len()));
        let text = word(12);
        assert_eq!((&bytes[16..20], text % 4), (&b"JSON"[..], 0));
        let json = serde_json::from_slice(&bytes[20..20 + text]).unwrap();
        let buffer = &bytes[20 + text..];
        assert_eq!(&buffer[4..8], b"BIN\0");
        assert_eq!(word(20 + text), buffer.len() - 8);
        Self {
            json,
            buffer: buffer[8..].to_vec(),
        }
    }

    fn accessor(&self, index: &Value) -> Vec<f32> {
        let accessor = &self.json["accessors"][index.as_u64().unwrap() as usize];
        let view = accessor["bufferView"].as_u64().unwrap() as usize;
        let view = &self.json["bufferViews"][view];
        let start = view["byteOffset"].as_u64().unwrap() as usize;
        let end = start + view["byteLength"].as_u64().unwrap() as usize;
        assert_eq!(accessor["componentType"], 5126);
        let values: Vec<f32> = self.buffer[start..end]
            .as_chunks::<4>()
            .0
            .iter()
            .map(|v| f32::from_le_bytes(*v))
            .collect();
        let width = [("SCALAR", 1), ("VEC3", 3), ("VEC4", 4)]
            .into_iter()
            .find(|kind| accessor["type"] == kind.0)
            .unwrap()
            .1;
        assert_eq!(
            accessor["count"].as_u64().unwrap() as usize * width,
            values.len()
        );
        values
    }
}

#[test]
fn ply_holds_the_kept_points_and_every_column() -> Result<()> {
    let out = tempfile::tempdir().unwrap();
    let files = run(
        &request(scene_with_bad_pixels(), &[ExportFormat::Ply], out.path()),
        &JobCtx::silent(),
    )?;
    assert_eq!(files.len(), 3);
    let (count, columns) = read_ply(&files[0]);
    assert_eq!(count, 24 - 3);
    // Pixel 3 comes second: 1, 2 and 4 were dropped.
    assert_eq!(columns["x"][1], f64::from(9.0_f32 * 0.01));
    assert_eq!((columns["red"][1], columns["blue"][1]), (9.0, 11.0));
    assert_eq!(columns["dynamic"][1], 3.0);
    assert!((columns["quality"][1] - 0.9).abs() < 1e-3);
    assert_eq!(columns["quality"], columns["scalar_confidence"]);
    assert!((columns["vy"][1] - 0.010).abs() < 1e-4);
    assert!(columns.values().flatten().all(|v| v.is_finite()));
    let (count, last) = read_ply(&files[2]);
    assert_eq!((count, last.contains_key("vx")), (24, false));
    Ok(())
}

#[test]
fn stride_and_frame_range_are_honoured() -> Result<()> {
    let out = tempfile::tempdir().unwrap();
    let mut request = request(sample_scene(), &[ExportFormat::Ply], out.path());
    (request.first, request.end, request.stride) = (1, 2, 2);
    request.min_confidence = 0.0;
    let files = run(&request, &JobCtx::silent())?;
    assert_eq!(files, [out.path().join("ply/frame_00001.ply")]);
    let (count, columns) = read_ply(&files[0]);
    assert_eq!(count, 2 * 3);
    assert_eq!(columns["x"][3], f64::from((24.0 + 12.0) * 3.0 * 0.01_f32));
    Ok(())
}

#[test]
fn a_frame_glb_is_y_up_linear_and_bounded() -> Result<()> {
    let out = tempfile::tempdir().unwrap();
    let request = request(
        scene_with_bad_pixels(),
        &[ExportFormat::GlbFrames],
        out.path(),
    );
    let files = run(&request, &JobCtx::silent())?;
    let glb = Glb::read(&files[0]);
    let primitive = &glb.json["meshes"][0]["primitives"][0];
    assert_eq!(primitive["mode"], 0);
    let positions = glb.accessor(&primitive["attributes"]["POSITION"]);
    assert_eq!(positions.len(), 3 * 21);
    assert_eq!(positions[3..6], [9.0 * 0.01, -10.0 * 0.01, -11.0 * 0.01]);
    let colours = glb.accessor(&primitive["attributes"]["COLOR_0"]);
    assert!((colours[3] - 9.0 / 255.0 / 12.92).abs() < 1e-7);
    let bounds = &glb.json["accessors"][0];
    let lowest = positions
        .as_chunks::<3>()
        .0
        .iter()
        .map(|p| p[1])
        .fold(0.0, f32::min);
    assert_eq!(bounds["min"][1].as_f64(), Some(f64::from(lowest)));
    let lens = &glb.json["cameras"][0]["perspective"];
    let yfov = 2.0 * (4.0_f64 / 14.0).atan();
    assert!((lens["yfov"].as_f64().unwrap() - yfov).abs() < 1e-12);
    assert_eq!(lens["aspectRatio"], 1.5);
    Ok(())
}

#[test]
fn sequence_json_lists_files_times_and_cameras() -> Result<()> {
    let out = tempfile::tempdir().unwrap();
    let files = run(
        &request(sample_scene(), &[ExportFormat::GlbFrames], out.path()),
        &JobCtx::silent(),
    )?;
    let text = std::fs::read_to_string(files.last().unwrap()).unwrap();
    let sequence: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(sequence["fps"], 16.0);
    let frame = &sequence["frames"][2];
    assert_eq!(frame["file"], "frame_00002.glb");
    assert_eq!(frame["time_secs"], 0.125);
    let camera = &frame["camera"];
    assert_eq!(camera["fx_px"], 7.0);
    assert!((camera["translation"][2].as_f64().unwrap() - 0.1).abs() < 1e-6);
    // A turn of 0.2 about y (down) is a turn of -0.2 about y (up).
    let y = camera["rotation_xyzw"][1].as_f64().unwrap();
    assert!((y + 0.1_f64.sin()).abs() < 1e-6, "{y}");
    Ok(())
}

#[test]
fn the_animated_glb_shows_one_frame_at_a_time() -> Result<()> {
    let out = tempfile::tempdir().unwrap();
    let mut request = request(sample_scene(), &[ExportFormat::GlbAnimated], out.path());
    request.min_confidence = 0.0;
    let files = run(&request, &JobCtx::silent())?;
    let glb = Glb::read(&files[0]);
    let animation = &glb.json["animations"][0];
    let shown = |time: f32| -> Vec<String> {
        let channels = animation["channels"].as_array().unwrap().iter();
        channels
            .filter(|channel| channel["target"]["path"] == "scale")
            .filter_map(|channel| {
                let sampler = &animation["samplers"][channel["sampler"].as_u64()? as usize];
                assert_eq!(sampler["interpolation"], "STEP");
                let times = glb.accessor(&sampler["input"]);
                let scales = glb.accessor(&sampler["output"]);
                assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
                let key = times.iter().rposition(|&t| t <= time).unwrap_or(0);
                let node = channel["target"]["node"].as_u64()? as usize;
                (scales[3 * key] == 1.0).then(|| glb.json["nodes"][node]["name"].to_string())
            })
            .collect()
    };
    for (time, frame) in [(0.0, 0), (0.03, 0), (0.0625, 1), (0.13, 2), (0.1875, 2)] {
        assert_eq!(
            shown(time),
            [format!("\"frame_{frame:05}\"")],
            "at {time} s"
        );
    }
    let paths: Vec<&Value> = animation["channels"]
        .as_array()
        .unwrap()
        .iter()
        .map(|channel| &channel["target"]["path"])
        .collect();
    assert_eq!(paths[3..], ["translation", "rotation"]);
    Ok(())
}

#[test]
fn a_scene_copy_opens_as_the_scene_itself() -> Result<()> {
    let out = tempfile::tempdir().unwrap();
    let files = run(
        &request(sample_scene(), &[ExportFormat::Scene], out.path()),
        &JobCtx::silent(),
    )?;
    assert_eq!(files, [out.path().join("scene.one4d")]);
    assert_eq!(scene::open(&files[0])?.meta, sample_scene().meta);
    Ok(())
}

#[test]
fn the_estimate_comes_close_to_what_is_written() -> Result<()> {
    let out = tempfile::tempdir().unwrap();
    for format in ALL {
        let mut large = sample_scene();
        (large.height, large.width) = (40, 60);
        let pixels = 3 * 40 * 60;
        large.rgb = vec![7; 3 * pixels].into();
        large.points = Points::F32(vec![1.0; 3 * pixels].into());
        large.valid = vec![validity::GOOD; pixels].into();
        (large.confidence, large.depth, large.scene_flow) = (None, None, None);
        large.dynamic = Some(vec![9; pixels].into());
        let request = request(large, &[format], out.path());
        let estimate = estimate_bytes(&request);
        let files = run(&request, &JobCtx::silent())?;
        let written: u64 = files.iter().map(|f| f.metadata().unwrap().len()).sum();
        let ratio = estimate as f64 / written as f64;
        assert!(
            (0.9..1.15).contains(&ratio),
            "{format:?}: {estimate} for {written}"
        );
    }
    Ok(())
}

#[test]
fn an_empty_frame_does_not_break_gltf_and_an_empty_scene_is_refused() -> Result<()> {
    let out = tempfile::tempdir().unwrap();
    let mut scene = sample_scene();
    let mut valid = scene.valid.as_slice().to_vec();
    valid[..scene.pixels_per_frame()].fill(0);
    scene.valid = valid.into();
    let some = request(
        scene,
        &[ExportFormat::Ply, ExportFormat::GlbFrames],
        out.path(),
    );
    let files = run(&some, &JobCtx::silent())?;
    assert_eq!(read_ply(&files[0]).0, 0);
    assert!(read_ply(&files[1]).0 > 0);
    validate(&files.into_iter().filter(|f| is_glb(f)).collect::<Vec<_>>());

    let out = tempfile::tempdir().unwrap();
    let mut scene = sample_scene();
    let nowhere = vec![f32::NAN; 3 * scene.num_frames * scene.pixels_per_frame()];
    scene.points = Points::F32(nowhere.into());
    let none = request(scene, &ALL, out.path());
    let error = run(&none, &JobCtx::silent()).unwrap_err().to_string();
    assert!(
        error.contains("no frame of the range has a point"),
        "{error}"
    );
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 0);
    Ok(())
}

/// Spoils a request.
type Change = fn(&mut ExportRequest);

#[test]
fn requests_that_contradict_the_scene_are_refused() {
    let out = tempfile::tempdir().unwrap();
    let good = request(sample_scene(), &[ExportFormat::Ply], out.path());
    let changes: [(Change, &str); 6] = [
        (|r| r.formats.clear(), "no format"),
        (|r| r.end = 9, "0..9 is not within"),
        (|r| r.first = 3, "3..3 is not within"),
        (|r| r.stride = 0, "stride"),
        (|r| r.min_confidence = f32::NAN, "confidence"),
        (
            |r| Arc::make_mut(&mut r.scene).rgb = vec![0].into(),
            "`rgb`",
        ),
    ];
    for (change, reason) in changes {
        let mut bad = good.clone();
        change(&mut bad);
        let error = run(&bad, &JobCtx::silent()).unwrap_err().to_string();
        assert!(error.contains(reason), "{reason:?} not in {error:?}");
        assert_eq!(estimate_bytes(&bad), 0);
    }
}

/// Cancels once a number of steps are done.
struct CancelAt(CancelToken, usize, AtomicUsize);

impl JobSink for CancelAt {
    fn progress(&self, progress: Progress) {
        assert!(progress.done >= self.2.swap(progress.done, Ordering::SeqCst));
        if progress.done == self.1 {
            self.0.cancel();
        }
    }
}

#[test]
fn a_cancelled_export_leaves_no_partial_file() {
    let out = tempfile::tempdir().unwrap();
    let cancel = CancelToken::default();
    let sink = Arc::new(CancelAt(cancel.clone(), 1, AtomicUsize::new(0)));
    let request = request(sample_scene(), &[ExportFormat::GlbAnimated], out.path());
    let result = run(&request, &JobCtx::new(cancel, sink));
    assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 0);
}

#[test]
fn plyfile_and_trimesh_read_the_same_points() -> Result<()> {
    let out = tempfile::tempdir().unwrap();
    let request = request(scene_with_bad_pixels(), &ALL, out.path());
    let files = run(&request, &JobCtx::silent())?;
    let ply = &files[1];
    let glb = files.iter().find(|f| is_glb(f)).unwrap();
    let script = "import sys, numpy as np
from plyfile import PlyData
v = PlyData.read(sys.argv[1])['vertex'].data
print(len(v), *v.dtype.names)
print(*(round(float(v[n][1]), 4) for n in v.dtype.names))";
    if let Some(text) = readers::python(&["plyfile", "numpy"], script, &[ply]) {
        assert_eq!(
            text,
            "21 x y z red green blue quality scalar_confidence dynamic vx vy vz\n\
             0.09 0.1 0.11 9.0 10.0 11.0 0.8999 0.8999 3.0 0.009 0.01 0.011\n"
        );
    }
    let script = "import sys, trimesh
a = trimesh.load(sys.argv[1]); b = trimesh.load(sys.argv[2])
g = [x for x in b.geometry.values()][0]
print(a.vertices.shape, *a.vertices[1].round(4), a.colors[1].tolist())
print(g.vertices.shape, *g.vertices[1].round(4), g.colors[1][:3].round(6).tolist())";
    if let Some(text) = readers::python(&["trimesh", "numpy"], script, &[ply, glb]) {
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "(21, 3) 0.09 0.1 0.11 [9, 10, 11, 255]");
        // trimesh shows linear colours as they are: 9/255 is 0.0027 linear, 0.7 of 255.
        assert!(
            lines[1].starts_with("(21, 3) 0.09 -0.1 -0.11 [1, 1, 1]"),
            "{text}"
        );
    }
    Ok(())
}

#[test]
fn gltf_validator_finds_no_errors() -> Result<()> {
    let out = tempfile::tempdir().unwrap();
    let mut files = run(
        &request(scene_with_bad_pixels(), &ALL, out.path()),
        &JobCtx::silent(),
    )?;
    let other = out.path().join("other");
    let mut bare = sample_scene();
    (bare.cameras, bare.confidence) = (None, None);
    let mut request = request(
        bare,
        &[ExportFormat::GlbFrames, ExportFormat::GlbAnimated],
        &other,
    );
    files.extend(run(&request, &JobCtx::silent())?);
    request.out = out.path().join("single");
    request.end = 1;
    files.extend(run(&request, &JobCtx::silent())?);
    validate(&files.into_iter().filter(|f| is_glb(f)).collect::<Vec<_>>());
    Ok(())
}

fn is_glb(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "glb")
}

fn validate(files: &[PathBuf]) {
    let script = "const fs = require('fs'), validator = require('gltf-validator');
(async () => { for (const path of process.argv.slice(1)) {
  const report = await validator.validateBytes(new Uint8Array(fs.readFileSync(path)));
  console.log(JSON.stringify([path, report.issues]));
}})();";
    let paths: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    let Some(text) = readers::node("gltf-validator", script, &paths) else {
        return;
    };
    let reports: Vec<Value> = text
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(reports.len(), files.len());
    for report in reports {
        assert_eq!(report[1]["numErrors"], 0, "{report}");
        assert_eq!(report[1]["numWarnings"], 0, "{report}");
    }
}

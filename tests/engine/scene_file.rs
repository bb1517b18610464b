//! The scene file: what was saved comes back, mapped, in Rust and in Python.

use std::path::Path;
use std::sync::Arc;

use glam::{DMat3, DVec3};
use one4d_engine::Result;
use one4d_engine::geometry::{Camera, Intrinsics, WorldFromCamera};
use one4d_engine::inspect::{Kind, inspect};
use one4d_engine::scene::{self, Half, Plane, Points, Scene4d, SceneMeta, SolverFlag, validity};
use one4d_tests::readers;

/// A scene of 3 frames of 4 x 6 pixels with every optional plane.
pub(crate) fn sample_scene() -> Scene4d {
    let (frames, height, width) = (3, 4, 6);
    let pixels = frames * height * width;
    let ramp = |n: usize, scale: f32| (0..n).map(move |i| i as f32 * scale);
    let camera = |t: usize| Camera {
        intrinsics: Intrinsics::centred(7.0, width, height),
        world_from_camera: WorldFromCamera {
            rotation: DMat3::from_rotation_y(0.1 * t as f64),
            translation: DVec3::new(0.2 * t as f64, 0.0, -0.1),
        },
    };
    Scene4d {
        num_frames: frames,
        height,
        width,
        rgb: (0..3 * pixels)
            .map(|i| (i % 251) as u8)
            .collect::<Vec<_>>()
            .into(),
        points: Points::F32(ramp(3 * pixels, 0.01).collect::<Vec<_>>().into()),
        valid: vec![validity::GOOD; pixels].into(),
        confidence: Some(halves(ramp(pixels, 1.0 / pixels as f32))),
        depth: Some(ramp(pixels, 0.02).collect::<Vec<_>>().into()),
        cameras: Some((0..frames).map(camera).collect::<Vec<_>>().into()),
        scene_flow: Some(halves(ramp(2 * 3 * height * width, 0.001))),
        dynamic: Some((0..pixels).map(|i| i as u8).collect::<Vec<_>>().into()),
        meta: SceneMeta {
            title: "ramp \"quoted\" ü".to_owned(),
            fps: 16.0,
            prompt: Some("a ramp".to_owned()),
            seed: Some(u64::MAX),
            settings: serde_json::json!({"steps": 20, "nested": [1.5, null]}),
            flags: vec![(Some(1), SolverFlag::FocalWeak), (None, SolverFlag::Planar)],
            observed: vec![0],
            ..SceneMeta::default()
        },
    }
}

fn halves(values: impl Iterator<Item = f32>) -> Plane<Half> {
    values.map(Half::from_f32).collect::<Vec<_>>().into()
}

fn save_in(folder: &Path, scene: &Scene4d) -> Result<std::path::PathBuf> {
    let path = folder.join("scene.safetensors");
    scene.save(&path)?;
    Ok(path)
}

#[test]
fn a_saved_scene_comes_back_whole_and_mapped() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let scene = sample_scene();
    let path = save_in(folder.path(), &scene)?;
    let opened = scene::open(&path)?;
    assert!(opened.rgb.is_mapped() && opened.valid.is_mapped());
    assert!(opened.depth.as_ref().is_some_and(Plane::is_mapped));
    assert!(matches!(&opened.points, Points::F32(plane) if plane.is_mapped()));
    assert_eq!(opened.rgb.as_slice(), scene.rgb.as_slice());
    assert_eq!(opened.points.range(0, 216), scene.points.range(0, 216));
    assert_eq!(opened.valid.as_slice(), scene.valid.as_slice());
    assert_eq!(opened.cameras, scene.cameras);
    assert_eq!(opened.frame_depth(2), scene.frame_depth(2));
    assert_eq!(opened.frame_dynamic(1), scene.frame_dynamic(1));
    let half = |p: &Option<Plane<Half>>| p.as_ref().map(|p| p.as_slice().to_vec());
    assert_eq!(half(&opened.confidence), half(&scene.confidence));
    assert_eq!(half(&opened.scene_flow), half(&scene.scene_flow));
    assert_eq!(opened.meta, scene.meta);
    let size = std::fs::metadata(&path).unwrap().len();
    assert!(
        size - scene.file_bytes() < 4096,
        "{size} {}",
        scene.file_bytes()
    );
    Ok(())
}

#[test]
fn saving_twice_gives_the_same_bytes_and_may_replace_a_mapped_file() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let path = save_in(folder.path(), &sample_scene())?;
    let first = std::fs::read(&path).unwrap();
    let opened = scene::open(&path)?;
    opened.save(&path)?;
    assert_eq!(std::fs::read(&path).unwrap(), first);
    assert_eq!(opened.rgb.as_slice(), sample_scene().rgb.as_slice());
    Ok(())
}

#[test]
fn half_precision_points_are_read() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let mut scene = sample_scene();
    scene.points = Points::F16(halves((0..216).map(|i| i as f32 * 0.5)));
    scene.cameras = None;
    scene.scene_flow = None;
    let opened = scene::open(save_in(folder.path(), &scene)?)?;
    assert!(matches!(opened.points, Points::F16(_)));
    assert_eq!(opened.frame_points(1)[..2], [36.0, 36.5]);
    assert!(opened.cameras.is_none() && opened.scene_flow.is_none());
    Ok(())
}

#[test]
fn points_that_are_not_finite_lose_their_validity() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let mut scene = sample_scene();
    let mut points = scene.points.range(0, 216).into_owned();
    points[3 * 5 + 1] = f32::NAN;
    points[3 * 9] = f32::INFINITY;
    scene.points = Points::F32(points.into());
    let opened = scene::open(save_in(folder.path(), &scene)?)?;
    let bad: Vec<usize> = (0..72)
        .filter(|&i| opened.valid.as_slice()[i] == 0)
        .collect();
    assert_eq!(bad, [5, 9]);
    Ok(())
}

#[test]
fn inspection_names_what_a_scene_holds() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let found = inspect(save_in(folder.path(), &sample_scene())?)?;
    assert_eq!(found.kind, Kind::Scene);
    assert!(found.problems.is_empty(), "{:?}", found.problems);
    let text = found.to_string();
    for part in [
        "6 x 4 pixels",
        "a ramp",
        "cameras, depth",
        "FocalWeak",
        "world_from_camera",
    ] {
        assert!(text.contains(part), "{part:?} not in {text}");
    }
    assert_eq!(serde_json::to_value(&found).unwrap()["kind"], "scene");
    Ok(())
}

#[test]
fn python_reads_a_scene_in_one_line() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let path = save_in(folder.path(), &sample_scene())?;
    let script = "import sys, json
from safetensors.numpy import load_file; s = load_file(sys.argv[1])
print(json.dumps({k: [str(v.dtype), list(v.shape), float(v.ravel()[-1])] for k, v in s.items()}))";
    let Some(output) = readers::python(&["safetensors", "numpy"], script, &[&path]) else {
        return Ok(());
    };
    let found: serde_json::Value = serde_json::from_str(&output).unwrap();
    assert_eq!(
        found["rgb"],
        serde_json::json!(["uint8", [3, 4, 6, 3], 215.0])
    );
    assert_eq!(found["points"][1], serde_json::json!([3, 4, 6, 3]));
    assert_eq!(
        found["intrinsics"],
        serde_json::json!(["float64", [3, 3, 3], 1.0])
    );
    assert_eq!(found["world_from_camera"][1], serde_json::json!([3, 4, 4]));
    assert_eq!(found["confidence"][0], "float16");
    let camera_x = "import sys
from safetensors.numpy import load_file; s = load_file(sys.argv[1])
print(s['world_from_camera'][2, 0, 3], s['intrinsics'][0, 0, 2])";
    let output = readers::python(&["safetensors"], camera_x, &[&path]).unwrap_or_default();
    assert_eq!(output.trim(), "0.4 3.0");
    Ok(())
}

#[test]
fn scenes_are_shared_between_threads() {
    fn shared<T: Send + Sync>(_: &Arc<T>) {}
    shared(&Arc::new(sample_scene()));
}

//! WorldReel's figures over a folder of clips, with errors whose size is known beforehand.

use std::path::Path;
use std::sync::Arc;

use one4d_engine::eval::{AgreementRequest, TableFiles, run_agreement};
use one4d_engine::geometry::{Camera, WorldFromCamera};
use one4d_engine::job::JobCtx;
use one4d_engine::scene::{Half, Plane, Scene4d, validity};
use one4d_tests::benchmark_files::{moved, path_text, rolled, write};
use one4d_tests::npy::npy;
use one4d_tests::scenes;
use serde_json::Value;

use super::{Folders, near, row};

const FRAMES: usize = 6;
const SIZE: (usize, usize) = (8, 12);
/// Units of the truth in a unit of the predictions.
const SCALE: f64 = 4.0;
/// Every so many pixels of predicted depth are half as deep again.
const WRONG: usize = 16;
const ROLL_DEG: f64 = 0.75;

/// A clip in which everything is finite; the left half of each frame moves by `(0.1, 0, 0)`.
fn truth() -> Scene4d {
    let mut scene = scenes::room(FRAMES, SIZE.0, SIZE.1);
    let pixels = SIZE.0 * SIZE.1;
    let depth = (0..FRAMES * pixels).map(|i| 2.0 + (i % 7) as f32 * 0.25);
    scene.depth = Some(Plane::new(depth.collect()));
    scene.valid = Plane::new(vec![validity::GOOD; FRAMES * pixels]);
    let moves = |i: usize| i % SIZE.1 < SIZE.1 / 2;
    let mask = (0..FRAMES * pixels).map(|i| if moves(i) { 255 } else { 0 });
    scene.dynamic = Some(Plane::new(mask.collect()));
    let flow = (0..(FRAMES - 1) * pixels).flat_map(|i| {
        let x = if moves(i) { 0.125 } else { 0.0 };
        [x, 0.0, 0.0].map(Half::from_f32)
    });
    scene.scene_flow = Some(Plane::new(flow.collect()));
    // Without turns of its own, a roll of a and -a in turn is 2 a between neighbours.
    let cameras = scene.cameras.as_ref().unwrap();
    let lens = cameras[0].intrinsics;
    let path = |t: usize| WorldFromCamera {
        translation: glam::DVec3::new(0.3 * t as f64, 0.1 * (t as f64).sin(), 0.0),
        ..WorldFromCamera::IDENTITY
    };
    scene.cameras = Some(
        (0..FRAMES)
            .map(|t| Camera {
                intrinsics: lens,
                world_from_camera: path(t),
            })
            .collect(),
    );
    scene
}

/// The same with known errors: units, every so many depths, rolls, half of what moves, its motion.
fn predicted(truth: &Scene4d) -> Scene4d {
    let mut scene = truth.clone();
    let depth = truth.depth.as_ref().unwrap().as_slice();
    let depth = depth.iter().enumerate().map(|(i, d)| {
        let factor = if i % WRONG == 0 { 1.5 } else { 1.0 };
        d / SCALE as f32 * factor
    });
    scene.depth = Some(Plane::new(depth.collect()));
    scene.cameras = Some(cameras(truth));
    let mask = truth.dynamic.as_ref().unwrap().as_slice();
    let mask = mask.iter().enumerate();
    let quarter = mask.map(|(i, &m)| if i % SIZE.1 < SIZE.1 / 4 { m } else { 0 });
    scene.dynamic = Some(Plane::new(quarter.collect()));
    let flow = truth.scene_flow.as_ref().unwrap().as_slice();
    // Half the true motion, in the prediction's units.
    let flow = flow
        .iter()
        .map(|f| Half::from_f32(f.to_f32() / SCALE as f32 * 0.5));
    scene.scene_flow = Some(Plane::new(flow.collect()));
    scene
}

fn cameras(truth: &Scene4d) -> Arc<[Camera]> {
    let path = truth.cameras.as_ref().unwrap().iter().enumerate();
    path.map(|(t, camera)| {
        let sign = if t % 2 == 0 { 1.0 } else { -1.0 };
        let pose = moved(camera.world_from_camera, 1.0 / SCALE);
        Camera {
            world_from_camera: rolled(pose, sign * ROLL_DEG.to_radians()),
            ..*camera
        }
    })
    .collect()
}

fn save(scene: &Scene4d, path: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    scene.save(path).unwrap();
}

fn request(folders: &Folders) -> AgreementRequest {
    AgreementRequest {
        truth: folders.data(""),
        predictions: folders.pred(""),
        sequences: Vec::new(),
        every: 1,
        tables: TableFiles::default(),
    }
}

fn measured(request: &AgreementRequest) -> Value {
    run_agreement(request, &JobCtx::silent()).unwrap().report
}

#[test]
fn a_clip_has_the_errors_that_were_put_in() {
    let folders = Folders::new();
    let truth = truth();
    save(&truth, &folders.data("clip.one4d"));
    save(&predicted(&truth), &folders.pred("clip/scene.one4d"));
    let report = measured(&request(&folders));
    let row = row(&report, "clip");
    let share = 1.0 / WRONG as f64;
    near_by(&row["log_rmse"], 1.5_f64.ln() * share.sqrt(), 1e-6);
    near(&row["delta_1_25"], 1.0 - share);
    near(&row["ate"], 0.0);
    near(&row["rpe_r_deg"], 2.0 * ROLL_DEG);
    near(&row["turn_deg"], 2.0 * ROLL_DEG * (FRAMES - 1) as f64);
    let cameras = truth.cameras.as_ref().unwrap();
    let steps = cameras.windows(2).map(|pair| {
        let [a, b] = [pair[0], pair[1]].map(|c| c.world_from_camera.translation);
        (b - a).length()
    });
    let steps: Vec<f64> = steps.collect();
    let length: f64 = steps.iter().sum();
    // A step seen from a camera that is rolled by a looks turned by a.
    let squares: f64 = steps.iter().map(|step| step * step).sum();
    let missed = 2.0 * (ROLL_DEG.to_radians() / 2.0).sin();
    near(
        &row["rpe_t"],
        missed * (squares / steps.len() as f64).sqrt(),
    );
    near(&row["path"], length);
    near_by(&row["scale"], SCALE, 1e-5);
    near(&row["moving"], 0.25);
    near(&row["moving_iou"], 0.5);
    // Half of 0.125 is missing.
    near_by(&row["flow_epe"], 0.0625, 1e-5);
    near(&row["frames"], FRAMES as f64);
    assert_eq!(report["complete"], true, "{}", report["text"]);
    assert!(report["text"].as_str().unwrap().contains("WorldReel"));
    near(&report["published"][4]["turn_deg"], 3.83);
}

#[track_caller]
fn near_by(found: &Value, expected: f64, tolerance: f64) {
    let found = found.as_f64().unwrap_or(f64::NAN);
    assert!(
        (found - expected).abs() < tolerance,
        "{found}, expected {expected}"
    );
}

#[test]
fn plain_files_of_depth_and_cameras_are_measured_too() {
    let folders = Folders::new();
    let truth = truth();
    save(&truth, &folders.data("clip/scene.one4d"));
    let wrong = predicted(&truth);
    let depth = wrong.depth.as_ref().unwrap().as_slice();
    let bytes = npy(&[FRAMES, SIZE.0, SIZE.1], depth);
    write(&folders.pred("clip/depth.npy"), bytes).unwrap();
    let poses = wrong.cameras.as_ref().unwrap().iter().enumerate();
    let poses: Vec<_> = poses
        .map(|(t, c)| (t as f64, c.world_from_camera))
        .collect();
    write(&folders.pred("clip/traj.txt"), path_text(&poses, false)).unwrap();
    let report = measured(&request(&folders));
    let row = row(&report, "clip");
    near(&row["delta_1_25"], 1.0 - 1.0 / WRONG as f64);
    near(&row["rpe_r_deg"], 2.0 * ROLL_DEG);
    assert!(row["moving"].is_null() && row["flow_epe"].is_null());
    assert_eq!(report["complete"], true, "{}", report["text"]);
}

#[test]
fn nothing_is_dropped_in_silence() {
    let folders = Folders::new();
    let truth = truth();
    for name in ["broken", "depth_only", "gone", "whole"] {
        save(&truth, &folders.data(&format!("{name}.one4d")));
    }
    save(&predicted(&truth), &folders.pred("whole.one4d"));
    write(&folders.pred("broken.one4d"), "no scene").unwrap();
    let depth = truth.depth.as_ref().unwrap().as_slice();
    let bytes = npy(&[FRAMES, SIZE.0, SIZE.1], depth);
    write(&folders.pred("depth_only.npy"), bytes).unwrap();
    let mut request = request(&folders);
    let out = |name: &str| folders.pred("").join(name);
    request.tables = TableFiles {
        csv: Some(out("t.csv")),
        latex: Some(out("t.tex")),
        json: Some(out("t.json")),
    };
    let report = measured(&request);
    let status = |name: &str| row(&report, name)["status"].as_str().unwrap().to_owned();
    assert_eq!(status("whole"), "measured");
    assert_eq!(status("depth_only"), "in part");
    assert_eq!(status("broken"), "failed");
    assert_eq!(status("gone"), "missing");
    near(&row(&report, "depth_only")["log_rmse"], 0.0);
    let reason = row(&report, "depth_only")["reason"].as_str().unwrap();
    assert!(
        reason.contains("ATE") && reason.contains("no cameras"),
        "{reason}"
    );
    assert_eq!(report["complete"], false);
    assert_eq!((&report["measured"], &report["of"]), (&1.into(), &4.into()));
    let mean = report["means"][0]["name"].as_str().unwrap();
    assert!(
        mean.contains("1 of 4 sequences") && mean.contains("ATE of 1"),
        "{mean}"
    );
    let csv = std::fs::read_to_string(out("t.csv")).unwrap();
    assert_eq!(csv.lines().count(), 1 + 4 + 1, "{csv}");
    let columns = |line: &str| line.split(',').count();
    assert_eq!(columns(csv.lines().next().unwrap()), 2 + 13 + 1);
    let latex = std::fs::read_to_string(out("t.tex")).unwrap();
    assert!(
        latex.contains("GeoVideo & 0.353 & 63.4 & 0.011 & 0.012 & 0.443"),
        "{latex}"
    );
    let json: Value = serde_json::from_slice(&std::fs::read(out("t.json")).unwrap()).unwrap();
    assert_eq!(json["sequences"].as_array().unwrap().len(), 4);
}

#[test]
fn a_camera_that_stands_still_is_told_and_a_folder_does_not_agree_with_itself() {
    let folders = Folders::new();
    let mut truth = truth();
    let still = truth.cameras.as_ref().unwrap()[0];
    save(&predicted(&truth), &folders.pred("clip.one4d"));
    truth.cameras = Some(vec![still; FRAMES].into());
    save(&truth, &folders.data("clip.one4d"));
    let mut request = request(&folders);
    let report = measured(&request);
    let row = row(&report, "clip");
    near_by(&row["scale"], SCALE, 1e-5);
    assert!(row["notes"].to_string().contains("stands still"), "{row}");
    request.predictions.clone_from(&request.truth);
    let error = run_agreement(&request, &JobCtx::silent()).unwrap_err();
    assert!(error.to_string().contains("agree with itself"), "{error}");
    request.predictions = folders.pred("");
    request.sequences = vec!["other".to_owned()];
    let error = run_agreement(&request, &JobCtx::silent()).unwrap_err();
    assert!(error.to_string().contains("none of clip"), "{error}");
}

//! Cameras of Sintel, TUM-dynamics and ScanNet.

use one4d_engine::datasets::benchmark::Benchmark;
use one4d_engine::geometry::WorldFromCamera;
use one4d_engine::metrics::PoseAlignment;
use one4d_tests::benchmark_files::{cam, camera, matrix_line, moved, path_text, rolled, write};

use super::{Folders, measured, near, pose, row};

#[test]
fn sintel_cameras_have_the_errors_that_were_put_in() {
    let folders = Folders::new();
    let roll_deg = 0.5_f64;
    let sequences = Benchmark::Sintel.pose_sequences().unwrap();
    assert_eq!(sequences.len(), 14);
    for (s, name) in sequences.iter().enumerate() {
        // Without turns of its own, a roll of a and -a in turn is 2 a between neighbours.
        let truth: Vec<WorldFromCamera> = (0..20)
            .map(|t| WorldFromCamera {
                rotation: camera(s as f64).rotation,
                ..camera(0.3 * t as f64 + s as f64)
            })
            .collect();
        let mut estimate = Vec::new();
        for (t, pose) in truth.iter().enumerate() {
            let path = format!("training/camdata_left/{name}/frame_{:04}.cam", t + 1);
            write(&folders.data(&path), cam(*pose)).unwrap();
            let sign = if t % 2 == 0 { 1.0 } else { -1.0 };
            let turned = rolled(moved(*pose, 0.2), sign * roll_deg.to_radians());
            estimate.push((t as f64, turned));
        }
        // Half in MonST3R's folders with w first, half as bare TUM files with w last.
        if s % 2 == 0 {
            let path = folders.pred(&format!("{name}/pred_traj.txt"));
            write(&path, path_text(&estimate, true)).unwrap();
            write(&path.with_file_name("pred_intrinsics.txt"), "").unwrap();
        } else {
            let text = path_text(&estimate, false);
            write(&folders.pred(&format!("{name}.txt")), text).unwrap();
        }
    }
    let report = folders.pose(Benchmark::Sintel);
    for name in &sequences {
        let row = row(&report, name);
        near(&row["ate"], 0.0);
        near(&row["rpe_r_deg"], 2.0 * roll_deg);
        near(&row["scale"], 5.0);
        near(&row["n"], 20.0);
    }
    near(&report["means"][0]["rpe_r_deg"], 2.0 * roll_deg);
    assert_eq!(report["complete"], true);
    assert!(report["text"].as_str().unwrap().contains("CasualSAM"));
}

#[test]
fn a_standing_camera_is_marked_and_both_means_are_given() {
    let folders = Folders::new();
    for (name, moves, offset) in [("alley_2", 1.0, 0.0), ("cave_2", 0.0, 0.25)] {
        let mut estimate = Vec::new();
        for t in 0..6 {
            let pose = camera(1.0 + moves * 0.3 * t as f64);
            let path = format!("camdata_left/{name}/frame_{:04}.cam", t + 1);
            write(&folders.data(&path), cam(pose)).unwrap();
            let sign = if t % 2 == 0 { offset } else { -offset };
            let mut shifted = pose;
            shifted.translation.y += sign;
            estimate.push((t as f64, shifted));
        }
        write(
            &folders.pred(&format!("{name}.txt")),
            path_text(&estimate, false),
        )
        .unwrap();
    }
    let mut request = folders.request(Benchmark::Sintel, pose(PoseAlignment::Sim3));
    request.sequences = vec!["alley_2".to_owned(), "cave_2".to_owned()];
    let report = measured(&request);
    near(&row(&report, "alley_2")["ate"], 0.0);
    let standing = row(&report, "cave_2");
    near(&standing["ate"], 0.25);
    assert!(standing["scale"].is_null());
    assert!(
        standing["notes"][1]
            .as_str()
            .unwrap()
            .contains("stands still"),
        "{standing}"
    );
    near(&report["means"][0]["ate"], 0.125);
    near(&report["means"][1]["ate"], 0.0);
    assert_eq!(report["means"][1]["name"], "without 1 that stand still");
}

/// Pictures at 30 Hz, true poses at 100 Hz that start a little later.
fn tum(folders: &Folders, name: &str) -> Vec<f64> {
    let pictures: Vec<f64> = (0..400).map(|i| 100.0 + f64::from(i) / 30.0).collect();
    let truth: Vec<f64> = (0..1500).map(|k| 100.003 + f64::from(k) / 100.0).collect();
    let folder = format!("rgbd_dataset_freiburg3_{name}");
    let list: Vec<String> = pictures
        .iter()
        .map(|t| format!("{t:.6} rgb/{t:.6}.png"))
        .collect();
    let list = format!("# color images\n{}\n", list.join("\n"));
    write(&folders.data(&format!("{folder}/rgb.txt")), list).unwrap();
    let poses: Vec<(f64, WorldFromCamera)> =
        truth.iter().map(|&t| (t, camera(t - 100.0))).collect();
    let text = format!("# ground truth\n{}", path_text(&poses, false));
    write(&folders.data(&format!("{folder}/groundtruth.txt")), text).unwrap();
    let nearest = |picture: f64| {
        let by = |a: &f64, b: &f64| (a - picture).abs().total_cmp(&(b - picture).abs());
        truth.iter().copied().min_by(by).unwrap()
    };
    pictures
        .iter()
        .step_by(3)
        .take(90)
        .map(|&t| nearest(t))
        .collect()
}

#[test]
fn tum_takes_every_third_picture_and_the_pose_of_its_time() {
    let folders = Folders::new();
    for (s, name) in Benchmark::TumDynamics
        .pose_sequences()
        .unwrap()
        .iter()
        .enumerate()
    {
        let times = tum(&folders, name);
        let poses = times.iter().map(|&t| moved(camera(t - 100.0), 3.0));
        let text = match s % 3 {
            // By number, by time, and by time with every other pose missing.
            0 => path_text(
                &poses
                    .enumerate()
                    .map(|(i, p)| (i as f64, p))
                    .collect::<Vec<_>>(),
                false,
            ),
            1 => path_text(&times.iter().copied().zip(poses).collect::<Vec<_>>(), false),
            _ => path_text(
                &times
                    .iter()
                    .map(|t| t + 0.004)
                    .zip(poses)
                    .step_by(2)
                    .collect::<Vec<_>>(),
                false,
            ),
        };
        write(&folders.pred(&format!("freiburg3_{name}/traj.txt")), text).unwrap();
    }
    let report = folders.pose(Benchmark::TumDynamics);
    assert_eq!(report["complete"], true, "{}", report["text"]);
    for (s, row) in report["sequences"].as_array().unwrap().iter().enumerate() {
        near(&row["ate"], 0.0);
        near(&row["rpe_t"], 0.0);
        near(&row["rpe_r_deg"], 0.0);
        near(&row["scale"], 1.0 / 3.0);
        near(&row["n"], if s % 3 == 2 { 45.0 } else { 90.0 });
    }
    // One4D's thirty frames.
    let mut request = folders.request(Benchmark::TumDynamics, pose(PoseAlignment::Se3));
    request.every = 3;
    request.sequences = vec!["sitting_xyz".to_owned()];
    let report = measured(&request);
    near(&row(&report, "sitting_xyz")["n"], 30.0);
}

#[test]
fn scannet_leaves_out_frames_whose_camera_was_lost() {
    let folders = Folders::new();
    let poses: Vec<WorldFromCamera> = (0..30).map(|t| camera(0.2 * f64::from(t))).collect();
    let lost = vec!["-inf"; 16].join(" ");
    let lines: Vec<String> = poses
        .iter()
        .enumerate()
        .map(|(t, pose)| {
            if t == 4 {
                lost.clone()
            } else {
                matrix_line(*pose)
            }
        })
        .collect();
    write(&folders.data("scene0707_00/pose_90.txt"), lines.join("\n")).unwrap();
    for t in 0..90 {
        // The same poses, each of them for three frames, as the sensor's export has them.
        let line = lines[t / 3].split(' ').collect::<Vec<_>>();
        let rows: Vec<String> = line.chunks(4).map(|row| row.join(" ")).collect();
        let name = format!("scene0708_00/pose/{t}.txt");
        write(&folders.data(&name), rows.join("\n")).unwrap();
    }
    let estimate: Vec<(f64, WorldFromCamera)> = poses
        .iter()
        .enumerate()
        .map(|(t, pose)| (t as f64, moved(*pose, 2.0)))
        .collect();
    for scene in ["scene0707_00", "scene0708_00"] {
        write(
            &folders.pred(&format!("{scene}.txt")),
            path_text(&estimate, false),
        )
        .unwrap();
    }
    let report = folders.pose(Benchmark::Scannet);
    for scene in ["scene0707_00", "scene0708_00"] {
        let row = row(&report, scene);
        near(&row["ate"], 0.0);
        near(&row["n"], 29.0);
        let notes = row["notes"].to_string();
        assert!(notes.contains("1 frames have no true camera"), "{row}");
    }
}

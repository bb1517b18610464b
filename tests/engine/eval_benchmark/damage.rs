//! Damaged files of every data set.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use one4d_engine::datasets::benchmark::Benchmark;
use one4d_engine::eval::{BenchmarkRequest, Measure, run_benchmark};
use one4d_engine::geometry::WorldFromCamera;
use one4d_engine::job::JobCtx;
use one4d_engine::metrics::{DepthPreset, PoseAlignment};
use one4d_tests::benchmark_files::{
    SIZE, cam, camera, depth, dpt, matrix_line, path_text, png16, write, write_predictions,
};
use one4d_tests::damage::{COPIES, damaged};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::{Folders, pose};

/// Every data set of depth with one small sequence and its prediction.
fn depth_of_each() -> Vec<(Folders, BenchmarkRequest)> {
    let frames: Vec<Vec<f32>> = (0..3).map(|t| depth(0, t)).collect();
    let depth_with =
        |set: Benchmark, name: &str, files: &dyn Fn(usize, &[f32]) -> (String, Vec<u8>)| {
            let folders = Folders::new();
            for (t, frame) in frames.iter().enumerate() {
                let (path, bytes) = files(t, frame);
                write(&folders.data(&path), bytes).unwrap();
            }
            write_predictions(&folders.pred(name), &frames).unwrap();
            let mut request = folders.request(set, Measure::Depth(DepthPreset::Cut3rScale));
            request.sequences = vec![name.to_owned()];
            (folders, request)
        };
    let (h, w) = SIZE;
    let drive = "2011_09_26_drive_0002_sync";
    vec![
        depth_with(Benchmark::Sintel, "alley_1", &|t, d| {
            (
                format!("depth/alley_1/frame_{:04}.dpt", t + 1),
                dpt(h, w, d),
            )
        }),
        depth_with(Benchmark::Bonn, "balloon2", &|t, d| {
            (
                format!("rgbd_bonn_balloon2/depth_110/{t}.png"),
                png16(h, w, d, 5000.0),
            )
        }),
        depth_with(Benchmark::Kitti, drive, &|t, d| {
            let name = format!("groundtruth_depth_gathered/{drive}_02/{t:010}.png");
            (name, png16(h, w, d, 256.0))
        }),
        depth_with(Benchmark::Scannet, "scene0707_00", &|t, d| {
            (
                format!("scene0707_00/depth_90/frame_{t:04}.png"),
                png16(h, w, d, 1000.0),
            )
        }),
    ]
}

/// Every data set of cameras with one short path and its prediction.
fn path_of_each() -> Vec<(Folders, BenchmarkRequest)> {
    let path: Vec<(f64, WorldFromCamera)> = (0..9)
        .map(|t| (f64::from(t), camera(f64::from(t))))
        .collect();
    let pose_with = |set: Benchmark, name: &str, files: Vec<(String, Vec<u8>)>| {
        let folders = Folders::new();
        for (path, bytes) in files {
            write(&folders.data(&path), bytes).unwrap();
        }
        write(
            &folders.pred(&format!("{name}.txt")),
            path_text(&path, false),
        )
        .unwrap();
        let mut request = folders.request(set, pose(PoseAlignment::Sim3));
        request.sequences = vec![name.to_owned()];
        (folders, request)
    };
    let cams = path.iter().enumerate().map(|(t, (_, pose))| {
        (
            format!("camdata_left/alley_2/frame_{:04}.cam", t + 1),
            cam(*pose),
        )
    });
    let mut all = vec![pose_with(Benchmark::Sintel, "alley_2", cams.collect())];
    let list: Vec<String> = (0..9).map(|t| format!("{t}.001 rgb/{t}.png")).collect();
    let dense: Vec<(f64, WorldFromCamera)> = (0..90)
        .map(|t| (0.1 * f64::from(t), camera(f64::from(t))))
        .collect();
    let folder = "freiburg3_sitting_xyz";
    all.push(pose_with(
        Benchmark::TumDynamics,
        "sitting_xyz",
        vec![
            (format!("{folder}/rgb.txt"), list.join("\n").into_bytes()),
            (
                format!("{folder}/groundtruth.txt"),
                path_text(&dense, false).into_bytes(),
            ),
        ],
    ));
    let lines: Vec<String> = path.iter().map(|(_, pose)| matrix_line(*pose)).collect();
    all.push(pose_with(
        Benchmark::Scannet,
        "scene0708_00",
        vec![(
            "scene0708_00/pose_90.txt".to_owned(),
            lines.join("\n").into_bytes(),
        )],
    ));
    all
}

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, found);
        } else {
            found.push(path);
        }
    }
    found.sort();
}

#[test]
fn mutated_and_truncated_files_are_rows_and_never_panics() {
    for (folders, request) in depth_of_each().into_iter().chain(path_of_each()) {
        let what = format!("{:?} {:?}", request.benchmark, request.measure);
        let mut files = Vec::new();
        files_below(folders.0.path(), &mut files);
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        for case in 0..COPIES {
            let path = &files[rng.random_range(0..files.len())];
            let bytes = std::fs::read(path).unwrap();
            let damaged = damaged(&bytes, case, 128, &mut rng);
            std::fs::write(path, damaged).unwrap();
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                run_benchmark(&request, &JobCtx::silent())
            }));
            let Ok(outcome) = outcome else {
                panic!("{what}: panic at case {case}, {}", path.display());
            };
            let report = outcome.unwrap().report;
            let row = &report["sequences"][0];
            if row["status"] != "measured" {
                let reason = row["reason"].as_str().unwrap();
                let named = folders.0.path().to_str().unwrap();
                assert!(reason.contains(named), "{what}, case {case}: {reason}");
            }
            std::fs::write(path, bytes).unwrap();
        }
    }
}

//! Depth of Sintel, Bonn, KITTI and ScanNet, and what becomes of sequences that cannot be measured.

use one4d_engine::Error;
use one4d_engine::datasets::benchmark::Benchmark;
use one4d_engine::eval::{BenchmarkRequest, Measure, run_benchmark};
use one4d_engine::job::{CancelToken, JobCtx, JobSink, Progress};
use one4d_engine::metrics::{DepthPreset, PoseAlignment};
use one4d_tests::benchmark_files::{
    SIZE, cam, depth, dpt, moved, png16, predicted, write, write_predictions,
};
use one4d_tests::npy::npy;
use one4d_tests::zip::npz;
use serde_json::Value;

use super::{Folders, measured, near, pose, row};

/// Frames of Sintel's sequence `s`, and which pixels of its prediction are wrong.
fn sintel_plan(s: usize) -> (usize, usize) {
    (3 + s % 2, 8 + s % 3)
}

/// All of Sintel's depth, sky in the first pixel of every frame, and predictions of it.
fn sintel_depth(folders: &Folders) -> Vec<String> {
    let sequences = Benchmark::Sintel.depth_sequences().unwrap();
    for (s, name) in sequences.iter().enumerate() {
        let (frames, nth) = sintel_plan(s);
        let mut predictions = Vec::new();
        for t in 0..frames {
            let mut truth = depth(s, t);
            predictions.push(predicted(&truth, t, nth));
            truth[0] = 1e6;
            let path = format!("training/depth/{name}/frame_{:04}.dpt", t + 1);
            write(&folders.data(&path), dpt(SIZE.0, SIZE.1, &truth)).unwrap();
        }
        write_predictions(&folders.pred(name), &predictions).unwrap();
    }
    sequences
}

/// AbsRel, share within 1.25 and pixels of Sintel's sequence `s`.
fn sintel_expected(s: usize) -> (f64, f64, f64) {
    let (frames, nth) = sintel_plan(s);
    let cells = SIZE.0 * SIZE.1;
    let counted = (0..frames * cells).filter(|i| i % cells != 0);
    let (mut wrong, mut pixels) = (0.0, 0.0);
    for i in counted {
        pixels += 1.0;
        wrong += f64::from(u8::from(i % nth == 0));
    }
    (0.5 * wrong / pixels, 1.0 - wrong / pixels, pixels)
}

#[test]
fn sintel_depth_has_the_errors_that_were_put_in() {
    let folders = Folders::new();
    let sequences = sintel_depth(&folders);
    let report = folders.depth(Benchmark::Sintel, DepthPreset::ExactL1);
    assert_eq!(sequences.len(), 23);
    let (mut sum, mut weight) = (0.0, 0.0);
    for (s, name) in sequences.iter().enumerate() {
        let (abs_rel, within, pixels) = sintel_expected(s);
        let row = row(&report, name);
        near(&row["abs_rel"], abs_rel);
        near(&row["delta_1_25"], within);
        near(&row["n"], pixels);
        near(&row["scale"], 2.0);
        near(&row["coverage"], 1.0);
        sum += abs_rel * pixels;
        weight += pixels;
    }
    near(&report["means"][0]["abs_rel"], sum / weight);
    near(&report["means"][0]["n"], weight);
    assert_eq!(
        (&report["measured"], &report["of"]),
        (&23.into(), &23.into())
    );
    assert_eq!(report["complete"], true);
    let text = report["text"].as_str().unwrap();
    assert!(
        text.contains("mean by pixels, 23 of 23 sequences"),
        "{text}"
    );
    assert!(text.contains("One4D (arXiv 2511.18922v1)"), "{text}");
    assert!(text.contains("published evaluation has 50"), "{text}");
    let one4d = report["published"].as_array().unwrap();
    let one4d = one4d.iter().find(|r| r["method"] == "One4D").unwrap();
    near(&one4d["abs_rel"], 0.273);
    near(&one4d["delta_1_25"], 0.704);
}

#[test]
fn a_sequence_that_cannot_be_measured_keeps_its_row() {
    let folders = Folders::new();
    let sequences = sintel_depth(&folders);
    std::fs::remove_dir_all(folders.pred("alley_1")).unwrap();
    std::fs::remove_dir_all(folders.data("training/depth/alley_2")).unwrap();
    let broken = folders.data("training/depth/ambush_2/frame_0002.dpt");
    let bytes = std::fs::read(&broken).unwrap();
    std::fs::write(&broken, &bytes[..60]).unwrap();
    std::fs::remove_file(folders.data("training/depth/ambush_4/frame_0002.dpt")).unwrap();
    let odd = folders.pred("ambush_5/frame_0001.npy");
    std::fs::write(&odd, npy(&[3, 4], &[1.0_f32; 12])).unwrap();
    std::fs::remove_file(folders.pred("ambush_6/frame_0003.npy")).unwrap();
    std::fs::write(folders.pred("ambush_7/frame_0000.npy"), b"no array").unwrap();
    let mut request = folders.request(Benchmark::Sintel, Measure::Depth(DepthPreset::ExactL1));
    request.tables.csv = Some(folders.0.path().join("out.csv"));
    request.tables.latex = Some(folders.0.path().join("out.tex"));
    request.tables.json = Some(folders.0.path().join("out.json"));
    let report = measured(&request);
    for (name, status, reason) in [
        ("alley_1", "missing", "alley_1 (folder, .one4d"),
        ("alley_2", "missing", "no ground truth"),
        ("ambush_2", "failed", "frame_0002.dpt: truncated"),
        ("ambush_4", "failed", "frame 2 is missing"),
        (
            "ambush_5",
            "failed",
            "frame_0001.npy: 4 x 3 pixels, the frames before have 8 x 6",
        ),
        (
            "ambush_6",
            "failed",
            "3 frames predicted, the sequence has 4",
        ),
        ("ambush_7", "failed", "frame_0000.npy: is no NumPy array"),
    ] {
        let row = row(&report, name);
        assert_eq!(row["status"], status, "{row}");
        assert!(row["reason"].as_str().unwrap().contains(reason), "{row}");
        assert!(row["abs_rel"].is_null());
        assert!(report["text"].as_str().unwrap().contains(reason));
    }
    assert_eq!(report["complete"], false);
    assert_eq!(
        (&report["measured"], &report["of"]),
        (&16.into(), &23.into())
    );
    let expected = (7..23).map(sintel_expected);
    let (sum, weight) = expected.fold((0.0, 0.0), |(s, w), (e, _, n)| (s + e * n, w + n));
    near(&report["means"][0]["abs_rel"], sum / weight);
    let mean = report["means"][0]["name"].as_str().unwrap();
    assert_eq!(mean, "mean by pixels, 16 of 23 sequences");
    let csv = std::fs::read_to_string(request.tables.csv.unwrap()).unwrap();
    assert_eq!(csv.lines().count(), 1 + 23 + 1);
    assert!(csv.contains("\nalley_1,missing,,"), "{csv}");
    assert!(csv.contains("\n\"mean by pixels, 16 of 23 sequences\",mean,"));
    let latex = std::fs::read_to_string(request.tables.latex.unwrap()).unwrap();
    assert!(latex.contains("alley\\_1 & -- & -- \\\\"), "{latex}");
    assert!(latex.contains("\\toprule") && latex.contains("MonST3R & 0.335 & 58.5"));
    let json = std::fs::read(request.tables.json.unwrap()).unwrap();
    let json: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(
        (&json["text"], &json["of"]),
        (&report["text"], &report["of"])
    );
    assert_eq!(sequences.len(), 23);
}

#[test]
fn what_makes_no_sense_is_refused_with_the_way_out() {
    let folders = Folders::new();
    write(&folders.data("readme.txt"), "nothing").unwrap();
    let depth = Measure::Depth(DepthPreset::Geo4d);
    let refused = |benchmark, measure, change: fn(&mut BenchmarkRequest)| {
        let mut request = folders.request(benchmark, measure);
        change(&mut request);
        let failed = run_benchmark(&request, &JobCtx::silent());
        failed.unwrap_err().to_string()
    };
    let text = refused(Benchmark::Sintel, depth.clone(), |_| {});
    assert!(text.contains("training/depth/SEQ/frame_0001.dpt"), "{text}");
    let text = refused(Benchmark::TumDynamics, depth.clone(), |_| {});
    assert!(text.contains("one4d eval pose"), "{text}");
    let text = refused(Benchmark::Bonn, pose(PoseAlignment::Sim3), |_| {});
    assert!(text.contains("without regard to time"), "{text}");
    let text = refused(Benchmark::Sintel, depth.clone(), |r| {
        r.sequences = vec!["alley_9".to_owned()];
    });
    assert!(
        text.contains("alley_9") && text.contains("alley_1"),
        "{text}"
    );
    let text = refused(Benchmark::Sintel, depth.clone(), |r| r.every = 0);
    assert!(text.contains("--every"), "{text}");
    let text = refused(Benchmark::Sintel, depth, |r| {
        r.predictions = r.root.join("nowhere");
    });
    assert!(text.contains("nowhere"), "{text}");
}

#[test]
fn bonn_measures_frames_30_to_140_of_raw_and_prepared_folders() {
    let folders = Folders::new();
    let (count, nth) = (150, 9);
    for (s, name, raw) in [(0, "balloon2", true), (1, "crowd2", false)] {
        let mut predictions = Vec::new();
        for t in 0..count {
            let is_listed = (30..140).contains(&t);
            let truth = depth(s, t);
            if is_listed {
                predictions.push(predicted(&truth, t - 30, nth));
            }
            let kept = if raw { "depth" } else { "depth_110" };
            if raw || is_listed {
                let stamp = 1_548_266_471.0 + 0.033 * t as f64;
                let path = format!("rgbd_bonn_dataset/rgbd_bonn_{name}/{kept}/{stamp:.5}.png");
                let png = png16(SIZE.0, SIZE.1, &truth, 5000.0);
                write(&folders.data(&path), png).unwrap();
            }
        }
        // One method names folders as the data set does, another by the short name.
        let own = if raw {
            format!("rgbd_bonn_{name}")
        } else {
            name.to_owned()
        };
        write_predictions(&folders.pred(&own), &predictions).unwrap();
    }
    let report = folders.depth(Benchmark::Bonn, DepthPreset::ExactL1);
    let all = 110 * SIZE.0 * SIZE.1;
    let wrong = all.div_ceil(nth) as f64 / all as f64;
    for name in ["balloon2", "crowd2"] {
        let row = row(&report, name);
        near(&row["abs_rel"], 0.5 * wrong);
        near(&row["frames"], 110.0);
        assert_eq!(row["notes"].as_array().unwrap().len(), 0, "{row}");
    }
    assert_eq!((&report["measured"], &report["of"]), (&2.into(), &5.into()));
    assert_eq!(row(&report, "synchronous")["status"], "missing");
    // Every tenth frame: eleven, of predictions that have all of them.
    let mut request = folders.request(Benchmark::Bonn, Measure::Depth(DepthPreset::ExactL1));
    request.every = 10;
    request.sequences = vec!["rgbd_bonn_crowd2".to_owned()];
    near(&row(&measured(&request), "crowd2")["frames"], 11.0);
}

#[test]
fn disparity_is_measured_by_the_preset_that_asks_for_it_only() {
    let folders = Folders::new();
    let mut disparity = Vec::new();
    for t in 0..3 {
        let truth = depth(0, t);
        disparity.extend(truth.iter().map(|g| 0.3 / g + 0.1));
        let path = format!("depth/temple_2/frame_{:04}.dpt", t + 1);
        write(&folders.data(&path), dpt(SIZE.0, SIZE.1, &truth)).unwrap();
    }
    let array = npy(&[3, SIZE.0, SIZE.1], &disparity);
    write(
        &folders.pred("temple_2.npz"),
        npz(&[("depth", array)], true),
    )
    .unwrap();
    let of = |preset| {
        let mut request = folders.request(Benchmark::Sintel, Measure::Depth(preset));
        request.sequences = vec!["temple_2".to_owned()];
        measured(&request)
    };
    let report = of(DepthPreset::Depthcrafter);
    let row_of = row(&report, "temple_2");
    assert!(row_of["abs_rel"].as_f64().unwrap() < 1e-5, "{row_of}");
    assert!(
        report["means"][0]["name"]
            .as_str()
            .unwrap()
            .starts_with("plain mean")
    );
    let report = of(DepthPreset::Geo4d);
    let reason = row(&report, "temple_2")["reason"].as_str().unwrap();
    assert!(reason.contains("use preset depthcrafter"), "{reason}");
}

#[test]
fn kitti_and_scannet_depth_are_read_in_both_layouts() {
    let folders = Folders::new();
    let truths: Vec<Vec<f32>> = (0..4).map(|t| depth(2, t)).collect();
    let predictions: Vec<Vec<f32>> = truths
        .iter()
        .enumerate()
        .map(|(t, truth)| predicted(truth, t, 9))
        .collect();
    let gathered = "depth_selection/val_selection_cropped/groundtruth_depth_gathered";
    let raw = "val/2011_09_26_drive_0005_sync/proj_depth/groundtruth/image_02";
    for (t, truth) in truths.iter().enumerate() {
        let mut sparse = truth.clone();
        sparse[5] = 0.0;
        let png = png16(SIZE.0, SIZE.1, &sparse, 256.0);
        let name = format!("{:010}.png", t + 5);
        let drive = format!("{gathered}/2011_09_26_drive_0002_sync_02/{name}");
        write(&folders.data(&drive), &png).unwrap();
        write(&folders.data(&format!("{raw}/{name}")), &png).unwrap();
    }
    for drive in [
        "2011_09_26_drive_0002_sync_02",
        "2011_09_26_drive_0005_sync",
    ] {
        write_predictions(&folders.pred(drive), &predictions).unwrap();
    }
    let report = folders.depth(Benchmark::Kitti, DepthPreset::ExactL1);
    assert_eq!(
        (&report["measured"], &report["of"]),
        (&2.into(), &13.into())
    );
    let wrong = (0..4 * 48).filter(|i| i % 48 != 5 && i % 9 == 0).count();
    for drive in ["2011_09_26_drive_0002_sync", "2011_09_26_drive_0005_sync"] {
        near(&row(&report, drive)["n"], 4.0 * 47.0);
        near(
            &row(&report, drive)["abs_rel"],
            0.5 * wrong as f64 / (4.0 * 47.0),
        );
    }

    let folders = Folders::new();
    for t in 0..12 {
        let truth = depth(2, t / 3);
        let png = png16(SIZE.0, SIZE.1, &truth, 1000.0);
        write(&folders.data(&format!("scene0707_00/depth/{t}.png")), &png).unwrap();
        if t % 3 == 0 {
            let name = format!("scene0708_00/depth_90/frame_{:04}.png", t / 3);
            write(&folders.data(&name), &png).unwrap();
        }
    }
    for scene in ["scene0707_00", "scene0708_00"] {
        write_predictions(&folders.pred(scene), &predictions).unwrap();
    }
    let report = folders.depth(Benchmark::Scannet, DepthPreset::ExactL1);
    assert_eq!(
        (&report["measured"], &report["of"]),
        (&2.into(), &100.into())
    );
    let wrong = (4 * 48_usize).div_ceil(9) as f64 / (4.0 * 48.0);
    for scene in ["scene0707_00", "scene0708_00"] {
        near(&row(&report, scene)["abs_rel"], 0.5 * wrong);
    }
}

#[test]
fn a_folder_of_scenes_and_imports_is_measured_too() {
    use one4d_engine::datasets::synthetic::{ClipSpec, WorldWidth, render};
    let folders = Folders::new();
    let clip = render(&ClipSpec {
        seed: 3,
        frames: 5,
        height: 24,
        width: 32,
        world: WorldWidth::Narrow,
    })
    .unwrap();
    for t in 0..5 {
        let truth: Vec<f32> = clip.depth[t * 768..(t + 1) * 768]
            .iter()
            .map(|d| if d.is_finite() { d * 2.0 } else { 0.0 })
            .collect();
        let name = format!("training/depth/cave_2/frame_{:04}.dpt", t + 1);
        write(&folders.data(&name), dpt(24, 32, &truth)).unwrap();
        let name = format!("training/camdata_left/cave_2/frame_{:04}.cam", t + 1);
        let pose = moved(clip.cameras[t].world_from_camera, 2.0);
        write(&folders.data(&name), cam(pose)).unwrap();
    }
    clip.to_scene().save(folders.pred("cave_2.one4d")).unwrap();
    let only = |measure| {
        let mut request = folders.request(Benchmark::Sintel, measure);
        request.sequences = vec!["cave_2".to_owned()];
        measured(&request)
    };
    for preset in DepthPreset::ALL {
        let report = only(Measure::Depth(preset));
        let row = row(&report, "cave_2");
        assert!(row["abs_rel"].as_f64().unwrap() < 5e-3, "{preset:?}: {row}");
    }
    let report = only(pose(PoseAlignment::Sim3));
    assert!(row(&report, "cave_2")["ate"].as_f64().unwrap() < 1e-5);
}

#[test]
fn cancelling_ends_the_evaluation_and_progress_never_falls() {
    struct Stop(CancelToken, std::sync::Mutex<Vec<Progress>>);
    impl JobSink for Stop {
        fn progress(&self, progress: Progress) {
            let mut all = self.1.lock().unwrap();
            all.push(progress);
            if all.len() == 5 {
                self.0.cancel();
            }
        }
    }
    let folders = Folders::new();
    sintel_depth(&folders);
    let token = CancelToken::default();
    let stop = std::sync::Arc::new(Stop(token.clone(), std::sync::Mutex::default()));
    let ctx = JobCtx::new(token, stop.clone());
    let request = folders.request(Benchmark::Sintel, Measure::Depth(DepthPreset::Geo4d));
    let failed = run_benchmark(&request, &ctx);
    assert!(matches!(failed, Err(Error::Cancelled)));
    let seen = stop.1.lock().unwrap();
    assert_eq!(seen.len(), 5);
    assert!(seen.windows(2).all(|pair| pair[0].done <= pair[1].done));
}

//! Tests: two files against each other, as `one4d eval pose` and `one4d eval depth` compare them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use glam::{DMat3, DQuat, DVec3};
use one4d_engine::eval::{DepthPair, PosePair, eval_depth_pair, eval_pose_pair};
use one4d_engine::geometry::{WorldFromCamera, rotation_exp};
use one4d_engine::metrics::{DepthPreset, DepthSet, PoseAlignment};
use one4d_tests::npy::npy;
use serde_json::Value;

/// Folder of files that are not part of the project; `None` where it is not there.
#[expect(clippy::print_stdout, reason = "a test that is left out says so")]
fn real_data() -> Option<PathBuf> {
    let given = std::env::var_os("ONE4D_DATA").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .skip(1)
        .map(|folder| folder.join("shared/data"))
        .find(|folder| folder.is_dir());
    let found = given.or(beside);
    if found.is_none() {
        println!("skipped: no real files (set ONE4D_DATA to a folder with trajectories/)");
    }
    found
}

/// Estimate, truth, largest gap, poses, SE(3): ATE, RPE-t, RPE-R; Sim(3): scale, ATE, RPE-t.
const GOLDEN: [(&str, &str, f64, u64, [f64; 6]); 3] = [
    (
        "fr2_desk_ORB.txt",
        "fr2_desk_groundtruth.txt",
        0.01,
        2174,
        [
            0.0081189776,
            0.0034903214,
            0.2805192263,
            0.9969698308,
            0.0061231630,
            0.0034850169,
        ],
    ),
    (
        "freiburg1_xyz-rgbdslam.txt",
        "freiburg1_xyz-groundtruth.txt",
        0.01,
        785,
        [
            0.0134700888,
            0.0057643708,
            0.3536131610,
            1.0080013899,
            0.0133893849,
            0.0058056946,
        ],
    ),
    (
        "freiburg1_xyz-ORB_kf_mono.txt",
        "freiburg1_xyz-groundtruth.txt",
        0.01,
        32,
        [
            0.0243016323,
            0.0252659363,
            0.8848489597,
            1.1056223637,
            0.0097545819,
            0.0138349178,
        ],
    ),
];

fn pose_pair(predicted: &Path, truth: &Path, alignment: PoseAlignment) -> Value {
    eval_pose_pair(&PosePair {
        predicted: predicted.to_owned(),
        truth: truth.to_owned(),
        alignment,
        max_gap_secs: 0.01,
        quaternion: None,
    })
    .unwrap()
}

#[test]
fn real_trajectories_score_as_evo_scores_them() {
    let Some(folder) = real_data().map(|f| f.join("trajectories")) else {
        return;
    };
    for (estimate, truth, _gap, n, [ate, rpe_t, rpe_r, scale, sim_ate, sim_rpe]) in GOLDEN {
        let (estimate, truth) = (folder.join(estimate), folder.join(truth));
        let rigid = pose_pair(&estimate, &truth, PoseAlignment::Se3);
        let similar = pose_pair(&estimate, &truth, PoseAlignment::Sim3);
        assert_eq!(rigid["n"], n);
        for (report, key, golden) in [
            (&rigid, "ate", ate),
            (&rigid, "rpe_t", rpe_t),
            (&rigid, "rpe_r_deg", rpe_r),
            (&similar, "scale", scale),
            (&similar, "ate", sim_ate),
            (&similar, "rpe_t", sim_rpe),
            (&similar, "rpe_r_deg", rpe_r),
        ] {
            let found = report[key].as_f64().unwrap();
            assert!(
                (found / golden - 1.0).abs() < 1e-6,
                "{}: {key} {found}, golden {golden}",
                estimate.display()
            );
        }
    }
}

fn path(count: usize) -> Vec<WorldFromCamera> {
    (0..count)
        .map(|i| {
            let t = i as f64 * 0.3;
            WorldFromCamera {
                rotation: rotation_exp(DVec3::new(0.1 * t, 0.2 * t.sin(), 0.05)),
                translation: DVec3::new(t.cos(), 0.5 * (1.7 * t).sin(), 0.3 * t),
            }
        })
        .collect()
}

/// The same path seen from elsewhere, `scale` times as large.
fn moved(scale: f64, poses: &[WorldFromCamera]) -> Vec<WorldFromCamera> {
    let turn = rotation_exp(DVec3::new(0.5, -1.0, 2.0));
    poses
        .iter()
        .map(|pose| WorldFromCamera {
            rotation: turn * pose.rotation,
            translation: turn * pose.translation * scale + DVec3::new(4.0, 5.0, -6.0),
        })
        .collect()
}

fn quaternion(rotation: DMat3) -> [f64; 4] {
    DQuat::from_mat3(&rotation).to_array()
}

fn tum(poses: &[WorldFromCamera], time: impl Fn(usize) -> f64) -> String {
    let mut text = String::from("# time x y z qx qy qz qw\n");
    for (i, pose) in poses.iter().enumerate() {
        let ([x, y, z, w], t) = (quaternion(pose.rotation), pose.translation);
        let time = time(i);
        writeln!(text, "{time} {} {} {} {x} {y} {z} {w}", t.x, t.y, t.z).unwrap();
    }
    text
}

fn monst3r(poses: &[WorldFromCamera]) -> String {
    let mut text = String::new();
    for (i, pose) in poses.iter().enumerate() {
        let ([x, y, z, w], t) = (quaternion(pose.rotation), pose.translation);
        writeln!(text, "{i} {} {} {} {w} {x} {y} {z}", t.x, t.y, t.z).unwrap();
    }
    text
}

fn kitti(poses: &[WorldFromCamera]) -> String {
    let mut text = String::new();
    for pose in poses {
        let (r, t) = (pose.rotation.transpose().to_cols_array(), pose.translation);
        writeln!(
            text,
            "{} {} {} {} {} {} {} {} {} {} {} {}",
            r[0], r[1], r[2], t.x, r[3], r[4], r[5], t.y, r[6], r[7], r[8], t.z
        )
        .unwrap();
    }
    text
}

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

#[test]
fn a_moved_and_scaled_path_has_no_error_in_any_format() {
    let files = Files::new();
    let truth = path(40);
    let estimate = moved(0.2, &truth);
    let gt = files.write("gt.txt", tum(&truth, |i| 100.0 + 0.1 * i as f64));
    let kitti_gt = files.write("gt_kitti.txt", kitti(&truth));
    files.write("run/pred_intrinsics.txt", "");
    for (name, text, truth) in [
        ("tum.txt", tum(&estimate, |i| 100.004 + 0.1 * i as f64), &gt),
        ("run/pred_traj.txt", monst3r(&estimate), &gt),
        ("kitti.txt", kitti(&estimate), &gt),
        ("kitti.txt", kitti(&estimate), &kitti_gt),
        ("run/pred_traj.txt", monst3r(&estimate), &kitti_gt),
    ] {
        let report = pose_pair(&files.write(name, text), truth, PoseAlignment::Sim3);
        for key in ["ate", "rpe_t", "rpe_r_deg"] {
            assert!(report[key].as_f64().unwrap() < 1e-6, "{name}: {report}");
        }
        assert!((report["scale"].as_f64().unwrap() - 5.0).abs() < 1e-9);
        assert_eq!(report["n"], 40);
    }
}

#[test]
fn times_that_do_not_meet_are_left_out_and_none_at_all_is_an_error() {
    let files = Files::new();
    let truth = path(40);
    let gt = files.write("gt.txt", tum(&truth, |i| 0.1 * i as f64));
    let every_other: Vec<_> = truth.iter().copied().step_by(2).collect();
    let sparse = files.write("sparse.txt", tum(&every_other, |i| 0.2 * i as f64 + 0.005));
    let report = pose_pair(&sparse, &gt, PoseAlignment::None);
    assert_eq!(
        (&report["n"], &report["joined_by"]),
        (&20.into(), &"time".into())
    );
    assert!(report["ate"].as_f64().unwrap() < 1e-9);
    let late = files.write("late.txt", tum(&truth, |i| 1000.0 + i as f64 * 0.1));
    let short = files.write("short.txt", kitti(&truth[..10]));
    for predicted in [late, short] {
        let failed = eval_pose_pair(&PosePair {
            predicted: predicted.clone(),
            truth: gt.clone(),
            alignment: PoseAlignment::Sim3,
            max_gap_secs: 0.01,
            quaternion: None,
        });
        let name = predicted.file_name().unwrap().to_str().unwrap();
        assert!(failed.unwrap_err().to_string().contains(name));
    }
}

fn depth_pair(files: &Files, predicted: &[u8], truth: &[u8], preset: DepthPreset) -> Value {
    eval_depth_pair(&DepthPair {
        predicted: files.write("pred.npy", predicted),
        truth: files.write("gt.npy", truth),
        preset,
        set: DepthSet::Other,
        max_depth: None,
    })
    .unwrap()
}

fn depths() -> Vec<f32> {
    (0..2 * 30 * 40)
        .map(|i| {
            let i = i as f32;
            2.0 + (i * 0.013).sin() + 0.3 * (i * 0.41).cos()
        })
        .collect()
}

#[test]
fn each_preset_removes_what_it_fits() {
    let files = Files::new();
    let truth = depths();
    let shape = [2, 30, 40];
    let gt = npy(&shape, &truth);
    let scaled: Vec<f32> = truth.iter().map(|g| g * 0.25).collect();
    let shifted: Vec<f32> = truth.iter().map(|g| (g - 0.5) * 0.25).collect();
    let disparity: Vec<f32> = truth.iter().map(|g| 0.3 / g + 0.1).collect();
    for (preset, predicted, is_exact) in [
        (DepthPreset::Monst3r, &scaled, true),
        (DepthPreset::Geo4d, &scaled, true),
        (DepthPreset::Cut3rScale, &scaled, true),
        (DepthPreset::Cut3rShift, &scaled, true),
        (DepthPreset::ExactL1, &scaled, true),
        (DepthPreset::ExactL1, &shifted, true),
        (DepthPreset::Geo4d, &shifted, true),
        (DepthPreset::Cut3rScale, &shifted, false),
        (DepthPreset::Depthcrafter, &disparity, true),
        (DepthPreset::Depthcrafter, &scaled, false),
    ] {
        let report = depth_pair(&files, &npy(&shape, predicted), &gt, preset);
        let abs_rel = report["abs_rel"].as_f64().unwrap();
        assert_eq!(abs_rel < 2e-3, is_exact, "{preset:?}: {report}");
        assert_eq!(report["n"], 2 * 30 * 40);
        assert_eq!(report["preset"], preset.name());
        if is_exact {
            assert_eq!(report["delta_1_25"], 1.0);
        }
    }
}

#[test]
fn agreement_with_vipe_takes_the_median_log_ratio_as_the_scale() {
    let files = Files::new();
    // Ratios 2, 2, 2, 2 e: the scale is 2, one logarithm in four is off by 1.
    let e = std::f32::consts::E;
    let report = depth_pair(
        &files,
        &npy(&[1, 4], &[1.0_f32, 2.0, 3.0, 4.0]),
        &npy(&[1, 4], &[2.0_f32, 4.0, 6.0, 8.0 * e]),
        DepthPreset::Worldreel,
    );
    assert!((report["scale"].as_f64().unwrap() - 2.0).abs() < 1e-6);
    assert!((report["log_rmse"].as_f64().unwrap() - 0.5).abs() < 1e-6);
    assert_eq!(report["delta_1_25"], 0.75);
    let published = report["published"].as_array().unwrap();
    assert_eq!(published[4]["method"], "WorldReel");
}

#[test]
fn errors_are_those_done_by_hand() {
    let files = Files::new();
    // Median of both is 2, so the scale is 1 and rate 1e-4 moves it by 0.1 at most.
    let report = depth_pair(
        &files,
        &npy(&[1, 5], &[1.0_f32, 1.5, 2.0, 4.0, 8.0]),
        &npy(&[1, 5], &[1.0_f32, 2.0, 2.0, 4.0, 0.0]),
        DepthPreset::ExactL1,
    );
    // Truth 0 is none; three of four points lie on g = p, the fourth is the outlier.
    assert_eq!(report["n"], 4);
    let abs_rel = report["abs_rel"].as_f64().unwrap();
    assert!((abs_rel - 0.25 / 4.0).abs() < 1e-6, "{report}");
    assert_eq!(report["delta_1_25"], 0.75);
}

#[test]
fn sizes_and_frames_that_do_not_fit_are_resized_or_refused() {
    let files = Files::new();
    let small: Vec<f32> = (0..15 * 20).map(|i| 1.0 + (i % 20) as f32 * 0.05).collect();
    let large: Vec<f32> = (0..30 * 40)
        .map(|i| 1.0 + ((i % 40) as f32 - 0.5) * 0.025)
        .collect();
    let report = depth_pair(
        &files,
        &npy(&[15, 20], &small),
        &npy(&[30, 40], &large),
        DepthPreset::Cut3rScale,
    );
    assert!(report["abs_rel"].as_f64().unwrap() < 0.01, "{report}");
    let failed = eval_depth_pair(&DepthPair {
        predicted: files.write("pred.npy", npy(&[1, 15, 20], &small)),
        truth: files.write(
            "gt.npy",
            npy(&[2, 15, 20], &[small.clone(), small].concat()),
        ),
        preset: DepthPreset::Geo4d,
        set: DepthSet::Other,
        max_depth: None,
    });
    assert!(failed.unwrap_err().to_string().contains("pred.npy"));
}

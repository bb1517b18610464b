//! Tests: data sets for training in their own formats, checked against themselves and cut into clips.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use glam::DVec3;
use one4d_engine::Error;
use one4d_engine::datasets::TrainingClip;
use one4d_engine::datasets::training_sets::{
    CheckRequest, ClipSampling, Split, TrainingFiles, TrainingSet, check_sequences,
};
use one4d_engine::job::JobCtx;
use one4d_engine::scene::validity;
use one4d_engine::training::{DataPart, TrainConfig};
use one4d_tests::bundle::{tiny_codec, tiny_model};
use one4d_tests::damage::{COPIES, damaged};
use one4d_tests::training_files::{
    FRAMES, Files, Mistake, Room, bedlam, dynamic_replica, omni_world, point_odyssey, spatial_vid,
    tartan_air, write_to,
};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

/// 24 frames of 64 x 48.
const VIDEO: &[u8] = include_bytes!("../golden/pattern.mp4");

/// Rooms of the picture shape that a data set has.
fn rooms(set: TrainingSet, mistake: Mistake, count: usize) -> Vec<Room> {
    let (height, width) = match set {
        TrainingSet::Bedlam => (72, 128),
        _ => (96, 128),
    };
    (0..count)
        .map(|seed| Room {
            height,
            width,
            focal_px: 64.0,
            seed,
            mistake,
        })
        .collect()
}

fn files(set: TrainingSet, mistake: Mistake, count: usize) -> Files {
    let rooms = rooms(set, mistake, count);
    let each = |write: &dyn Fn(&Room) -> Files| -> Files { rooms.iter().flat_map(write).collect() };
    match set {
        TrainingSet::OmniworldGame => each(&omni_world),
        TrainingSet::Bedlam => each(&bedlam),
        TrainingSet::PointOdyssey => each(&point_odyssey),
        TrainingSet::TartanAir => each(&tartan_air),
        TrainingSet::SpatialVid => each(&|room| spatial_vid(room, VIDEO)),
        TrainingSet::DynamicReplica => dynamic_replica(&rooms),
    }
}

fn written(set: TrainingSet, mistake: Mistake, count: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_to(folder.path(), &files(set, mistake, count)).unwrap();
    folder
}

fn checked(set: TrainingSet, root: &Path) -> one4d_engine::Result<Value> {
    let request = CheckRequest {
        set,
        root: root.to_owned(),
        gap: 5,
        pairs: 3,
        sequences: 0,
    };
    check_sequences(&request, &JobCtx::silent()).map(|found| found.report)
}

#[test]
fn every_data_set_meets_its_own_depth_five_frames_later() {
    for set in TrainingSet::ALL {
        let folder = written(set, Mistake::None, 2);
        let report = checked(set, folder.path()).unwrap();
        let rows = report["sequences"].as_array().unwrap();
        assert!(rows.len() >= 2, "{set:?}");
        for row in rows {
            let error = row["median_error"].as_f64().unwrap();
            assert!(error < 0.01, "{set:?}: {row}");
            assert!(row["overlap"].as_f64().unwrap() > 0.3, "{set:?}: {row}");
            assert_eq!(row["verdict"], "passes", "{set:?}: {row}");
        }
        assert_eq!(report["complete"], true);
    }
}

#[test]
fn wrong_axes_poses_and_units_are_noticed() {
    for set in TrainingSet::ALL {
        for mistake in [Mistake::Inverted, Mistake::Axes, Mistake::Depth] {
            let folder = written(set, mistake, 1);
            let report = checked(set, folder.path()).unwrap();
            assert_eq!(report["complete"], false, "{set:?}, {mistake:?}: {report}");
        }
    }
}

#[test]
fn a_camera_that_stands_still_proves_nothing() {
    let set = TrainingSet::TartanAir;
    let folder = written(set, Mistake::None, 1);
    let base = folder.path().join("office/Easy/P000");
    let poses = std::fs::read_to_string(base.join("pose_left.txt")).unwrap();
    let first = format!("{}\n", poses.lines().next().unwrap());
    std::fs::write(base.join("pose_left.txt"), first.repeat(FRAMES)).unwrap();
    let depth = std::fs::read(base.join("depth_left/000000_left_depth.npy")).unwrap();
    for i in 0..FRAMES {
        let name = format!("depth_left/{i:06}_left_depth.npy");
        std::fs::write(base.join(name), &depth).unwrap();
    }
    let report = checked(set, folder.path()).unwrap();
    assert_eq!(report["sequences"][0]["verdict"], "hardly moves");
    assert_eq!(
        (&report["passed"], &report["complete"]),
        (&0.into(), &true.into())
    );
}

#[test]
fn cameras_and_depth_come_back_as_they_were_put_in() {
    for set in TrainingSet::ALL {
        let folder = written(set, Mistake::None, 1);
        let sequence = set.open(folder.path()).unwrap().open(0).unwrap();
        let room = rooms(set, Mistake::None, 1)[0];
        let frames = sequence.read(&[0, 4], &JobCtx::silent()).unwrap();
        let found = frames[1]
            .camera
            .world_from_camera
            .relative_to(frames[0].camera.world_from_camera);
        let pose = |i: usize| room.camera(i).world_from_camera;
        let truth = pose(4).relative_to(pose(0));
        let off = (found.translation - truth.translation).length();
        assert!(off < 1e-6, "{set:?}: {off}");
        let turn = (found.rotation - truth.rotation).to_cols_array();
        assert!(turn.iter().all(|x| x.abs() < 1e-6), "{set:?}");
        let lens = frames[1].camera.intrinsics;
        assert!(
            (lens.fx_px - 64.0).abs() < 1e-9 && (lens.fy_px - 64.0).abs() < 1e-9,
            "{set:?}"
        );
        assert!((lens.cx_px - 64.0).abs() < 1e-9, "{set:?}: {lens:?}");
        let true_depth = room.depth(4);
        for (i, (d, g)) in frames[1].depth.iter().zip(&true_depth).enumerate() {
            let is_sky = i == 0 && matches!(set, TrainingSet::TartanAir | TrainingSet::SpatialVid);
            assert_eq!(is_sky, *d == f32::INFINITY, "{set:?}");
            assert!(is_sky || (d / g - 1.0).abs() < 5e-3, "{set:?}: {d} {g}");
        }
    }
}

#[test]
fn the_data_sets_quirks_are_kept() {
    let root = written(TrainingSet::Bedlam, Mistake::None, 1);
    let reader = TrainingSet::Bedlam.open(root.path()).unwrap();
    assert_eq!(reader.names().len(), 1);
    assert!(reader.skipped()[0].0.contains("closeup"));

    let root = written(TrainingSet::OmniworldGame, Mistake::None, 1);
    let reader = TrainingSet::OmniworldGame.open(root.path()).unwrap();
    assert_eq!(reader.names(), ["scene_0/split_0", "scene_0/split_1"]);
    assert_eq!(reader.open(1).unwrap().len(), FRAMES / 2);

    let root = written(TrainingSet::SpatialVid, Mistake::None, 1);
    let sequence = TrainingSet::SpatialVid
        .open(root.path())
        .unwrap()
        .open(0)
        .unwrap();
    assert_eq!(sequence.caption, "a room");
    let frame = &sequence.read(&[3], &JobCtx::silent()).unwrap()[0];
    let mask = frame.dynamic.as_ref().unwrap();
    assert!(mask[..10].iter().all(|m| *m == 255) && mask[10..].iter().all(|m| *m == 0));

    let root = written(TrainingSet::PointOdyssey, Mistake::None, 2);
    std::fs::remove_file(root.path().join("train/seq_1/anno.npz")).unwrap();
    let reader = TrainingSet::PointOdyssey.open(root.path()).unwrap();
    assert_eq!(reader.names(), ["train/seq_0"]);
    assert_eq!(reader.skipped()[0].1, "anno.npz is missing");
    let empty = tempfile::tempdir().unwrap();
    for set in TrainingSet::ALL {
        let Err(error) = set.open(empty.path()) else {
            panic!("{set:?} found something in an empty folder");
        };
        assert!(error.to_string().contains("looked for"), "{error}");
    }
}

fn clip(files: &TrainingFiles, seed: u64, split: Split) -> TrainingClip {
    let how = ClipSampling {
        stride: [1, 2],
        min_crop: 0.6,
    };
    let size = [5, 32, 48];
    files
        .clip(seed, &how, size, split, &JobCtx::silent())
        .unwrap()
}

#[test]
fn clips_are_whole_and_a_function_of_their_seed() {
    for set in [TrainingSet::TartanAir, TrainingSet::SpatialVid] {
        let folder = written(set, Mistake::None, 3);
        let files = TrainingFiles::open(set, folder.path()).unwrap();
        for seed in 0..6 {
            let found = clip(&files, seed, Split::Training);
            let again = clip(&files, seed, Split::Training);
            assert_eq!((&found.rgb, &found.cameras), (&again.rgb, &again.cameras));
            assert_eq!(found.rgb.len(), 5 * 32 * 48 * 3);
            let first = found.cameras[0].world_from_camera;
            assert!(first.translation.length() < 1e-12);
            for (i, depth) in found.depth.iter().enumerate() {
                let bits = found.valid[i];
                assert_eq!(depth.is_finite(), bits & validity::FINITE != 0);
                if !depth.is_finite() {
                    assert_eq!(bits & validity::NOT_SKY, 0, "the room has sky and no holes");
                    continue;
                }
                let camera = &found.cameras[i / (32 * 48)];
                let p: Vec<f64> = found.points[3 * i..3 * i + 3]
                    .iter()
                    .map(|x| f64::from(*x))
                    .collect();
                let own = camera
                    .world_from_camera
                    .inverse()
                    .transform(DVec3::new(p[0], p[1], p[2]));
                assert!((own.z - f64::from(*depth)).abs() < 1e-4);
                let seen = camera.intrinsics.project(own).unwrap();
                let centre = glam::DVec2::new((i % 48) as f64 + 0.5, (i / 48 % 32) as f64 + 0.5);
                assert!((seen - centre).length() < 1e-2, "{seen} {centre}");
            }
        }
        let seeds: Vec<Vec<u8>> = (0..6)
            .map(|s| clip(&files, s, Split::Training).rgb)
            .collect();
        assert!(seeds.windows(2).any(|pair| pair[0] != pair[1]));
    }
}

#[test]
fn held_out_clips_are_others_and_too_long_ones_are_refused() {
    let set = TrainingSet::TartanAir;
    let folder = written(set, Mistake::None, 2);
    let files = TrainingFiles::open(set, folder.path()).unwrap();
    // Two rooms, one for either split: their walls lie elsewhere.
    let trained: Vec<Vec<f32>> = (0..8)
        .map(|s| clip(&files, s, Split::Training).depth)
        .collect();
    for seed in 0..8 {
        let held_out = clip(&files, seed, Split::HeldOut).depth;
        assert!(!trained.contains(&held_out));
    }
    let too_long = files.clip(
        0,
        &ClipSampling::default(),
        [FRAMES + 1, 16, 16],
        Split::Training,
        &JobCtx::silent(),
    );
    let error = too_long.unwrap_err().to_string();
    assert!(error.contains("no sequence has 13 frames"), "{error}");
}

#[test]
fn one_sequence_is_too_few_to_train_on() {
    let folder = written(TrainingSet::TartanAir, Mistake::None, 1);
    let Err(error) = TrainingFiles::open(TrainingSet::TartanAir, folder.path()) else {
        panic!("one sequence was accepted");
    };
    assert!(error.to_string().contains("two are needed"), "{error}");
}

#[test]
fn a_configuration_names_worlds_and_data_sets() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.json");
    let read = |parts: &str| {
        let text = format!(r#"{{"data": {{"parts": [{parts}]}}}}"#);
        std::fs::write(&path, text).unwrap();
        TrainConfig::read(&path)
    };
    let files = r#"{"dataset": "tartanair", "root": "/data/t", "clips": 5, "sampling": {"stride": [2, 4]}}"#;
    let config = read(&format!(r#"{{"world": "wide", "clips": 3}}, {files}"#)).unwrap();
    let [DataPart::World(world), DataPart::Files(part)] = &config.data.parts[..] else {
        panic!("{:?}", config.data.parts);
    };
    assert_eq!((world.clips, part.clips), (3, 5));
    assert_eq!(part.dataset, TrainingSet::TartanAir);
    assert_eq!(
        (part.sampling.stride, part.sampling.min_crop),
        ([2, 4], 0.8)
    );
    let again: TrainConfig =
        serde_json::from_str(&serde_json::to_string(&config).unwrap()).unwrap();
    assert_eq!(again, config);
    for (wrong, reason) in [
        (
            r#"{"dataset": "nothing", "root": "/", "clips": 1}"#,
            "nothing",
        ),
        (r#"{"dataset": "tartanair", "clips": 1}"#, "root"),
        (r#"{"world": "wide", "clips": 1, "root": "/"}"#, "root"),
        (
            r#"{"dataset": "tartanair", "root": "/", "clips": 1, "sampling": {"stride": [0, 1]}}"#,
            "stride",
        ),
    ] {
        let error = read(wrong).unwrap_err().to_string();
        assert!(error.contains(reason), "{wrong}: {error}");
    }
}

#[test]
fn the_trainer_takes_clips_from_disk() {
    use one4d_engine::datasets::synthetic::WorldWidth;
    use one4d_engine::training::{DataConfig, FilesPart, StageConfig, run};
    let data = written(TrainingSet::TartanAir, Mistake::None, 2);
    let folder = tempfile::tempdir().unwrap();
    let stage = StageConfig {
        steps: 1,
        batch: 1,
        warmup: 1,
        validate_every: 100,
        checkpoint_every: 100,
        ..StageConfig::default()
    };
    let config = TrainConfig {
        device: one4d_engine::device::DeviceChoice::Cpu,
        frames: 5,
        height: 16,
        width: 32,
        data: DataConfig {
            parts: vec![
                DataPart::world(WorldWidth::Narrow, 2),
                DataPart::Files(FilesPart {
                    dataset: TrainingSet::TartanAir,
                    root: data.path().to_owned(),
                    clips: 4,
                    sampling: ClipSampling::default(),
                }),
            ],
            validation_clips: 2,
            first_seed: 1,
        },
        codec: tiny_codec(6),
        model: tiny_model(),
        base: stage.clone(),
        dlc: stage,
        ..TrainConfig::default()
    };
    let report = run(&config, folder.path(), None, &JobCtx::silent()).unwrap();
    assert!(report.bundle.is_some());
    assert!(report.codec_depth.abs_rel.is_finite());
}

#[test]
fn mutated_and_truncated_files_are_rows_and_never_panics() {
    for set in TrainingSet::ALL {
        let folder = tempfile::tempdir().unwrap();
        let files = files(set, Mistake::None, 1);
        write_to(folder.path(), &files).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        for case in 0..COPIES {
            let (name, bytes) = &files[rng.random_range(0..files.len())];
            if bytes.is_empty() {
                continue;
            }
            let damaged = damaged(bytes, case, 256, &mut rng);
            let path = folder.path().join(name);
            std::fs::write(&path, damaged).unwrap();
            let request = CheckRequest {
                set,
                root: folder.path().to_owned(),
                gap: 5,
                pairs: 1,
                sequences: 0,
            };
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                check_sequences(&request, &JobCtx::silent())
            }));
            let Ok(outcome) = outcome else {
                panic!("{set:?}: panic at case {case}, {name}");
            };
            if let Err(error) = outcome {
                assert!(!matches!(error, Error::Panic { .. }), "{set:?}: {error}");
                let root = folder.path().to_str().unwrap();
                assert!(error.to_string().contains(root), "{set:?}: {error}");
            }
            std::fs::write(&path, bytes).unwrap();
        }
    }
}

//! Tests: what other tools write comes back in the house's conventions, and damaged files are named.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use glam::DVec3;
use one4d_engine::Error;
use one4d_engine::geometry::{AlignmentGroup, Camera, Similarity};
use one4d_engine::import::{DISPARITY_OFFSET, ImportRequest, Imported, import, is_importable};
use one4d_engine::job::JobCtx;
use one4d_engine::media::{Clip, ClipRequest, Sampling, load_video};
use one4d_engine::scene::{ScaleTag, Scene4d, SolverFlag, validity};
use one4d_tests::damage::{COPIES, damaged};
use one4d_tests::foreign::{self, Files, SIZE, Truth};
use one4d_tests::foreign_colmap;
use one4d_tests::foreign_pickle::pointmap_pickle;
use one4d_tests::npy::npy;
use one4d_tests::zip::{npz, zip};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Memory that an import of these small clips may ask for.
const SMALL_BUDGET: u64 = 64 << 20;

fn imported(path: &Path) -> one4d_engine::Result<Imported> {
    let request = ImportRequest {
        budget_bytes: Some(SMALL_BUDGET),
        ..ImportRequest::new(path)
    };
    import(&request, &JobCtx::silent())
}

fn written(files: &Files) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    foreign::write_to(folder.path(), files).unwrap();
    folder
}

fn read(files: &Files) -> Imported {
    let folder = written(files);
    assert!(is_importable(folder.path()));
    imported(folder.path()).unwrap()
}

/// Every layout with known cameras and depth a pixel, whether it has colours, and its tool.
fn full_layouts(truth: &Truth) -> Vec<(&'static str, Files, bool)> {
    vec![
        ("MonST3R", foreign::monst3r(truth), true),
        ("Geo4D", foreign::geo4d(truth), true),
        ("CUT3R evaluation", foreign::cut3r_eval(truth), true),
        ("CUT3R", foreign::cut3r(truth), true),
        ("VGGT", foreign::vggt(truth), true),
        ("MegaSaM", foreign::mega_sam(truth), true),
        (
            "MegaSaM reconstruction",
            foreign::mega_sam_reconstruction(truth),
            true,
        ),
        ("ViPE", foreign::vipe(truth), false),
        ("COLMAP", foreign_colmap::colmap_binary(truth), true),
        ("COLMAP", foreign_colmap::colmap_text(truth), true),
        ("COLMAP", foreign_colmap::colmap_dense(truth), true),
        ("nerfstudio", foreign_colmap::nerfstudio(truth), true),
    ]
}

fn all_layouts(truth: &Truth) -> Vec<(&'static str, Files)> {
    let mut all: Vec<_> = full_layouts(truth)
        .into_iter()
        .map(|(tool, files, _)| (tool, files))
        .collect();
    all.extend([
        ("Kinema4D", foreign::kinema4d(truth)),
        (
            "DepthCrafter",
            foreign::depth_crafter(truth, DISPARITY_OFFSET),
        ),
        ("GeometryCrafter", foreign::geometry_crafter(truth)),
        ("4DNeX", foreign::four_d_nex(truth)),
        ("zero-MSF", foreign::zero_msf(truth)),
    ]);
    all
}

fn points(scene: &Scene4d) -> Vec<DVec3> {
    let all = scene.points.range(0, scene.points.len());
    all.as_chunks::<3>()
        .0
        .iter()
        .map(|p| DVec3::from(p.map(f64::from)))
        .collect()
}

fn camera_error(found: &Camera, truth: &Camera) -> f64 {
    let k = |c: &Camera| {
        [
            c.intrinsics.fx_px,
            c.intrinsics.fy_px,
            c.intrinsics.cx_px,
            c.intrinsics.cy_px,
        ]
    };
    let lens = k(found)
        .iter()
        .zip(k(truth))
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f64::max);
    let turn = found.world_from_camera.rotation - truth.world_from_camera.rotation;
    let turn = turn
        .to_cols_array()
        .iter()
        .fold(0.0, |a: f64, x| a.max(x.abs()));
    let place = found.world_from_camera.translation - truth.world_from_camera.translation;
    lens.max(turn).max(place.length())
}

#[test]
fn clips_with_cameras_come_back_whole_from_every_tool() {
    let truth = Truth::default();
    let first = truth.cameras[0].world_from_camera;
    let expected: Vec<DVec3> = truth
        .world_points()
        .iter()
        .map(|p| first.inverse().transform(*p))
        .collect();
    for (tool, files, has_colours) in full_layouts(&truth) {
        let found = read(&files);
        let scene = &found.scene;
        assert_eq!(found.tool, tool);
        assert_eq!(
            (scene.num_frames, scene.height, scene.width),
            SIZE,
            "{tool}"
        );
        for (camera, truth) in scene.cameras.as_ref().unwrap().iter().zip(&truth.cameras) {
            let relative = Camera {
                world_from_camera: truth.world_from_camera.relative_to(first),
                ..*truth
            };
            assert!(camera_error(camera, &relative) < 1e-9, "{tool}: {camera:?}");
        }
        for (i, (p, q)) in points(scene).iter().zip(&expected).enumerate() {
            assert!((*p - *q).length() < 1e-6, "{tool}, point {i}: {p} {q}");
        }
        if has_colours {
            assert!(scene.rgb.as_slice() == truth.rgb, "{tool}: colours");
        }
        let depth = scene.depth.as_ref().unwrap().as_slice();
        for (d, t) in depth.iter().zip(&truth.depth) {
            assert!((d - t).abs() < 1e-6, "{tool}: depth {d} {t}");
        }
    }
}

#[test]
fn archives_are_read_like_folders() {
    let truth = Truth::default();
    let folder = tempfile::tempdir().unwrap();
    for (i, (tool, files)) in all_layouts(&truth).into_iter().enumerate() {
        let inside: Files = files
            .iter()
            .map(|(name, bytes)| (format!("download/clip/{name}"), bytes.clone()))
            .collect();
        let path = folder.path().join(format!("{i}.zip"));
        std::fs::write(&path, zip(&inside, i % 2 == 0)).unwrap();
        let found = imported(&path).unwrap();
        assert_eq!(found.tool, tool);
        let same = read(&files).scene;
        assert_eq!(found.scene.rgb.as_slice(), same.rgb.as_slice());
        assert_eq!(found.scene.cameras, same.cameras, "{tool}");
    }
}

#[test]
fn the_traps_of_each_tool_are_undone() {
    let truth = Truth::default();
    let pixels = SIZE.1 * SIZE.2;
    // MonST3R: logarithms of confidences, motion masks.
    let scene = read(&foreign::monst3r(&truth)).scene;
    let confidence = scene.confidence.as_ref().unwrap().as_slice();
    let ratio = confidence[4].to_f64() / confidence[2].to_f64();
    assert!((ratio - 1.0_f64.exp()).abs() < 0.01, "{ratio}");
    assert_eq!(
        scene.dynamic.as_ref().unwrap().as_slice()[..41],
        [[255; 40].as_slice(), &[0]].concat()
    );
    // MegaSaM: low probability is motion.
    let scene = read(&foreign::mega_sam_reconstruction(&truth)).scene;
    let dynamic = scene.dynamic.as_ref().unwrap().as_slice();
    assert_eq!((dynamic[0], dynamic[pixels - 1]), (255, 0));
    // ViPE is metric.
    assert_eq!(
        read(&foreign::vipe(&truth)).scene.meta.scale,
        ScaleTag::Metric
    );
    // DepthCrafter: disparity, near is large.
    let found = read(&foreign::depth_crafter(&truth, DISPARITY_OFFSET));
    let depth = found.scene.depth.as_ref().unwrap().as_slice();
    for (d, t) in depth.iter().zip(&truth.depth) {
        assert!((d - t).abs() < 1e-5);
    }
    assert_eq!(found.scene.meta.scale, ScaleTag::UpToScaleAndShift);
    assert!(found.notes.iter().any(|note| note.contains("disparity")));
    // GeometryCrafter: every frame from the same place, masked pixels are not used.
    let found = read(&foreign::geometry_crafter(&truth));
    for (i, (p, d)) in points(&found.scene).iter().zip(&truth.depth).enumerate() {
        assert!((p.z - f64::from(*d)).abs() < 1e-6);
        let good = found.scene.valid.as_slice()[i] & validity::NOT_SKY != 0;
        assert_eq!(good, i % 7 != 0);
    }
}

#[test]
fn clips_without_cameras_keep_their_shape_and_are_solved() {
    let truth = Truth::default();
    let world: Vec<DVec3> = foreign::four_d_nex_points(&truth)
        .as_chunks::<3>()
        .0
        .iter()
        .map(|p| DVec3::from(p.map(f64::from)) * 2.0 - 1.0)
        .collect();
    let found = read(&foreign::four_d_nex(&truth));
    let back = points(&found.scene);
    let fit = Similarity::fit(&back, &world, AlignmentGroup::Se3)
        .unwrap()
        .motion;
    for (p, q) in back.iter().zip(&world) {
        assert!((fit.transform(*p) - *q).length() < 1e-6);
    }
    assert!(found.scene.rgb.as_slice() == truth.rgb);
    assert!(found.notes.iter().any(|n| n.contains("solved")));
    let pair = read(&foreign::zero_msf(&truth));
    assert_eq!(pair.scene.num_frames, 2);
    assert_eq!(
        pair.scene.scene_flow.as_ref().unwrap().as_slice().len(),
        SIZE.1 * SIZE.2 * 3
    );
    let placeholder = read(&foreign::kinema4d(&truth));
    assert_eq!(placeholder.tool, "Kinema4D");
    let depth_alone = read(&foreign::depth_crafter(&truth, DISPARITY_OFFSET));
    let flags = depth_alone.scene.meta.flags;
    assert!(flags.contains(&(None, SolverFlag::FocalUnobservable)));
}

#[test]
fn scenes_of_other_tools_save_and_open() {
    let folder = tempfile::tempdir().unwrap();
    for (tool, files) in all_layouts(&Truth::default()) {
        let scene = read(&files).scene;
        let path = folder.path().join("scene.one4d");
        scene.save(&path).unwrap();
        let opened = one4d_engine::scene::open(&path).unwrap();
        assert_eq!(opened.meta.model.as_deref(), Some(tool));
        assert_eq!(opened.rgb.as_slice(), scene.rgb.as_slice());
    }
}

#[test]
fn unknown_and_ambiguous_folders_say_what_is_read() {
    let empty = tempfile::tempdir().unwrap();
    let error = imported(empty.path()).unwrap_err().to_string();
    assert!(
        error.contains("MonST3R") && error.contains("COLMAP"),
        "{error}"
    );
    assert!(!is_importable(empty.path()));
    let truth = Truth::default();
    let two: Files = ["a", "b"]
        .iter()
        .flat_map(|clip| {
            foreign::mega_sam_reconstruction(&truth)
                .into_iter()
                .map(move |(name, bytes)| (name.replace("/clip/", &format!("/{clip}/")), bytes))
        })
        .collect();
    let folder = written(&two);
    let error = imported(folder.path()).unwrap_err().to_string();
    assert!(
        error.contains("reconstructions/a") && error.contains("open one"),
        "{error}"
    );
    let odd = vec![(
        "x.npz".to_owned(),
        npz(&[("weights", npy(&[1], &[1.0_f32]))], false),
    )];
    let folder = written(&odd);
    let error = imported(folder.path()).unwrap_err().to_string();
    assert!(
        error.contains("weights") && error.contains("x.npz"),
        "{error}"
    );
}

#[test]
fn a_missing_frame_is_named() {
    let mut files = foreign::monst3r(&Truth::default());
    files.retain(|(name, _)| name != "frame_0001.npy");
    let error = imported(written(&files).path()).unwrap_err().to_string();
    assert!(error.contains("frame_1.npy is missing"), "{error}");
}

#[test]
fn pickles_that_call_and_archives_that_lead_out_are_refused() {
    let evil = pointmap_pickle(("os", "system"), &[]);
    let folder = written(&vec![("00000.pkl".to_owned(), evil)]);
    let error = imported(folder.path()).unwrap_err().to_string();
    assert!(
        error.contains("os.system") && error.contains("00000.pkl"),
        "{error}"
    );
    for name in ["../out.npy", "/etc/x.npy", "a\\b.npy", "c:/x.npy"] {
        let path = folder.path().join("evil.zip");
        std::fs::write(&path, zip(&[(name.to_owned(), vec![0; 4])], false)).unwrap();
        let error = imported(&path).unwrap_err().to_string();
        assert!(error.contains("evil.zip"), "{error}");
    }
}

#[test]
fn a_bomb_is_refused_by_the_budget() {
    let shape = [200, 500, 500];
    let zeros = vec![0_u8; 128];
    let mut array = npy(&shape, &zeros);
    array.resize(array.len() + 200 * 500 * 500 - 128, 0);
    let files = vec![("x.npz".to_owned(), npz(&[("depth", array)], true))];
    let folder = written(&files);
    let error = import(
        &ImportRequest {
            budget_bytes: Some(16 << 20),
            ..ImportRequest::new(folder.path())
        },
        &JobCtx::silent(),
    )
    .unwrap_err()
    .to_string();
    assert!(
        error.contains("budget") && error.contains("x.npz"),
        "{error}"
    );
}

/// 24 frames of 64 x 48.
const PATTERN: &[u8] = include_bytes!("../golden/pattern.mp4");

fn decoded(frames: usize, size: Option<[usize; 2]>) -> Clip {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pattern.mp4");
    std::fs::write(&path, PATTERN).unwrap();
    let request = ClipRequest {
        frames,
        sampling: Sampling::Even,
        size,
    };
    load_video(&path, &request, &JobCtx::silent()).unwrap()
}

#[test]
fn the_video_of_vipe_gives_its_colours() {
    let files = foreign::vipe_with_video(&Truth::default(), PATTERN);
    let found = read(&files);
    let video = decoded(SIZE.0, Some([SIZE.1, SIZE.2]));
    let expected: Vec<u8> = video.frames.into_iter().flat_map(|f| f.rgb).collect();
    assert_eq!(found.tool, "ViPE");
    assert!(found.scene.rgb.as_slice() == expected);
    assert_eq!(found.scene.meta.fps, video.fps);
}

#[test]
fn a_4dnex_video_is_colours_beside_points() {
    let files: Files = vec![("00000.mp4".to_owned(), PATTERN.to_vec())];
    let found = read(&files);
    let scene = &found.scene;
    assert_eq!(found.tool, "4DNeX");
    assert_eq!((scene.num_frames, scene.height, scene.width), (24, 48, 32));
    let video = decoded(24, None);
    let mut points = Vec::new();
    for (i, frame) in video.frames.iter().enumerate() {
        for (j, pixel) in frame.rgb.as_chunks::<3>().0.iter().enumerate() {
            let (row, column) = (j / 64, j % 64);
            if column < 32 {
                let at = row * 32 + column;
                assert_eq!(scene.frame_rgb(i)[at * 3..at * 3 + 3], *pixel);
            } else {
                points.push(DVec3::from(pixel.map(|x| f64::from(x) / 255.0 * 2.0 - 1.0)));
            }
        }
    }
    let back = self::points(scene);
    let shown: Vec<(DVec3, DVec3)> = back
        .into_iter()
        .zip(points)
        .filter(|(p, _)| p.is_finite())
        .collect();
    let (from, onto): (Vec<DVec3>, Vec<DVec3>) = shown.into_iter().unzip();
    assert_eq!(from.len(), 24 * 48 * 32);
    let fit = Similarity::fit(&from, &onto, AlignmentGroup::Se3).unwrap();
    for (p, q) in from.iter().zip(&onto) {
        assert!((fit.motion.transform(*p) - *q).length() < 1e-5);
    }
    assert!(found.notes.iter().any(|n| n.contains("lossy")));
    // With a pickle beside it the video is left alone; alone it is a video like any other.
    let mut both = foreign::four_d_nex(&Truth::default());
    both.extend(files);
    assert_eq!(read(&both).scene.num_frames, SIZE.0);
    let folder = written(&both);
    assert!(!is_importable(&folder.path().join("00000.mp4")));
}

/// Imports what is left of the files: no panic, and an error that names the folder.
fn survives(tool: &str, folder: &Path, what: &str) {
    let outcome = catch_unwind(AssertUnwindSafe(|| imported(folder)));
    let Ok(outcome) = outcome else {
        panic!("{tool}: panic at {what}");
    };
    match outcome {
        Ok(found) => found.scene.check().unwrap(),
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains(folder.to_str().unwrap()), "{tool}: {text}");
            assert!(!matches!(error, Error::Panic { .. }), "{tool}: {text}");
        }
    }
}

#[test]
fn mutated_and_truncated_files_never_panic() {
    let truth = Truth::default();
    damage(&all_layouts(&truth));
}

#[test]
fn mutated_and_truncated_videos_never_panic() {
    let truth = Truth::default();
    let alone = vec![("00000.mp4".to_owned(), PATTERN.to_vec())];
    damage(&[
        ("ViPE", foreign::vipe_with_video(&truth, PATTERN)),
        ("4DNeX", alone),
    ]);
}

/// 200 mutations and 64 truncations of a file of each clip.
fn damage(layouts: &[(&'static str, Files)]) {
    for (tool, files) in layouts {
        let folder = written(files);
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        for case in 0..COPIES {
            let (name, bytes) = &files[rng.random_range(0..files.len())];
            let damaged = damaged(bytes, case, 256, &mut rng);
            let path = folder.path().join(name);
            std::fs::write(&path, damaged).unwrap();
            survives(tool, folder.path(), &format!("case {case}, {name}"));
            std::fs::write(&path, bytes).unwrap();
        }
    }
}

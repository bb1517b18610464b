//! Tests: scene flow and masks of what moves, against procedural clips that know both.

use std::sync::Arc;

use one4d_engine::datasets::synthetic::{Clip, ClipSpec, WorldWidth, render};
use one4d_engine::flow::{DenseFlow, ExactFlow, FlowFiles, FlowProvider, find_motion, scene_flow};
use one4d_engine::geometry::WorldFromCamera;
use one4d_engine::job::JobCtx;
use one4d_engine::metrics::{PoseAlignment, pose_scores};
use one4d_engine::pipeline::{PipelineRunner, reanchor};
use one4d_engine::postopt::{PointmapClip, SolveOptions, solve};
use one4d_engine::scene::{Plane, Points, Scene4d};
use one4d_engine::worker::{JobRequest, JobRunner as _, MotionRequest, Output, SceneSource};
use one4d_tests::npy::npy;
use rayon::prelude::*;

fn clip(seed: u64) -> Clip {
    render(&ClipSpec {
        seed,
        frames: 7,
        height: 96,
        width: 160,
        world: WorldWidth::Medium,
    })
    .unwrap()
}

/// Pixels of both over pixels of either.
fn overlap(found: &[u8], truth: &[u8]) -> f64 {
    let count = |of: &dyn Fn(bool, bool) -> bool| {
        let pairs = found.iter().zip(truth);
        pairs.filter(|(a, b)| of(**a > 0, **b > 0)).count() as f64
    };
    count(&|a, b| a && b) / count(&|a, b| a || b)
}

/// Clips in which something moves, more than a fiftieth of the picture.
fn moving_clips(count: usize) -> Vec<Clip> {
    (0..60)
        .map(clip)
        .filter(|clip| {
            let moving = clip.dynamic.iter().filter(|d| **d > 0).count();
            moving * 50 > clip.dynamic.len()
        })
        .take(count)
        .collect()
}

#[test]
fn exact_flow_finds_what_moves() {
    let clips = moving_clips(6);
    assert_eq!(clips.len(), 6);
    for clip in &clips {
        let scene = clip.to_scene();
        let found = find_motion(&scene, &mut ExactFlow(clip), &JobCtx::silent()).unwrap();
        let iou = overlap(&found.mask, &clip.dynamic);
        println!("seed {}: IoU {iou:.3}, {:?}", clip.spec.seed, found.report);
        assert!(iou > 0.9, "seed {}: {iou}", clip.spec.seed);
    }
}

/// Differences between our own flow and the exact one, px, ascending.
fn misses_of(clip: &Clip) -> Vec<f32> {
    let mut flow = DenseFlow::new(Arc::new(clip.to_scene()));
    let mut misses = Vec::new();
    for i in 0..clip.spec.frames - 1 {
        let found = flow.forward(i).unwrap();
        let truth = ExactFlow(clip).forward(i).unwrap();
        for (a, b) in found.vectors.iter().zip(&truth.vectors) {
            let miss = (a[0] - b[0]).hypot(a[1] - b[1]);
            if miss.is_finite() {
                misses.push(miss);
            }
        }
    }
    misses.sort_by(f32::total_cmp);
    misses
}

#[test]
fn our_own_flow_is_close_to_the_exact_one() {
    for clip in &moving_clips(4) {
        let misses = misses_of(clip);
        let at = |share: usize| misses[misses.len() * share / 100];
        let mean = misses.iter().sum::<f32>() / misses.len() as f32;
        println!(
            "seed {}: end point error mean {mean:.3}, median {:.3}, 90 % {:.3} px",
            clip.spec.seed,
            at(50),
            at(90)
        );
        assert!(
            mean < 0.5 && at(50) < 0.05 && at(90) < 1.5,
            "seed {}",
            clip.spec.seed
        );
    }
}

/// Mask by our own flow.
fn own_mask(clip: &Clip) -> Vec<u8> {
    let scene = Arc::new(clip.to_scene());
    let mut flow = DenseFlow::new(Arc::clone(&scene));
    find_motion(&scene, &mut flow, &JobCtx::silent())
        .unwrap()
        .mask
}

#[test]
fn our_own_flow_finds_what_moves() {
    let clips = moving_clips(18);
    let overlaps: Vec<f64> = clips
        .par_iter()
        .map(|clip| overlap(&own_mask(clip), &clip.dynamic))
        .collect();
    for (clip, iou) in clips.iter().zip(&overlaps) {
        println!("seed {}: IoU {iou:.3}", clip.spec.seed);
    }
    let mean = overlaps.iter().sum::<f64>() / overlaps.len() as f64;
    println!("mean of {}: {mean:.3}", overlaps.len());
    assert!(clips.len() == 18 && mean > 0.65, "{mean}");
}

#[test]
fn a_still_world_gives_an_empty_mask() {
    for seed in [2, 12, 15, 33, 37, 50] {
        let clip = clip(seed);
        assert!(clip.dynamic.iter().all(|d| *d == 0), "seed {seed} moves");
        let scene = clip.to_scene();
        let exact = find_motion(&scene, &mut ExactFlow(&clip), &JobCtx::silent()).unwrap();
        let marked = |mask: &[u8]| mask.iter().filter(|m| **m > 0).count();
        assert_eq!(marked(&exact.mask), 0, "seed {seed}, exact flow");
        assert_eq!(marked(&own_mask(&clip)), 0, "seed {seed}, our own");
    }
}

#[test]
fn scene_flow_of_exact_flow_is_the_motion_of_the_points() {
    let clip = &moving_clips(1)[0];
    let scene = clip.to_scene();
    let n = 96 * 160;
    let field = ExactFlow(clip).forward(0).unwrap();
    let found = scene_flow(
        (&scene.frame_points(0), &scene.frame_points(1)),
        (scene.frame_depth(0).unwrap(), scene.frame_depth(1).unwrap()),
        (scene.frame_valid(0), scene.frame_valid(1)),
        &field,
    );
    let mut misses: Vec<f32> = found
        .vectors
        .iter()
        .zip(&clip.scene_flow[..n * 3])
        .map(|(a, b)| (a - b).abs())
        .filter(|x| x.is_finite())
        .collect();
    misses.sort_by(f32::total_cmp);
    assert!(misses.len() > n * 3 / 2);
    assert!(
        misses[misses.len() * 95 / 100] < 0.02,
        "{}",
        misses[misses.len() * 95 / 100]
    );
}

#[test]
fn flow_files_are_asked_by_frame() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.npy");
    std::fs::write(&path, npy(&[2, 3, 2], &[0.5_f32; 12])).unwrap();
    let mut files = FlowFiles {
        forward: vec![path.clone()],
        backward: vec![path],
    };
    assert_eq!(files.forward(0).unwrap().vectors[5], [0.5, 0.5]);
    assert!(files.forward(1).is_err());
    assert!(files.backward(1).unwrap().is_some() && files.backward(0).unwrap().is_none());
}

/// A clip as a tool leaves it that centres every frame on its own, cameras solved.
fn centred(clip: &Clip) -> Scene4d {
    let n = clip.spec.height * clip.spec.width;
    let mut points = clip.points.clone();
    for frame in points.chunks_exact_mut(n * 3) {
        let cloud = frame.as_chunks_mut::<3>().0;
        for k in 0..3 {
            let finite = || cloud.iter().map(|p| p[k]).filter(|x| x.is_finite());
            let middle = (finite().fold(f32::INFINITY, f32::min)
                + finite().fold(f32::NEG_INFINITY, f32::max))
                / 2.0;
            for p in cloud.iter_mut() {
                p[k] -= middle;
            }
        }
    }
    let known = PointmapClip {
        points: &points,
        valid: Some(&clip.valid),
        confidence: None,
        frames: clip.spec.frames,
        height: clip.spec.height,
        width: clip.spec.width,
    };
    let solution = solve(&known, &SolveOptions::default(), &JobCtx::silent()).unwrap();
    Scene4d {
        points: Points::F32(Plane::new(solution.points)),
        valid: Plane::new(solution.valid),
        depth: Some(Plane::new(solution.depth)),
        cameras: Some(solution.cameras.into()),
        ..clip.to_scene()
    }
}

#[test]
fn a_clip_centred_frame_by_frame_gets_its_path_back() {
    let mut recovered = 0;
    for seed in [4, 8] {
        let spec = ClipSpec {
            frames: 17,
            ..clip(seed).spec
        };
        let clip = render(&spec).unwrap();
        let lost = centred(&clip);
        let found = reanchor(&lost, &mut ExactFlow(&clip), &JobCtx::silent()).unwrap();
        let poses = |scene: &Scene4d| -> Vec<WorldFromCamera> {
            let cameras = scene.cameras.as_ref().unwrap();
            cameras.iter().map(|c| c.world_from_camera).collect()
        };
        let truth = poses(&clip.to_scene());
        let path: f64 = truth
            .windows(2)
            .map(|w| (w[1].translation - w[0].translation).length())
            .sum();
        let ate = |scene: &Scene4d| {
            let scores = pose_scores(&poses(scene), &truth, PoseAlignment::Se3, 1.0).unwrap();
            scores.ate.rmse / path
        };
        println!("seed {seed}: centred {:.4} of the path", ate(&lost));
        // Where matches do not agree there is no answer rather than a wrong one.
        let Some(found) = found else {
            continue;
        };
        recovered += 1;
        println!("  {:.4} after", ate(&found));
        assert!(ate(&found) < 0.02, "seed {seed}: {}", ate(&found));
        assert!(ate(&lost) > 0.05, "seed {seed}: {}", ate(&lost));
    }
    assert!(recovered > 0);
}

fn motion_job(request: MotionRequest) -> one4d_engine::Result<(Output, Arc<Scene4d>)> {
    let shown = std::sync::Mutex::new(None);
    let job = JobRequest::FindMotion(request);
    let output = PipelineRunner::default().run(job, &JobCtx::silent(), &|scene| {
        *shown.lock().unwrap() = Some(scene);
    })?;
    Ok((output, shown.into_inner().unwrap().unwrap()))
}

#[test]
fn the_job_adds_flow_and_mask_to_a_scene_file() {
    let clip = &moving_clips(1)[0];
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain.one4d");
    let scene = Scene4d {
        scene_flow: None,
        dynamic: None,
        ..clip.to_scene()
    };
    scene.save(&plain).unwrap();
    let flows = folder.path().join("flows");
    std::fs::create_dir(&flows).unwrap();
    for (i, field) in clip.flow.chunks_exact(96 * 160 * 2).enumerate() {
        let path = flows.join(format!("{i:04}.npy"));
        std::fs::write(path, npy(&[96, 160, 2], field)).unwrap();
    }
    let out = folder.path().join("moving.one4d");
    let request = |flow: Option<&std::path::Path>| MotionRequest {
        scene: SceneSource::File(plain.clone()),
        flow: flow.map(std::path::Path::to_owned),
        out: Some(out.clone()),
    };
    for flow in [None, Some(flows.as_path())] {
        let (output, shown) = motion_job(request(flow)).unwrap();
        assert_eq!(output.files, [out.as_path()]);
        let opened = one4d_engine::scene::open(&out).unwrap();
        assert_eq!(
            opened.dynamic.as_ref().unwrap().as_slice(),
            shown.dynamic.as_ref().unwrap().as_slice()
        );
        let share = overlap(opened.dynamic.as_ref().unwrap().as_slice(), &clip.dynamic);
        println!("{}: IoU {share:.3}", output.report["text"]);
        assert!(share > 0.4, "{share}");
        // What moves has its flow, what stands still has none.
        let vectors = opened.scene_flow.as_ref().unwrap().as_slice();
        let mask = opened.dynamic.as_ref().unwrap().as_slice();
        assert_eq!(vectors.len(), 6 * 96 * 160 * 3);
        let moving = vectors.as_chunks::<3>().0.iter().zip(mask);
        assert!(
            moving
                .clone()
                .any(|(v, m)| *m > 0 && v[0].to_f32().abs() > 0.0)
        );
        assert!(
            moving
                .filter(|(_, m)| **m == 0)
                .all(|(v, _)| v[0].to_f32() == 0.0)
        );
    }
    std::fs::remove_file(flows.join("0003.npy")).unwrap();
    let error = motion_job(request(Some(flows.as_path())))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("holds 5") && error.contains("6 are required"),
        "{error}"
    );
    let bare = Scene4d {
        cameras: None,
        ..scene
    };
    let error = motion_job(MotionRequest {
        scene: SceneSource::Open(Arc::new(bare)),
        flow: None,
        out: None,
    });
    assert!(error.unwrap_err().to_string().contains("cameras"));
}

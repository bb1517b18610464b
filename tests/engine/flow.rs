//! Tests: scene flow and masks of what moves, against procedural clips that know both.

use std::sync::Arc;

use one4d_engine::datasets::synthetic::{Clip, ClipSpec, WorldWidth, render};
use one4d_engine::flow::{DenseFlow, ExactFlow, FlowFiles, FlowProvider, dynamic_mask, scene_flow};
use one4d_engine::job::JobCtx;
use one4d_tests::npy::npy;

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

/// Clips in which something moves, more than a hundredth of the picture.
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
    let mut total = 0.0;
    for clip in &clips {
        let scene = clip.to_scene();
        let found = dynamic_mask(&scene, &mut ExactFlow(clip), &JobCtx::silent()).unwrap();
        let iou = overlap(&found.mask, &clip.dynamic);
        println!("seed {}: IoU {iou:.3}, {:?}", clip.spec.seed, found.report);
        total += iou / 6.0;
    }
    assert!(total > 0.9, "{total}");
}

#[test]
fn our_own_flow_is_close_to_the_exact_one() {
    for clip in &moving_clips(4) {
        let scene = Arc::new(clip.to_scene());
        let mut flow = DenseFlow::new(Arc::clone(&scene));
        let mut misses = Vec::new();
        for i in 0..6 {
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
        let at = |share: usize| misses[misses.len() * share / 100];
        println!(
            "seed {}: end point error median {:.3}, 90 % {:.3} px",
            clip.spec.seed,
            at(50),
            at(90)
        );
        assert!(at(50) < 0.35 && at(90) < 3.0, "seed {}", clip.spec.seed);
    }
}

#[test]
fn a_still_world_gives_an_empty_mask() {
    let still: Vec<Clip> = (0..60)
        .map(clip)
        .filter(|clip| clip.dynamic.iter().all(|d| *d == 0))
        .take(3)
        .collect();
    assert!(!still.is_empty());
    for clip in &still {
        let exact =
            dynamic_mask(&clip.to_scene(), &mut ExactFlow(clip), &JobCtx::silent()).unwrap();
        assert_eq!(exact.report.moving, 0.0, "seed {}", clip.spec.seed);
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

//! Frames centred one by one, as 4DNeX leaves them, back in one world.

use std::sync::Arc;

use one4d_engine::datasets::synthetic::{Clip, ClipSpec, WorldWidth, render};
use one4d_engine::flow::{DenseFlow, ExactFlow, FlowProvider, offsets_by_flow};
use one4d_engine::job::JobCtx;
use one4d_engine::postopt::reanchor::move_frames;
use one4d_engine::scene::{Plane, Points, Scene4d};

const FRAMES: usize = 9;

fn clip(seed: u64) -> Clip {
    render(&ClipSpec {
        seed,
        frames: FRAMES,
        height: 72,
        width: 120,
        world: WorldWidth::Medium,
    })
    .unwrap()
}

/// The scene's points with the middle of every frame's box at nought, all by one scale.
fn centred(scene: &Scene4d) -> (Vec<f32>, f64) {
    let pixels = scene.pixels_per_frame();
    let mut points = Vec::with_capacity(FRAMES * pixels * 3);
    let mut centres = Vec::new();
    let mut scale = 0.0_f64;
    for frame in 0..FRAMES {
        let values = scene.frame_points(frame).into_owned();
        let centre = [0, 1, 2].map(|k| {
            let mut axis: Vec<f32> = values.iter().skip(k).step_by(3).copied().collect();
            axis.retain(|x| x.is_finite());
            axis.sort_by(f32::total_cmp);
            let (low, high) = (axis[axis.len() / 50], axis[axis.len() * 49 / 50]);
            scale = scale.max(f64::from(high - low) / 2.0);
            f64::from(low + high) / 2.0
        });
        centres.push(centre);
        points.extend(values);
    }
    for (frame, points) in points.chunks_exact_mut(3 * pixels).enumerate() {
        for (i, value) in points.iter_mut().enumerate() {
            *value = ((f64::from(*value) - centres[frame][i % 3]) / scale) as f32;
        }
    }
    (points, scale)
}

/// Median distance of points from where they were, after moving all of them as one, in units of `scale`.
fn misplaced(points: &[f32], truth: &Scene4d, scale: f64) -> f64 {
    let pixels = truth.pixels_per_frame();
    let mut differences: Vec<[f64; 3]> = Vec::new();
    for frame in 0..FRAMES {
        let real = truth.frame_points(frame);
        let ours = &points[3 * frame * pixels..3 * (frame + 1) * pixels];
        for (a, b) in ours.chunks_exact(3).zip(real.chunks_exact(3)) {
            let d = [0, 1, 2].map(|k| f64::from(a[k]) - f64::from(b[k]) / scale);
            if d.iter().all(|x| x.is_finite()) {
                differences.push(d);
            }
        }
    }
    let middle = |values: &mut Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let common = [0, 1, 2].map(|k| middle(&mut differences.iter().map(|d| d[k]).collect()));
    let distance = |d: &[f64; 3]| {
        (0..3)
            .map(|k| (d[k] - common[k]).powi(2))
            .sum::<f64>()
            .sqrt()
    };
    middle(&mut differences.iter().map(distance).collect())
}

#[test]
fn flow_brings_centred_frames_back_into_one_world() {
    let mut worst_before = 0.0_f64;
    for seed in 3..9 {
        let clip = clip(seed);
        let truth = clip.to_scene();
        let (points, scale) = centred(&truth);
        let before = misplaced(&points, &truth, scale);
        worst_before = worst_before.max(before);
        let scene = Scene4d {
            points: Points::F32(Plane::new(points.clone())),
            ..truth.clone()
        };
        let scene = Arc::new(scene);
        // Our own flow knows no cameras here: those of centred frames do not fit the points.
        let mut own = DenseFlow::without_cameras(Arc::clone(&scene));
        let flows: [(&str, &mut dyn FlowProvider, f64); 2] = [
            ("exact", &mut ExactFlow(&clip), 0.001),
            ("own", &mut own, 0.01),
        ];
        for (name, flow, limit) in flows {
            let offsets = offsets_by_flow(&scene, flow, &JobCtx::silent())
                .unwrap()
                .expect("flow leads from frame to frame");
            assert_eq!(offsets.len(), FRAMES);
            assert_eq!(offsets[0], [0.0; 3]);
            let mut moved = points.clone();
            move_frames(&mut moved, &offsets);
            let after = misplaced(&moved, &truth, scale);
            println!("seed {seed}: off by {before:.4} before, {after:.4} after by {name} flow");
            assert!(after < limit, "seed {seed}, {name}: {after}");
        }
    }
    assert!(worst_before > 0.05, "no camera moved: {worst_before}");
}

#[test]
fn without_flow_there_is_no_answer() {
    let clip = clip(3);
    let mut scene = clip.to_scene();
    scene.valid = Plane::new(vec![0; scene.valid.as_slice().len()]);
    let offsets = offsets_by_flow(&scene, &mut ExactFlow(&clip), &JobCtx::silent()).unwrap();
    assert!(offsets.is_none());
}

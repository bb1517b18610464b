//! Tests: joint refinement, priors, zooms, known poses, and the flags that need noise to show.

use glam::{DMat3, DVec3};
use one4d_engine::Error;
use one4d_engine::geometry::{WorldFromCamera, rotation_exp};
use one4d_engine::job::JobCtx;
use one4d_engine::postopt::{
    DepthSource, FocalMode, FocalSource, MotionPrior, PointmapClip, Refinement, Solution,
    SolveOptions, solve, solve_posed,
};
use one4d_engine::scene::SolverFlag;
use one4d_tests::analytic_clip::{AnalyticClip, Disturbance, PRIOR_ROWS, rows};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// 858 pixels a frame, as the prototype's table of priors.
const SMALL: AnalyticClip = AnalyticClip {
    frames: 81,
    height: 22,
    width: 39,
    focal_px: 32.5,
};

const CLIP: AnalyticClip = AnalyticClip {
    frames: 17,
    height: 88,
    width: 156,
    focal_px: 130.0,
};

fn exact(scale: f64, shift: DVec3) -> Disturbance {
    Disturbance {
        noise: 0.0,
        outliers: 0.0,
        shift,
        scale,
    }
}

fn solved(clip: &PointmapClip<'_>, options: &SolveOptions) -> Solution {
    solve(clip, options, &JobCtx::silent()).unwrap()
}

fn with_prior(clip: &AnalyticClip, prior: Option<MotionPrior>, weight: f64) -> SolveOptions {
    SolveOptions {
        known_intrinsics: Some(clip.camera(0).intrinsics),
        refinement: prior.map(|prior| Refinement {
            prior,
            weight,
            ..Refinement::OURS
        }),
        ..SolveOptions::default()
    }
}

/// Mean errors of a prior over three draws of the jitter.
fn prior_errors(
    jitter: (f64, f64),
    noise: &Disturbance,
    prior: Option<MotionPrior>,
    weight: f64,
) -> [f64; 4] {
    let mut mean = [0.0; 4];
    for seed in 0..3 {
        let points = SMALL.jittered_points(jitter, noise, 40 + seed);
        let options = with_prior(&SMALL, prior, weight);
        let solution = solved(&SMALL.pointmaps(&points), &options);
        for (sum, x) in mean.iter_mut().zip(SMALL.path_errors(&solution)) {
            *sum += x / 3.0;
        }
    }
    mean
}

#[test]
fn priors_do_what_the_prototype_found() {
    // The prototype's clip: 2 cm of noise and 10 % outliers, which its row without a prior shows
    // (0.092 degrees where jitter alone gives 0.080).
    let noisy = rows()[2].1;
    let mut misses = Vec::new();
    for (jitter, is_heavy) in [((0.3, 0.01), true), ((0.05, 0.002), false)] {
        let mut turns = Vec::new();
        for (prior, weight, at_heavy, at_light) in PRIOR_ROWS {
            let found = prior_errors(jitter, &noisy, prior, weight);
            let bar = if is_heavy { at_heavy } else { at_light };
            println!("{prior:?} {weight}: {found:.4?}, prototype {bar:?}");
            turns.push(found[0]);
            let is_steady = matches!(prior, Some(MotionPrior::Acceleration));
            if is_steady && found.iter().zip(bar).any(|(found, bar)| *found > bar) {
                misses.push(format!(
                    "{jitter:?} {weight}: {found:.4?}, prototype {bar:?}"
                ));
            }
        }
        // Rows: per frame, path .0015, path .015, acceleration .0015, .005, .015.
        assert!(turns[4] < turns[0] && turns[4] < turns[1], "{turns:?}");
        assert!(turns[2] > turns[4], "the path prior shortens: {turns:?}");
    }
    assert!(misses.is_empty(), "{misses:#?}");
}

#[test]
fn jitter_is_smoothed_as_well_where_the_points_have_no_noise() {
    let mut misses = Vec::new();
    for (jitter, is_heavy) in [((0.3, 0.01), true), ((0.05, 0.002), false)] {
        for (prior, weight, at_heavy, at_light) in &PRIOR_ROWS[3..] {
            let found = prior_errors(jitter, &exact(1.0, DVec3::ZERO), *prior, *weight);
            let bar = if is_heavy { at_heavy } else { at_light };
            println!("{prior:?} {weight}: {found:.4?}, prototype {bar:?}");
            // Steps are left out: noise makes the prototype's own frames smoother.
            if found
                .iter()
                .zip(bar)
                .take(2)
                .any(|(found, bar)| found > bar)
            {
                misses.push(format!(
                    "{jitter:?} {weight}: {found:.4?}, prototype {bar:?}"
                ));
            }
        }
    }
    assert!(misses.is_empty(), "{misses:#?}");
}

#[test]
fn the_joint_solution_hardly_bends_a_clip_without_jitter() {
    for (name, disturbance, bar) in rows() {
        let points = CLIP.points(&disturbance, 5);
        let alone = SolveOptions {
            refinement: None,
            ..SolveOptions::default()
        };
        let alone = CLIP.errors(&solved(&CLIP.pointmaps(&points), &alone), &disturbance);
        let joint = solved(&CLIP.pointmaps(&points), &SolveOptions::default());
        let joint = CLIP.errors(&joint, &disturbance);
        println!("{name}: alone {alone}, joint {joint}");
        // A clip of 17 frames moves so much between them that some of it passes for jitter.
        assert!(
            joint.rotation_deg.0 <= 1.05 * alone.rotation_deg.0 + bar.rotation_deg.0,
            "{name}: alone {alone}, joint {joint}"
        );
    }
}

#[test]
fn the_papers_preset_solves() {
    let noisy = rows()[2].1;
    let points = CLIP.points(&noisy, 0);
    let paper = solved(&CLIP.pointmaps(&points), &SolveOptions::paper());
    let errors = CLIP.errors(&paper, &noisy);
    assert!(
        errors.rotation_deg.1 < 3.0 && errors.focal_percent.abs() < 3.0,
        "{errors}"
    );
}

#[test]
fn every_depth_source_is_the_depth_of_an_exact_clip() {
    let points = CLIP.points(&exact(1.0, DVec3::ZERO), 0);
    for depth in [DepthSource::Ray, DepthSource::RayL1, DepthSource::RawZ] {
        let options = SolveOptions {
            depth,
            known_intrinsics: Some(CLIP.camera(0).intrinsics),
            ..SolveOptions::default()
        };
        let solution = solved(&CLIP.pointmaps(&points), &options);
        for (i, found) in solution.depth.iter().enumerate() {
            let (frame_idx, pixel) = (i / (88 * 156), i % (88 * 156));
            let (u, v) = ((pixel % 156) as f64 + 0.5, (pixel / 156) as f64 + 0.5);
            let truth = CLIP.depth(frame_idx, u, v);
            assert!((f64::from(*found) / truth - 1.0).abs() < 1e-3, "{depth:?}");
        }
    }
}

/// Points of a clip whose focal length changes with the frame.
fn zoomed(frames: usize, focal_px: impl Fn(usize) -> f64) -> Vec<f32> {
    let (height, width) = (66, 117);
    let mut points = Vec::new();
    for frame_idx in 0..frames {
        let clip = AnalyticClip {
            frames,
            height,
            width,
            focal_px: focal_px(frame_idx),
        };
        let all = clip.points(&exact(1.0, DVec3::ZERO), 0);
        let n = height * width * 3;
        points.extend(&all[frame_idx * n..(frame_idx + 1) * n]);
    }
    points
}

#[test]
fn a_zoom_is_followed_frame_by_frame() {
    let focal_px = |i: usize| 80.0 + 8.0 * (i.clamp(3, 9) - 3) as f64;
    let points = zoomed(13, focal_px);
    let clip = PointmapClip {
        points: &points,
        valid: None,
        confidence: None,
        frames: 13,
        height: 66,
        width: 117,
    };
    let options = SolveOptions {
        focal: FocalMode::PerFrame,
        ..SolveOptions::default()
    };
    let solution = solved(&clip, &options);
    for (i, camera) in solution.cameras.iter().enumerate() {
        let found = camera.intrinsics.fx_px / focal_px(i);
        assert!((found - 1.0).abs() < 0.01, "{i}: {found}");
    }
    let shared = solved(&clip, &SolveOptions::default());
    let first = shared.cameras[0].intrinsics;
    assert!(shared.cameras.iter().all(|c| c.intrinsics == first));
}

#[test]
fn known_poses_are_kept_and_bring_their_units() {
    let disturbance = exact(0.2, DVec3::new(0.5, -1.0, 2.0));
    let points = CLIP.points(&disturbance, 0);
    // The poses live in a world of their own, in metres.
    let turn = rotation_exp(DVec3::new(0.3, 1.2, -0.4));
    let poses: Vec<WorldFromCamera> = (0..CLIP.frames)
        .map(|i| {
            let pose = CLIP.camera(i).world_from_camera;
            WorldFromCamera {
                rotation: turn * pose.rotation,
                translation: turn * pose.translation + DVec3::new(10.0, 20.0, 30.0),
            }
        })
        .collect();
    let ctx = JobCtx::silent();
    let options = SolveOptions::default();
    let solution = solve_posed(&CLIP.pointmaps(&points), &poses, &options, &ctx).unwrap();
    assert!((solution.scale - 5.0).abs() < 0.01, "{}", solution.scale);
    for (camera, pose) in solution.cameras.iter().zip(&poses) {
        assert_eq!(camera.world_from_camera, pose.relative_to(poses[0]));
    }
    let focal = solution.cameras[0].intrinsics.fx_px / CLIP.focal_px;
    assert!((focal - 1.0).abs() < 1e-3, "{focal}");
    for (i, found) in solution.depth.iter().enumerate().step_by(97) {
        let (frame_idx, pixel) = (i / (88 * 156), i % (88 * 156));
        let (u, v) = ((pixel % 156) as f64 + 0.5, (pixel / 156) as f64 + 0.5);
        let truth = CLIP.depth(frame_idx, u, v);
        assert!((f64::from(*found) / truth - 1.0).abs() < 5e-3);
    }
    let short = solve_posed(&CLIP.pointmaps(&points), &poses[1..], &options, &ctx);
    assert!(matches!(short, Err(Error::Shape { .. })));
}

fn has(solution: &Solution, flag: SolverFlag) -> bool {
    solution.flags.iter().any(|(_, f)| *f == flag)
}

#[test]
fn a_frame_from_which_all_goes_wrong_is_a_cut() {
    let noisy = Disturbance {
        noise: 0.1,
        ..exact(1.0, DVec3::ZERO)
    };
    let mut points = CLIP.points(&exact(1.0, DVec3::ZERO), 0);
    let at = 9 * 88 * 156 * 3;
    points[at..].copy_from_slice(&CLIP.points(&noisy, 1)[at..]);
    let solution = solved(&CLIP.pointmaps(&points), &SolveOptions::default());
    let flags = &solution.flags;
    assert!(
        flags.contains(&(Some(9), SolverFlag::SceneCut)),
        "{flags:?}"
    );
    let cuts = flags.iter().filter(|(_, f)| *f == SolverFlag::SceneCut);
    assert_eq!(cuts.count(), 1);
}

#[test]
fn a_cloud_turned_inside_out_lies_behind_its_camera() {
    let points = CLIP.points(&exact(1.0, DVec3::ZERO), 0);
    let inside_out: Vec<f32> = points.iter().map(|x| -x).collect();
    let options = SolveOptions {
        known_intrinsics: Some(CLIP.camera(0).intrinsics),
        ..SolveOptions::default()
    };
    let solution = solved(&CLIP.pointmaps(&inside_out), &options);
    assert!(has(&solution, SolverFlag::Behind), "{:?}", solution.flags);
    for camera in &solution.cameras {
        assert!(camera.world_from_camera.rotation.is_finite());
    }
}

/// A clip in which the camera moves as `pose` says, with noise on every coordinate.
fn noisy_clip(noise: f64, pose: impl Fn(f64) -> WorldFromCamera) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    // Irwin and Hall: twelve uniform numbers make a normal one well enough.
    let mut normal = || (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
    let mut points = Vec::new();
    for frame_idx in 0..CLIP.frames {
        let pose = pose(frame_idx as f64 / (CLIP.frames - 1) as f64);
        for pixel in 0..88 * 156 {
            let (column, row) = (pixel % 156, pixel / 156);
            let ray = CLIP.camera(0).intrinsics.ray(column, row);
            let depth = CLIP.depth(frame_idx, column as f64 + 0.5, row as f64 + 0.5);
            let off = DVec3::new(normal(), normal(), normal()) * noise;
            points.extend((pose.transform(ray * depth) + off).as_vec3().to_array());
        }
    }
    points
}

#[test]
fn heavy_noise_makes_no_motion_and_hides_none() {
    let standing = |_: f64| WorldFromCamera::IDENTITY;
    let turning = |t: f64| WorldFromCamera {
        rotation: DMat3::from_rotation_y(0.2 * t),
        translation: DVec3::ZERO,
    };
    let moving = |t: f64| WorldFromCamera {
        rotation: DMat3::from_rotation_y(0.2 * t),
        translation: DVec3::new(0.3 * t, 0.0, 0.1 * t),
    };
    let motion = |points: &[f32]| -> Vec<SolverFlag> {
        let options = SolveOptions {
            known_intrinsics: Some(CLIP.camera(0).intrinsics),
            ..SolveOptions::default()
        };
        let solution = solved(&CLIP.pointmaps(points), &options);
        let of_motion = [SolverFlag::StaticCamera, SolverFlag::PureRotation];
        let flags = solution.flags.into_iter().map(|(_, f)| f);
        flags.filter(|f| of_motion.contains(f)).collect()
    };
    for noise in [0.02, 0.2, 0.5] {
        let found = [
            motion(&noisy_clip(noise, standing)),
            motion(&noisy_clip(noise, turning)),
            motion(&noisy_clip(noise, moving)),
        ];
        let expected = [
            vec![SolverFlag::StaticCamera],
            vec![SolverFlag::PureRotation],
            vec![],
        ];
        assert_eq!(found, expected, "{noise}");
    }
}

#[test]
fn a_moving_camera_is_not_called_turning_where_lens_and_outliers_are_unknown_too() {
    for (noise, outliers) in [(0.1, 0.0), (0.3, 0.0), (0.05, 0.4)] {
        let heavy = Disturbance {
            noise,
            outliers,
            ..exact(1.0, DVec3::ZERO)
        };
        let points = CLIP.points(&heavy, 3);
        let solution = solved(&CLIP.pointmaps(&points), &SolveOptions::default());
        for flag in [SolverFlag::PureRotation, SolverFlag::StaticCamera] {
            assert!(
                !has(&solution, flag),
                "{noise} {outliers}: {:?}",
                solution.flags
            );
        }
    }
}

#[test]
fn a_lens_that_cannot_be_seen_is_not_moved_and_a_bad_weight_is_refused() {
    let mut points = Vec::new();
    for pixel in 0..4 * 60 * 80 {
        let (u, v) = ((pixel % 80) as f32 + 0.5, (pixel / 80 % 60) as f32 + 0.5);
        points.extend([(u - 40.0) / 70.0 * 3.0, (v - 30.0) / 70.0 * 3.0, 3.0]);
    }
    let clip = PointmapClip {
        points: &points,
        valid: None,
        confidence: None,
        frames: 4,
        height: 60,
        width: 80,
    };
    let solution = solved(&clip, &SolveOptions::default());
    assert_eq!(solution.focal.source, FocalSource::Prior);
    let bad = SolveOptions {
        refinement: Some(Refinement {
            weight: f64::NAN,
            ..Refinement::OURS
        }),
        ..SolveOptions::default()
    };
    let refused = solve(&clip, &bad, &JobCtx::silent());
    assert!(matches!(refused, Err(Error::Invalid { .. })));
}

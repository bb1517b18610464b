//! Tests: the camera solver on clips with known cameras, and on clips that have no answer.

use glam::{DMat3, DVec3};
use one4d_engine::Error;
use one4d_engine::geometry::{Intrinsics, rotation_angle_rad, rotation_exp};
use one4d_engine::job::{CancelToken, JobCtx, JobSink, Progress};
use one4d_engine::postopt::{
    FOCAL_PRIOR, FocalSource, PointmapClip, Solution, SolveOptions, solve,
};
use one4d_engine::scene::{SolverFlag, validity};
use one4d_tests::analytic_clip::{AnalyticClip, Disturbance, rows};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

const CLIP: AnalyticClip = AnalyticClip {
    frames: 17,
    height: 176,
    width: 312,
    focal_px: 260.0,
};

const EXACT: Disturbance = Disturbance {
    noise: 0.0,
    outliers: 0.0,
    shift: DVec3::ZERO,
    scale: 1.0,
};

fn solved(clip: &PointmapClip<'_>, options: &SolveOptions) -> Solution {
    let solution = solve(clip, options, &JobCtx::silent()).unwrap();
    assert_finite(&solution);
    solution
}

/// No number but the points of empty pixels may be other than finite.
fn assert_finite(solution: &Solution) {
    for camera in &solution.cameras {
        let pose = camera.world_from_camera;
        assert!(pose.rotation.is_finite() && pose.translation.is_finite());
        assert!((pose.rotation.determinant() - 1.0).abs() < 1e-9);
        assert!(camera.intrinsics.fx_px.is_finite() && camera.intrinsics.fx_px > 0.0);
    }
    assert!(solution.median_depth.is_finite() && solution.focal.span.is_finite());
    for quality in &solution.quality {
        assert!(quality.residual.is_finite() && quality.sigma.centre.is_finite());
    }
}

fn has(solution: &Solution, flag: SolverFlag) -> bool {
    solution.flags.iter().any(|(_, f)| *f == flag)
}

/// Points `[T, H, W, 3]` from a function of frame, column and row.
fn points(size: (usize, usize, usize), at: impl Fn(usize, f64, f64) -> DVec3) -> Vec<f32> {
    let (frames, height, width) = size;
    let mut points = Vec::with_capacity(frames * height * width * 3);
    for frame_idx in 0..frames {
        for pixel in 0..height * width {
            let (u, v) = ((pixel % width) as f64 + 0.5, (pixel / width) as f64 + 0.5);
            points.extend(at(frame_idx, u, v).as_vec3().to_array());
        }
    }
    points
}

fn pointmaps(points: &[f32], size: (usize, usize, usize)) -> PointmapClip<'_> {
    PointmapClip {
        points,
        valid: None,
        confidence: None,
        frames: size.0,
        height: size.1,
        width: size.2,
    }
}

const SIZE: (usize, usize, usize) = (4, 60, 80);
const FOCAL_PX: f64 = 70.0;

fn ray(u: f64, v: f64) -> DVec3 {
    DVec3::new((u - 40.0) / FOCAL_PX, (v - 30.0) / FOCAL_PX, 1.0)
}

fn rough_depth(u: f64, v: f64) -> f64 {
    3.0 + (0.1 * u).sin() + 0.7 * (0.13 * v).cos()
}

#[test]
fn cameras_of_the_noisy_clip_come_back_within_twice_the_prototype() {
    let mut misses = Vec::new();
    for (name, disturbance, bar) in rows() {
        let points = CLIP.points(&disturbance, 3);
        let solution = solved(&CLIP.pointmaps(&points), &SolveOptions::default());
        let errors = CLIP.errors(&solution, &disturbance);
        println!("{name}: {errors}");
        if !errors.within(&bar, 2.0) {
            misses.push(format!("{name}: {errors}, bar {bar}"));
        }
        assert_eq!(solution.focal.source, FocalSource::Estimated);
        assert_eq!(solution.flags, [], "{name}");
    }
    assert!(misses.is_empty(), "{misses:#?}");
}

#[test]
fn depth_and_points_of_the_exact_clip_come_back() {
    let points = CLIP.points(&EXACT, 0);
    let solution = solved(&CLIP.pointmaps(&points), &SolveOptions::default());
    for (i, (&found, residual)) in solution.depth.iter().zip(&solution.residual).enumerate() {
        let (frame_idx, pixel) = (i / (176 * 312), i % (176 * 312));
        let (u, v) = ((pixel % 312) as f64 + 0.5, (pixel / 312) as f64 + 0.5);
        let truth = CLIP.depth(frame_idx, u, v);
        assert!((f64::from(found) / truth - 1.0).abs() < 1e-3);
        assert!(*residual < 1e-3);
        assert!(solution.valid[i] | validity::NOT_EDGE == validity::GOOD);
    }
    let moved = points
        .iter()
        .zip(&solution.points)
        .map(|(a, b)| (a - b).abs());
    assert!(moved.fold(0.0, f32::max) < 2e-3);
}

#[test]
fn centre_and_scale_of_the_points_do_not_change_the_cameras() {
    let disturbance = Disturbance {
        shift: DVec3::new(0.7, -2.0, 4.0),
        scale: 0.1,
        ..EXACT
    };
    let points = CLIP.points(&disturbance, 0);
    let solution = solved(&CLIP.pointmaps(&points), &SolveOptions::default());
    let errors = CLIP.errors_from_first(&solution, &disturbance);
    assert!(
        errors.rotation_deg.1 < 0.01 && errors.centre_mm.1 < 2.0,
        "{errors}"
    );
    let first = solution.cameras[0].world_from_camera;
    assert!(first.translation.length() < 1e-12);
    assert!(rotation_angle_rad(first.rotation) < 1e-9);
}

#[test]
fn one_thread_and_four_give_the_same_result() {
    let points = CLIP.points(&rows()[2].1, 1);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| solved(&CLIP.pointmaps(&points), &SolveOptions::default()))
    };
    let (one, four) = (run(1), run(4));
    assert_eq!(one.cameras, four.cameras);
    assert_eq!(one.focal, four.focal);
    assert_eq!(one.valid, four.valid);
}

/// Largest turn in degrees and distance between the cameras of two solutions.
fn apart(a: &Solution, b: &Solution) -> (f64, f64) {
    let pairs = a.cameras.iter().zip(&b.cameras);
    pairs.fold((0.0, 0.0), |(turn, away): (f64, f64), (a, b)| {
        let (a, b) = (a.world_from_camera, b.world_from_camera);
        let angle = rotation_angle_rad(a.rotation * b.rotation.transpose());
        let distance = (a.translation - b.translation).length();
        (turn.max(angle.to_degrees()), away.max(distance))
    })
}

#[test]
fn a_coarse_grid_ends_where_all_pixels_want_it() {
    let noisy = rows()[2].1;
    let exact_grid = |points: &[f32], stride| {
        let options = SolveOptions {
            stride: Some(stride),
            ..SolveOptions::default()
        };
        solved(&CLIP.pointmaps(points), &options)
    };
    let still = CLIP.points(&noisy, 6);
    let jittering = CLIP.jittered_points((0.05, 0.002), &noisy, 6);
    for (name, points, limit) in [
        ("frames alone", &still, (0.003, 3e-4)),
        // The unsquared prior approaches its minimum in ever shorter steps, which end before it.
        ("with the prior", &jittering, (0.05, 4e-3)),
    ] {
        let every_pixel = exact_grid(points, 1);
        for stride in [3, 8] {
            let coarse = exact_grid(points, stride);
            let (turn, away) = apart(&coarse, &every_pixel);
            println!("{name}, stride {stride}: {turn:.5} deg, {away:.6}");
            assert!(
                turn < limit.0 && away < limit.1,
                "{name} {stride}: {turn} {away}"
            );
            let focal = |s: &Solution| s.cameras[0].intrinsics.fx_px;
            let zoom = focal(&coarse) / focal(&every_pixel) - 1.0;
            assert!(zoom.abs() < 1e-4, "{name} {stride}: {zoom}");
        }
    }
}

#[test]
fn the_integer_pixel_grid_gives_the_same_camera_half_a_pixel_aside() {
    // A clip on integer pixels with the principal point at W/2, as the DUSt3R family writes it.
    let ray = |u: f64, v: f64| DVec3::new((u - 40.5) / FOCAL_PX, (v - 30.5) / FOCAL_PX, 1.0);
    let points = points(SIZE, |_, u, v| ray(u, v) * rough_depth(u, v));
    let options = SolveOptions {
        pixel_centre: 0.0,
        ..SolveOptions::default()
    };
    let solution = solved(&pointmaps(&points, SIZE), &options);
    let lens = solution.cameras[0].intrinsics;
    assert!((lens.fx_px / FOCAL_PX - 1.0).abs() < 1e-3, "{lens:?}");
    assert_eq!((lens.cx_px, lens.cy_px), (40.5, 30.5));
    assert!(solution.residual.iter().all(|e| *e < 1e-3));
}

#[test]
fn a_known_lens_is_kept() {
    let lens = Intrinsics {
        fx_px: 70.0,
        fy_px: 90.0,
        cx_px: 30.0,
        cy_px: 33.0,
    };
    let turn = rotation_exp(DVec3::new(0.2, 2.0, 0.4));
    let points = points(SIZE, |_, u, v| {
        turn * lens.ray(u as usize, v as usize) * rough_depth(u, v) + DVec3::new(5.0, 1.0, 2.0)
    });
    let options = SolveOptions {
        known_intrinsics: Some(lens),
        ..SolveOptions::default()
    };
    let solution = solved(&pointmaps(&points, SIZE), &options);
    assert_eq!(solution.cameras[0].intrinsics, lens);
    assert_eq!(solution.focal.source, FocalSource::Known);
    // Frame 0 is far from the identity here: only the cold start finds it.
    let found = solution.world_from_clip.rotation;
    assert!(rotation_angle_rad(found * turn) < 1e-4);
    assert!(solution.residual.iter().all(|e| *e < 1e-4));
}

#[test]
fn a_tilted_plane_is_seen_from_its_front() {
    let turn = DMat3::from_rotation_y(2.8);
    let points = points(SIZE, |_, u, v| {
        let d = ray(u, v);
        turn * d * (3.0 / (1.0 - 0.5 * d.x + 0.3 * d.y))
    });
    let options = SolveOptions {
        known_intrinsics: Some(Intrinsics::centred(FOCAL_PX, 80, 60)),
        ..SolveOptions::default()
    };
    let solution = solved(&pointmaps(&points, SIZE), &options);
    assert!(solution.median_depth > 0.0 && !has(&solution, SolverFlag::Behind));
    assert!(has(&solution, SolverFlag::Planar));
    let angle = rotation_angle_rad(solution.world_from_clip.rotation * turn);
    assert!(angle.to_degrees() < 0.1, "{}", angle.to_degrees());
}

#[test]
fn a_frontal_plane_hides_the_focal_length() {
    let points = points(SIZE, |_, u, v| ray(u, v) * 3.0);
    let solution = solved(&pointmaps(&points, SIZE), &SolveOptions::default());
    assert!(has(&solution, SolverFlag::FocalUnobservable) && has(&solution, SolverFlag::Planar));
    assert_eq!(solution.cameras[0].intrinsics.fx_px, FOCAL_PRIOR * 80.0);
    assert!(solution.median_depth > 0.0);
}

#[test]
fn the_more_a_plane_slants_the_surer_the_focal_length() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    // Irwin and Hall's normal numbers; 2 % of the depth.
    let mut normal = || (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
    let mut sureness = Vec::new();
    for slant_deg in [0.0_f64, 5.0, 10.0, 15.0, 25.0, 45.0] {
        let slope = slant_deg.to_radians().tan();
        let mut points = points(SIZE, |_, u, v| {
            let d = ray(u, v);
            d * (3.0 / (1.0 - slope * d.x))
        });
        for x in &mut points {
            *x += (0.06 * normal()) as f32;
        }
        let solution = solved(&pointmaps(&points, SIZE), &SolveOptions::default());
        println!("{slant_deg} degrees: span {:.3}", solution.focal.span);
        sureness.push(
            match (
                has(&solution, SolverFlag::FocalUnobservable),
                has(&solution, SolverFlag::FocalWeak),
            ) {
                (true, _) => 0,
                (false, true) => 1,
                (false, false) => 2,
            },
        );
    }
    assert!(sureness.is_sorted(), "{sureness:?}");
    assert!(
        sureness[0] == 0 && sureness.contains(&1) && sureness[5] == 2,
        "{sureness:?}"
    );
}

#[test]
fn clips_without_a_pose_say_so_and_stay_finite() {
    let nan = DVec3::splat(f64::NAN);
    let point = points(SIZE, |_, _, _| DVec3::new(0.3, 0.1, 2.0));
    let origin = points(SIZE, |_, _, _| DVec3::ZERO);
    let line = points(SIZE, |_, u, _| DVec3::new(u, 0.5 * u, 3.0));
    let huge = points(SIZE, |_, u, v| DVec3::new(u, v, u * v) * 1e36);
    let hole = points(SIZE, |_, _, _| nan);
    let few = points(
        SIZE,
        |_, u, v| if u < 12.0 && v < 12.0 { ray(u, v) } else { nan },
    );
    for (name, points, flag) in [
        ("point", &point, Some(SolverFlag::CollapsedCloud)),
        ("origin", &origin, Some(SolverFlag::CollapsedCloud)),
        ("line", &line, Some(SolverFlag::CollapsedCloud)),
        ("hole", &hole, Some(SolverFlag::TooFewPixels)),
        ("few", &few, Some(SolverFlag::TooFewPixels)),
        ("huge", &huge, None),
    ] {
        let solution = solved(&pointmaps(points, SIZE), &SolveOptions::default());
        if let Some(flag) = flag {
            assert!(has(&solution, flag), "{name}");
            assert!(has(&solution, SolverFlag::PoseInterpolated), "{name}");
            assert!(has(&solution, SolverFlag::FocalUnobservable), "{name}");
        }
    }
}

#[test]
fn a_single_pixel_and_a_single_frame_are_solved_without_panic() {
    for size in [(1, 1, 1), (2, 1, 300), (2, 300, 1), (1, 60, 80)] {
        let points = points(size, |_, u, v| ray(u, v) * rough_depth(u, v));
        let solution = solved(&pointmaps(&points, size), &SolveOptions::default());
        assert_eq!(solution.cameras.len(), size.0);
    }
}

#[test]
fn a_frame_without_points_takes_its_pose_from_its_neighbours() {
    let size = (5, 60, 80);
    let centre = |frame_idx: usize| DVec3::new(0.2 * frame_idx as f64, 0.0, 0.0);
    let points = points(size, |frame_idx, u, v| {
        let seen = ray(u, v) * rough_depth(u, v) + centre(frame_idx);
        if frame_idx == 2 {
            DVec3::splat(f64::NAN)
        } else {
            seen
        }
    });
    let solution = solved(&pointmaps(&points, size), &SolveOptions::default());
    assert!(
        solution
            .flags
            .contains(&(Some(2), SolverFlag::PoseInterpolated))
    );
    assert!(!solution.quality[2].solved && solution.quality[3].solved);
    for (frame_idx, camera) in solution.cameras.iter().enumerate() {
        let away = camera.world_from_camera.centre() - centre(frame_idx);
        assert!(away.length() < 1e-3, "{frame_idx}: {away}");
    }
}

#[test]
fn a_camera_that_stands_or_only_turns_is_told_apart() {
    let clip = |turn: f64| {
        points(SIZE, |frame_idx, u, v| {
            let depth = rough_depth(u + 3.0 * frame_idx as f64, v);
            DMat3::from_rotation_y(turn * frame_idx as f64) * ray(u, v) * depth
        })
    };
    for (turn, flag) in [
        (0.0, SolverFlag::StaticCamera),
        (0.1, SolverFlag::PureRotation),
    ] {
        let points = clip(turn);
        let solution = solved(&pointmaps(&points, SIZE), &SolveOptions::default());
        assert_eq!(solution.flags, [(None, flag)]);
    }
}

#[test]
fn a_telephoto_lens_is_reported() {
    let focal_px = 240.0;
    let points = points(SIZE, |frame_idx, u, v| {
        let d = DVec3::new((u - 40.0) / focal_px, (v - 30.0) / focal_px, 1.0);
        d * rough_depth(u, v) + DVec3::X * frame_idx as f64
    });
    let solution = solved(&pointmaps(&points, SIZE), &SolveOptions::default());
    assert!(
        has(&solution, SolverFlag::Telephoto),
        "{:?}",
        solution.flags
    );
    assert!((solution.cameras[0].intrinsics.fx_px / focal_px - 1.0).abs() < 0.05);
}

#[test]
fn a_clip_centred_frame_by_frame_is_recognised() {
    let size = (6, 60, 80);
    let mut points = points(size, |frame_idx, u, v| {
        ray(u, v) * rough_depth(u + 4.0 * frame_idx as f64, v) + DVec3::X * frame_idx as f64
    });
    for frame in points.chunks_exact_mut(60 * 80 * 3) {
        for axis in 0..3 {
            let mut values: Vec<f32> = frame.iter().skip(axis).step_by(3).copied().collect();
            values.sort_by(f32::total_cmp);
            let at = |q: f64| values[((values.len() - 1) as f64 * q) as usize];
            let middle = f32::midpoint(at(0.02), at(0.98));
            frame
                .iter_mut()
                .skip(axis)
                .step_by(3)
                .for_each(|x| *x -= middle);
        }
    }
    let solution = solved(&pointmaps(&points, size), &SolveOptions::default());
    assert!(has(&solution, SolverFlag::PerFrameCentred));
}

#[test]
fn pixels_ruled_out_before_solving_do_not_count() {
    let wild = |u: f64| u < 40.0;
    let points = points(SIZE, |frame_idx, u, v| {
        let seen = ray(u, v) * rough_depth(u, v) + DVec3::X * frame_idx as f64;
        if wild(u) { DVec3::new(v, u, 7.0) } else { seen }
    });
    let before = validity::GOOD & !validity::CONSISTENT;
    let valid: Vec<u8> = (0..4 * 60 * 80)
        .map(|i| {
            if wild((i % 80) as f64) {
                before & !validity::NOT_SKY
            } else {
                before
            }
        })
        .collect();
    let clip = PointmapClip {
        valid: Some(&valid),
        ..pointmaps(&points, SIZE)
    };
    let solution = solved(&clip, &SolveOptions::default());
    assert!((solution.cameras[0].intrinsics.fx_px / FOCAL_PX - 1.0).abs() < 1e-3);
    for (i, bits) in solution.valid.iter().enumerate() {
        let is_wild = wild((i % 80) as f64);
        assert_eq!(bits & validity::NOT_SKY == 0, is_wild);
        if !is_wild {
            assert_ne!(bits & validity::CONSISTENT, 0);
        }
    }
}

#[test]
fn bad_shapes_and_options_are_named() {
    let points = points(SIZE, |_, u, v| ray(u, v));
    let short = pointmaps(&points[3..], SIZE);
    let ctx = JobCtx::silent();
    let shape = solve(&short, &SolveOptions::default(), &ctx);
    assert!(matches!(shape, Err(Error::Shape { .. })));
    let empty = pointmaps(&[], (0, 60, 80));
    assert!(matches!(
        solve(&empty, &SolveOptions::default(), &ctx),
        Err(Error::Shape { .. })
    ));
    let options = SolveOptions {
        stride: Some(0),
        ..SolveOptions::default()
    };
    let invalid = solve(&pointmaps(&points, SIZE), &options, &ctx);
    assert!(matches!(invalid, Err(Error::Invalid { .. })));
}

/// Cancels at the second report.
struct CancelOnProgress(CancelToken);

impl JobSink for CancelOnProgress {
    fn progress(&self, progress: Progress) {
        if progress.done > 0 {
            self.0.cancel();
        }
    }
}

#[test]
fn cancelling_ends_the_solve() {
    let points = CLIP.points(&EXACT, 0);
    let cancel = CancelToken::default();
    let sink = std::sync::Arc::new(CancelOnProgress(cancel.clone()));
    let ctx = JobCtx::new(cancel, sink);
    let ended = solve(&CLIP.pointmaps(&points), &SolveOptions::default(), &ctx);
    assert!(ended.is_err_and(|e| e.is_cancelled()));
}

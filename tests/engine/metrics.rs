//! Tests: metrics against values that can be done by hand.

use glam::{DMat3, DVec3};
use one4d_engine::Error;
use one4d_engine::geometry::{AlignmentGroup, Similarity, WorldFromCamera, rotation_exp};
use one4d_engine::metrics::{
    DepthAlignment, DepthPairs, PointAlignment, PoseAlignment, Table, Trajectory, point_scores,
    pose_scores, psnr_db, ssim,
};

fn close(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance
}

fn pairs(predicted: &[f32], truth: &[f32]) -> DepthPairs {
    DepthPairs::new(predicted, truth, |_| true)
}

#[test]
fn depth_errors_equal_their_definitions() {
    let scores = pairs(&[1.1, 1.8, 4.0, 6.0], &[1.0, 2.0, 4.0, 4.0])
        .scores(DepthAlignment::None)
        .unwrap();
    assert!(close(scores.abs_rel, (0.1 + 0.1 + 0.0 + 0.5) / 4.0, 1e-7));
    assert!(close(scores.sq_rel, (0.01 + 0.02 + 0.0 + 1.0) / 4.0, 1e-7));
    assert!(close(
        scores.rmse,
        ((0.01_f64 + 0.04 + 4.0) / 4.0).sqrt(),
        1e-7
    ));
    let logs = 1.1_f64.ln().powi(2) + 0.9_f64.ln().powi(2) + 1.5_f64.ln().powi(2);
    assert!(close(scores.log_rmse, (logs / 4.0).sqrt(), 1e-7));
    // 1.5 lies within 1.25^2 = 1.5625.
    assert_eq!(scores.delta, [0.75, 1.0, 1.0]);
    assert_eq!((scores.pixels, scores.coverage), (4, 1.0));
}

#[test]
fn alignments_undo_what_they_are_made_for() {
    let predicted: Vec<f32> = (0..50)
        .map(|i| 1.0 + (i as f32 * 0.7).sin().abs())
        .collect();
    let scaled: Vec<f32> = predicted.iter().map(|p| 2.5 * p).collect();
    let shifted: Vec<f32> = predicted.iter().map(|p| 2.5 * p + 0.75).collect();
    for alignment in [
        DepthAlignment::MedianScale,
        DepthAlignment::Scale,
        DepthAlignment::ScaleL1,
        DepthAlignment::ScaleShift,
        DepthAlignment::ScaleShiftL1,
    ] {
        let scores = pairs(&predicted, &scaled).scores(alignment).unwrap();
        assert!(close(scores.scale, 2.5, 1e-5), "{scores:?}");
        assert!(
            scores.abs_rel < 1e-5 && scores.delta[0] == 1.0,
            "{scores:?}"
        );
    }
    for alignment in [DepthAlignment::ScaleShift, DepthAlignment::ScaleShiftL1] {
        let scores = pairs(&predicted, &shifted).scores(alignment).unwrap();
        assert!(close(scores.scale, 2.5, 1e-5) && close(scores.shift, 0.75, 1e-5));
    }
    assert!(
        pairs(&predicted, &shifted)
            .scores(DepthAlignment::Scale)
            .unwrap()
            .abs_rel
            > 0.01
    );
}

#[test]
fn absolute_fits_ignore_a_minority_and_squares_do_not() {
    let predicted: Vec<f32> = (1..=100).map(|i| i as f32 * 0.1).collect();
    let mut truth: Vec<f32> = predicted.iter().map(|p| 3.0 * p + 1.0).collect();
    for i in (0..100).step_by(4) {
        truth[i] += 40.0;
    }
    let pairs = pairs(&predicted, &truth);
    let (scale, shift) = pairs.fit(DepthAlignment::ScaleShiftL1).unwrap();
    assert!(
        close(scale, 3.0, 1e-5) && close(shift, 1.0, 1e-5),
        "{scale} {shift}"
    );
    let (_, shift) = pairs.fit(DepthAlignment::ScaleShift).unwrap();
    assert!(shift > 5.0);
}

#[test]
fn fits_are_minima_of_their_losses() {
    let predicted: Vec<f32> = (0..60).map(|i| 1.5 + (i as f32 * 1.3).sin()).collect();
    let truth: Vec<f32> = (0..60)
        .map(|i| 4.0 + 3.0 * (i as f32 * 0.9).cos())
        .collect();
    let pairs = pairs(&predicted, &truth);
    let loss = |power: i32, s: f64, t: f64| -> f64 {
        let rests = predicted.iter().zip(&truth);
        rests
            .map(|(p, g)| (s * f64::from(*p) + t - f64::from(*g)).abs().powi(power))
            .sum()
    };
    for (alignment, power, has_shift) in [
        (DepthAlignment::Scale, 2, false),
        (DepthAlignment::ScaleL1, 1, false),
        (DepthAlignment::ScaleShift, 2, true),
        (DepthAlignment::ScaleShiftL1, 1, true),
    ] {
        let (s, t) = pairs.fit(alignment).unwrap();
        let best = loss(power, s, t);
        for (ds, dt) in [
            (1e-3, 0.0),
            (-1e-3, 0.0),
            (0.0, 1e-3),
            (0.0, -1e-3),
            (1e-3, -1e-3),
        ] {
            if has_shift || dt == 0.0 {
                assert!(loss(power, s + ds, t + dt) >= best - 1e-9, "{alignment:?}");
            }
        }
    }
}

#[test]
fn holes_cost_coverage_and_nothing_else() {
    let nan = f32::NAN;
    let found = DepthPairs::new(&[1.0, nan, 3.0, 9.0], &[1.0, 2.0, nan, 4.0], |i| i != 3);
    let scores = found.scores(DepthAlignment::None).unwrap();
    assert_eq!(
        (scores.pixels, scores.coverage, scores.abs_rel),
        (1, 0.5, 0.0)
    );
    assert!(pairs(&[nan], &[1.0]).scores(DepthAlignment::None).is_none());
    assert!(
        pairs(&[0.0, 0.0], &[1.0, 2.0])
            .scores(DepthAlignment::MedianScale)
            .is_none()
    );
    // A constant prediction has a best line all the same.
    let flat = pairs(&[1.0, 1.0, 1.0], &[1.0, 2.0, 3.0]);
    let scores = flat.scores(DepthAlignment::ScaleShift).unwrap();
    assert!(close(scores.rmse, (2.0_f64 / 3.0).sqrt(), 1e-9));
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

fn moved(motion: Similarity, poses: &[WorldFromCamera]) -> Vec<WorldFromCamera> {
    poses.iter().map(|p| motion.transform_pose(*p)).collect()
}

#[test]
fn each_alignment_removes_its_own_group() {
    let truth = path(20);
    let rigid = Similarity {
        scale: 1.0,
        rotation: rotation_exp(DVec3::new(0.5, -1.0, 2.0)),
        translation: DVec3::new(4.0, 5.0, -6.0),
    };
    let similar = Similarity {
        scale: 0.2,
        ..rigid
    };
    for (motion, alignment, is_zero) in [
        (rigid, PoseAlignment::None, false),
        (rigid, PoseAlignment::Origin, true),
        (rigid, PoseAlignment::Se3, true),
        (similar, PoseAlignment::Se3, false),
        (similar, PoseAlignment::Sim3, true),
    ] {
        let scores = pose_scores(&moved(motion, &truth), &truth, alignment, 1.0).unwrap();
        assert_eq!(scores.ate.rmse < 1e-9, is_zero, "{scores:?}");
        // Turns between neighbours do not depend on the world.
        assert!(scores.rpe_rotation_deg.max < 1e-9);
        assert!(!scores.degenerate);
    }
    let found = pose_scores(&moved(similar, &truth), &truth, PoseAlignment::Sim3, 1.0).unwrap();
    assert!(close(found.scale, 5.0, 1e-9));
}

#[test]
fn relative_errors_of_one_wrong_step_are_that_step() {
    let truth: Vec<WorldFromCamera> = (0..5)
        .map(|i| WorldFromCamera {
            rotation: DMat3::IDENTITY,
            translation: DVec3::X * f64::from(i),
        })
        .collect();
    let mut estimate = truth.clone();
    for pose in &mut estimate[3..] {
        pose.translation.y += 0.3;
        pose.rotation = DMat3::from_rotation_z(0.1);
    }
    let scores = pose_scores(&estimate, &truth, PoseAlignment::None, 1.0).unwrap();
    assert!(close(scores.ate.rmse, (2.0 * 0.09_f64 / 5.0).sqrt(), 1e-12));
    assert!(close(scores.ate.max, 0.3, 1e-12));
    assert!(close(
        scores.rpe_rotation_deg.rmse,
        0.1_f64.to_degrees() / 2.0,
        1e-9
    ));
    // Steps 0-1 and 1-2 are right, 2-3 misses by 0.3, 3-4 goes on in a turned camera.
    let last = 2.0 * (0.05_f64).sin();
    let rmse = ((0.09 + last * last) / 4.0).sqrt();
    assert!(close(scores.rpe_translation.rmse, rmse, 1e-12));
}

#[test]
fn a_camera_that_stands_still_is_marked_and_measured() {
    let truth = path(10);
    let still = vec![WorldFromCamera::IDENTITY; 10];
    let scores = pose_scores(&still, &truth, PoseAlignment::Sim3, 2.0).unwrap();
    assert!(scores.degenerate && scores.scale == 2.0);
    let mean = truth.iter().map(|p| p.translation).sum::<DVec3>() / 10.0;
    let spread = truth
        .iter()
        .map(|p| (p.translation - mean).length_squared())
        .sum::<f64>()
        / 10.0;
    assert!(close(scores.ate.rmse, spread.sqrt(), 1e-12));
    let both = pose_scores(&still, &still, PoseAlignment::Sim3, 1.0).unwrap();
    assert!(both.degenerate && both.ate.rmse == 0.0);
    assert!(pose_scores(&still[..3], &truth, PoseAlignment::Sim3, 1.0).is_none());
}

#[test]
fn a_straight_dolly_is_aligned_in_scale() {
    let straight = |step: f64| -> Vec<WorldFromCamera> {
        (0..9)
            .map(|i| WorldFromCamera {
                rotation: DMat3::from_rotation_y(0.3),
                translation: DVec3::new(0.6, 0.0, 0.8) * (step * f64::from(i)),
            })
            .collect()
    };
    let scores = pose_scores(&straight(0.1), &straight(0.5), PoseAlignment::Sim3, 1.0).unwrap();
    assert!(!scores.degenerate && close(scores.scale, 5.0, 1e-9));
    assert!(scores.ate.rmse < 1e-9 && scores.rpe_translation.rmse < 1e-9);
}

#[test]
fn tum_files_read_back_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("path.txt");
    let poses = path(12);
    let times_secs = (0..12).map(|i| 1305031102.0 + 0.1 * f64::from(i)).collect();
    let trajectory = Trajectory { times_secs, poses };
    trajectory.write_tum(&file).unwrap();
    let back = Trajectory::read_tum(&file).unwrap();
    assert_eq!(back.len(), 12);
    for (a, b) in trajectory.poses.iter().zip(&back.poses) {
        assert!((a.translation - b.translation).length() < 1e-9);
        let gap = a.rotation - b.rotation;
        assert!(gap.to_cols_array().iter().all(|x| x.abs() < 1e-9));
    }
    assert!((trajectory.times_secs[7] - back.times_secs[7]).abs() < 1e-6);
}

#[test]
fn quaternions_are_read_with_w_last_and_bad_lines_by_number() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("path.txt");
    // A quarter turn about z: (0, 0, sin 45, cos 45), here of twice the length.
    std::fs::write(&file, "# c\n\n0.5 1 2 3 0 0 1.41421356 1.41421356\n").unwrap();
    let read = Trajectory::read_tum(&file).unwrap();
    assert_eq!(
        (read.times_secs[0], read.poses[0].translation),
        (0.5, DVec3::new(1.0, 2.0, 3.0))
    );
    assert!((read.poses[0].rotation * DVec3::X - DVec3::Y).length() < 1e-7);
    for bad in [
        "0 1 2 3 0 0 0 1\n1 2 3\n",
        "0 1 2 3 0 0 0 1\n0 1 2 3 0 0 0 0\n",
        "# x\n0 a\n",
    ] {
        std::fs::write(&file, bad).unwrap();
        let Err(Error::Format { reason, .. }) = Trajectory::read_tum(&file) else {
            panic!("{bad:?} was read");
        };
        assert!(reason.starts_with("line 2"), "{reason}");
    }
}

#[test]
fn stamps_are_matched_to_the_nearest_within_the_gap() {
    let at = |times: &[f64]| Trajectory {
        times_secs: times.to_vec(),
        poses: vec![WorldFromCamera::IDENTITY; times.len()],
    };
    let (few, many) = (at(&[0.0, 1.004, 3.0]), at(&[0.0, 0.5, 1.0, 1.01, 2.9]));
    assert_eq!(few.associate(&many, 0.01), [(0, 0), (1, 2)]);
    assert_eq!(many.associate(&few, 0.01), [(0, 0), (2, 1)]);
}

#[test]
fn psnr_of_a_constant_difference_is_its_closed_form() {
    let a = vec![100_u8; 300];
    let b = vec![110_u8; 300];
    assert!(close(
        psnr_db(&a, &b).unwrap(),
        20.0 * 25.5_f64.log10(),
        1e-12
    ));
    assert!(close(psnr_db(&[0; 3], &[255; 3]).unwrap(), 0.0, 1e-12));
    assert_eq!(psnr_db(&a, &a).unwrap(), f64::INFINITY);
    assert!(psnr_db(&a, &b[1..]).is_err());
}

#[test]
fn ssim_is_one_for_equal_and_its_luminance_term_for_flat_pictures() {
    let (height, width) = (16, 20);
    let flat = |value: u8| vec![value; height * width * 3];
    let textured: Vec<u8> = (0..height * width * 3)
        .map(|i| (i * 37 % 251) as u8)
        .collect();
    assert!(close(
        ssim(&textured, &textured, height, width).unwrap(),
        1.0,
        1e-12
    ));
    let c1 = 2.55_f64.powi(2);
    let expected = (2.0 * 100.0 * 150.0 + c1) / (100.0_f64.powi(2) + 150.0_f64.powi(2) + c1);
    assert!(close(
        ssim(&flat(100), &flat(150), height, width).unwrap(),
        expected,
        1e-9
    ));
    let negative: Vec<u8> = textured.iter().map(|v| 255 - v).collect();
    assert!(ssim(&textured, &negative, height, width).unwrap() < 0.0);
    assert!(ssim(&textured[..300], &textured[..300], 10, 10).is_err());
}

#[test]
fn point_distances_vanish_after_the_alignment_that_made_them() {
    let truth: Vec<f32> = (0..300)
        .map(|i| (i as f32 * 0.37).sin() + 0.01 * i as f32)
        .collect();
    let half: Vec<f32> = truth.iter().map(|x| 0.5 * x).collect();
    let scores = point_scores(&half, &truth, |_| true, PointAlignment::Scale).unwrap();
    assert!(close(scores.scale, 2.0, 1e-6) && scores.mean < 1e-6);
    let aside: Vec<f32> = half.iter().map(|x| x + 3.0).collect();
    let scores = point_scores(&aside, &truth, |_| true, PointAlignment::Sim3).unwrap();
    assert!(scores.mean < 1e-5 && scores.within_5_percent == 1.0 && scores.points == 100);
    let none = point_scores(&half, &truth, |i| i == 0, PointAlignment::None).unwrap();
    let first = DVec3::new(
        f64::from(truth[0]),
        f64::from(truth[1]),
        f64::from(truth[2]),
    );
    assert!(close(none.mean, first.length() / 2.0, 1e-6) && close(none.relative, 0.5, 1e-6));
    assert!(point_scores(&half, &truth, |_| false, PointAlignment::None).is_none());
}

#[test]
fn umeyama_equals_a_brute_search_over_scale() {
    let truth: Vec<DVec3> = path(15).iter().map(|p| p.translation).collect();
    let noisy: Vec<DVec3> = truth
        .iter()
        .enumerate()
        .map(|(i, p)| *p * 0.4 + DVec3::new((i as f64).sin(), (2.0 * i as f64).cos(), 0.0) * 0.05)
        .collect();
    let fit = Similarity::fit(&noisy, &truth, AlignmentGroup::Sim3)
        .unwrap()
        .motion;
    let cost = |scale: f64| {
        let moved = Similarity { scale, ..fit };
        let mean = |points: &[DVec3]| points.iter().sum::<DVec3>() / 15.0;
        let translation = mean(&truth) - fit.rotation * mean(&noisy) * scale;
        let moved = Similarity {
            translation,
            ..moved
        };
        let pairs = noisy.iter().zip(&truth);
        pairs
            .map(|(x, y)| (moved.transform(*x) - *y).length_squared())
            .sum::<f64>()
    };
    assert!(cost(fit.scale) < cost(fit.scale * 1.001) && cost(fit.scale) < cost(fit.scale * 0.999));
}

#[test]
fn tables_line_up_and_show_missing_figures() {
    let mut table = Table::new(&["task", "AbsRel"]);
    table.push("video", &[(Some(0.12345), 3)]);
    table.push("x", &[(None, 3)]);
    assert_eq!(
        table.to_string(),
        "task   AbsRel\nvideo   0.123\nx           -\n"
    );
}

//! Tests: windows of a long clip, each in a world and scale of its own, become one scene.

use std::sync::Arc;

use glam::DVec3;
use one4d_engine::geometry::WorldFromCamera;
use one4d_engine::job::JobCtx;
use one4d_engine::metrics::{PoseAlignment, pose_scores};
use one4d_engine::postopt::{SolveOptions, Window, join_windows, solve, window_spans};
use one4d_engine::scene::{Plane, Points, Scene4d, SceneMeta};
use one4d_tests::analytic_clip::{AnalyticClip, Disturbance};

const CLIP: AnalyticClip = AnalyticClip {
    frames: 161,
    height: 44,
    width: 78,
    focal_px: 65.0,
};

/// The solved scene of some frames, whose points were brought to another centre and scale.
fn window(first: usize, frames: usize, scale: f64, seed: u64) -> Window {
    let disturbance = Disturbance {
        noise: 0.01,
        outliers: 0.05,
        shift: DVec3::new(0.3 * scale, -0.5, 2.0),
        scale,
    };
    let all = CLIP.points(&disturbance, seed);
    let n = CLIP.height * CLIP.width * 3;
    let points = &all[first * n..(first + frames) * n];
    let part = AnalyticClip { frames, ..CLIP };
    let ctx = JobCtx::silent();
    let solution = solve(&part.pointmaps(points), &SolveOptions::default(), &ctx).unwrap();
    let scene = Scene4d {
        num_frames: frames,
        height: CLIP.height,
        width: CLIP.width,
        rgb: Plane::new((0..frames * n).map(|i| (first + i / n) as u8).collect()),
        points: Points::F32(Plane::new(solution.points)),
        valid: Plane::new(solution.valid),
        confidence: None,
        depth: Some(Plane::new(solution.depth)),
        cameras: Some(solution.cameras.into()),
        scene_flow: None,
        dynamic: None,
        meta: SceneMeta {
            observed: vec![0],
            ..SceneMeta::default()
        },
    };
    Window {
        first,
        scene: Arc::new(scene),
    }
}

#[test]
fn a_clip_of_two_lengths_drifts_by_less_than_a_hundredth_of_its_path() {
    let spans = window_spans(161, 81, 27).unwrap();
    let scales = [1.0, 0.21, 3.3];
    let windows: Vec<Window> = spans
        .iter()
        .zip(scales)
        .enumerate()
        .map(|(i, (span, scale))| window(span.start, span.len(), scale, 20 + i as u64))
        .collect();
    let (scene, reports) = join_windows(&windows).unwrap();
    assert_eq!(scene.num_frames, 161);
    let found: Vec<WorldFromCamera> = scene
        .cameras
        .as_ref()
        .unwrap()
        .iter()
        .map(|c| c.world_from_camera)
        .collect();
    let truth: Vec<WorldFromCamera> = (0..161).map(|i| CLIP.camera(i).world_from_camera).collect();
    let path: f64 = truth
        .windows(2)
        .map(|w| (w[1].translation - w[0].translation).length())
        .sum();
    let scores = pose_scores(&found, &truth, PoseAlignment::Sim3, 1.0).unwrap();
    println!("ATE {} of path {path}, {reports:#?}", scores.ate.rmse);
    assert!(scores.ate.rmse < 0.01 * path, "{scores:?}");
    // Every window's scale is undone: 1 / 0.21 and 1 / 3.3.
    for (report, scale) in reports.iter().zip(&scales[1..]) {
        assert!((report.scale * scale - 1.0).abs() < 0.02, "{report:?}");
        assert!(
            report.centre < 0.02 && report.rotation_deg < 0.5,
            "{report:?}"
        );
        assert!(report.residual < 0.02);
    }
    // Frames stand in their order, each with its own colours.
    for (i, colour) in scene.rgb.as_slice().iter().step_by(44 * 78 * 3).enumerate() {
        assert_eq!(usize::from(*colour), i);
    }
    assert_eq!(scene.meta.observed, [0]);
}

#[test]
fn windows_that_do_not_meet_are_refused() {
    let (a, b) = (window(0, 20, 1.0, 1), window(20, 20, 1.0, 1));
    let error = join_windows(&[a.clone(), b]).unwrap_err().to_string();
    assert!(error.contains("frame 20"), "{error}");
    assert!(join_windows(&[]).is_err());
    let (alone, reports) = join_windows(std::slice::from_ref(&a)).unwrap();
    assert_eq!((alone.num_frames, reports.len()), (20, 0));
    let mut blank = (*a.scene).clone();
    blank.valid = Plane::new(vec![0; 20 * 44 * 78]);
    let blank = Window {
        first: 10,
        scene: Arc::new(blank),
    };
    let error = join_windows(&[a, blank]).unwrap_err().to_string();
    assert!(error.contains("only 0 pixels"), "{error}");
}

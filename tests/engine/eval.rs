//! Tests: the evaluation harness on procedural clips.

use one4d_engine::Error;
use one4d_engine::datasets::synthetic::{ClipSpec, WorldWidth, render};
use one4d_engine::eval::{
    Baseline, EVAL_FIRST_SEED, EvalTask, Method, SyntheticEval, TaskInput, run_synthetic,
    score_scene, score_self,
};
use one4d_engine::job::JobCtx;
use one4d_engine::postopt::{PointmapClip, SolveOptions, solve};
use one4d_engine::scene::{Plane, Points, Scene4d, validity};

fn eval(clips: usize) -> SyntheticEval {
    SyntheticEval {
        clips,
        seed: 3,
        frames: 5,
        height: 36,
        width: 60,
        world: WorldWidth::Wide,
        tasks: EvalTask::ALL.to_vec(),
    }
}

/// The true points through the solver: the best that a perfect model could reach.
fn oracle(input: &TaskInput<'_>) -> one4d_engine::Result<Scene4d> {
    let truth = input.clip.to_scene();
    let all = truth.points.len();
    let points: Vec<f32> = truth.points.range(0, all).iter().map(|x| 0.1 * x).collect();
    let known = validity::GOOD & !validity::CONSISTENT;
    let valid: Vec<u8> = truth.valid.as_slice().iter().map(|v| v & known).collect();
    let clip = PointmapClip {
        points: &points,
        valid: Some(&valid),
        confidence: None,
        frames: truth.num_frames,
        height: truth.height,
        width: truth.width,
    };
    let solution = solve(&clip, &SolveOptions::default(), &JobCtx::silent())?;
    let mut scene = truth;
    scene.points = Points::F32(Plane::new(solution.points));
    scene.depth = Some(Plane::new(solution.depth));
    scene.valid = Plane::new(solution.valid);
    scene.cameras = Some(solution.cameras.into());
    scene.meta.flags = solution.flags;
    Ok(scene)
}

#[test]
fn a_perfect_pointmap_through_the_solver_beats_the_guesses() {
    let report = run_synthetic(&eval(3), &mut oracle, &JobCtx::silent()).unwrap();
    println!("{}", report.to_text());
    let row = |task, method| {
        report
            .rows
            .iter()
            .find(|r| r.0 == task && r.1 == method)
            .map(|r| &r.2)
    };
    let model = row(EvalTask::Video, Method::Model).unwrap();
    assert!(model.abs_rel.unwrap() < 0.02, "{model:?}");
    assert!(model.delta_percent.unwrap() > 98.0);
    assert!(model.rpe_rotation_deg.unwrap() < 0.1);
    assert_eq!(model.psnr_db, Some(100.0));
    for baseline in Baseline::ALL {
        let guess = row(EvalTask::Video, Method::Baseline(baseline)).unwrap();
        assert!(guess.abs_rel.unwrap() > 5.0 * model.abs_rel.unwrap());
        assert_eq!(guess.psnr_db, Some(100.0), "a video is observed whole");
        let image = row(EvalTask::Image, Method::Baseline(baseline)).unwrap();
        assert!(image.psnr_db.unwrap() < 60.0);
    }
}

#[test]
fn text_is_measured_against_itself_only() {
    let report = run_synthetic(&eval(1), &mut oracle, &JobCtx::silent()).unwrap();
    let text: Vec<_> = report
        .rows
        .iter()
        .filter(|r| r.0 == EvalTask::Text)
        .collect();
    assert_eq!(text.len(), 1);
    let row = &text[0].2;
    assert!(row.abs_rel.is_none() && row.psnr_db.is_none() && row.ate.is_none());
    assert!(row.ray_residual_px.unwrap() < 0.5 && row.good_percent.unwrap() > 10.0);
    let read: serde_json::Value = serde_json::from_str(&report.to_json().unwrap()).unwrap();
    assert_eq!(read["records"].as_array().unwrap().len(), 3 * 3 + 1);
}

#[test]
fn the_truth_has_no_error_against_itself() {
    let spec = ClipSpec {
        seed: 9,
        frames: 4,
        height: 24,
        width: 40,
        world: WorldWidth::Wide,
    };
    let truth = render(&spec).unwrap().to_scene();
    let scores = score_scene(&truth, &truth).unwrap();
    let (depth, pose) = (scores.depth.unwrap(), scores.pose.unwrap());
    assert!(depth.abs_rel == 0.0 && depth.delta[0] == 1.0 && depth.coverage == 1.0);
    assert!(pose.ate.rmse < 1e-9 && scores.psnr_db == 100.0);
    // The true points lie on the rays of the true cameras.
    assert!(score_self(&truth).ray_residual_px.unwrap() < 1e-3);
}

#[test]
fn observed_frames_follow_the_task() {
    assert_eq!(EvalTask::Sparse.observed(17), [0, 8, 16]);
    assert_eq!(EvalTask::Sparse.observed(1), [0]);
    assert_eq!(EvalTask::Video.observed(3), [0, 1, 2]);
    assert_eq!(EvalTask::Image.observed(17), [0]);
    assert!(EvalTask::Text.observed(17).is_empty());
}

#[test]
fn clips_are_unseen_and_seeds_do_not_overlap() {
    let seeds = |seed| {
        let eval = SyntheticEval {
            seed,
            tasks: vec![EvalTask::Text],
            ..eval(2)
        };
        let report = run_synthetic(&eval, &mut oracle, &JobCtx::silent()).unwrap();
        report
            .records
            .iter()
            .map(|r| r.clip_seed)
            .collect::<Vec<_>>()
    };
    let (first, second) = (seeds(0), seeds(1));
    assert!(first.iter().chain(&second).all(|s| *s >= EVAL_FIRST_SEED));
    assert!(first.iter().all(|s| !second.contains(s)));
}

#[test]
fn a_prediction_of_another_size_and_an_empty_evaluation_are_refused() {
    let small = ClipSpec {
        seed: 1,
        frames: 2,
        height: 24,
        width: 40,
        world: WorldWidth::Narrow,
    };
    let mut wrong = |_: &TaskInput<'_>| Ok(render(&small)?.to_scene());
    let result = run_synthetic(&eval(1), &mut wrong, &JobCtx::silent());
    assert!(matches!(result, Err(Error::Shape { .. })));
    let result = run_synthetic(&eval(0), &mut wrong, &JobCtx::silent());
    assert!(matches!(result, Err(Error::Invalid { .. })));
}

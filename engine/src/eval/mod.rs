//! Measures scenes against ground truth, and predictors on procedural clips.
//!
//! [`score_scene`] compares any two scenes; [`run_synthetic`] asks a predictor for scenes of unseen
//! procedural clips in the four tasks of One4D and sets them beside two baselines that look at
//! nothing. The predictor is a closure: this module knows no model. [`eval_pose_pair`] and
//! [`eval_depth_pair`] compare two files, [`run_benchmark`] a folder of predictions with a data
//! set, [`run_agreement`] with others' estimates of the same clips.

mod baselines;
mod benchmark;
mod pair;
mod scores;
mod synthetic;

pub use baselines::Baseline;
pub use benchmark::{
    AgreementRequest, BenchmarkReport, BenchmarkRequest, Measure, PoseMeasure, PublishedAgreement,
    PublishedDepth, PublishedPose, TableFiles, WORLDREEL_AGREEMENT, published_depth,
    published_pose, run_agreement, run_benchmark,
};
pub use pair::{
    DepthPair, PosePair, eval_depth_pair, eval_pose_pair, pose_report, read_depth_maps,
};
pub use scores::{SceneScores, SelfScores, score_scene, score_self};
pub use synthetic::{
    EVAL_FIRST_SEED, EvalTask, Method, SyntheticEval, SyntheticReport, TaskInput, TaskRow,
    run_synthetic,
};

//! Measures scenes against ground truth, and predictors on procedural clips.
//!
//! [`score_scene`] compares any two scenes; [`run_synthetic`] asks a predictor for scenes of unseen
//! procedural clips in the four tasks of One4D and sets them beside two baselines that look at
//! nothing. The predictor is a closure: this module knows no model.

mod baselines;
mod scores;
mod synthetic;

pub use baselines::Baseline;
pub use scores::{SceneScores, SelfScores, score_scene, score_self};
pub use synthetic::{
    EVAL_FIRST_SEED, EvalTask, Method, SyntheticEval, SyntheticReport, TaskInput, TaskRow,
    run_synthetic,
};

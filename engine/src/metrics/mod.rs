//! Metrics: depth, pose, pointmap and picture errors against ground truth, one file a kind.
//!
//! Every figure names its alignment: monocular geometry is right up to a scale at best, and which
//! scale is removed, and how, moves the numbers more than most methods differ.

mod aligner;
mod depth;
mod depth_map;
mod depth_preset;
mod image;
mod pointmap;
mod pose;
mod report;
mod trajectory;

pub use aligner::{Lad2, Number, lad2, least_squares_line, log_scale, weiszfeld_scale};
pub use depth::{DepthAlignment, DepthErrors, DepthPairs, DepthScores};
pub use depth_map::{DepthMap, ResizeFilter};
pub use depth_preset::{
    DepthLimits, DepthPreset, DepthSequence, DepthSet, PresetScores, mean_over_sequences,
};
pub use image::{psnr_db, ssim};
pub use pointmap::{PointAlignment, PointScores, point_scores};
pub use pose::{ErrorStats, PoseAlignment, PoseScores, pose_scores};
pub use report::Table;
pub use trajectory::Trajectory;

//! Metrics: depth, pose, pointmap and picture errors against ground truth, one file a kind.
//!
//! Every figure names its alignment: monocular geometry is right up to a scale at best, and which
//! scale is removed, and how, moves the numbers more than most methods differ.

mod depth;
mod image;
mod pointmap;
mod pose;
mod report;
mod trajectory;

pub use depth::{DepthAlignment, DepthPairs, DepthScores};
pub use image::{psnr_db, ssim};
pub use pointmap::{PointAlignment, PointScores, point_scores};
pub use pose::{ErrorStats, PoseAlignment, PoseScores, pose_scores};
pub use report::Table;
pub use trajectory::Trajectory;

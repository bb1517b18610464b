//! Metrics: depth, pose and picture errors against ground truth.

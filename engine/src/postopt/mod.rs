//! Pointmaps to intrinsics, camera poses and depth: exact depth elimination, closed-form poses.

//! What a view asks of the upload thread, and what it gets.

use std::sync::Arc;

use super::bounds::SceneBounds;
use super::filter::PointFilter;
use super::frame_gpu::FrameGpu;
use super::ghosts::Ghost;
use super::options::{Ghosts, ViewOptions};
use super::stats::FrameStats;
use super::still_cloud::PointSource;

/// What a view wants of a scene.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wish {
    /// The frame to show.
    pub frame_idx: usize,
    /// Frames around it.
    pub ghosts: Option<Ghosts>,
    /// The still parts of the whole clip.
    pub still: bool,
    /// Whose hidden points are to be counted.
    pub filter: Option<PointFilter>,
}

impl Wish {
    /// A frame and nothing else.
    pub fn frame(frame_idx: usize) -> Self {
        Self {
            frame_idx,
            ghosts: None,
            still: false,
            filter: None,
        }
    }

    /// What a view with these options needs.
    pub fn of(frame_idx: usize, options: &ViewOptions) -> Self {
        Self {
            frame_idx,
            ghosts: options.ghosts,
            still: options.freeze_static,
            filter: Some(PointFilter::of(options)),
        }
    }
}

/// A frame on the GPU with what is known of it.
#[derive(Clone)]
pub struct ResidentFrame {
    /// Index in the clip.
    pub frame_idx: usize,
    /// Its points.
    pub gpu: Arc<FrameGpu>,
    /// Its figures.
    pub stats: Arc<FrameStats>,
}

/// A ghost on the GPU.
#[derive(Clone)]
pub struct ResidentGhost {
    /// Which and how faint.
    pub ghost: Ghost,
    /// Its points.
    pub gpu: Arc<FrameGpu>,
}

/// A part of the still cloud on the GPU.
pub struct StillGpu {
    /// Its points.
    pub gpu: FrameGpu,
    /// Where each comes from.
    pub sources: Vec<PointSource>,
}

/// What there is of a scene for a view.
#[derive(Clone)]
pub struct Resident {
    /// The frame asked for, if it is on the GPU.
    pub frame: Option<ResidentFrame>,
    /// Those of its ghosts that are on the GPU.
    pub ghosts: Vec<ResidentGhost>,
    /// The still parts of the clip, if asked for and collected.
    pub still: Vec<Arc<StillGpu>>,
    /// Share of the frame's points that the filter hides, once counted.
    pub hidden_share: Option<f32>,
    /// Extent of the scene.
    pub bounds: SceneBounds,
    /// Why frames cannot be uploaded, for people.
    pub problem: Option<String>,
    /// Frames of the clip that the device has room for, once it has refused one more.
    pub short_of_memory: Option<usize>,
}

//! What a view shows: the frame, what is drawn besides it, and its lines of motion.

use std::sync::{Arc, Weak};

use one4d_engine::scene::Scene4d;

use super::gpu_data::Segment;
use super::motion_lines;
use super::options::Overlays;
use super::picking::PointId;
use super::renderer::DrawnFrame;
use super::stats::FrameStats;
use super::uniforms::place_in_clip;
use super::upload::{Resident, ResidentFrame, ResidentGhost, StillGpu};

/// A frame of the clip on the GPU, with what is drawn besides it.
#[derive(Clone)]
pub(super) struct ShownFrame {
    pub(super) scene: Arc<Scene4d>,
    pub(super) frame_idx: usize,
    pub(super) stats: Arc<FrameStats>,
    pub(super) frame: ResidentFrame,
    ghosts: Vec<ResidentGhost>,
    still: Vec<Arc<StillGpu>>,
}

impl ShownFrame {
    /// What a view can show of a wish; `None` while the frame is on its way.
    pub(super) fn of(scene: &Arc<Scene4d>, resident: &Resident) -> Option<Self> {
        let frame = resident.frame.clone()?;
        Some(Self {
            scene: Arc::clone(scene),
            frame_idx: frame.frame_idx,
            stats: Arc::clone(&frame.stats),
            frame,
            ghosts: resident.ghosts.clone(),
            still: resident.still.clone(),
        })
    }

    /// Everything that is drawn, the frame first, only every n-th column and row of it.
    pub(super) fn drawn(&self, thinning: u32) -> Vec<DrawnFrame<'_>> {
        let place = |frame_idx| Some(place_in_clip(frame_idx, self.scene.num_frames));
        let current = DrawnFrame {
            frame: &self.frame.gpu,
            weight: 1.0,
            time: place(self.frame_idx),
            is_ghost: false,
            thinning,
        };
        let ghosts = self.ghosts.iter().map(|ghost| DrawnFrame {
            frame: &ghost.gpu,
            weight: ghost.ghost.weight,
            time: place(ghost.ghost.frame_idx),
            is_ghost: true,
            thinning,
        });
        let still = self.still.iter().map(|part| DrawnFrame {
            frame: &part.gpu,
            weight: 1.0,
            time: None,
            is_ghost: true,
            thinning,
        });
        std::iter::once(current)
            .chain(ghosts)
            .chain(still)
            .collect()
    }

    /// Frame of the clip and pixel of a drawn point.
    pub(super) fn source(&self, id: PointId) -> Option<(usize, usize)> {
        let pixel = id.pixel as usize;
        let Some(beside) = (id.frame as usize).checked_sub(1) else {
            return Some((self.frame_idx, pixel));
        };
        if let Some(ghost) = self.ghosts.get(beside) {
            return Some((ghost.ghost.frame_idx, pixel));
        }
        let part = self.still.get(beside - self.ghosts.len())?;
        let source = part.sources.get(pixel)?;
        Some((source.frame_idx as usize, source.pixel as usize))
    }

    /// What tells this apart from other pictures of other frames.
    pub(super) fn serials(&self) -> Vec<(u64, f32)> {
        let drawn = self.drawn(1);
        drawn.iter().map(|d| (d.frame.serial, d.weight)).collect()
    }
}

/// Lines of motion, which take long to follow and do not depend on the eye.
pub(super) struct Motion {
    scene: Weak<Scene4d>,
    frame_idx: usize,
    overlays: Overlays,
    pub(super) segments: Vec<Segment>,
}

impl Motion {
    pub(super) fn of(shown: &ShownFrame, overlays: Overlays) -> Self {
        Self {
            scene: Arc::downgrade(&shown.scene),
            frame_idx: shown.frame_idx,
            overlays,
            segments: motion_lines::segments(&shown.scene, shown.frame_idx, overlays),
        }
    }

    pub(super) fn is_of(&self, shown: &ShownFrame, overlays: Overlays) -> bool {
        self.frame_idx == shown.frame_idx
            && self.overlays == overlays
            && std::ptr::eq(self.scene.as_ptr(), Arc::as_ptr(&shown.scene))
    }
}

//! Optical flow: where it comes from, and what pointmaps and flow tell together.
//!
//! ```text
//! provider      trait FlowProvider; flow of a file, of a procedural clip
//! files         .flo and .npy
//! consistency   forward against backward
//! ego           flow of a still world
//! dense         flow of pictures, from coarse to fine: level, patches
//! scene_flow    S(u) = P_{i+1}(u + F(u)) - P_i(u)
//! solid         surfaces that are not where they were
//! dynamic       which pixels move in the world
//! regions       evidence to masks
//! anchors       where the centres of frames went that were centred one by one
//! ```

mod anchors;
mod consistency;
mod dense;
mod dynamic;
mod ego;
mod files;
mod level;
mod patches;
mod provider;
mod pyramid;
mod regions;
mod scene_flow;
mod solid;

pub use anchors::offsets_by_flow;
pub use consistency::consistent;
pub use dense::DenseFlow;
pub use dynamic::{Motion, MotionReport, find_motion};
pub use ego::ego_flow;
pub use files::{FlowFiles, read_flow};
pub use provider::{ExactFlow, FlowProvider};
pub use scene_flow::{SceneFlow, scene_flow};

/// Motion of each pixel into another frame, pixels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FlowField {
    /// `H`, pixels.
    pub height: usize,
    /// `W`, pixels.
    pub width: usize,
    /// `[H, W]` of `(du, dv)`; NaN = unknown.
    pub vectors: Vec<[f32; 2]>,
}

impl FlowField {
    /// Bilinear value at pixel coordinates (whole numbers at pixel centres); `None` outside or next
    /// to an unknown one.
    pub fn sample(&self, column: f32, row: f32) -> Option<[f32; 2]> {
        let inside = column >= 0.0
            && row >= 0.0
            && column <= (self.width - 1) as f32
            && row <= (self.height - 1) as f32;
        if !inside {
            return None;
        }
        let (c0, r0) = (column.floor(), row.floor());
        let (a, b) = (column - c0, row - r0);
        let (c0, r0) = (c0 as usize, r0 as usize);
        let (c1, r1) = ((c0 + 1).min(self.width - 1), (r0 + 1).min(self.height - 1));
        let at = |r: usize, c: usize| self.vectors[r * self.width + c];
        let mixed = [0, 1].map(|k| {
            (1.0 - b) * ((1.0 - a) * at(r0, c0)[k] + a * at(r0, c1)[k])
                + b * ((1.0 - a) * at(r1, c0)[k] + a * at(r1, c1)[k])
        });
        (mixed[0] + mixed[1]).is_finite().then_some(mixed)
    }
}

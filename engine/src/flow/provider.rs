//! Who knows the flow.

use super::FlowField;
use crate::Result;
use crate::datasets::synthetic::Clip;

/// A source of optical flow between neighbouring frames.
pub trait FlowProvider {
    /// Flow from a frame to the next.
    ///
    /// # Errors
    /// Those of reading or computing.
    fn forward(&mut self, frame_idx: usize) -> Result<FlowField>;

    /// Flow from a frame to the one before; `None` where the source has none.
    ///
    /// # Errors
    /// Those of reading or computing.
    fn backward(&mut self, frame_idx: usize) -> Result<Option<FlowField>>;

    /// By how much vectors may be wrong, pixels: motion below three times this is none.
    fn uncertainty_px(&self) -> f64 {
        0.5
    }

    /// Whether what it takes for motion may be none over whole regions, as where fine texture
    /// aliases: then a region counts only if the depth of a part of it has changed too.
    fn needs_witness(&self) -> bool {
        false
    }
}

/// The exact flow of a procedural clip; it knows the way forward only.
#[derive(Clone, Copy, Debug)]
pub struct ExactFlow<'a>(pub &'a Clip);

impl FlowProvider for ExactFlow<'_> {
    fn forward(&mut self, frame_idx: usize) -> Result<FlowField> {
        let (height, width) = (self.0.spec.height, self.0.spec.width);
        let n = height * width * 2;
        let values = &self.0.flow[frame_idx * n..(frame_idx + 1) * n];
        Ok(FlowField {
            height,
            width,
            vectors: values.as_chunks::<2>().0.to_vec(),
        })
    }

    fn backward(&mut self, _frame_idx: usize) -> Result<Option<FlowField>> {
        Ok(None)
    }

    fn uncertainty_px(&self) -> f64 {
        0.02
    }
}

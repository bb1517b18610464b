//! Trailing frames of every causal layer, so that a clip can pass through a network in pieces.

use std::collections::HashMap;

use candle_core::Tensor;

use crate::Result;

/// The last frames that each layer has seen, keyed by the layer's path.
///
/// A key, unlike a running counter, stays right when a layer is skipped or run out of order.
#[derive(Debug, Default)]
pub struct FrameCache {
    frames: HashMap<String, Option<Tensor>>,
}

impl FrameCache {
    /// True once the layer has seen a piece of the clip.
    pub fn has_started(&self, path: &str) -> bool {
        self.frames.contains_key(path)
    }

    /// Notes that the layer has seen the start of the clip without a frame worth keeping.
    pub fn start(&mut self, path: &str) {
        self.frames.entry(path.to_owned()).or_insert(None);
    }

    /// The frames kept for a layer.
    ///
    /// # Shapes
    /// - returns `[B, C, P, H, W]`, oldest first
    pub fn past(&self, path: &str) -> Option<&Tensor> {
        self.frames.get(path)?.as_ref()
    }

    /// Keeps the last `keep` frames of what the layer has seen so far, `chunk` being the newest.
    ///
    /// # Shapes
    /// - `chunk`: `[B, C, T, H, W]`
    pub fn push(&mut self, path: &str, chunk: &Tensor, keep: usize) -> Result<()> {
        if keep == 0 {
            return Ok(());
        }
        let seen = match self.past(path) {
            Some(past) if chunk.dim(2)? < keep => Tensor::cat(&[past, chunk], 2)?,
            _ => chunk.clone(),
        };
        let length = seen.dim(2)?;
        let kept = keep.min(length);
        // A copy, so that the cache does not hold the whole chunk alive.
        let last = seen.narrow(2, length - kept, kept)?.contiguous()?; // [B, C, kept, H, W]
        self.frames.insert(path.to_owned(), Some(last));
        Ok(())
    }
}

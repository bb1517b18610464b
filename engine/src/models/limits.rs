//! Bounds of what a configuration may ask for. Configurations come from files of other people: one
//! number too large must end in a message, not in all memory.

use crate::{Error, Result};

/// Largest width, vocabulary or length; that of UMT5's vocabulary is 256,384.
const MAX_SIZE: usize = 1 << 20;
/// Most layers; published networks have 40.
const MAX_LAYERS: usize = 1 << 10;
/// Most layers of a kind in a block, levels of a pyramid, cells of a patch along an axis.
const MAX_SMALL: usize = 1 << 6;

/// Sizes of a network by the names of their keys.
pub(super) struct Sizes<'a> {
    /// Named in messages: "CLIP".
    pub(super) network: &'static str,
    /// Widths, vocabularies, lengths.
    pub(super) sizes: &'a [(&'static str, usize)],
    /// Counts of layers.
    pub(super) layers: &'a [(&'static str, usize)],
    /// Small factors.
    pub(super) factors: &'a [(&'static str, usize)],
}

impl Sizes<'_> {
    /// Checks all of them.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the first key that is out of bounds, and the bound.
    pub(super) fn check(&self) -> Result<()> {
        let kinds = [
            (self.sizes, MAX_SIZE),
            (self.layers, MAX_LAYERS),
            (self.factors, MAX_SMALL),
        ];
        for (keys, most) in kinds {
            if let Some((key, found)) = keys.iter().find(|(_, found)| *found > most) {
                let what = format!("{} configuration `{key}`", self.network);
                let reason = format!("{found} is more than any such network has; at most {most}");
                return Err(Error::invalid(what, reason));
            }
        }
        Ok(())
    }
}

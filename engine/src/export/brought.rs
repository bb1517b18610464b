//! Formats that a front end brings: what needs a renderer or an encoder that the engine does not have.

use std::fmt;
use std::path::PathBuf;

use crate::Result;
use crate::job::JobCtx;
use crate::worker::ExportRequest;

/// A format that is written after the engine's own, as part of the same job.
pub trait BroughtFormat: fmt::Debug + Send + Sync {
    /// Steps of progress that writing takes.
    fn num_steps(&self, request: &ExportRequest) -> usize;

    /// About how many bytes will be written.
    fn estimate_bytes(&self, request: &ExportRequest) -> u64;

    /// Writes the files and returns them; `advance` is called after each of [`Self::num_steps`].
    ///
    /// # Errors
    /// The format's own; that of `advance`, which is a cancellation.
    fn write(
        &self,
        request: &ExportRequest,
        ctx: &JobCtx,
        advance: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Vec<PathBuf>>;
}

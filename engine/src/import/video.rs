//! Colours of a clip that lie in a video beside it.

use super::files::Files;
use super::layout::Reading;
use crate::media::{ClipRequest, Sampling, load_video};
use crate::{Error, Result};

/// `[T, H, W, 3]` sRGB and frames per second, as many frames as the geometry has.
pub(super) fn frames(
    files: &Files,
    name: &str,
    (frames, height, width): (usize, usize, usize),
    with: &Reading<'_>,
) -> Result<(Vec<u8>, f64)> {
    let scratch = tempfile::tempdir().map_err(|e| Error::io(std::env::temp_dir(), e))?;
    let path = files.on_disk(name, scratch.path(), with.budget)?;
    let request = ClipRequest {
        frames,
        sampling: Sampling::Even,
        size: Some([height, width]),
    };
    let clip = load_video(&path, &request, with.ctx)?;
    let rgb = clip.frames.into_iter().flat_map(|f| f.rgb).collect();
    Ok((rgb, clip.fps))
}

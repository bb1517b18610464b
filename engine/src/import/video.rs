//! Colours of a clip that lie in a video beside it, and clips that are a video.

use super::files::Files;
use super::layout::Reading;
use crate::media::{self, Clip, ClipRequest, Sampling, load_video};
use crate::{Error, Result};

/// `[T, H, W, 3]` sRGB and frames per second, as many frames as the geometry has.
pub(super) fn frames(
    files: &Files,
    name: &str,
    (frames, height, width): (usize, usize, usize),
    with: &Reading<'_>,
) -> Result<(Vec<u8>, f64)> {
    let request = ClipRequest {
        frames,
        sampling: Sampling::Even,
        size: Some([height, width]),
    };
    let clip = load(files, name, with, |_| Ok(request))?;
    let rgb = clip.frames.into_iter().flat_map(|f| f.rgb).collect();
    Ok((rgb, clip.fps))
}

/// Every frame of a video at its own size.
pub(super) fn whole(files: &Files, name: &str, with: &Reading<'_>) -> Result<Clip> {
    load(files, name, with, |path| {
        let info = media::probe(path)?;
        with.budget
            .take(
                "the frames of the video",
                info.num_frames.saturating_mul(info.width * info.height),
                3,
            )
            .map_err(|reason| Error::format(path, reason))?;
        Ok(ClipRequest {
            frames: info.num_frames,
            sampling: Sampling::Even,
            size: None,
        })
    })
}

fn load(
    files: &Files,
    name: &str,
    with: &Reading<'_>,
    request: impl FnOnce(&std::path::Path) -> Result<ClipRequest>,
) -> Result<Clip> {
    let scratch = tempfile::tempdir().map_err(|e| Error::io(std::env::temp_dir(), e))?;
    let path = files.on_disk(name, scratch.path(), with.budget)?;
    let clip = request(&path).and_then(|request| load_video(&path, &request, with.ctx));
    // A member of an archive was read from a copy that the user has never seen.
    clip.map_err(|error| match error {
        Error::Format { reason, .. } => files.error(name, reason),
        other => other,
    })
}

//! Which pixels of a frame are exported.

use crate::scene::Half;
use crate::worker::ExportRequest;

/// Frames that an estimate looks at.
const SAMPLED_FRAMES: usize = 5;

/// A pixel that passed the filter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Kept {
    /// Index within the frame, row-major.
    pub(super) pixel: usize,
    /// World position, OpenCV axes, finite.
    pub(super) position: [f32; 3],
    /// sRGB.
    pub(super) rgb: [u8; 3],
}

/// The pixels of a frame that have the required validity bits, a finite position and enough
/// confidence, on the grid of the stride, row by row.
pub(super) fn select(request: &ExportRequest, frame_idx: usize) -> Vec<Kept> {
    let scene = &request.scene;
    let points = scene.frame_points(frame_idx);
    let positions = points.as_chunks::<3>().0;
    let colours = scene.frame_rgb(frame_idx).as_chunks::<3>().0;
    let valid = scene.frame_valid(frame_idx);
    let confidence = frame_confidence(request, frame_idx);
    let rows = (0..scene.height).step_by(request.stride);
    rows.flat_map(|row| {
        let columns = (0..scene.width).step_by(request.stride);
        columns.map(move |column| row * scene.width + column)
    })
    .filter(|&pixel| valid[pixel] & request.required_validity == request.required_validity)
    .filter(|&pixel| confidence.is_none_or(|plane| plane[pixel].to_f32() >= request.min_confidence))
    .map(|pixel| Kept {
        pixel,
        position: positions[pixel],
        rgb: colours[pixel],
    })
    .filter(|kept| kept.position.iter().all(|v| v.is_finite()))
    .collect()
}

/// Confidence of a frame, where the scene has one and a minimum was asked for.
fn frame_confidence(request: &ExportRequest, frame_idx: usize) -> Option<&[Half]> {
    let plane = request.scene.confidence.as_ref()?;
    let n = request.scene.pixels_per_frame();
    (request.min_confidence > 0.0).then(|| &plane.as_slice()[frame_idx * n..(frame_idx + 1) * n])
}

/// About how many points the whole range has, from a few of its frames.
pub(super) fn estimate_points(request: &ExportRequest) -> u64 {
    let frames = request.end - request.first;
    let sampled = frames.min(SAMPLED_FRAMES);
    let counted: usize = (0..sampled)
        .map(|i| request.first + i * frames / sampled)
        .map(|frame_idx| select(request, frame_idx).len())
        .sum();
    (counted * frames).div_ceil(sampled) as u64
}

//! A scene without the points that a view hides, for exports of what is seen.

use std::ops::Range;

use one4d_engine::scene::{Plane, Scene4d};
use rayon::iter::{IndexedParallelIterator as _, ParallelIterator as _};
use rayon::slice::ParallelSliceMut as _;

use crate::viewport::filter::PointFilter;
use crate::viewport::frame_data::FrameData;

/// The scene in which the points that a filter hides are not valid, in some of its frames.
pub fn only_kept(scene: &Scene4d, filter: &PointFilter, frames: Range<usize>) -> Scene4d {
    let mut valid = scene.valid.as_slice().to_vec();
    valid
        .par_chunks_mut(scene.pixels_per_frame().max(1))
        .enumerate()
        .filter(|(frame_idx, _)| frames.contains(frame_idx))
        .for_each(|(frame_idx, valid)| {
            let kept = filter.kept(&FrameData::encode(scene, frame_idx));
            for (valid, _) in valid.iter_mut().zip(kept).filter(|(_, kept)| !kept) {
                *valid = 0;
            }
        });
    Scene4d {
        valid: Plane::new(valid),
        ..scene.clone()
    }
}

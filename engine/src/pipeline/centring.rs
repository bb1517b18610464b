//! Frames that a model centres one by one, brought into the world of the first.

use std::sync::Arc;

use crate::Result;
use crate::flow::{self, DenseFlow};
use crate::job::{JobCtx, Stage};
use crate::postopt::reanchor::move_frames;
use crate::scene::{Plane, Points, Scene4d, SceneMeta, SolverFlag};

/// How the frames of a clip of pointmaps lie to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Centring {
    /// In one world.
    Common,
    /// Each on its own.
    PerFrame,
}

/// What a model made, before the cameras are known.
pub(super) struct Pictured {
    /// `[T, H, W, 3]` sRGB.
    pub(super) rgb: Vec<u8>,
    /// `[T, H, W]` bits of [`crate::scene::validity`].
    pub(super) valid: Vec<u8>,
    /// `T`, `H`, `W`.
    pub(super) size: [usize; 3],
}

/// Moves the frames of `points` by what optical flow between the pictures tells of their centres, and
/// says whether it could.
///
/// # Shapes
/// - `points`: `[T, H, W, 3]`
///
/// # Errors
/// [`crate::Error::Cancelled`].
pub(super) fn reanchor(seen: Pictured, points: &mut [f32], ctx: &JobCtx) -> Result<Centring> {
    let [num_frames, height, width] = seen.size;
    let scene = Arc::new(Scene4d {
        num_frames,
        height,
        width,
        rgb: Plane::new(seen.rgb),
        points: Points::F32(Plane::new(points.to_vec())),
        valid: Plane::new(seen.valid),
        confidence: None,
        depth: None,
        cameras: None,
        scene_flow: None,
        dynamic: None,
        meta: SceneMeta::default(),
    });
    let mut flow = DenseFlow::without_cameras(Arc::clone(&scene));
    let Some(offsets) = flow::offsets_by_flow(&scene, &mut flow, ctx)? else {
        let lost = "this model centres every frame on its own, and the frames cannot be followed \
                    into each other: the camera's movement cannot be recovered";
        ctx.warn(Stage::Optimise, lost);
        return Ok(Centring::PerFrame);
    };
    move_frames(points, &offsets);
    Ok(Centring::Common)
}

/// The solver's flags, and what is known beforehand of the frames' centres.
pub(super) fn flags(
    centring: Centring,
    mut found: Vec<(Option<usize>, SolverFlag)>,
) -> Vec<(Option<usize>, SolverFlag)> {
    let centred = (None, SolverFlag::PerFrameCentred);
    if centring == Centring::PerFrame && !found.contains(&centred) {
        found.push(centred);
    }
    found
}

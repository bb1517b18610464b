//! `scene.safetensors` (or `.one4d`): a scene on disk, uncompressed and memory-mapped.
//!
//! | tensor | type, shape |
//! |---|---|
//! | `rgb` | u8 `[T, H, W, 3]` |
//! | `points` | f32 or f16 `[T, H, W, 3]` |
//! | `valid` | u8 `[T, H, W]` |
//! | `confidence` | f16 `[T, H, W]`, optional |
//! | `depth` | f32 `[T, H, W]`, optional |
//! | `intrinsics`, `world_from_camera` | f64 `[T, 3, 3]`, `[T, 4, 4]`, row-major, both or neither |
//! | `scene_flow` | f16 `[T-1, H, W, 3]`, optional |
//! | `dynamic` | u8 `[T, H, W]`, optional |
//!
//! The metadata holds `format_version` and every field of [`SceneMeta`](super::SceneMeta) as JSON.
//! From Python: `safetensors.numpy.load_file("scene.safetensors")["points"]`.

mod header;
mod read;
mod write;

pub(crate) use header::map_regular_file;
pub use header::{TensorFile, TensorInfo};
pub use read::open;

/// Version of the scene file that this program writes and reads.
pub const SCENE_FORMAT_VERSION: u32 = 1;

/// Largest side of a frame that is accepted, in pixels.
pub const MAX_SIDE_PX: usize = 16_384;

/// Metadata key of [`SCENE_FORMAT_VERSION`].
const KEY_VERSION: &str = "format_version";

/// Metadata key that says that no point which is not finite is marked finite, so that opening need
/// not look at every point.
const KEY_VALIDITY_CHECKED: &str = "validity_checked";

/// Clears [`validity::FINITE`](super::validity::FINITE) where a point is not finite.
///
/// # Shapes
/// - `points`: `[N, 3]`, `valid`: `[N]`; returns the corrected bits, `None` if they were right
fn corrected_validity(points: &super::Points, valid: &[u8]) -> Option<Vec<u8>> {
    const CHUNK: usize = 1 << 16;
    let mut corrected: Option<Vec<u8>> = None;
    for start in (0..valid.len()).step_by(CHUNK) {
        let end = (start + CHUNK).min(valid.len());
        for (offset, point) in points.range(3 * start, 3 * end).chunks_exact(3).enumerate() {
            let idx = start + offset;
            let marked = valid[idx] & super::validity::FINITE != 0;
            if marked && !point.iter().all(|v| v.is_finite()) {
                corrected.get_or_insert_with(|| valid.to_vec())[idx] = 0;
            }
        }
    }
    corrected
}

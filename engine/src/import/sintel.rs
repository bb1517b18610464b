//! Depth of MPI Sintel (`.dpt`): tag, width and height as i32, then `[H, W]` f32.

use super::budget::Reason;
use super::trajectory::SINTEL_TAG;
use crate::metrics::DepthMap;

/// Largest side of a map.
const MAX_SIDE: usize = 1 << 15;

/// Reads a depth map.
///
/// # Errors
/// What is wrong with it: no tag, an impossible size, too few values.
pub fn read_depth_dpt(bytes: &[u8]) -> Reason<DepthMap> {
    let (width, height, values) = tagged_plane(bytes, 1)?;
    Ok(DepthMap {
        height,
        width,
        values,
    })
}

/// Width, height and `channels` values a pixel of a file with Sintel's tag.
pub(crate) fn tagged_plane(bytes: &[u8], channels: usize) -> Reason<(usize, usize, Vec<f32>)> {
    let Some((head, values)) = bytes.split_at_checked(12) else {
        return Err("truncated within the header".to_owned());
    };
    let word = |i: usize| [head[i], head[i + 1], head[i + 2], head[i + 3]];
    if f32::from_le_bytes(word(0)) != SINTEL_TAG {
        return Err("the tag 202021.25 is missing".to_owned());
    }
    let side = |i: usize| {
        let n = i32::from_le_bytes(word(i));
        usize::try_from(n)
            .ok()
            .filter(|n| (1..=MAX_SIDE).contains(n))
            .ok_or_else(|| format!("a side of {n} pixels"))
    };
    let (width, height) = (side(4)?, side(8)?);
    let count = width * height * channels;
    let values = values.as_chunks::<4>().0;
    if values.len() < count {
        return Err(format!(
            "truncated: {width} x {height} needs {count} values, there are {}",
            values.len()
        ));
    }
    let values = values[..count].iter().map(|c| f32::from_le_bytes(*c));
    Ok((width, height, values.collect()))
}

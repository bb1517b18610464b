//! Frames that lie in a file each, one after another in one plane.

use super::budget::{Budget, Reason};
use super::files::Files;
use super::npy::NpyArray;
use super::pictures::{self, Picture};
use crate::metrics::DepthMap;
use crate::{Error, Result};

/// Frames of one size, frame slowest.
pub(super) struct Series<T> {
    pub(super) frames: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) values: Vec<T>,
}

impl<T> Series<T> {
    /// `T, H, W`.
    pub(super) fn size(&self) -> (usize, usize, usize) {
        (self.frames, self.height, self.width)
    }
}

/// Reads one file after another; all must have one size.
fn collect<T>(
    files: &Files,
    names: &[String],
    budget: &Budget,
    channels: usize,
    read: impl Fn(&[u8]) -> Reason<Picture<T>>,
) -> Result<Series<T>> {
    let mut found = Series {
        frames: 0,
        height: 0,
        width: 0,
        values: Vec::new(),
    };
    for name in names {
        let picture = files.parse(name, budget, |bytes| read(bytes))?;
        if found.frames == 0 {
            (found.height, found.width) = (picture.height, picture.width);
            let all = picture.values.len().saturating_mul(names.len());
            budget
                .take("the frames", all, size_of::<T>())
                .map_err(|reason| files.error(name, reason))?;
            found.values.reserve_exact(all);
        }
        if (picture.height, picture.width) != (found.height, found.width)
            || picture.values.len() != found.height * found.width * channels
        {
            return Err(files.error(
                name,
                format!(
                    "{} x {} pixels, the frames before have {} x {}",
                    picture.width, picture.height, found.width, found.height
                ),
            ));
        }
        found.values.extend(picture.values);
        found.frames += 1;
    }
    if found.frames == 0 || found.values.is_empty() {
        return Err(Error::format(files.root(), "holds no frames"));
    }
    Ok(found)
}

/// `[H, W]` arrays, one a file.
pub(super) fn planes(files: &Files, names: &[String], budget: &Budget) -> Result<Series<f32>> {
    collect(files, names, budget, 1, |bytes| {
        let array = NpyArray::parse(bytes)?;
        match array.shape[..] {
            [height, width] | [height, width, 1] | [1, height, width] => Ok(Picture {
                height,
                width,
                values: array.to_f32(budget)?,
            }),
            _ => Err(format!("[H, W] required, got {:?}", array.shape)),
        }
    })
}

/// Pictures, one a file.
pub(super) fn colours(files: &Files, names: &[String], budget: &Budget) -> Result<Series<u8>> {
    collect(files, names, budget, 3, |bytes| {
        pictures::rgb(bytes, budget)
    })
}

/// Masks, one a file.
pub(super) fn masks(files: &Files, names: &[String], budget: &Budget) -> Result<Series<u8>> {
    collect(files, names, budget, 1, |bytes| {
        pictures::mask(bytes, budget)
    })
}

/// Maps that were read already.
pub(super) fn of_maps(maps: Vec<DepthMap>) -> Reason<Series<f32>> {
    let Some((height, width)) = maps.first().map(|m| (m.height, m.width)) else {
        return Err("holds no frames".to_owned());
    };
    if maps.iter().any(|m| (m.height, m.width) != (height, width)) {
        return Err("the frames differ in size".to_owned());
    }
    Ok(Series {
        frames: maps.len(),
        height,
        width,
        values: maps.into_iter().flat_map(|m| m.values).collect(),
    })
}

/// Refuses a plane of another size than the depth.
pub(super) fn same_size<T, U>(
    files: &Files,
    what: &str,
    found: &Series<T>,
    like: &Series<U>,
) -> Result<()> {
    if found.size() == like.size() {
        return Ok(());
    }
    Err(Error::format(
        files.root(),
        format!(
            "{what} have {:?} frames, height and width, the depth has {:?}",
            found.size(),
            like.size()
        ),
    ))
}

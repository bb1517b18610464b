//! CUT3R's demo: `depth/`, `conf/`, `color/` and `camera/` with a file a frame.

use super::clip::{Cameras, Clip, Geometry};
use super::files::Files;
use super::layout::Reading;
use super::npz::Npz;
use super::numbers;
use super::series::{self, same_size};
use crate::Result;

pub(super) fn read(files: &Files, prefix: &str, with: &Reading<'_>) -> Result<Clip> {
    let list = |folder: &str, ending: &str| files.numbered(&format!("{prefix}{folder}/"), ending);
    let depth = series::planes(files, &list("depth", ".npy")?, with.budget)?;
    let mut clip = Clip::new(depth.size(), Geometry::Depth(Vec::new()));
    let colours = list("color", ".png")?;
    if !colours.is_empty() {
        let colours = series::colours(files, &colours, with.budget)?;
        same_size(files, "the pictures", &colours, &depth)?;
        clip.rgb = Some(colours.values);
    }
    let confidence = list("conf", ".npy")?;
    if !confidence.is_empty() {
        let confidence = series::planes(files, &confidence, with.budget)?;
        same_size(files, "the confidences", &confidence, &depth)?;
        clip.confidence = Some(confidence.values);
    }
    let shift_px = 0.5 - with.pixel_centre(0.0);
    let mut cameras = Vec::with_capacity(depth.frames);
    for name in list("camera", ".npz")? {
        let camera = files.parse(&name, with.budget, |bytes| {
            let npz = Npz::parse(bytes.to_vec())?;
            let (shape, k) = npz.f64("intrinsics", with.budget)?;
            let lens = numbers::lenses(&shape, &k, 1, shift_px)?;
            let (shape, pose) = npz.f64("pose", with.budget)?;
            if pose.len() != 16 {
                return Err(format!("pose: [4, 4] required, got {shape:?}"));
            }
            let pose = numbers::poses_c2w(&[1, 4, 4], &pose)?;
            numbers::cameras(&lens, &pose)
        })?;
        cameras.extend(camera);
    }
    clip.cameras = Cameras::Known(cameras);
    clip.geometry = Geometry::Depth(depth.values);
    Ok(clip)
}

//! ViPE: `pose/NAME.npz`, `depth/NAME.zip` of EXR files, `intrinsics/NAME.npz`, `rgb/NAME.mp4`.

use super::archive::Archive;
use super::clip::{Cameras, Clip, Geometry};
use super::files::Files;
use super::layout::Reading;
use super::npz::Npz;
use super::{numbers, pictures, series, video};
use crate::scene::ScaleTag;
use crate::{Error, Result};

pub(super) fn read(files: &Files, prefix: &str, with: &Reading<'_>) -> Result<Clip> {
    let budget = with.budget;
    let names = files.ending(&format!("{prefix}pose/"), ".npz");
    let [pose_file] = &names[..] else {
        return Err(Error::format(
            files.root(),
            format!(
                "holds {} clips of ViPE ({}); open a folder with one",
                names.len(),
                names.join(", ")
            ),
        ));
    };
    let clip_name = pose_file
        .trim_start_matches(&format!("{prefix}pose/"))
        .trim_end_matches(".npz")
        .to_owned();
    let depth_file = format!("{prefix}depth/{clip_name}.zip");
    let depth = files.parse(&depth_file, budget, |bytes| {
        let archive = Archive::from_bytes(bytes.to_vec())?;
        let mut maps = Vec::new();
        for name in archive
            .names()
            .filter(|n| n.rsplit_once('.').is_some_and(|(_, e)| e == "exr"))
        {
            let bytes = archive.read(name, budget)?;
            let map = pictures::exr_channel(&bytes, &["Z", "Y"], budget)
                .map_err(|reason| format!("{name}: {reason}"))?;
            budget.take("depth", map.values.len(), 4)?;
            maps.push(map);
        }
        series::of_maps(maps)
    })?;
    let frames = depth.frames;
    let size = depth.size();
    let mut clip = Clip::new(size, Geometry::Depth(depth.values));
    clip.scale = ScaleTag::Metric;
    let poses = files.parse(pose_file, budget, |bytes| {
        let (shape, values) = Npz::parse(bytes.to_vec())?.f64("data", budget)?;
        numbers::poses_c2w(&shape, &values)
    })?;
    let lens_file = format!("{prefix}intrinsics/{clip_name}.npz");
    let lenses = files.parse(&lens_file, budget, |bytes| {
        let (shape, values) = Npz::parse(bytes.to_vec())?.f64("data", budget)?;
        numbers::lenses_by_four(&shape, &values, frames, 0.5 - with.pixel_centre(0.0))
    })?;
    clip.cameras = Cameras::Known(
        numbers::cameras(&lenses, &poses).map_err(|reason| files.error(pose_file, reason))?,
    );
    let video_file = format!("{prefix}rgb/{clip_name}.mp4");
    if files.has(&video_file) {
        let (rgb, fps) = video::frames(files, &video_file, size, with)?;
        clip.rgb = Some(rgb);
        clip.fps = Some(fps);
    }
    Ok(clip)
}

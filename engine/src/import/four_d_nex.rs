//! 4DNeX: `00000.pkl` with a pointmap clip in 0..1 and its colours, or `00000.mp4` with colours left
//! and points right, eight bits each and lossy: read only where the pickle is missing.
//!
//! The file's mask, cameras and depth are dummies. Every frame is centred on its own (see
//! `SolverFlag::PerFrameCentred`), so the cameras that the solver finds turn rightly and their
//! places mean nothing.

use super::budget::{Budget, Reason};
use super::clip::{Clip, Geometry};
use super::files::Files;
use super::layout::Reading;
use super::pickle::Pickle;
use super::video;
use crate::{Error, Result};

/// What every clip of the tool lacks.
const CENTRED: &str =
    "4DNeX centres every frame on its own: the file does not say where the camera goes";

pub(super) fn read(files: &Files, prefix: &str, with: &Reading<'_>) -> Result<Clip> {
    let names = files.ending(prefix, ".pkl");
    // `_reg` is the registered form of the same clip.
    let registered = names.iter().find(|name| name.ends_with("_reg.pkl"));
    let clips = names
        .iter()
        .filter(|name| !name.ends_with("_reg.pkl"))
        .count();
    if clips > 1 {
        return Err(Error::format(
            files.root(),
            format!(
                "holds {clips} clips of 4DNeX ({}); open one of the files",
                names.join(", ")
            ),
        ));
    }
    let name = registered.or(names.first()).cloned().unwrap_or_default();
    files.parse(&name, with.budget, |bytes| clip(bytes, with.budget))
}

fn clip(bytes: &[u8], budget: &Budget) -> Reason<Clip> {
    let pickle = Pickle::parse(bytes)?;
    let colours = pickle.array("rgb")?;
    let [t, h, w, 3] = colours.shape[..] else {
        return Err(format!(
            "rgb: [T, H, W, 3] required, got {:?}",
            colours.shape
        ));
    };
    let points = pickle.array("pcd")?;
    let expected = t
        .checked_mul(h)
        .and_then(|n| n.checked_mul(w)?.checked_mul(3));
    if Some(points.len()) != expected || points.shape.last() != Some(&3) {
        return Err(format!(
            "pcd: [{t}, {h} * {w}, 3] required, got {:?}",
            points.shape
        ));
    }
    let mut points = points.to_f32(budget)?;
    points.iter_mut().for_each(|x| *x = *x * 2.0 - 1.0);
    let mut clip = Clip::new((t, h, w), Geometry::WorldPoints(points));
    let colours = colours.to_f32(budget)?;
    clip.rgb = Some(
        colours
            .iter()
            .map(|c| (c * 255.0).round().clamp(0.0, 255.0) as u8)
            .collect(),
    );
    clip.notes.push(CENTRED.to_owned());
    clip.check()?;
    Ok(clip)
}

/// `00000.mp4` alone: colours in the left half, `(x + 1) / 2` of the points in the right one.
pub(super) fn read_video(files: &Files, prefix: &str, with: &Reading<'_>) -> Result<Clip> {
    let names = files.ending(prefix, ".mp4");
    let is_clip = |name: &&String| {
        let stem = name.trim_start_matches(prefix).trim_end_matches(".mp4");
        stem.len() == 5 && stem.bytes().all(|b| b.is_ascii_digit())
    };
    let clips: Vec<&String> = names.iter().filter(is_clip).collect();
    let [name] = clips[..] else {
        return Err(Error::format(
            files.root(),
            format!(
                "holds {} clips of 4DNeX; open one of the files",
                clips.len()
            ),
        ));
    };
    let whole = video::whole(files, name, with)?;
    let (frames, height) = (whole.frames.len(), whole.info.height);
    let width = whole.info.width / 2;
    if whole.info.width % 2 != 0 || width == 0 {
        return Err(files.error(
            name,
            format!(
                "pictures and points side by side are of even width, this is {} pixels wide",
                whole.info.width
            ),
        ));
    }
    with.budget
        .take("the halves of the video", frames * height * width, 15)
        .map_err(|reason| files.error(name, reason))?;
    let mut points = Vec::with_capacity(frames * height * width * 3);
    let mut rgb = Vec::with_capacity(points.capacity());
    for frame in &whole.frames {
        for row in frame.rgb.chunks_exact(width * 6) {
            let (left, right) = row.split_at(width * 3);
            rgb.extend_from_slice(left);
            points.extend(right.iter().map(|x| f32::from(*x) / 127.5 - 1.0));
        }
    }
    let mut clip = Clip::new((frames, height, width), Geometry::WorldPoints(points));
    clip.rgb = Some(rgb);
    clip.fps = Some(whole.fps);
    clip.notes.push(CENTRED.to_owned());
    clip.notes.push(
        "the points were read from a video, eight bits and lossy; the pickle beside it is better"
            .to_owned(),
    );
    clip.check().map_err(|reason| files.error(name, reason))?;
    Ok(clip)
}

//! 4DNeX: `00000.pkl` with a pointmap clip in 0..1 and its colours.
//!
//! The file's mask, cameras and depth are dummies. Every frame is centred on its own (see
//! `SolverFlag::PerFrameCentred`), so the cameras that the solver finds turn rightly and their
//! places mean nothing.

use super::budget::{Budget, Reason};
use super::clip::{Clip, Geometry};
use super::files::Files;
use super::layout::Reading;
use super::pickle::Pickle;
use crate::{Error, Result};

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
    clip.notes.push(
        "4DNeX centres every frame on its own: where the camera goes cannot be told from the file"
            .to_owned(),
    );
    clip.check()?;
    Ok(clip)
}

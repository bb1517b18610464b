//! zero-MSF: `points_3d.npy`, `scene_flow.npy` and `img_colors.npy`, all in the first camera.

use super::clip::{Clip, Geometry};
use super::files::Files;
use super::layout::Reading;
use super::npy::{NpyArray, NpyType};
use crate::Result;

pub(super) fn read(files: &Files, prefix: &str, with: &Reading<'_>) -> Result<Clip> {
    let budget = with.budget;
    let load = |name: &str| {
        files.parse(&format!("{prefix}{name}.npy"), budget, |bytes| {
            let array = NpyArray::parse(bytes)?;
            let size = match array.shape[..] {
                [h, w, 3] => (1, h, w),
                [t, h, w, 3] => (t, h, w),
                _ => return Err(format!("[H, W, 3] required, got {:?}", array.shape)),
            };
            let is_bytes = array.kind == NpyType::U8;
            Ok((size, array.to_f32(budget)?, is_bytes))
        })
    };
    let (size, points, _) = load("points_3d")?;
    let (_, flow, _) = load("scene_flow")?;
    // The flow leads from the points to where they are in the second frame, which has no pixels of
    // its own here: it is kept as a second frame of moved points with the first one's colours.
    let moved: Vec<f32> = points.iter().zip(&flow).map(|(p, v)| p + v).collect();
    let (t, h, w) = size;
    let mut clip = if t == 1 && flow.len() == points.len() {
        let both = [points, moved].concat();
        let mut clip = Clip::new((2, h, w), Geometry::WorldPoints(both));
        clip.scene_flow = Some(flow);
        clip.notes.push(
            "the second frame shows the points of the first, moved by their scene flow".to_owned(),
        );
        clip
    } else {
        let mut clip = Clip::new(size, Geometry::WorldPoints(points));
        let needed = t.saturating_sub(1) * h * w * 3;
        if flow.len() >= needed {
            clip.scene_flow = Some(flow[..needed].to_vec());
        }
        clip
    };
    if files.has(&format!("{prefix}img_colors.npy")) {
        let (_, colours, is_bytes) = load("img_colors")?;
        let unit = if is_bytes { 1.0 } else { 255.0 };
        let frame: Vec<u8> = colours
            .iter()
            .map(|c| (c * unit).round().clamp(0.0, 255.0) as u8)
            .collect();
        clip.rgb = Some(if t == 1 {
            [&frame[..], &frame[..]].concat()
        } else {
            frame
        });
    }
    Ok(clip)
}

//! MonST3R, Geo4D and CUT3R's evaluation: `frame_%04d.npy`, `pred_traj.txt`, `pred_intrinsics.txt`.
//!
//! Traps: the trajectory has **w first**; `conf_{i}.npy` holds the **logarithm** of the confidence;
//! rays pass through whole pixel numbers (Junyi42/monst3r dust3r/cloud_opt/base_opt.py @ 574cc77).

use super::clip::{Cameras, Clip, Geometry};
use super::files::Files;
use super::layout::Reading;
use super::series::{self, same_size};
use super::trajectory::{QuaternionOrder, parse_trajectory};
use super::{npy::NpyArray, numbers};
use crate::geometry::Intrinsics;
use crate::{Error, Result};

/// Focal length of the evaluation scripts that write none, in longer sides.
const UNKNOWN_FOCAL: f64 = crate::postopt::FOCAL_PRIOR;

pub(super) fn read(files: &Files, prefix: &str, with: &Reading<'_>) -> Result<Clip> {
    let depth_files = files.numbered(&format!("{prefix}frame_"), ".npy")?;
    let depth = series::planes(files, &depth_files, with.budget)?;
    let colour_files = files.numbered(&format!("{prefix}frame_"), ".png")?;
    let mut clip = Clip::new(depth.size(), Geometry::Depth(Vec::new()));
    if !colour_files.is_empty() {
        let colours = series::colours(files, &colour_files, with.budget)?;
        same_size(files, "the pictures", &colours, &depth)?;
        clip.rgb = Some(colours.values);
    }
    clip.cameras = Cameras::Known(cameras(files, prefix, with, &mut clip)?);
    let confidence_files = files.numbered(&format!("{prefix}conf_"), ".npy")?;
    if !confidence_files.is_empty() {
        let log = series::planes(files, &confidence_files, with.budget)?;
        same_size(files, "the confidences", &log, &depth)?;
        // Capped: beyond that only the order counts, and half precision ends at 65504.
        clip.confidence = Some(log.values.iter().map(|l| l.min(10.0).exp()).collect());
    }
    let mask_files = files.numbered(&format!("{prefix}dynamic_mask_"), ".png")?;
    if !mask_files.is_empty() {
        let masks = series::masks(files, &mask_files, with.budget)?;
        same_size(files, "the motion masks", &masks, &depth)?;
        clip.dynamic = Some(masks.values);
    }
    clip.geometry = Geometry::Depth(depth.values);
    Ok(clip)
}

fn cameras(
    files: &Files,
    prefix: &str,
    with: &Reading<'_>,
    clip: &mut Clip,
) -> Result<Vec<crate::geometry::Camera>> {
    let name = format!("{prefix}pred_traj.txt");
    let text = files.text(&name, with.budget)?;
    let path = parse_trajectory(&text, Some(QuaternionOrder::WFirst), true)
        .map_err(|reason| files.error(&name, reason))?;
    let shift_px = 0.5 - with.pixel_centre(0.0);
    let lens_file = format!("{prefix}pred_intrinsics.txt");
    let lenses = if files.has(&lens_file) {
        let text = files.text(&lens_file, with.budget)?;
        let parsed = numbers::rows(&text).and_then(|rows| {
            let flat: Vec<f64> = rows.concat();
            let frames = flat.len() / 9;
            numbers::lenses(&[frames, 3, 3], &flat[..frames * 9], frames, shift_px)
        });
        parsed.map_err(|reason| files.error(&lens_file, reason))?
    } else {
        let focals = focals(files, prefix, with)?;
        if focals.is_empty() {
            clip.notes
                .push("no focal length in the files: one was assumed".to_owned());
        }
        let longer = clip.height.max(clip.width) as f64;
        (0..clip.frames)
            .map(|i| {
                let focal = focals.get(i).copied().unwrap_or(UNKNOWN_FOCAL * longer);
                let lens = Intrinsics::centred(focal, clip.width, clip.height);
                Intrinsics {
                    cx_px: lens.cx_px + shift_px,
                    cy_px: lens.cy_px + shift_px,
                    ..lens
                }
            })
            .collect()
    };
    numbers::cameras(&lenses, &path.trajectory.poses)
        .map_err(|reason| Error::format(files.root(), reason))
}

/// Numbers of `pred_focal.txt`, which evaluations write instead of the matrices.
fn focals(files: &Files, prefix: &str, with: &Reading<'_>) -> Result<Vec<f64>> {
    let name = format!("{prefix}pred_focal.txt");
    if !files.has(&name) {
        return Ok(Vec::new());
    }
    let text = files.text(&name, with.budget)?;
    let rows = numbers::rows(&text).map_err(|reason| files.error(&name, reason))?;
    Ok(rows.concat())
}

/// The two-image and real-time form: pairs of pointmaps `[H, W, 3 or more]` in the first camera.
pub(super) fn read_pairs(files: &Files, prefix: &str, with: &Reading<'_>) -> Result<Clip> {
    let mut points: Vec<f32> = Vec::new();
    let mut confidence: Vec<f32> = Vec::new();
    let mut pictures: Vec<String> = Vec::new();
    let mut size = None;
    let pairs = files.numbered(&format!("{prefix}pts3d1_p"), ".npy")?.len();
    for pair in 0..pairs {
        for side in 1..=2 {
            let name = format!("{prefix}pts3d{side}_p{pair}.npy");
            let (height, width, found) = files.parse(&name, with.budget, |bytes| {
                let array = NpyArray::parse(bytes)?;
                let values = array.to_f32(with.budget)?;
                match array.shape[..] {
                    [height, width, channels] if channels >= 3 && !values.is_empty() => {
                        let first: Vec<f32> = values
                            .chunks_exact(channels)
                            .flat_map(|p| [p[0], p[1], p[2]])
                            .collect();
                        Ok((height, width, first))
                    }
                    _ => Err(format!("[H, W, 3] required, got {:?}", array.shape)),
                }
            })?;
            if *size.get_or_insert((height, width)) != (height, width) {
                return Err(files.error(&name, "another size than the pointmaps before"));
            }
            points.extend(found);
            let name = format!("{prefix}conf{side}_p{pair}.npy");
            if files.has(&name) {
                let plane = series::planes(files, &[name], with.budget)?;
                confidence.extend(plane.values);
            }
            pictures.push(format!("{prefix}img{side}_p{pair}.png"));
        }
    }
    let (height, width) = size.unwrap_or((0, 0));
    let mut clip = Clip::new((pairs * 2, height, width), Geometry::WorldPoints(points));
    if !confidence.is_empty() {
        clip.confidence = Some(confidence);
    }
    if pictures.iter().all(|name| files.has(name)) {
        clip.rgb = Some(series::colours(files, &pictures, with.budget)?.values);
    }
    if pairs > 1 {
        clip.notes.push(
            "every pair stands in the camera of its own first frame, so pairs do not meet"
                .to_owned(),
        );
    }
    Ok(clip)
}

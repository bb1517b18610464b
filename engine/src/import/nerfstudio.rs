//! nerfstudio and instant-ngp: `transforms.json` with a picture a frame and, where given, depth.
//!
//! Poses are OpenGL, camera to world (+Y up, looking along -Z); depth is 16-bit millimetres unless
//! `depth_unit_scale_factor` says otherwise; pixel centres lie at +0.5.

use glam::DVec3;
use serde_json::Value;

use super::budget::Reason;
use super::clip::{Cameras, Clip, Geometry};
use super::files::Files;
use super::layout::Reading;
use super::trajectory::rotation_of_rows;
use super::{numbers, pictures};
use crate::geometry::{Intrinsics, WorldFromCamera};
use crate::metrics::DepthMap;
use crate::{Error, Result};

/// Metres of a unit of a depth file.
const DEPTH_UNIT: f64 = 1e-3;

pub(super) fn read(files: &Files, prefix: &str, with: &Reading<'_>) -> Result<Clip> {
    let name = format!("{prefix}transforms.json");
    let text = files.text(&name, with.budget)?;
    let json: Value =
        serde_json::from_str(&text).map_err(|e| files.error(&name, format!("no JSON: {e}")))?;
    let failed = |reason: String| files.error(&name, reason);
    let mut frames: Vec<&Value> = json["frames"].as_array().into_iter().flatten().collect();
    if frames.is_empty() {
        return Err(failed("holds no frames".to_owned()));
    }
    if frames.iter().all(|f| f["time"].is_number()) {
        let time = |f: &Value| f["time"].as_f64().unwrap_or(0.0);
        frames.sort_by(|a, b| time(a).total_cmp(&time(b)));
    }
    let mut size = None;
    let mut rgb = Vec::new();
    let mut depth = Vec::new();
    let mut lenses = Vec::new();
    let mut poses = Vec::new();
    for frame in &frames {
        poses.push(pose(&frame["transform_matrix"]).map_err(failed)?);
        let picture = picture(files, prefix, &frame["file_path"], with)?;
        let (height, width) = match (&picture, size) {
            (_, Some(size)) => size,
            (Some(picture), None) => (picture.height, picture.width),
            (None, None) => declared_size(&json)
                .ok_or_else(|| failed("neither pictures nor `w` and `h`".to_owned()))?,
        };
        size = Some((height, width));
        with.budget
            .take("a frame", height * width, 3)
            .map_err(failed)?;
        let full = picture.as_ref().map(|p| (p.height, p.width));
        rgb.extend(match picture {
            Some(picture) => pictures::fitted(picture, height, width),
            None => vec![128; height * width * 3],
        });
        lenses.push(
            lens(
                &json,
                frame,
                full.unwrap_or((height, width)),
                (height, width),
            )
            .map_err(failed)?,
        );
        depth.extend(depth_of(
            files,
            prefix,
            &json,
            frame,
            (height, width),
            with,
        )?);
    }
    let (height, width) = size.unwrap_or((0, 0));
    let mut clip = Clip::new((frames.len(), height, width), Geometry::Depth(depth));
    clip.rgb = Some(rgb);
    clip.cameras = Cameras::Known(
        numbers::cameras(&lenses, &poses).map_err(|r| Error::format(files.root(), r))?,
    );
    if frames.iter().all(|f| f["depth_file_path"].is_null()) {
        clip.notes
            .push("the files hold pictures and cameras, and no depth".to_owned());
    }
    if ["k1", "k2", "k3", "k4", "p1", "p2"]
        .iter()
        .any(|k| json[*k].as_f64().unwrap_or(0.0) != 0.0)
    {
        clip.notes
            .push("the lenses distort; the distortion was not undone".to_owned());
    }
    Ok(clip)
}

fn declared_size(json: &Value) -> Option<(usize, usize)> {
    let side = |key: &str| Some(json[key].as_f64()? as usize).filter(|n| (1..=1 << 14).contains(n));
    Some((side("h")?, side("w")?))
}

/// OpenGL to OpenCV: the camera's y and z axes turn over.
fn pose(matrix: &Value) -> Reason<WorldFromCamera> {
    let rows: Vec<f64> = matrix
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|row| row.as_array().into_iter().flatten())
        .filter_map(Value::as_f64)
        .collect();
    if rows.len() != 16 && rows.len() != 12 {
        return Err("a `transform_matrix` that is not 4 x 4".to_owned());
    }
    let r = |i: usize| [rows[i], -rows[i + 1], -rows[i + 2]];
    let turn = [r(0), r(4), r(8)].concat();
    Ok(WorldFromCamera {
        rotation: rotation_of_rows(&turn)?,
        translation: DVec3::new(rows[3], rows[7], rows[11]),
    })
}

/// A frame's own lens or the one for all, for pictures of size `full` shown at `shown`.
fn lens(
    json: &Value,
    frame: &Value,
    full: (usize, usize),
    shown: (usize, usize),
) -> Reason<Intrinsics> {
    let number = |key: &str| frame[key].as_f64().or_else(|| json[key].as_f64());
    let (height, width) = (
        number("h").unwrap_or(full.0 as f64),
        number("w").unwrap_or(full.1 as f64),
    );
    let by_angle = |key: &str, side: f64| number(key).map(|a| 0.5 * side / (0.5 * a).tan());
    let fx = number("fl_x")
        .or_else(|| by_angle("camera_angle_x", width))
        .ok_or("neither `fl_x` nor `camera_angle_x`")?;
    let fy = number("fl_y")
        .or_else(|| by_angle("camera_angle_y", height))
        .unwrap_or(fx);
    let (sx, sy) = (shown.1 as f64 / width, shown.0 as f64 / height);
    Ok(Intrinsics {
        fx_px: fx * sx,
        fy_px: fy * sy,
        cx_px: number("cx").unwrap_or(width / 2.0) * sx,
        cy_px: number("cy").unwrap_or(height / 2.0) * sy,
    })
}

/// Name of a file that the document mentions, as the files list it.
fn listed(files: &Files, prefix: &str, mentioned: &Value) -> Option<String> {
    let name = mentioned.as_str()?.trim_start_matches("./");
    ["", ".png", ".jpg"]
        .iter()
        .map(|ending| format!("{prefix}{name}{ending}"))
        .find(|name| files.has(name))
}

fn picture(
    files: &Files,
    prefix: &str,
    mentioned: &Value,
    with: &Reading<'_>,
) -> Result<Option<pictures::Picture<u8>>> {
    listed(files, prefix, mentioned)
        .map(|name| files.parse(&name, with.budget, |b| pictures::rgb(b, with.budget)))
        .transpose()
}

/// `[H, W]` depth of a frame; NaN where it has none. Nearest pixel where sizes differ: depth must
/// not be mixed across edges.
fn depth_of(
    files: &Files,
    prefix: &str,
    json: &Value,
    frame: &Value,
    (height, width): (usize, usize),
    with: &Reading<'_>,
) -> Result<Vec<f32>> {
    let Some(name) = listed(files, prefix, &frame["depth_file_path"]) else {
        return Ok(vec![f32::NAN; height * width]);
    };
    let unit = json["depth_unit_scale_factor"]
        .as_f64()
        .unwrap_or(DEPTH_UNIT);
    let raw = files.parse(&name, with.budget, |b| pictures::grey16(b, with.budget))?;
    let map = DepthMap {
        height: raw.height,
        width: raw.width,
        values: raw
            .values
            .iter()
            .map(|d| (f64::from(*d) * unit) as f32)
            .collect(),
    };
    Ok((0..height * width)
        .map(|i| {
            let row = (i / width) * map.height / height;
            let column = (i % width) * map.width / width;
            map.values[row * map.width + column]
        })
        .collect())
}

//! COLMAP models: dense where `stereo/depth_maps` stand beside, else the points that images see.
//!
//! Poses are world to camera with w first, pixel centres at +0.5, images in the order of their
//! names. Distortion is not undone; a note says where there is any.

use std::collections::BTreeMap;

use super::clip::{Cameras, Clip, Geometry};
use super::colmap_records::{
    Lens, Point, Shot, dense_map, lenses_binary, lenses_text, points_binary, points_text,
    shots_binary, shots_text,
};
use super::files::Files;
use super::layout::Reading;
use super::pictures;
use crate::geometry::{Camera, Intrinsics};
use crate::metrics::DepthMap;
use crate::{Error, Result};

/// Longer side of the planes of a sparse model, pixels: the points of an image are a few thousand.
const SPARSE_SIDE: usize = 640;

struct Model {
    lenses: BTreeMap<u32, Lens>,
    shots: Vec<Shot>,
    points: BTreeMap<u64, Point>,
}

pub(super) fn read_binary(files: &Files, prefix: &str, with: &Reading<'_>) -> Result<Clip> {
    let budget = with.budget;
    let points = format!("{prefix}points3D.bin");
    let model = Model {
        lenses: files.parse(&format!("{prefix}cameras.bin"), budget, lenses_binary)?,
        shots: files.parse(&format!("{prefix}images.bin"), budget, |b| {
            shots_binary(b, budget)
        })?,
        points: if files.has(&points) {
            files.parse(&points, budget, |b| points_binary(b, budget))?
        } else {
            BTreeMap::new()
        },
    };
    clip(files, model, with)
}

pub(super) fn read_text(files: &Files, prefix: &str, with: &Reading<'_>) -> Result<Clip> {
    let named = |name: &str| format!("{prefix}{name}.txt");
    let text = |name: &str| files.text(&named(name), with.budget);
    let failed = |name: &str, reason: String| files.error(&named(name), reason);
    let model = Model {
        lenses: lenses_text(&text("cameras")?).map_err(|r| failed("cameras", r))?,
        shots: shots_text(&text("images")?).map_err(|r| failed("images", r))?,
        points: if files.has(&named("points3D")) {
            points_text(&text("points3D")?).map_err(|r| failed("points3D", r))?
        } else {
            BTreeMap::new()
        },
    };
    clip(files, model, with)
}

fn clip(files: &Files, mut model: Model, with: &Reading<'_>) -> Result<Clip> {
    model.shots.sort_by(|a, b| a.name.cmp(&b.name));
    let lens_of = |shot: &Shot| {
        model.lenses.get(&shot.lens).ok_or_else(|| {
            Error::format(
                files.root(),
                format!(
                    "image {} names camera {}, which is missing",
                    shot.name, shot.lens
                ),
            )
        })
    };
    let lenses = model
        .shots
        .iter()
        .map(lens_of)
        .collect::<Result<Vec<&Lens>>>()?;
    let Some(first) = lenses.first() else {
        return Err(Error::format(files.root(), "the model has no images"));
    };
    let dense = dense_maps(files, &model.shots, with)?;
    let (height, width) = match dense.first() {
        Some(map) => (map.height, map.width),
        None => sparse_size(first),
    };
    let cameras: Vec<Camera> = model
        .shots
        .iter()
        .zip(&lenses)
        .map(|(shot, lens)| Camera {
            intrinsics: scaled(lens, height, width),
            world_from_camera: shot.pose,
        })
        .collect();
    let frames = model.shots.len();
    let size = (frames, height, width);
    let pixels = frames.saturating_mul(height * width);
    with.budget
        .take("the planes of the images", pixels, 16)
        .map_err(|reason| Error::format(files.root(), reason))?;
    let mut rgb = vec![0_u8; pixels * 3];
    let geometry = if dense.is_empty() {
        sparse_points(&model, &lenses, size, &mut rgb)
    } else {
        let values = dense.into_iter().flat_map(|map| map.values).collect();
        Geometry::Depth(values)
    };
    let mut clip = Clip::new(size, geometry);
    paint(files, &model.shots, size, with, &mut rgb)?;
    clip.rgb = Some(rgb);
    clip.cameras = Cameras::Known(cameras);
    if lenses.iter().any(|lens| lens.distorts) {
        clip.notes
            .push("the lenses distort; the distortion was not undone".to_owned());
    }
    Ok(clip)
}

fn sparse_size(lens: &Lens) -> (usize, usize) {
    let longer = lens.width.max(lens.height);
    let shrink = longer.div_ceil(SPARSE_SIDE).max(1);
    ((lens.height / shrink).max(1), (lens.width / shrink).max(1))
}

/// The lens for planes of another size.
fn scaled(lens: &Lens, height: usize, width: usize) -> Intrinsics {
    let (sx, sy) = (
        width as f64 / lens.width as f64,
        height as f64 / lens.height as f64,
    );
    let k = lens.intrinsics;
    Intrinsics {
        fx_px: k.fx_px * sx,
        fy_px: k.fy_px * sy,
        cx_px: k.cx_px * sx,
        cy_px: k.cy_px * sy,
    }
}

/// Depth of every image by its geometric (else photometric) map; none unless all have one.
fn dense_maps(files: &Files, shots: &[Shot], with: &Reading<'_>) -> Result<Vec<DepthMap>> {
    let mut maps: Vec<DepthMap> = Vec::new();
    for shot in shots {
        let place = ["geometric", "photometric"].iter().find_map(|kind| {
            let ending = format!("stereo/depth_maps/{}.{kind}.bin", shot.name);
            files
                .names()
                .find(|name| name.ends_with(&ending))
                .map(str::to_owned)
        });
        let Some(name) = place else {
            return Ok(Vec::new());
        };
        let map = files.parse(&name, with.budget, dense_map)?;
        if maps
            .first()
            .is_some_and(|m| (m.height, m.width) != (map.height, map.width))
        {
            return Err(files.error(&name, "another size than the maps before"));
        }
        maps.push(map);
    }
    Ok(maps)
}

/// Points at the pixels where images see them, and their colours.
fn sparse_points(
    model: &Model,
    lenses: &[&Lens],
    (frames, height, width): (usize, usize, usize),
    rgb: &mut [u8],
) -> Geometry {
    let mut points = vec![f32::NAN; frames * height * width * 3];
    for (frame_idx, (shot, lens)) in model.shots.iter().zip(lenses).enumerate() {
        for (x, y, id) in &shot.seen {
            let column = (x * width as f64 / lens.width as f64).floor();
            let row = (y * height as f64 / lens.height as f64).floor();
            let inside =
                (0.0..width as f64).contains(&column) && (0.0..height as f64).contains(&row);
            if let Some(point) = model.points.get(id).filter(|_| inside) {
                let pixel = (frame_idx * height + row as usize) * width + column as usize;
                points[pixel * 3..pixel * 3 + 3]
                    .copy_from_slice(&point.position.as_vec3().to_array());
                rgb[pixel * 3..pixel * 3 + 3].copy_from_slice(&point.rgb);
            }
        }
    }
    Geometry::WorldPoints(points)
}

/// Pictures of the images that are there, brought to size.
fn paint(
    files: &Files,
    shots: &[Shot],
    (_, height, width): (usize, usize, usize),
    with: &Reading<'_>,
    rgb: &mut [u8],
) -> Result<()> {
    for (shot, frame) in shots.iter().zip(rgb.chunks_exact_mut(height * width * 3)) {
        let ending = format!("images/{}", shot.name);
        let Some(name) = files
            .names()
            .find(|name| name.ends_with(&ending))
            .map(str::to_owned)
        else {
            continue;
        };
        let picture = files.parse(&name, with.budget, |b| pictures::rgb(b, with.budget))?;
        frame.copy_from_slice(&pictures::fitted(picture, height, width));
    }
    Ok(())
}

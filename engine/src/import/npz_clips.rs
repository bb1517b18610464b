//! Clips in one npz, told apart by the names of their arrays, never by that of the file.

use super::budget::{Budget, Reason};
use super::clip::{Cameras, Clip, Geometry};
use super::layout::Reading;
use super::npz::Npz;
use super::numbers;
use crate::scene::ScaleTag;

/// Added to disparities of 0..1, whose zero lies nowhere: the far end of the scene comes to lie 21
/// times as far as its near end.
pub const DISPARITY_OFFSET: f32 = 0.05;
/// Kinema4D writes this guess of the focal length, in image sides, beside poses that stand still.
const KINEMA4D_FOCAL: f64 = 1.2;

/// Which tool's arrays these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NpzKind {
    Vggt,
    MegaSam,
    GeometryCrafter,
    DepthCrafter,
}

impl NpzKind {
    pub(super) fn of(npz: &Npz) -> Reason<Self> {
        if npz.has_all(&["extrinsic", "intrinsic"]) && (npz.has("depth") || npz.has("world_points"))
        {
            Ok(Self::Vggt)
        } else if npz.has_all(&["images", "depths", "intrinsic", "cam_c2w"]) {
            Ok(Self::MegaSam)
        } else if npz.has("point_map") {
            Ok(Self::GeometryCrafter)
        } else if npz.keys() == ["depth"] {
            Ok(Self::DepthCrafter)
        } else {
            Err(format!(
                "the arrays {} are those of no known tool (VGGT, MegaSaM, GeometryCrafter, \
                 DepthCrafter)",
                npz.keys().join(", ")
            ))
        }
    }

    pub(super) fn tool(self) -> &'static str {
        match self {
            Self::Vggt => "VGGT",
            Self::MegaSam => "MegaSaM",
            Self::GeometryCrafter => "GeometryCrafter",
            Self::DepthCrafter => "DepthCrafter",
        }
    }
}

pub(super) fn read(npz: &Npz, kind: NpzKind, with: &Reading<'_>) -> Reason<Clip> {
    let clip = match kind {
        NpzKind::Vggt => vggt(npz, with),
        NpzKind::MegaSam => mega_sam(npz, with),
        NpzKind::GeometryCrafter => geometry_crafter(npz, with.budget),
        NpzKind::DepthCrafter => depth_crafter(npz, with.budget),
    }?;
    clip.check()?;
    Ok(clip)
}

/// `T, H, W` of `[T, H, W]` with further dimensions of 1.
fn thw(key: &str, shape: &[usize]) -> Reason<(usize, usize, usize)> {
    match *shape {
        [t, h, w] | [t, h, w, 1] | [1, t, h, w, 1] if t * h * w > 0 => Ok((t, h, w)),
        _ => Err(format!("{key}: [T, H, W] required, got {shape:?}")),
    }
}

/// `extrinsic` is world to camera; `world_points` are taken where there are any, else `depth`.
fn vggt(npz: &Npz, with: &Reading<'_>) -> Reason<Clip> {
    let budget = with.budget;
    let (size, geometry) = if npz.has("world_points") {
        let (shape, points) = npz.f32("world_points", budget)?;
        match shape[..] {
            [t, h, w, 3] | [1, t, h, w, 3] => ((t, h, w), Geometry::WorldPoints(points)),
            _ => {
                return Err(format!(
                    "world_points: [T, H, W, 3] required, got {shape:?}"
                ));
            }
        }
    } else {
        let (shape, depth) = npz.f32("depth", budget)?;
        (thw("depth", &shape)?, Geometry::Depth(depth))
    };
    let mut clip = Clip::new(size, geometry);
    let (shape, k) = npz.f64("intrinsic", budget)?;
    let lenses = numbers::lenses(
        strip_batch(&shape, 3),
        &k,
        size.0,
        0.5 - with.pixel_centre(0.0),
    )?;
    let (shape, rt) = npz.f64("extrinsic", budget)?;
    let poses = numbers::poses_w2c(strip_batch(&shape, 3), &rt)?;
    clip.cameras = Cameras::Known(numbers::cameras(&lenses, &poses)?);
    let own_confidence = if npz.has("world_points") {
        "world_points_conf"
    } else {
        "depth_conf"
    };
    if npz.has(own_confidence) {
        clip.confidence = Some(npz.f32(own_confidence, budget)?.1);
    }
    if npz.has("images") {
        clip.rgb = Some(planar_images(npz, size, budget)?);
    }
    Ok(clip)
}

/// Without a leading batch of 1 where there are more than `rank` dimensions.
fn strip_batch(shape: &[usize], rank: usize) -> &[usize] {
    match shape {
        [1, rest @ ..] if shape.len() > rank => rest,
        _ => shape,
    }
}

/// `images` `[T, 3, H, W]` in 0..1 to `[T, H, W, 3]` bytes.
fn planar_images(npz: &Npz, size: (usize, usize, usize), budget: &Budget) -> Reason<Vec<u8>> {
    let (shape, values) = npz.f32("images", budget)?;
    let (t, h, w) = size;
    let n = h * w;
    if strip_batch(&shape, 4) != [t, 3, h, w] {
        return Err(format!(
            "images: [{t}, 3, {h}, {w}] required, got {shape:?}"
        ));
    }
    budget.take("colours", values.len(), 1)?;
    let byte = |x: f32| (x * 255.0).round().clamp(0.0, 255.0) as u8;
    Ok(values
        .chunks_exact(n * 3)
        .flat_map(|frame| {
            (0..n).flat_map(move |i| [0, 1, 2].map(|channel| byte(frame[channel * n + i])))
        })
        .collect())
}

/// MegaSaM's `_droid` and `_sgd_cvd_hr`, and Kinema4D's files of the same keys.
fn mega_sam(npz: &Npz, with: &Reading<'_>) -> Reason<Clip> {
    let budget = with.budget;
    let (shape, depth) = npz.f32("depths", budget)?;
    let size = thw("depths", &shape)?;
    let (shape, images) = npz.u8("images", budget)?;
    if shape != [size.0, size.1, size.2, 3] {
        return Err(format!(
            "images: [{}, {}, {}, 3] required, got {shape:?}",
            size.0, size.1, size.2
        ));
    }
    let (shape, k) = npz.f64("intrinsic", budget)?;
    let lenses = numbers::lenses(&shape, &k, size.0, 0.5 - with.pixel_centre(0.0))?;
    let (shape, c2w) = npz.f64("cam_c2w", budget)?;
    let poses = numbers::poses_c2w(&shape, &c2w)?;
    let mut clip = Clip::new(size, Geometry::Depth(depth));
    clip.rgb = Some(images);
    let stands = poses
        .iter()
        .all(|p| *p == crate::geometry::WorldFromCamera::IDENTITY);
    let is_guess = |lens: &crate::geometry::Intrinsics| {
        (lens.fx_px / size.2 as f64 - KINEMA4D_FOCAL).abs() < 1e-6
            && (lens.fy_px / size.1 as f64 - KINEMA4D_FOCAL).abs() < 1e-6
    };
    if stands && lenses.iter().all(is_guess) {
        // Placeholders: the depth was made with them, so they lift it back to the points, whose
        // cameras are then solved for.
        let cameras = numbers::cameras(&lenses, &poses)?;
        let Geometry::Depth(depth) = &clip.geometry else {
            return Err("no depth".to_owned());
        };
        let n = size.1 * size.2;
        let points = depth
            .chunks_exact(n)
            .zip(&cameras)
            .flat_map(|(frame, camera)| {
                frame.iter().enumerate().flat_map(move |(i, &d)| {
                    let ray = camera.intrinsics.ray(i % size.2, i / size.2);
                    let there = d > 0.0 && d.is_finite();
                    let point = if there {
                        ray * f64::from(d)
                    } else {
                        glam::DVec3::NAN
                    };
                    point.as_vec3().to_array()
                })
            })
            .collect();
        clip.geometry = Geometry::WorldPoints(points);
        clip.tool = Some("Kinema4D");
        clip.notes.push(
            "the cameras in the file are placeholders (Kinema4D) and were not taken".to_owned(),
        );
        return Ok(clip);
    }
    clip.cameras = Cameras::Known(numbers::cameras(&lenses, &poses)?);
    Ok(clip)
}

fn geometry_crafter(npz: &Npz, budget: &Budget) -> Reason<Clip> {
    let (shape, points) = npz.f32("point_map", budget)?;
    let [t, h, w, 3] = shape[..] else {
        return Err(format!("point_map: [T, H, W, 3] required, got {shape:?}"));
    };
    let mut clip = Clip::new((t, h, w), Geometry::CameraPoints(points));
    if npz.has("mask") {
        clip.usable = Some(npz.u8("mask", budget)?.1);
    }
    Ok(clip)
}

/// The key says depth, the values are disparity in 0..1, near = 1.
fn depth_crafter(npz: &Npz, budget: &Budget) -> Reason<Clip> {
    let (shape, disparity) = npz.f32("depth", budget)?;
    let size = thw("depth", &shape)?;
    let depth = disparity
        .iter()
        .map(|d| 1.0 / (d.max(0.0) + DISPARITY_OFFSET))
        .collect();
    let mut clip = Clip::new(size, Geometry::Depth(depth));
    clip.scale = ScaleTag::UpToScaleAndShift;
    clip.notes.push(format!(
        "`depth` holds disparity of unknown scale and shift: depth is 1 / (disparity + \
         {DISPARITY_OFFSET})"
    ));
    Ok(clip)
}

//! Opening a scene: header first, planes mapped, nothing read that is not needed.

use std::path::Path;
use std::sync::Arc;

use glam::{DMat3, DMat4};
use safetensors::Dtype;

use super::{KEY_VALIDITY_CHECKED, KEY_VERSION, MAX_SIDE_PX, SCENE_FORMAT_VERSION};
use super::{TensorFile, corrected_validity};
use crate::geometry::{Camera, Intrinsics, WorldFromCamera};
use crate::scene::{Half, Plane, Points, Scene4d, SceneMeta};
use crate::{Error, Result};

/// How far the rows of a stored rotation may be from orthonormal.
const ROTATION_TOLERANCE: f64 = 1e-3;

/// Opens a scene file; its planes stay on disk and are read where they are looked at.
///
/// Points that are not finite are allowed; they lose their validity bits.
///
/// # Errors
/// [`Error::Io`] if it cannot be read, [`Error::Format`] naming the file and what is wrong with it.
pub fn open(path: impl AsRef<Path>) -> Result<Scene4d> {
    let file = TensorFile::open(path)?;
    check_version(&file)?;
    let meta = read_meta(&file)?;
    let [num_frames, height, width] = frame_shape(&file)?;
    let pixels = [num_frames, height, width];
    let vectors = [num_frames, height, width, 3];
    let motion = [num_frames - 1, height, width, 3];
    let points = match file.tensors.get("points").map(|info| info.dtype) {
        Some(Dtype::F16) => Points::F16(required(&file, "points", Dtype::F16, &vectors)?),
        _ => Points::F32(required(&file, "points", Dtype::F32, &vectors)?),
    };
    let mut valid: Plane<u8> = required(&file, "valid", Dtype::U8, &pixels)?;
    if !file.metadata.contains_key(KEY_VALIDITY_CHECKED)
        && let Some(corrected) = corrected_validity(&points, valid.as_slice())
    {
        valid = Plane::new(corrected);
    }
    let scene = Scene4d {
        num_frames,
        height,
        width,
        rgb: required(&file, "rgb", Dtype::U8, &vectors)?,
        points,
        valid,
        confidence: optional::<Half>(&file, "confidence", Dtype::F16, &pixels)?,
        depth: optional(&file, "depth", Dtype::F32, &pixels)?,
        cameras: read_cameras(&file, num_frames)?,
        scene_flow: optional::<Half>(&file, "scene_flow", Dtype::F16, &motion)?,
        dynamic: optional(&file, "dynamic", Dtype::U8, &pixels)?,
        meta,
    };
    scene.check()?;
    Ok(scene)
}

fn check_version(file: &TensorFile) -> Result<()> {
    let Some(version) = file.metadata.get(KEY_VERSION) else {
        let hint = if file.tensors.contains_key("points") {
            "its metadata has no format_version"
        } else {
            "it holds other tensors; `one4d inspect` shows which"
        };
        return Err(Error::format(&file.path, format!("is no scene: {hint}")));
    };
    if version.parse() == Ok(SCENE_FORMAT_VERSION) {
        return Ok(());
    }
    Err(Error::format(
        &file.path,
        format!(
            "scene version {version} is not known to this program (it reads {SCENE_FORMAT_VERSION})"
        ),
    ))
}

/// `[T, H, W]` from the shape of `rgb`, within limits.
fn frame_shape(file: &TensorFile) -> Result<[usize; 3]> {
    let shape = file
        .tensors
        .get("rgb")
        .map(|info| info.shape.as_slice())
        .ok_or_else(|| missing(file, "rgb"))?;
    let &[frames, height, width, 3] = shape else {
        return Err(Error::format(
            &file.path,
            format!("tensor `rgb` is {shape:?}, must be [T, H, W, 3]"),
        ));
    };
    if frames == 0 || height == 0 || width == 0 {
        return Err(Error::format(
            &file.path,
            format!("the scene has {frames} frames of {width} x {height} pixels; nothing to show"),
        ));
    }
    if height > MAX_SIDE_PX || width > MAX_SIDE_PX {
        return Err(Error::format(
            &file.path,
            format!("frames of {width} x {height} pixels exceed the limit of {MAX_SIDE_PX} a side"),
        ));
    }
    Ok([frames, height, width])
}

fn missing(file: &TensorFile, name: &str) -> Error {
    Error::format(&file.path, format!("tensor `{name}` is missing"))
}

fn required<T: bytemuck::Pod>(
    file: &TensorFile,
    name: &str,
    dtype: Dtype,
    shape: &[usize],
) -> Result<Plane<T>> {
    optional(file, name, dtype, shape)?.ok_or_else(|| missing(file, name))
}

fn optional<T: bytemuck::Pod>(
    file: &TensorFile,
    name: &str,
    dtype: Dtype,
    shape: &[usize],
) -> Result<Option<Plane<T>>> {
    let Some(info) = file.tensors.get(name) else {
        return Ok(None);
    };
    if info.dtype != dtype || info.shape != shape {
        return Err(Error::format(
            &file.path,
            format!(
                "tensor `{name}` is {} {:?}, must be {dtype} {shape:?}",
                info.dtype, info.shape
            ),
        ));
    }
    Plane::mapped(&file.map, info.bytes.clone())
        .map(Some)
        .ok_or_else(|| Error::format(&file.path, format!("tensor `{name}` leaves the file")))
}

fn read_meta(file: &TensorFile) -> Result<SceneMeta> {
    let mut fields = serde_json::Map::new();
    for (key, text) in &file.metadata {
        if key == KEY_VERSION || key == KEY_VALIDITY_CHECKED {
            continue;
        }
        let value = serde_json::from_str(text)
            .map_err(|e| Error::format(&file.path, format!("metadata `{key}` is no JSON: {e}")))?;
        fields.insert(key.clone(), value);
    }
    let meta: SceneMeta = serde_json::from_value(fields.into())
        .map_err(|e| Error::format(&file.path, format!("metadata: {e}")))?;
    if !(0.0..=1000.0).contains(&meta.fps) {
        return Err(Error::format(
            &file.path,
            format!("metadata `fps` is {}, must be 0 to 1000", meta.fps),
        ));
    }
    Ok(meta)
}

fn read_cameras(file: &TensorFile, num_frames: usize) -> Result<Option<Arc<[Camera]>>> {
    let lenses = optional::<f64>(file, "intrinsics", Dtype::F64, &[num_frames, 3, 3])?;
    let poses = optional::<f64>(file, "world_from_camera", Dtype::F64, &[num_frames, 4, 4])?;
    let (lenses, poses) = match (lenses, poses) {
        (None, None) => return Ok(None),
        (Some(lenses), Some(poses)) => (lenses, poses),
        (Some(_), None) => return Err(missing(file, "world_from_camera")),
        (None, Some(_)) => return Err(missing(file, "intrinsics")),
    };
    let lenses = lenses.as_slice().as_chunks::<9>().0;
    let poses = poses.as_slice().as_chunks::<16>().0;
    let cameras: Result<Vec<Camera>> = lenses
        .iter()
        .zip(poses)
        .enumerate()
        .map(|(frame_idx, (lens, pose))| {
            camera(lens, pose).map_err(|reason| {
                Error::format(&file.path, format!("camera of frame {frame_idx}: {reason}"))
            })
        })
        .collect();
    Ok(Some(cameras?.into()))
}

/// Builds a camera from the row-major matrices K `[3, 3]` and world-from-camera `[4, 4]`.
fn camera(lens: &[f64; 9], pose: &[f64; 16]) -> std::result::Result<Camera, String> {
    if !lens.iter().chain(pose).all(|v| v.is_finite()) {
        return Err("holds values that are not finite".to_owned());
    }
    let intrinsics = Intrinsics::from_mat3(DMat3::from_cols_array(lens).transpose());
    if intrinsics.fx_px <= 0.0 || intrinsics.fy_px <= 0.0 {
        return Err(format!(
            "focal lengths {} and {} must be positive",
            intrinsics.fx_px, intrinsics.fy_px
        ));
    }
    let pose = WorldFromCamera::from_mat4(DMat4::from_cols_array(pose).transpose());
    let deviation = pose.rotation.transpose() * pose.rotation - DMat3::IDENTITY;
    let orthonormal = deviation
        .to_cols_array()
        .iter()
        .all(|v| v.abs() < ROTATION_TOLERANCE);
    if !orthonormal || pose.rotation.determinant() < 0.0 {
        return Err("its 3 x 3 part is no rotation".to_owned());
    }
    Ok(Camera {
        intrinsics,
        world_from_camera: pose,
    })
}

//! Cameras out of rows of numbers.

use glam::DVec3;

use super::budget::Reason;
use super::trajectory::{rotation_of, rotation_of_rows};
use crate::geometry::{Camera, CameraFromWorld, Intrinsics, WorldFromCamera};

/// Rotation and translation of a 3x4 or 4x4 matrix by rows.
fn rigid(m: &[f64]) -> Reason<(glam::DMat3, DVec3)> {
    if m.len() < 12 {
        return Err(format!("12 numbers of a pose required, got {}", m.len()));
    }
    let turn = [m[0], m[1], m[2], m[4], m[5], m[6], m[8], m[9], m[10]];
    let shift = DVec3::new(m[3], m[7], m[11]);
    if !shift.is_finite() {
        return Err("the position of a pose is not finite".to_owned());
    }
    Ok((rotation_of_rows(&turn)?, shift))
}

/// Camera to world, `[T, 4, 4]` or `[T, 3, 4]`.
pub(crate) fn poses_c2w(shape: &[usize], values: &[f64]) -> Reason<Vec<WorldFromCamera>> {
    let size = match shape {
        [_, rows @ (3 | 4), 4] => rows * 4,
        _ => return Err(format!("poses of shape [T, 4, 4] required, got {shape:?}")),
    };
    values
        .chunks_exact(size)
        .enumerate()
        .map(|(i, m)| {
            let (rotation, translation) =
                rigid(m).map_err(|reason| format!("pose {i}: {reason}"))?;
            Ok(WorldFromCamera {
                rotation,
                translation,
            })
        })
        .collect()
}

/// World to camera, `[T, 4, 4]` or `[T, 3, 4]`.
pub(crate) fn poses_w2c(shape: &[usize], values: &[f64]) -> Reason<Vec<WorldFromCamera>> {
    let read = poses_c2w(shape, values)?;
    Ok(read
        .into_iter()
        .map(|pose| {
            CameraFromWorld {
                rotation: pose.rotation,
                translation: pose.translation,
            }
            .inverse()
        })
        .collect())
}

/// World to camera, `[T, 7]`: `tx ty tz qx qy qz qw`.
pub(crate) fn poses_w2c_quaternion(
    shape: &[usize],
    values: &[f64],
) -> Reason<Vec<WorldFromCamera>> {
    if !matches!(shape, [_, 7]) {
        return Err(format!("poses of shape [T, 7] required, got {shape:?}"));
    }
    values
        .as_chunks::<7>()
        .0
        .iter()
        .enumerate()
        .map(|(i, &[x, y, z, qx, qy, qz, qw])| {
            let rotation =
                rotation_of([qx, qy, qz, qw]).map_err(|reason| format!("pose {i}: {reason}"))?;
            let pose = CameraFromWorld {
                rotation,
                translation: DVec3::new(x, y, z),
            };
            Ok(pose.inverse())
        })
        .collect()
}

/// Lenses of a `[3, 3]` matrix for all frames or a `[T, 3, 3]` one, moved by `shift_px` to pixel
/// centres at +0.5.
pub(crate) fn lenses(
    shape: &[usize],
    values: &[f64],
    frames: usize,
    shift_px: f64,
) -> Reason<Vec<Intrinsics>> {
    let of = |k: &[f64]| Intrinsics {
        fx_px: k[0],
        fy_px: k[4],
        cx_px: k[2] + shift_px,
        cy_px: k[5] + shift_px,
    };
    match shape {
        [3, 3] | [1, 3, 3] => Ok(vec![of(values); frames]),
        [t, 3, 3] if *t == frames => Ok(values.chunks_exact(9).map(of).collect()),
        _ => Err(format!(
            "intrinsics of shape [3, 3] or [{frames}, 3, 3] required, got {shape:?}"
        )),
    }
}

/// Lenses of `[T, 4]` rows `fx fy cx cy`; see [`lenses`].
pub(crate) fn lenses_by_four(
    shape: &[usize],
    values: &[f64],
    frames: usize,
    shift_px: f64,
) -> Reason<Vec<Intrinsics>> {
    let rows: Vec<Intrinsics> = values
        .as_chunks::<4>()
        .0
        .iter()
        .map(|&[fx_px, fy_px, cx, cy]| Intrinsics {
            fx_px,
            fy_px,
            cx_px: cx + shift_px,
            cy_px: cy + shift_px,
        })
        .collect();
    match shape {
        [4] | [1, 4] => Ok(vec![rows[0]; frames]),
        [t, 4] if *t == frames => Ok(rows),
        _ => Err(format!(
            "intrinsics of shape [{frames}, 4] required, got {shape:?}"
        )),
    }
}

/// Lens and place of each frame together.
pub(crate) fn cameras(lenses: &[Intrinsics], poses: &[WorldFromCamera]) -> Reason<Vec<Camera>> {
    if lenses.len() != poses.len() {
        return Err(format!("{} lenses for {} poses", lenses.len(), poses.len()));
    }
    Ok(lenses
        .iter()
        .zip(poses)
        .map(|(&intrinsics, &world_from_camera)| Camera {
            intrinsics,
            world_from_camera,
        })
        .collect())
}

/// Rows of numbers in a text, all of one length.
pub(crate) fn rows(text: &str) -> Reason<Vec<Vec<f64>>> {
    let mut rows: Vec<Vec<f64>> = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let row: Vec<f64> = line
            .split_whitespace()
            .map(|word| {
                word.parse()
                    .map_err(|_| format!("line {}: `{word}` is no number", i + 1))
            })
            .collect::<Reason<_>>()?;
        if rows.first().is_some_and(|first| first.len() != row.len()) {
            return Err(format!(
                "line {}: {} numbers, the lines before have others",
                i + 1,
                row.len()
            ));
        }
        rows.push(row);
    }
    Ok(rows)
}

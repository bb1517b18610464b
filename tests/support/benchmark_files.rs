//! Small copies of evaluation data sets in their own formats, with truth in closed form.

use std::fmt::Write as _;
use std::io::Cursor;
use std::path::Path;

use glam::{DMat3, DQuat, DVec3};
use image::{ImageBuffer, ImageFormat, Luma};
use one4d_engine::geometry::{WorldFromCamera, rotation_exp};

use crate::npy::npy;

/// Height and width of every frame.
pub const SIZE: (usize, usize) = (6, 8);

/// True depth of a frame, `[H, W]`: quarters of a metre from 2 to 3.5, exact in every format.
pub fn depth(sequence: usize, frame: usize) -> Vec<f32> {
    let (h, w) = SIZE;
    (0..h * w)
        .map(|i| {
            let step = (i % w + 2 * (i / w) + 3 * frame + sequence) % 7;
            2.0 + 0.25 * step as f32
        })
        .collect()
}

/// A prediction of half the size whose every `nth` pixel of the sequence is half as large again.
pub fn predicted(truth: &[f32], frame: usize, nth: usize) -> Vec<f32> {
    truth
        .iter()
        .enumerate()
        .map(|(i, g)| {
            let is_wrong = (frame * truth.len() + i).is_multiple_of(nth);
            0.5 * g * if is_wrong { 1.5 } else { 1.0 }
        })
        .collect()
}

/// `frame_0000.npy` and on.
pub fn write_predictions(folder: &Path, frames: &[Vec<f32>]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for (i, frame) in frames.iter().enumerate() {
        let bytes = npy(&[SIZE.0, SIZE.1], frame);
        std::fs::write(folder.join(format!("frame_{i:04}.npy")), bytes)?;
    }
    Ok(())
}

/// A Sintel `.dpt`.
pub fn dpt(height: usize, width: usize, values: &[f32]) -> Vec<u8> {
    let mut bytes = 202_021.25_f32.to_le_bytes().to_vec();
    for side in [width, height] {
        bytes.extend((side as i32).to_le_bytes());
    }
    values.iter().for_each(|v| bytes.extend(v.to_le_bytes()));
    bytes
}

/// A Sintel `.cam` of a camera with any lens.
pub fn cam(pose: WorldFromCamera) -> Vec<u8> {
    let mut bytes = 202_021.25_f32.to_le_bytes().to_vec();
    let world_to_camera = pose.inverse();
    let (r, t) = (
        world_to_camera.rotation.transpose(),
        world_to_camera.translation,
    );
    let lens = [500.0, 0.0, 4.0, 0.0, 500.0, 3.0, 0.0, 0.0, 1.0];
    let rows = [(r.x_axis, t.x), (r.y_axis, t.y), (r.z_axis, t.z)];
    let rows = rows
        .iter()
        .flat_map(|(axis, t)| [axis.x, axis.y, axis.z, *t]);
    for number in lens.into_iter().chain(rows) {
        bytes.extend(number.to_le_bytes());
    }
    bytes
}

/// A 16-bit grey PNG of depth in so many units a metre.
pub fn png16(height: usize, width: usize, depth: &[f32], per_metre: f32) -> Vec<u8> {
    let raw: Vec<u16> = depth
        .iter()
        .map(|d| (d * per_metre).round() as u16)
        .collect();
    let mut bytes = Cursor::new(Vec::new());
    let picture: Option<ImageBuffer<Luma<u16>, _>> =
        ImageBuffer::from_raw(width as u32, height as u32, raw);
    let written = picture.map(|p| p.write_to(&mut bytes, ImageFormat::Png));
    match written {
        Some(Ok(())) => bytes.into_inner(),
        _ => Vec::new(),
    }
}

/// A camera path that turns and bends, by time in seconds.
pub fn camera(secs: f64) -> WorldFromCamera {
    WorldFromCamera {
        rotation: rotation_exp(DVec3::new(0.1 * secs, 0.3 * secs.sin(), 0.05)),
        translation: DVec3::new(secs.cos(), 0.5 * (1.7 * secs).sin(), 0.3 * secs),
    }
}

/// The path as another method sees it: elsewhere, turned, and `scale` times as large.
pub fn moved(pose: WorldFromCamera, scale: f64) -> WorldFromCamera {
    let turn = rotation_exp(DVec3::new(0.5, -1.0, 2.0));
    WorldFromCamera {
        rotation: turn * pose.rotation,
        translation: turn * pose.translation * scale + DVec3::new(4.0, 5.0, -6.0),
    }
}

/// A pose turned about its own viewing direction.
pub fn rolled(pose: WorldFromCamera, angle_rad: f64) -> WorldFromCamera {
    WorldFromCamera {
        rotation: pose.rotation * DMat3::from_rotation_z(angle_rad),
        ..pose
    }
}

/// Lines `time x y z` and a quaternion with w last (TUM) or first (MonST3R).
pub fn path_text(poses: &[(f64, WorldFromCamera)], w_first: bool) -> String {
    let mut text = String::new();
    for (time, pose) in poses {
        let [x, y, z, w] = DQuat::from_mat3(&pose.rotation).to_array();
        let q = if w_first { [w, x, y, z] } else { [x, y, z, w] };
        let t = pose.translation;
        let _ = writeln!(
            text,
            "{time} {} {} {} {} {} {} {}",
            t.x, t.y, t.z, q[0], q[1], q[2], q[3]
        );
    }
    text
}

/// Sixteen numbers of a pose from camera to world, one line.
pub fn matrix_line(pose: WorldFromCamera) -> String {
    let m = pose.to_mat4().transpose().to_cols_array();
    let words: Vec<String> = m.iter().map(f64::to_string).collect();
    words.join(" ")
}

/// Writes a file and the folders above it.
pub fn write(path: &Path, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, bytes)
}

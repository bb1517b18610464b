//! A generated scene on disk: the scene file, pictures to glance at, the report.

use std::path::{Path, PathBuf};

use image::{ImageFormat, RgbImage};

use crate::job::{JobCtx, Stage};
use crate::scene::Scene4d;
use crate::{Error, Result, atomic_file};

/// Most frames that the preview strip shows side by side.
const STRIP_FRAMES: usize = 8;

/// Refuses a folder that cannot be written to, before the long work starts.
///
/// # Errors
/// [`Error::Io`] or [`Error::Format`] naming the folder.
pub(super) fn check_writable(out: &Path) -> Result<()> {
    atomic_file::create_folder(out)?;
    tempfile::tempfile_in(out).map_err(|e| Error::io(out, e))?;
    Ok(())
}

/// Writes `scene.one4d`, `frames.png` and `depth.png`.
///
/// # Errors
/// [`Error::Io`]; nothing is left under a final name that is not whole.
pub(super) fn scene_with_previews(
    scene: &Scene4d,
    out: &Path,
    ctx: &JobCtx,
) -> Result<Vec<PathBuf>> {
    ctx.step(Stage::Save, 0, 2)?;
    let scene_path = out.join("scene.one4d");
    scene.save(&scene_path)?;
    ctx.step(Stage::Save, 1, 2)?;
    let frames_path = out.join("frames.png");
    write_png(
        &strip(scene, |frame| scene.frame_rgb(frame).to_vec()),
        &frames_path,
    )?;
    let mut files = vec![scene_path, frames_path];
    if scene.depth.is_some() {
        let path = out.join("depth.png");
        let range = depth_range(scene);
        write_png(
            &strip(scene, |frame| depth_picture(scene, frame, range)),
            &path,
        )?;
        files.push(path);
    }
    ctx.step(Stage::Save, 2, 2)?;
    Ok(files)
}

/// Writes `report.json`.
///
/// # Errors
/// [`Error::Io`].
pub(super) fn report(report: &serde_json::Value, out: &Path) -> Result<PathBuf> {
    let path = out.join("report.json");
    atomic_file::write(&path, format!("{report:#}\n").as_bytes())?;
    Ok(path)
}

/// Writes a picture as PNG.
///
/// # Errors
/// [`Error::Io`].
pub(super) fn write_png(picture: &RgbImage, path: &Path) -> Result<()> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture
        .write_to(&mut bytes, ImageFormat::Png)
        .map_err(|e| Error::format(path, e.to_string()))?;
    atomic_file::write(path, bytes.get_ref())
}

/// Evenly spread frames side by side.
fn strip(scene: &Scene4d, picture_of: impl Fn(usize) -> Vec<u8>) -> RgbImage {
    let shown = scene.num_frames.min(STRIP_FRAMES);
    let (width, height) = (scene.width, scene.height);
    let mut strip = RgbImage::new((width * shown) as u32, height as u32);
    for place in 0..shown {
        let frame = place * (scene.num_frames - 1) / (shown - 1).max(1);
        let rgb = picture_of(frame);
        for (row, line) in rgb.chunks_exact(width * 3).enumerate() {
            let start = (row * shown + place) * width * 3;
            strip.as_mut()[start..start + width * 3].copy_from_slice(line);
        }
    }
    strip
}

/// 2nd and 98th percentile of the finite depths of the clip.
fn depth_range(scene: &Scene4d) -> (f32, f32) {
    let depths = scene
        .depth
        .as_ref()
        .map_or(&[][..], |plane| plane.as_slice());
    let mut finite: Vec<f32> = depths.iter().copied().filter(|d| d.is_finite()).collect();
    if finite.is_empty() {
        return (0.0, 1.0);
    }
    finite.sort_by(f32::total_cmp);
    let at = |share: f64| finite[((finite.len() - 1) as f64 * share) as usize];
    (at(0.02), at(0.98))
}

/// Near is bright, missing is black.
fn depth_picture(scene: &Scene4d, frame: usize, (near, far): (f32, f32)) -> Vec<u8> {
    let depth = scene.frame_depth(frame).unwrap_or_default();
    let span = (far - near).max(f32::MIN_POSITIVE);
    depth
        .iter()
        .flat_map(|&d| {
            let share = 1.0 - ((d - near) / span).clamp(0.0, 1.0);
            let grey = if d.is_finite() {
                (40.0 + 215.0 * share) as u8
            } else {
                0
            };
            [grey; 3]
        })
        .collect()
}

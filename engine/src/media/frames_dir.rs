//! A folder of images as a video, in natural order of their names.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::source::{FrameSink, FrameSource, Refusal};
use super::{MediaInfo, MediaKind, load_image, sampling};
use crate::job::JobCtx;
use crate::{Error, Result};

/// Endings of names that count as frames.
const EXTENSIONS: [&str; 8] = ["jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff"];

/// Most files that a folder may hold.
const MAX_FILES: usize = 100_000;

/// A folder of images.
pub(super) struct FramesDir {
    files: Vec<PathBuf>,
    times: Vec<f64>,
}

impl FramesDir {
    /// Lists the images of a folder; other files and hidden ones are passed over.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))? {
            let path = entry.map_err(|e| Error::io(folder, e))?.path();
            if is_frame(&path) {
                files.push(path);
            }
            if files.len() > MAX_FILES {
                return Err(Error::format(
                    folder,
                    format!("holds more than {MAX_FILES} images"),
                ));
            }
        }
        if files.is_empty() {
            return Err(Error::format(
                folder,
                "holds 0 frames: no jpg, png, webp, bmp, gif or tiff file",
            ));
        }
        files.sort_by(|a, b| natural_order(&name(a), &name(b)));
        let times = (0..files.len())
            .map(|i| i as f64 / sampling::DEFAULT_FPS)
            .collect();
        Ok(Self { files, times })
    }
}

impl FrameSource for FramesDir {
    fn times_secs(&self) -> &[f64] {
        &self.times
    }

    fn info(&self) -> MediaInfo {
        let size = self
            .files
            .first()
            .and_then(|f| super::image::dimensions(f).ok());
        let (width, height) = size.unwrap_or((0, 0));
        MediaInfo {
            kind: MediaKind::Folder,
            width: width as usize,
            height: height as usize,
            num_frames: self.files.len(),
            fps: None,
            codec: "images".to_owned(),
        }
    }

    fn decode(
        &mut self,
        wanted: &BTreeSet<usize>,
        ctx: &JobCtx,
        sink: FrameSink<'_>,
    ) -> std::result::Result<(), Refusal> {
        let mut first: Option<(&Path, [usize; 2])> = None;
        for &frame_idx in wanted {
            ctx.check()?;
            let path = &self.files[frame_idx];
            let frame = load_image(path)?;
            let size = [frame.width, frame.height];
            let (other, expected) = *first.get_or_insert((path, size));
            if size != expected {
                let [[w, h], [w0, h0]] = [size, expected];
                let other = name(other);
                let reason = format!(
                    "is {w} x {h} pixels, {other} is {w0} x {h0}; frames of a clip need one size"
                );
                return Err(Error::format(path, reason).into());
            }
            sink(frame_idx, frame)?;
        }
        Ok(())
    }
}

fn is_frame(path: &Path) -> bool {
    let known = |e: &std::ffi::OsStr| EXTENSIONS.iter().any(|known| e.eq_ignore_ascii_case(known));
    path.extension().is_some_and(known) && !name(path).starts_with('.') && path.is_file()
}

fn name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// Compares names so that runs of digits count as numbers: `frame_9` before `frame_10`.
fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut rest_a, mut rest_b) = (a, b);
    loop {
        let (run_a, run_b) = (split_run(&mut rest_a), split_run(&mut rest_b));
        let order = match (run_a.trim_start_matches('0'), run_b.trim_start_matches('0')) {
            (x, y) if is_digits(run_a) && is_digits(run_b) => {
                x.len().cmp(&y.len()).then_with(|| x.cmp(y))
            }
            _ => run_a.cmp(run_b),
        };
        if order != Ordering::Equal {
            return order;
        }
        if run_a.is_empty() && run_b.is_empty() {
            return a.cmp(b);
        }
    }
}

fn is_digits(run: &str) -> bool {
    run.starts_with(|c: char| c.is_ascii_digit())
}

/// Takes the leading run of digits or of other characters.
fn split_run<'a>(rest: &mut &'a str) -> &'a str {
    let digits = is_digits(rest);
    let end = rest
        .find(|c: char| c.is_ascii_digit() != digits)
        .unwrap_or(rest.len());
    let (run, after) = rest.split_at(end);
    *rest = after;
    run
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_count_as_numbers() {
        let mut names = [
            "f10.png", "f9.png", "f009.png", "f1_b.png", "F2.png", "f1_a.png",
        ];
        names.sort_by(|a, b| natural_order(a, b));
        let expected = [
            "F2.png", "f1_a.png", "f1_b.png", "f009.png", "f9.png", "f10.png",
        ];
        assert_eq!(names, expected);
    }
}

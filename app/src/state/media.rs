//! Small pictures of files, and whether they could be read.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use egui::ColorImage;

/// A file's picture and size.
#[derive(Clone, Debug)]
pub struct SourcePicture {
    /// At most 640 pixels wide or high.
    pub picture: Arc<ColorImage>,
    /// Size of the file's own picture, pixels.
    pub size_px: (usize, usize),
    /// Frames of a video or folder.
    pub num_frames: Option<usize>,
}

impl SourcePicture {
    /// The part that the model will see, centre-cropped to its aspect: `(x, y, w, h)`, each 0..1.
    pub fn crop(&self, model_px: (usize, usize)) -> [f32; 4] {
        let aspect = |(w, h): (usize, usize)| w.max(1) as f32 / h.max(1) as f32;
        let ratio = aspect(model_px) / aspect(self.size_px);
        let (w, h) = if ratio < 1.0 {
            (ratio, 1.0)
        } else {
            (1.0, 1.0 / ratio)
        };
        [(1.0 - w) / 2.0, (1.0 - h) / 2.0, w, h]
    }
}

/// What is known of a file.
#[derive(Clone, Debug)]
pub enum Media {
    /// Being read.
    Loading,
    /// Read.
    Ready(SourcePicture),
    /// Why it cannot be read.
    Bad(String),
}

/// Pictures by file.
#[derive(Clone, Debug, Default)]
pub struct MediaState {
    files: HashMap<PathBuf, Media>,
}

impl MediaState {
    /// What is known of a file, if it was asked for.
    pub fn file(&self, path: &Path) -> Option<&Media> {
        self.files.get(path)
    }

    /// The picture of a file, if it has been read.
    pub fn picture(&self, path: &Path) -> Option<&SourcePicture> {
        match self.files.get(path) {
            Some(Media::Ready(picture)) => Some(picture),
            _ => None,
        }
    }

    /// Notes that a file is being read; false if it was already asked for and is not bad.
    pub fn ask(&mut self, path: &Path) -> bool {
        if matches!(self.files.get(path), Some(Media::Loading | Media::Ready(_))) {
            return false;
        }
        self.files.insert(path.to_owned(), Media::Loading);
        true
    }

    /// Notes what came of reading a file.
    pub fn tell(&mut self, path: PathBuf, media: Media) {
        self.files.insert(path, media);
    }

    /// Lets go of every file that `keep` does not name.
    pub fn retain(&mut self, keep: impl Fn(&Path) -> bool) {
        self.files.retain(|path, _| keep(path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(width: usize, height: usize) -> SourcePicture {
        SourcePicture {
            picture: Arc::new(ColorImage::default()),
            size_px: (width, height),
            num_frames: None,
        }
    }

    #[test]
    fn the_crop_is_centred_and_has_the_models_aspect() {
        for (w, h) in [(100, 100), (400, 100), (100, 400), (160, 96)] {
            let [x, y, cw, ch] = source(w, h).crop((160, 96));
            let aspect = (cw * w as f32) / (ch * h as f32);
            assert!((aspect - 160.0 / 96.0).abs() < 1e-4);
            assert!((x + cw / 2.0 - 0.5).abs() < 1e-6 && (y + ch / 2.0 - 0.5).abs() < 1e-6);
            assert!(cw <= 1.0 && ch <= 1.0 && (cw - 1.0).abs().min((ch - 1.0).abs()) < 1e-6);
        }
    }
}

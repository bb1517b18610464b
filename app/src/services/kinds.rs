//! What a dropped, picked or pasted path is.

use std::path::{Path, PathBuf};

use one4d_engine::import;
use one4d_engine::pipeline::is_lora_file;

/// What can be done with a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A saved scene, or what another tool left of one.
    Scene(PathBuf),
    /// An image.
    Image(PathBuf),
    /// A video or a folder of frames.
    Video(PathBuf),
    /// The folder of a model bundle.
    Model(PathBuf),
    /// A LoRA file, of whatever network.
    Lora(PathBuf),
    /// Nothing that the studio opens, and why.
    Unknown(PathBuf, String),
}

/// Endings of image files that the studio decodes.
pub const IMAGE_ENDINGS: &[&str] = &["png", "jpg", "jpeg", "webp", "bmp", "gif", "tif", "tiff"];
/// Endings of video files that the studio decodes.
pub const VIDEO_ENDINGS: &[&str] = &["mp4", "m4v", "mov"];
/// Endings of files that hold a network and no scene.
const WEIGHT_ENDINGS: &[&str] = &["gguf", "pth", "pt", "ckpt"];
/// Endings of scene files.
pub const SCENE_ENDINGS: &[&str] = &["one4d", "safetensors"];

/// Tells what a path is, from its ending or from what the folder holds.
pub fn classify(path: &Path) -> Kind {
    let owned = path.to_owned();
    let unknown = |reason: &str| Kind::Unknown(path.to_owned(), reason.to_owned());
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => return unknown(&error.to_string()),
    };
    if metadata.is_dir() {
        return classify_folder(path);
    }
    let has = |endings: &[&str]| endings.contains(&ending(path).as_str());
    if ending(path) == "safetensors" && is_lora_file(path) {
        Kind::Lora(owned)
    } else if has(SCENE_ENDINGS) {
        Kind::Scene(owned)
    } else if has(IMAGE_ENDINGS) {
        Kind::Image(owned)
    } else if has(VIDEO_ENDINGS) {
        Kind::Video(owned)
    } else if import::is_importable(path) {
        Kind::Scene(owned)
    } else if has(WEIGHT_ENDINGS) {
        unknown(
            "it holds weights of a part of a model; add its folder under File > Models, and \
             `one4d inspect` says what it is",
        )
    } else {
        unknown(
            "the studio opens images, MP4 videos, folders of frames, One4D scenes, models, LoRA \
             files and what other tools left (npz, zip, COLMAP, ...)",
        )
    }
}

fn classify_folder(path: &Path) -> Kind {
    for name in ["scene.one4d", "scene.safetensors"] {
        if path.join(name).is_file() {
            return Kind::Scene(path.join(name));
        }
    }
    if path.join("model.json").is_file() {
        return Kind::Model(path.to_owned());
    }
    // Before frames: other tools put their pictures beside depth and cameras.
    if import::is_importable(path) {
        return Kind::Scene(path.to_owned());
    }
    match first_frame(path) {
        Ok(Some(_)) => Kind::Video(path.to_owned()),
        Ok(None) => Kind::Unknown(
            path.to_owned(),
            "the folder holds neither images nor a scene".to_owned(),
        ),
        Err(error) => Kind::Unknown(path.to_owned(), error.to_string()),
    }
}

/// The image of a folder of frames that sorts first, and how many there are.
///
/// # Errors
/// What the system said.
pub fn first_frame(folder: &Path) -> std::io::Result<Option<(PathBuf, usize)>> {
    let mut first: Option<PathBuf> = None;
    let mut count = 0;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if IMAGE_ENDINGS.contains(&ending(&path).as_str()) {
            count += 1;
            if first.as_ref().is_none_or(|known| path < *known) {
                first = Some(path);
            }
        }
    }
    Ok(first.map(|path| (path, count)))
}

/// Paths named by pasted text: absolute ones and `file://` addresses, one a line.
pub fn paths_in_text(text: &str) -> Vec<PathBuf> {
    text.lines()
        .map(|line| line.trim().trim_matches(['"', '\'']))
        .filter_map(|line| {
            if let Some(address) = line.strip_prefix("file://") {
                return Some(PathBuf::from(percent_decode(address)));
            }
            let path = Path::new(line);
            path.is_absolute().then(|| path.to_owned())
        })
        .collect()
}

fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let code = (byte == b'%' && tail.len() >= 2)
            .then(|| std::str::from_utf8(&tail[..2]).ok())
            .flatten()
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(code.unwrap_or(byte));
        rest = if code.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The ending of a path in small letters, without the point.
pub fn ending(path: &Path) -> String {
    path.extension()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pasted_text_names_paths() {
        assert_eq!(
            paths_in_text("file:///a/my%20image.png\n\"/b/c.mp4\"\nhello"),
            [PathBuf::from("/a/my image.png"), PathBuf::from("/b/c.mp4")]
        );
        assert!(paths_in_text("a prompt about 100% of it").is_empty());
        assert_eq!(percent_decode("50%"), "50%");
    }

    #[test]
    fn paths_are_told_apart() {
        let folder = std::env::temp_dir().join(format!("one4d-kinds-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("frames")).unwrap();
        for name in [
            "a.PNG",
            "b.mp4",
            "c.one4d",
            "d.txt",
            "e.gguf",
            "frames/2.jpg",
            "frames/1.jpg",
        ] {
            std::fs::write(folder.join(name), b"x").unwrap();
        }
        let kind = |name: &str| classify(&folder.join(name));
        assert!(matches!(kind("e.gguf"), Kind::Unknown(_, why) if why.contains("File > Models")));
        assert!(matches!(kind("a.PNG"), Kind::Image(_)));
        assert!(matches!(kind("b.mp4"), Kind::Video(_)));
        assert!(matches!(kind("c.one4d"), Kind::Scene(_)));
        assert!(matches!(kind("d.txt"), Kind::Unknown(..)));
        assert!(matches!(kind("gone"), Kind::Unknown(..)));
        assert!(matches!(kind("frames"), Kind::Video(_)));
        let first = first_frame(&folder.join("frames")).unwrap().unwrap();
        assert_eq!((first.0.ends_with("1.jpg"), first.1), (true, 2));
        std::fs::write(folder.join("frames/model.json"), b"{}").unwrap();
        assert!(matches!(kind("frames"), Kind::Model(_)));
        std::fs::remove_dir_all(folder).unwrap();
    }
}

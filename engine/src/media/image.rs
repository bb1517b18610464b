//! Still images: any JPEG, PNG, WebP, BMP, GIF or TIFF, upright, on white, 8 bit.

use std::fs::File;
use std::io::{BufReader, Cursor, Read as _};
use std::path::Path;

use ::image::{
    DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbaImage,
};

use super::source::SourceKind;
use super::{Frame, MAX_DECODE_BYTES, MAX_SIDE_PX, check_size, guarded};
use crate::{Error, Result};

/// Largest image file that is read.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// Reads an image, turned upright by its EXIF orientation.
///
/// Transparent pixels are laid on white, as a page would show them; 16 bit and float values are
/// rounded to 8 bit; of an animation, the first frame is taken.
///
/// # Errors
/// [`Error::Io`] if it cannot be opened, [`Error::Format`] if it is no image, damaged, below
/// [`MIN_SIDE_PX`](super::MIN_SIDE_PX) or above [`MAX_SIDE_PX`], [`Error::Limit`] beyond memory.
pub fn load_image(path: impl AsRef<Path>) -> Result<Frame> {
    let path = path.as_ref();
    match SourceKind::of(path)? {
        SourceKind::Folder => return Err(Error::format(path, "is a folder, not an image")),
        SourceKind::Mp4 => {
            return Err(Error::format(
                path,
                "is a video; give it as a video, not as an image",
            ));
        }
        _ => {}
    }
    let image = guarded(path, "image", || decode(path))??;
    Ok(flatten(image))
}

/// Width and height of an image file as stored, from its header.
pub(super) fn dimensions(path: &Path) -> Result<(u32, u32)> {
    let reader = open(path)?;
    guarded(path, "image", || reader.into_dimensions())?.map_err(|e| image_error(path, &e))
}

fn open(path: &Path) -> Result<ImageReader<BufReader<File>>> {
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    ImageReader::new(BufReader::new(file))
        .with_guessed_format()
        .map_err(|e| Error::io(path, e))
}

fn decode(path: &Path) -> Result<DynamicImage> {
    let format = open(path)?.format();
    let bytes = read_file(path)?;
    if format == Some(ImageFormat::Jpeg) && !jpeg_is_whole(&bytes) {
        return Err(Error::format(path, "truncated: the JPEG has no end"));
    }
    let mut reader = ImageReader::new(Cursor::new(bytes));
    if let Some(format) = format {
        reader.set_format(format);
    }
    let mut decoder = reader.into_decoder().map_err(|e| image_error(path, &e))?;
    let (width, height) = decoder.dimensions();
    check_size(path, width, height)?;
    decoder
        .set_limits(limits())
        .map_err(|e| image_error(path, &e))?;
    let orientation = decoder.orientation().map_err(|e| image_error(path, &e))?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(|e| image_error(path, &e))?;
    image.apply_orientation(orientation);
    Ok(image)
}

fn read_file(path: &Path) -> Result<Vec<u8>> {
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES)
        .read_to_end(&mut bytes)
        .map_err(|e| Error::io(path, e))?;
    Ok(bytes)
}

/// Limits of every decoder of the image crate.
pub(super) fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE_PX);
    limits.max_image_height = Some(MAX_SIDE_PX);
    // A decoder may hold 16 bit and alpha beside the frame.
    limits.max_alloc = Some(3 * MAX_DECODE_BYTES);
    limits
}

/// Puts an image decoder's complaint into words.
pub(super) fn image_error(path: &Path, error: &ImageError) -> Error {
    match error {
        ImageError::Unsupported(_) => Error::format(
            path,
            format!("is no image that can be read (jpg, png, webp, bmp, gif, tiff): {error}"),
        ),
        ImageError::Limits(_) => Error::format(path, format!("is too large: {error}")),
        ImageError::IoError(source) if source.kind() == std::io::ErrorKind::UnexpectedEof => {
            Error::format(path, "truncated: the file ends within the image")
        }
        _ => Error::format(path, format!("damaged image: {error}")),
    }
}

/// True if the entropy-coded data of a JPEG is followed by its end marker.
///
/// The decoder fills what is missing with grey, which would pass for a picture. Markers are walked
/// to the scan, because a thumbnail inside the EXIF segment has an end marker of its own.
fn jpeg_is_whole(bytes: &[u8]) -> bool {
    let mut at = 2;
    while let Some(&[0xff, marker]) = bytes.get(at..at + 2) {
        if marker == 0xff {
            at += 1;
            continue;
        }
        let Some(&[high, low]) = bytes.get(at + 2..at + 4) else {
            return false;
        };
        at += 2 + usize::from(u16::from_be_bytes([high, low]));
        if marker == 0xda {
            return bytes
                .get(at..)
                .is_some_and(|scan| scan.windows(2).any(|pair| pair == [0xff, 0xd9]));
        }
    }
    false
}

fn flatten(image: DynamicImage) -> Frame {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let rgb = if image.color().has_alpha() {
        on_white(&image.into_rgba8())
    } else {
        image.into_rgb8().into_raw()
    };
    Frame { width, height, rgb }
}

/// Blends with white in sRGB, as browsers do.
pub(super) fn on_white(image: &RgbaImage) -> Vec<u8> {
    let blend = |value: u8, alpha: u8| {
        let (value, alpha) = (u32::from(value), u32::from(alpha));
        ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
    };
    let pixels = image.as_raw().as_chunks::<4>().0;
    pixels
        .iter()
        .flat_map(|&[r, g, b, a]| [blend(r, a), blend(g, a), blend(b, a)])
        .collect()
}

/// Name of an image file's format: "JPEG".
pub(super) fn format_name(path: &Path) -> Result<String> {
    let format = open(path)?.format();
    Ok(format.map_or_else(|| "image".to_owned(), |f| format!("{f:?}").to_uppercase()))
}

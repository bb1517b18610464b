//! Pictures and single-channel EXR files in memory.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use exr::prelude::{FlatSamples, ReadChannels as _, ReadLayers as _, read as read_exr_file};
use image::{DynamicImage, ImageReader, Limits};

use super::budget::{Budget, Reason};
use crate::metrics::DepthMap;

/// Largest side of a picture, pixels.
const MAX_SIDE: u32 = 16_384;

/// A decoded picture.
pub(crate) struct Picture<T> {
    pub(crate) height: usize,
    pub(crate) width: usize,
    /// Row-major, channels fastest.
    pub(crate) values: Vec<T>,
}

/// `[H, W, 3]` sRGB of a picture file.
pub(crate) fn rgb(bytes: &[u8], budget: &Budget) -> Reason<Picture<u8>> {
    let image = decode(bytes, budget)?;
    let (width, height) = (image.width() as usize, image.height() as usize);
    Ok(Picture {
        height,
        width,
        values: image.into_rgb8().into_raw(),
    })
}

/// `[H, W]` 16-bit values of a grey picture; 8-bit ones are refused, they would lose their unit.
pub(crate) fn grey16(bytes: &[u8], budget: &Budget) -> Reason<Picture<u16>> {
    match decode(bytes, budget)? {
        DynamicImage::ImageLuma16(grey) => Ok(Picture {
            height: grey.height() as usize,
            width: grey.width() as usize,
            values: grey.into_raw(),
        }),
        other => Err(format!("16-bit grey required, got {:?}", other.color())),
    }
}

/// `[H, W]` 8-bit values of a mask.
pub(crate) fn mask(bytes: &[u8], budget: &Budget) -> Reason<Picture<u8>> {
    let image = decode(bytes, budget)?;
    let (width, height) = (image.width() as usize, image.height() as usize);
    Ok(Picture {
        height,
        width,
        values: image.into_luma8().into_raw(),
    })
}

fn decode(bytes: &[u8], budget: &Budget) -> Reason<DynamicImage> {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(512 << 20);
    let size = guarded(|| {
        ImageReader::new(Cursor::new(bytes))
            .with_guessed_format()
            .map_err(|e| e.to_string())?
            .into_dimensions()
            .map_err(|e| format!("damaged image: {e}"))
    })?;
    budget.take("a picture", size.0 as usize * size.1 as usize, 8)?;
    guarded(|| {
        let mut reader = ImageReader::new(Cursor::new(bytes))
            .with_guessed_format()
            .map_err(|e| e.to_string())?;
        reader.limits(limits);
        reader.decode().map_err(|e| format!("damaged image: {e}"))
    })
}

/// The first of these channels that an EXR file has.
pub(crate) fn exr_channel(bytes: &[u8], names: &[&str], budget: &Budget) -> Reason<DepthMap> {
    let head = guarded(|| {
        exr::meta::MetaData::read_from_buffered(Cursor::new(bytes), false)
            .map_err(|e| format!("damaged EXR: {e}"))
    })?;
    for header in &head.headers {
        let size = header.layer_size;
        if size.0.max(size.1) > MAX_SIDE as usize {
            return Err(format!("{} x {} pixels", size.0, size.1));
        }
        let values = size.0 * size.1 * header.channels.list.len();
        budget.take("an EXR layer", values, 8)?;
    }
    let image = guarded(|| {
        read_exr_file()
            .no_deep_data()
            .largest_resolution_level()
            .all_channels()
            .first_valid_layer()
            .all_attributes()
            .non_parallel()
            .from_buffered(Cursor::new(bytes))
            .map_err(|e| format!("damaged EXR: {e}"))
    })?;
    let layer = &image.layer_data;
    let channels = &layer.channel_data.list;
    let channel = names
        .iter()
        .find_map(|name| channels.iter().find(|c| c.name.eq(name)))
        .ok_or_else(|| {
            let found: Vec<String> = channels.iter().map(|c| c.name.to_string()).collect();
            format!(
                "channel {} required, got {}",
                names.join(" or "),
                found.join(", ")
            )
        })?;
    let values: Vec<f32> = match &channel.sample_data {
        FlatSamples::F16(v) => v.iter().map(|x| x.to_f32()).collect(),
        FlatSamples::F32(v) => v.clone(),
        FlatSamples::U32(v) => v.iter().map(|x| *x as f32).collect(),
    };
    let (width, height) = (layer.size.0, layer.size.1);
    if values.len() != width * height {
        return Err(format!(
            "{} values for {width} x {height} pixels",
            values.len()
        ));
    }
    Ok(DepthMap {
        height,
        width,
        values,
    })
}

/// A decoder's panic as a reason.
fn guarded<T>(work: impl FnOnce() -> Reason<T>) -> Reason<T> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err("the decoder failed on it".to_owned()))
}

/// `[H, W, 3]` of a picture at another size; the same bytes where the size is right.
pub(crate) fn fitted(picture: Picture<u8>, height: usize, width: usize) -> Vec<u8> {
    if (picture.height, picture.width) == (height, width) {
        return picture.values;
    }
    let source =
        image::RgbImage::from_raw(picture.width as u32, picture.height as u32, picture.values)
            .unwrap_or_default();
    image::imageops::resize(
        &source,
        width as u32,
        height as u32,
        image::imageops::FilterType::Triangle,
    )
    .into_raw()
}

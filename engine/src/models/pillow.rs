//! Pillow's bicubic resize, to the bit.
//!
//! The reference pipelines bring pictures to a model's size with Pillow, whose filter widens when it
//! shrinks and which rounds to 8 bits between its two passes; a resize that is only as good gives
//! other tokens. python-pillow/Pillow `src/libImaging/Resample.c`, rows first: version 13 begins with
//! the columns where a picture shrinks far more in height, which those pipelines did not run with.

use image::RgbImage;

/// Fixed-point bits of the filter's weights.
const PRECISION_BITS: u32 = 32 - 8 - 2;
/// Reach of the filter, pixels.
const SUPPORT: f64 = 2.0;
/// Sharpness of the cubic.
const A: f64 = -0.5;

/// Which source pixels make one pixel, and their weights.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

/// Resizes a picture to `width` x `height`, its sides stretched independently: `Image.resize` of an
/// 8-bit picture with Pillow's default filter. Empty sides count as 1.
pub fn bicubic(picture: &RgbImage, width: u32, height: u32) -> RgbImage {
    let (width, height) = (width.max(1), height.max(1));
    let mut picture = picture.clone();
    if picture.width() != width && picture.width() > 0 {
        picture = along_rows(&picture, &taps(picture.width(), width));
    }
    if picture.height() != height && picture.height() > 0 {
        picture = along_columns(&picture, &taps(picture.height(), height));
    }
    picture
}

/// The cubic of Keys with [`A`].
fn cubic(x: f64) -> f64 {
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < SUPPORT {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

fn taps(source: u32, target: u32) -> Vec<Taps> {
    let scale = f64::from(source) / f64::from(target);
    let filter_scale = scale.max(1.0);
    let reach = SUPPORT * filter_scale;
    (0..target)
        .map(|at| {
            let centre = (f64::from(at) + 0.5) * scale;
            let first = (centre - reach + 0.5).max(0.0) as usize;
            let end = ((centre + reach + 0.5) as usize).min(source as usize);
            let raw: Vec<f64> = (first..end)
                .map(|i| cubic((i as f64 - centre + 0.5) / filter_scale))
                .collect();
            let sum: f64 = raw.iter().sum();
            let fixed = |w: &f64| {
                let scaled = w / sum * f64::from(1u32 << PRECISION_BITS);
                (scaled + 0.5_f64.copysign(scaled)) as i32
            };
            let weights = raw.iter().map(fixed).collect();
            Taps { first, weights }
        })
        .collect()
}

fn weighted(taps: &Taps, pixel: impl Fn(usize) -> u8) -> u8 {
    let half = 1_i32 << (PRECISION_BITS - 1);
    let sum = taps
        .weights
        .iter()
        .enumerate()
        .fold(half, |sum, (k, weight)| {
            sum + weight * i32::from(pixel(taps.first + k))
        });
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

fn along_rows(picture: &RgbImage, taps: &[Taps]) -> RgbImage {
    let (source, stride) = (picture.as_raw(), 3 * picture.width() as usize);
    let rows = source.chunks_exact(stride);
    let values = rows.flat_map(|row| {
        taps.iter()
            .flat_map(move |taps| [0, 1, 2].map(|c| weighted(taps, |i| row[3 * i + c])))
    });
    from_values(taps.len(), picture.height() as usize, values.collect())
}

fn along_columns(picture: &RgbImage, taps: &[Taps]) -> RgbImage {
    let (source, stride) = (picture.as_raw(), 3 * picture.width() as usize);
    let values = taps
        .iter()
        .flat_map(|taps| (0..stride).map(move |at| weighted(taps, |i| source[i * stride + at])));
    from_values(picture.width() as usize, taps.len(), values.collect())
}

fn from_values(width: usize, height: usize, values: Vec<u8>) -> RgbImage {
    RgbImage::from_raw(width as u32, height as u32, values)
        .expect("three values were computed for every pixel")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_colour_stays_and_the_same_size_changes_nothing() {
        let plain = RgbImage::from_pixel(9, 5, image::Rgb([3, 200, 255]));
        for (width, height) in [(4, 4), (30, 2), (9, 50)] {
            let resized = bicubic(&plain, width, height);
            assert_eq!(resized.dimensions(), (width, height));
            assert!(resized.pixels().all(|p| p.0 == [3, 200, 255]));
        }
        let ramp = RgbImage::from_fn(8, 8, |x, y| image::Rgb([x as u8, y as u8, 7]));
        assert_eq!(bicubic(&ramp, 8, 8), ramp);
    }

    /// Values that Pillow 13 gives.
    #[test]
    fn an_edge_overshoots_as_pillow_lets_it() {
        let row = RgbImage::from_fn(4, 1, |x, _| image::Rgb([if x < 2 { 50 } else { 200 }; 3]));
        let wide: Vec<u8> = bicubic(&row, 8, 1).pixels().map(|p| p.0[0]).collect();
        assert_eq!(wide, [50, 47, 40, 80, 170, 210, 203, 200]);
        let small: Vec<u8> = bicubic(&row, 3, 1).pixels().map(|p| p.0[0]).collect();
        assert_eq!(small, [41, 125, 209]);
    }
}

//! Many clips at one glance: a frame of each above its depth.

use image::{Rgb, RgbImage};
use rayon::prelude::*;

use super::clip::{Clip, ClipSpec, render};
use crate::{Error, Result};

/// Pixels between cells.
const GAP: usize = 6;
const GROUND: Rgb<u8> = Rgb([14, 16, 19]);

/// Renders the middle frame of each clip above its depth (Turbo over inverse depth), row by row.
///
/// # Errors
/// [`Error::Shape`] if there are no clips, no columns, or the clips differ in size.
pub fn contact_sheet(specs: &[ClipSpec], columns: usize) -> Result<RgbImage> {
    let Some(first) = specs.first().filter(|_| columns > 0) else {
        return Err(Error::shape(
            "contact sheet",
            "at least one clip and one column",
            specs.len(),
        ));
    };
    let (w, h) = (first.width, first.height);
    if let Some(other) = specs.iter().find(|s| (s.width, s.height) != (w, h)) {
        let sizes = (other.width, other.height);
        return Err(Error::shape(
            "contact sheet",
            format!("clips of {w} x {h}"),
            sizes,
        ));
    }
    let clips: Vec<Clip> = specs.par_iter().map(render).collect::<Result<_>>()?;
    let rows = specs.len().div_ceil(columns);
    let (cell_w, cell_h) = (w + GAP, 2 * h + GAP);
    let mut sheet = RgbImage::from_pixel(
        (columns * cell_w + GAP) as u32,
        (rows * cell_h + GAP) as u32,
        GROUND,
    );
    for (index, clip) in clips.iter().enumerate() {
        let left = GAP + index % columns * cell_w;
        let top = GAP + index / columns * cell_h;
        paint(&mut sheet, clip, left, top);
    }
    Ok(sheet)
}

fn paint(sheet: &mut RgbImage, clip: &Clip, left: usize, top: usize) {
    let (w, h) = (clip.spec.width, clip.spec.height);
    let start = clip.spec.frames / 2 * w * h;
    let depth = &clip.depth[start..start + w * h];
    let mut finite: Vec<f32> = depth.iter().copied().filter(|d| d.is_finite()).collect();
    finite.sort_by(f32::total_cmp);
    let quantile = |q: f32| {
        let at = (q * finite.len().saturating_sub(1) as f32) as usize;
        finite.get(at).copied().unwrap_or(1.0)
    };
    let (near, far) = (quantile(0.01).recip(), quantile(0.99).recip());
    for (at, d) in depth.iter().enumerate() {
        let (x, y) = ((left + at % w) as u32, (top + at / w) as u32);
        let colour = &clip.rgb[(start + at) * 3..];
        sheet.put_pixel(x, y, Rgb([colour[0], colour[1], colour[2]]));
        let shade = if d.is_finite() {
            turbo((d.recip() - far) / (near - far).max(1e-6))
        } else {
            GROUND
        };
        sheet.put_pixel(x, y + h as u32, shade);
    }
}

/// The Turbo colour map: polynomial of degree 5 fitted by its authors (Google, 2019).
fn turbo(x: f32) -> Rgb<u8> {
    let x = x.clamp(0.0, 1.0);
    let channel = |c: [f32; 6]| {
        let value = c.iter().rev().fold(0.0, |sum, k| sum * x + k);
        (value.clamp(0.0, 1.0) * 255.0) as u8
    };
    Rgb([
        channel([
            0.135_721_4,
            4.615_392_6,
            -42.660_324,
            132.131_08,
            -152.942_4,
            59.286_38,
        ]),
        channel([
            0.091_402_6,
            2.194_188_4,
            4.842_966_6,
            -14.185_033,
            4.277_298_6,
            2.829_566,
        ]),
        channel([
            0.106_673_3,
            12.641_946,
            -60.582_05,
            110.362_77,
            -89.903_11,
            27.348_25,
        ]),
    ])
}

//! Planar YUV 4:2:0 to sRGB.

use rayon::prelude::*;

use super::Frame;

/// How Y, Cb and Cr relate to R, G and B.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ColourSpace {
    red: f32,
    blue: f32,
    full_range: bool,
}

impl ColourSpace {
    /// By `matrix_coefficients` of H.273; where they are not told, BT.709 from 720 lines on and
    /// BT.601 below, as players do.
    pub(super) fn new(matrix: Option<u8>, full_range: bool, height: usize) -> Self {
        let (red, blue) = match matrix {
            Some(1) => (0.2126, 0.0722),
            Some(4) => (0.30, 0.11),
            Some(5 | 6) => (0.299, 0.114),
            Some(7) => (0.212, 0.087),
            Some(9 | 10) => (0.2627, 0.0593),
            _ if height >= 720 => (0.2126, 0.0722),
            _ => (0.299, 0.114),
        };
        Self {
            red,
            blue,
            full_range,
        }
    }

    /// R, G and B of luma and centred chroma in code values.
    fn rgb(self, y: f32, cb: f32, cr: f32) -> [u8; 3] {
        let (luma, chroma) = if self.full_range {
            (y, 1.0)
        } else {
            ((y - 16.0) * (255.0 / 219.0), 255.0 / 224.0)
        };
        let green = 1.0 - self.red - self.blue;
        let (cb, cr) = (cb * chroma, cr * chroma);
        let r = luma + 2.0 * (1.0 - self.red) * cr;
        let b = luma + 2.0 * (1.0 - self.blue) * cb;
        let g = (luma - self.red * r - self.blue * b) / green;
        // A cast from float to integer saturates.
        [r, g, b].map(|v| (v + 0.5) as u8)
    }
}

/// Converts planes to sRGB; chroma is interpolated from its left-sited positions.
///
/// # Shapes
/// - `planes`: Y `[H, W]`, Cb and Cr `[ceil(H / 2), ceil(W / 2)]`; `None` if they do not fit
pub(super) fn to_rgb(
    width: usize,
    height: usize,
    planes: [&[u8]; 3],
    space: ColourSpace,
) -> Option<Frame> {
    let [luma, cb, cr] = planes;
    let (chroma_w, chroma_h) = (width.div_ceil(2), height.div_ceil(2));
    let fits = luma.len() == width * height
        && cb.len() == chroma_w * chroma_h
        && cr.len() == cb.len()
        && !luma.is_empty();
    if !fits {
        return None;
    }
    let mut rgb = vec![0; 3 * width * height];
    rgb.par_chunks_exact_mut(3 * width)
        .enumerate()
        .for_each(|(row, out)| {
            let cb = chroma_row(cb, chroma_w, row);
            let cr = chroma_row(cr, chroma_w, row);
            let luma = &luma[row * width..(row + 1) * width];
            for (x, pixel) in out.as_chunks_mut::<3>().0.iter_mut().enumerate() {
                let (cb, cr) = (at_column(&cb, x), at_column(&cr, x));
                *pixel = space.rgb(f32::from(luma[x]), cb - 128.0, cr - 128.0);
            }
        });
    Some(Frame { width, height, rgb })
}

/// A chroma row at a luma row: three quarters of the nearer row and one of the farther.
fn chroma_row(plane: &[u8], width: usize, row: usize) -> Vec<f32> {
    let near = row / 2;
    let last = plane.len() / width - 1;
    let far = if row.is_multiple_of(2) {
        near.saturating_sub(1)
    } else {
        (near + 1).min(last)
    };
    let line = |row: usize| &plane[row * width..(row + 1) * width];
    line(near)
        .iter()
        .zip(line(far))
        .map(|(&near, &far)| 0.75 * f32::from(near) + 0.25 * f32::from(far))
        .collect()
}

/// Chroma lies on even columns; odd ones are midway.
fn at_column(row: &[f32], x: usize) -> f32 {
    let left = row[x / 2];
    if x.is_multiple_of(2) {
        return left;
    }
    0.5 * (left + row.get(x / 2 + 1).copied().unwrap_or(left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_colours_come_out_right() {
        let bt601 = ColourSpace::new(Some(6), false, 480);
        assert_eq!(bt601.rgb(16.0, 0.0, 0.0), [0, 0, 0]);
        assert_eq!(bt601.rgb(235.0, 0.0, 0.0), [255, 255, 255]);
        // Pure red of BT.601 is (81, 90, 240), of BT.709 (63, 102, 240).
        let [r, g, b] = bt601.rgb(81.0, 90.0 - 128.0, 240.0 - 128.0);
        assert!(r > 252 && g < 3 && b < 3, "{r} {g} {b}");
        let bt709 = ColourSpace::new(None, false, 1080);
        let [r, g, b] = bt709.rgb(63.0, 102.0 - 128.0, 240.0 - 128.0);
        assert!(r > 252 && g < 3 && b < 3, "{r} {g} {b}");
        let full = ColourSpace::new(Some(1), true, 1080);
        assert_eq!(full.rgb(10.0, 0.0, 0.0), [10, 10, 10]);
    }

    #[test]
    fn odd_sizes_and_short_planes_are_handled() {
        let grey = to_rgb(
            3,
            3,
            [&[128; 9], &[128; 4], &[128; 4]],
            ColourSpace::new(Some(1), true, 3),
        );
        assert!(grey.is_some_and(|frame| frame.rgb == [128; 27]));
        let space = ColourSpace::new(None, false, 4);
        assert!(to_rgb(4, 4, [&[0; 16], &[0; 3], &[0; 4]], space).is_none());
    }
}

//! sRGB to planar YUV 4:2:0, the reverse of what the engine's reader does.

/// Lines from which players take BT.709 for granted; BT.601 below.
pub(super) const BT709_LINES: usize = 720;

/// Planes of a picture in limited range, chroma at every second column and between rows.
pub(super) struct Planes {
    /// `[H, W]`.
    pub(super) luma: Vec<u8>,
    /// `[H / 2, W / 2]`.
    pub(super) cb: Vec<u8>,
    /// `[H / 2, W / 2]`.
    pub(super) cr: Vec<u8>,
}

/// Converts a picture, `[H, W, 3]` sRGB of even sides.
///
/// `Y = r R + g G + b B`, `Cb = (B - Y) / 2(1 - b)`, `Cr = (R - Y) / 2(1 - r)` of ITU-R BT.601 and
/// BT.709, scaled to 16..235 and 16..240. Chroma is sited at the left, as H.264 assumes: columns are
/// weighted 1 2 1 around the even ones, rows are averaged by pairs.
pub(super) fn from_rgb(rgb: &[u8], width: usize, height: usize) -> Planes {
    let (red, blue) = match height {
        BT709_LINES.. => (0.2126, 0.0722),
        _ => (0.299, 0.114),
    };
    let green = 1.0 - red - blue;
    let pixels = rgb.as_chunks::<3>().0;
    let [mut luma, mut cb, mut cr] = [const { Vec::new() }; 3];
    luma.reserve(width * height);
    let mut differences = Vec::with_capacity(width * height);
    for pixel in pixels {
        let [r, g, b] = pixel.map(f32::from);
        let y = red * r + green * g + blue * b;
        luma.push(rounded(16.0 + y * (219.0 / 255.0)));
        differences.push([(b - y) / (2.0 - 2.0 * blue), (r - y) / (2.0 - 2.0 * red)]);
    }
    for row in (0..height).step_by(2) {
        for column in (0..width).step_by(2) {
            let mut sum = [0.0; 2];
            for line in [row * width, (row + 1) * width] {
                let at = |column: usize| differences[line + column];
                let beside = [column.saturating_sub(1), (column + 1).min(width - 1)];
                for (channel, sum) in sum.iter_mut().enumerate() {
                    let sides = at(beside[0])[channel] + at(beside[1])[channel];
                    *sum += (2.0 * at(column)[channel] + sides) / 8.0;
                }
            }
            cb.push(rounded(128.0 + sum[0] * (224.0 / 255.0)));
            cr.push(rounded(128.0 + sum[1] * (224.0 / 255.0)));
        }
    }
    Planes { luma, cb, cr }
}

/// To the nearest code; a cast from float to integer saturates.
fn rounded(value: f32) -> u8 {
    (value + 0.5) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_colours_have_their_codes() {
        let flat = |colour: [u8; 3], height| {
            let planes = from_rgb(&colour.repeat(2 * height), 2, height);
            [planes.luma[0], planes.cb[0], planes.cr[0]]
        };
        assert_eq!(flat([0; 3], 2), [16, 128, 128]);
        assert_eq!(flat([255; 3], 2), [235, 128, 128]);
        // Pure red of BT.601 is (81, 90, 240), of BT.709 (63, 102, 240).
        assert_eq!(flat([255, 0, 0], 2), [81, 90, 240]);
        assert_eq!(flat([255, 0, 0], 720), [63, 102, 240]);
    }
}

//! A depth map of one frame, and its size made to fit another by the filters of the benchmarks.

use rayon::prelude::*;

/// One number a pixel, row-major.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DepthMap {
    /// `H`, pixels.
    pub height: usize,
    /// `W`, pixels.
    pub width: usize,
    /// `[H, W]`.
    pub values: Vec<f32>,
}

/// How a map is resized. Pixel centres lie at +0.5 on both grids, borders are repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResizeFilter {
    /// Two taps a direction.
    Bilinear,
    /// Four taps a direction, Keys' kernel with `a = -0.75`, no antialiasing: OpenCV's
    /// `INTER_CUBIC` and `torch.nn.functional.interpolate(mode="bicubic")`.
    Cubic,
}

impl ResizeFilter {
    /// Weight of the source sample at distance `x`, in samples.
    fn weight(self, x: f64) -> f64 {
        const A: f64 = -0.75;
        let x = x.abs();
        match self {
            Self::Bilinear => (1.0 - x).max(0.0),
            Self::Cubic if x <= 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Self::Cubic if x < 2.0 => ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A,
            Self::Cubic => 0.0,
        }
    }

    /// For each target sample four source samples with their weights.
    fn taps(self, from: usize, to: usize) -> Vec<[(usize, f64); 4]> {
        let step = from as f64 / to as f64;
        (0..to)
            .map(|i| {
                let at = (i as f64 + 0.5) * step - 0.5;
                let first = at.floor() as i64 - 1;
                std::array::from_fn(|k| {
                    let place = first + k as i64;
                    let inside = place.clamp(0, from as i64 - 1) as usize;
                    (inside, self.weight(at - place as f64))
                })
            })
            .collect()
    }
}

impl DepthMap {
    /// The map at another size; a pixel that looks at a value that is not finite becomes NaN.
    pub fn resized(&self, height: usize, width: usize, filter: ResizeFilter) -> Self {
        if (height, width) == (self.height, self.width) || self.values.is_empty() {
            return self.clone();
        }
        let columns = filter.taps(self.width, width);
        let rows = filter.taps(self.height, height);
        let values = rows
            .par_iter()
            .flat_map_iter(|row_taps| {
                let mixed: Vec<f64> = (0..self.width)
                    .map(|x| mix(row_taps, |y| self.values[y * self.width + x]))
                    .collect();
                columns
                    .iter()
                    .map(move |taps| mix(taps, |x| mixed[x] as f32) as f32)
                    .collect::<Vec<f32>>()
            })
            .collect();
        Self {
            height,
            width,
            values,
        }
    }
}

/// Weighted sum in which a sample of weight zero does not count, not even as NaN.
fn mix(taps: &[(usize, f64); 4], value: impl Fn(usize) -> f32) -> f64 {
    taps.iter()
        .filter(|(_, w)| *w != 0.0)
        .map(|&(i, w)| f64::from(value(i)) * w)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(height: usize, width: usize, at: impl Fn(f64, f64) -> f64) -> DepthMap {
        DepthMap {
            height,
            width,
            values: (0..height * width)
                .map(|i| at((i % width) as f64 + 0.5, (i / width) as f64 + 0.5) as f32)
                .collect(),
        }
    }

    #[test]
    fn a_ramp_stays_a_ramp_away_from_the_border() {
        // Keys' kernel with a = -0.75 bends lines a little between samples.
        for (filter, tolerance) in [(ResizeFilter::Bilinear, 1e-4), (ResizeFilter::Cubic, 0.4)] {
            let big = map(12, 16, |u, v| 2.0 * u + 3.0 * v).resized(24, 32, filter);
            for row in 6..18 {
                for column in 6..26 {
                    let (u, v) = ((column as f64 + 0.5) / 2.0, (row as f64 + 0.5) / 2.0);
                    let found = f64::from(big.values[row * 32 + column]);
                    assert!((found - 2.0 * u - 3.0 * v).abs() < tolerance, "{filter:?}");
                }
            }
        }
    }

    #[test]
    fn cubic_halves_by_the_weights_of_opencv() {
        // cv2.resize of a unit step to twice the size: the taps at a quarter of a sample.
        let step = map(1, 8, |u, _| f64::from(u8::from(u > 4.0)));
        let big = step.resized(1, 16, ResizeFilter::Cubic);
        let at = |i: usize| f64::from(big.values[i]);
        let w = |x: f64| ResizeFilter::Cubic.weight(x);
        assert!((at(7) - (w(0.75) + w(1.75))).abs() < 1e-6);
        assert!((at(7) + at(8) - 1.0).abs() < 1e-6);
        assert!(w(0.25) + w(0.75) + w(1.25) + w(1.75) - 1.0 < 1e-12);
    }

    #[test]
    fn a_hole_spreads_no_farther_than_the_filter() {
        let mut holed = map(1, 8, |_, _| 1.0);
        holed.values[0] = f32::NAN;
        let same = holed.resized(1, 8, ResizeFilter::Cubic);
        assert_eq!(same.values.iter().filter(|v| v.is_nan()).count(), 1);
        let big = holed.resized(1, 16, ResizeFilter::Bilinear);
        assert_eq!(big.values.iter().filter(|v| v.is_nan()).count(), 3);
    }
}

//! Grey pictures at halved sizes, for matching from coarse to fine.

/// A grey picture, 0..255.
#[derive(Clone, Debug)]
pub(super) struct Grey {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) values: Vec<f32>,
}

impl Grey {
    /// Luma of `[H, W, 3]` sRGB.
    pub(super) fn of_rgb(rgb: &[u8], height: usize, width: usize) -> Self {
        let luma = |p: &[u8; 3]| {
            0.299 * f32::from(p[0]) + 0.587 * f32::from(p[1]) + 0.114 * f32::from(p[2])
        };
        Self {
            height,
            width,
            values: rgb.as_chunks::<3>().0.iter().map(luma).collect(),
        }
    }

    /// Value at whole pixels, the border repeated.
    pub(super) fn at(&self, column: isize, row: isize) -> f32 {
        let c = column.clamp(0, self.width as isize - 1) as usize;
        let r = row.clamp(0, self.height as isize - 1) as usize;
        self.values[r * self.width + c]
    }

    /// Bilinear value, the border repeated.
    pub(super) fn sample(&self, column: f32, row: f32) -> f32 {
        let (c, r) = (column.floor(), row.floor());
        let (a, b) = (column - c, row - r);
        let (c, r) = (c as isize, r as isize);
        (1.0 - b) * ((1.0 - a) * self.at(c, r) + a * self.at(c + 1, r))
            + b * ((1.0 - a) * self.at(c, r + 1) + a * self.at(c + 1, r + 1))
    }

    /// Half the size, by means of 2 x 2.
    fn halved(&self) -> Self {
        let (height, width) = (self.height.div_ceil(2), self.width.div_ceil(2));
        let mean = |i: usize| {
            let (c, r) = ((i % width * 2) as isize, (i / width * 2) as isize);
            (self.at(c, r) + self.at(c + 1, r) + self.at(c, r + 1) + self.at(c + 1, r + 1)) / 4.0
        };
        Self {
            height,
            width,
            values: (0..height * width).map(mean).collect(),
        }
    }

    /// The picture and its halves down to `least` pixels on the shorter side, finest first.
    pub(super) fn pyramid(self, least: usize) -> Vec<Self> {
        let mut levels = vec![self];
        while let Some(last) = levels.last()
            && last.height.min(last.width) >= 2 * least
        {
            let half = last.halved();
            levels.push(half);
        }
        levels
    }
}

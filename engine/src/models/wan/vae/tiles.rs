//! The codec in tiles of space, for clips whose caches do not fit into memory.
//!
//! A tile runs through the codec for the whole length of the clip: cutting time would lose the causal
//! caches and flash. Neighbours overlap and are faded into each other linearly, as the weighted mean
//! `sum w x / sum w` with `w` the product of a ramp a side. The attention in the middle of the codec
//! sees its tile only, so the result is near to the untiled one, not equal to it.

use candle_core::{DType, Device, Tensor};

use crate::Result;

/// Smallest side of a tile, latent cells.
const LEAST_TILE: usize = 16;
/// Least overlap of neighbours, latent cells.
const LEAST_OVERLAP: usize = 4;

/// How a picture is cut, in cells of the latent grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiling {
    /// Longest side of a tile.
    pub tile: usize,
    /// Cells that neighbours share.
    pub overlap: usize,
}

impl Tiling {
    /// Tiles of a side, of 16 cells at least, that share a quarter with their neighbours.
    pub fn of(tile: usize) -> Self {
        let tile = tile.max(LEAST_TILE);
        Self {
            tile,
            overlap: (tile / 4).max(LEAST_OVERLAP),
        }
    }

    /// How much more is computed than without tiles: the area of all tiles over that of the picture.
    pub fn work(self, sides: [usize; 2]) -> f64 {
        let covered = |side: usize| -> usize { self.spans(side).iter().map(|s| s.len).sum() };
        let area = (sides[0] * sides[1]).max(1);
        (covered(sides[0]) * covered(sides[1])) as f64 / area as f64
    }

    /// Parts of a side that cover it; all are as long as the tile, unless the side is shorter.
    fn spans(self, side: usize) -> Vec<Span> {
        let tile = self.tile.max(1);
        if side <= tile {
            return vec![Span {
                start: 0,
                len: side,
            }];
        }
        let step = tile.saturating_sub(self.overlap).max(1);
        let last = side - tile;
        let starts = (0..last).step_by(step).chain([last]);
        starts.map(|start| Span { start, len: tile }).collect()
    }

    /// Tiles of a picture.
    pub(super) fn tiles(self, [height, width]: [usize; 2]) -> Vec<Tile> {
        let columns = self.spans(width);
        self.spans(height)
            .into_iter()
            .flat_map(|rows| columns.iter().map(move |&columns| Tile { rows, columns }))
            .collect()
    }
}

/// A part of one side, in cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) len: usize,
}

/// A part of a picture, in cells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile {
    pub(super) rows: Span,
    pub(super) columns: Span,
}

impl Tile {
    /// Cuts the tile out of a clip with `scale` values a cell along a side.
    ///
    /// # Shapes
    /// - `clip`: `[B, C, T, H, W]`
    pub(super) fn cut(&self, clip: &Tensor, scale: usize) -> Result<Tensor> {
        let rows = clip.narrow(3, self.rows.start * scale, self.rows.len * scale)?;
        Ok(rows
            .narrow(4, self.columns.start * scale, self.columns.len * scale)?
            .contiguous()?)
    }
}

/// Tiles faded into one clip.
pub(super) struct Mosaic {
    /// `[B C T, H, W]`, weighted sums.
    values: Vec<f32>,
    /// `[H, W]`, sums of weights.
    weights: Vec<f32>,
    shape: [usize; 5],
    /// Values a cell along a side.
    scale: usize,
    overlap: usize,
}

impl Mosaic {
    /// A clip of zeros.
    ///
    /// # Shapes
    /// - `shape`: `[B, C, T, H, W]`
    pub(super) fn new(shape: [usize; 5], scale: usize, tiling: Tiling) -> Self {
        let [.., height, width] = shape;
        Self {
            values: vec![0.0; shape.iter().product()],
            weights: vec![0.0; height * width],
            shape,
            scale,
            overlap: tiling.overlap * scale,
        }
    }

    /// Adds a tile.
    ///
    /// # Shapes
    /// - `part`: `[B, C, T, h, w]`, the tile's own size
    pub(super) fn add(&mut self, tile: &Tile, part: &Tensor) -> Result<()> {
        let [_, _, _, height, width] = self.shape;
        let down = self.ramp(tile.rows, height);
        let across = self.ramp(tile.columns, width);
        let (top, left) = (
            tile.rows.start * self.scale,
            tile.columns.start * self.scale,
        );
        for (y, down) in down.iter().enumerate() {
            for (x, across) in across.iter().enumerate() {
                self.weights[(top + y) * width + left + x] += down * across;
            }
        }
        let part = part.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        let tile_rows = part.chunks_exact(across.len());
        for (at, row) in tile_rows.enumerate() {
            let (plane, y) = (at / down.len(), at % down.len());
            let start = (plane * height + top + y) * width + left;
            let target = &mut self.values[start..start + across.len()];
            for ((sum, value), across) in target.iter_mut().zip(row).zip(&across) {
                *sum += value * down[y] * across;
            }
        }
        Ok(())
    }

    /// Weights along one side: rising where a neighbour lies before, falling where one lies behind.
    fn ramp(&self, span: Span, side: usize) -> Vec<f32> {
        let (start, len) = (span.start * self.scale, span.len * self.scale);
        let rise = |distance: usize, is_edge: bool| {
            if is_edge || self.overlap == 0 {
                return 1.0;
            }
            ((distance as f32 + 0.5) / self.overlap as f32).min(1.0)
        };
        (0..len)
            .map(|i| rise(i, start == 0).min(rise(len - 1 - i, start + len == side)))
            .collect()
    }

    /// The weighted means.
    pub(super) fn finish(mut self, device: &Device) -> Result<Tensor> {
        for plane in self.values.chunks_exact_mut(self.weights.len().max(1)) {
            for (value, weight) in plane.iter_mut().zip(&self.weights) {
                *value /= weight;
            }
        }
        Ok(Tensor::from_vec(self.values, self.shape.to_vec(), device)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_a_side_and_overlap_at_least_as_asked() {
        let tiling = Tiling {
            tile: 10,
            overlap: 3,
        };
        for side in 1..60 {
            let spans = tiling.spans(side);
            assert_eq!(spans[0].start, 0);
            let last = spans[spans.len() - 1];
            assert_eq!(last.start + last.len, side);
            for pair in spans.windows(2) {
                assert!(pair[0].start + 10 >= pair[1].start + 3, "{side} {spans:?}");
            }
        }
    }

    #[test]
    fn tiles_of_one_picture_make_that_picture() {
        let shape = [1, 2, 3, 28, 44];
        let values: Vec<f32> = (0..shape.iter().product::<usize>())
            .map(|i| (i as f32).sin())
            .collect();
        let clip = Tensor::from_vec(values, shape.to_vec(), &Device::Cpu).unwrap();
        let tiling = Tiling {
            tile: 3,
            overlap: 1,
        };
        let mut mosaic = Mosaic::new(shape, 4, tiling);
        for tile in tiling.tiles([7, 11]) {
            mosaic.add(&tile, &tile.cut(&clip, 4).unwrap()).unwrap();
        }
        let back = mosaic.finish(&Device::Cpu).unwrap();
        let worst = (back - clip).unwrap().abs().unwrap().max_all().unwrap();
        assert!(worst.to_scalar::<f32>().unwrap() < 1e-5);
    }

    #[test]
    fn tiles_cost_what_they_share() {
        assert_eq!(
            Tiling::of(1),
            Tiling {
                tile: 16,
                overlap: 4
            }
        );
        // 60 cells in two spans of 40, 104 in four: 160.
        let work = Tiling::of(40).work([60, 104]);
        assert!(
            (work - 80.0 * 160.0 / (60.0 * 104.0)).abs() < 1e-12,
            "{work}"
        );
        assert_eq!(Tiling::of(200).work([60, 104]), 1.0);
    }
}

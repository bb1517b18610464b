//! A kernel slid over a clip: sums of products of shifted views with the rows of the kernel.

use rayon::prelude::*;

use super::padded::Padded;
use super::{Dims, SQUARE};
use crate::kernels::matmul::{Held, Mat, MatMut, Parallelism, matmul};
use crate::kernels::tile::{self, Left, Panels};

/// Positions of one tile: its results stay in the second-level cache.
const POSITIONS: usize = 384;

/// A kernel as factors of the matrix products.
pub(super) struct Kernel {
    factors: Factors,
    kt: usize,
    k: usize,
    c: usize,
    o: usize,
}

/// Of all rows and frames of a kernel, `[kt, k, k * c, o]`.
enum Factors {
    Rows(Vec<f32>),
    /// The same in panels, where there are register tiles.
    Tiles(Panels),
}

impl Kernel {
    /// From `weight` `[O, C, kt, k, k]`.
    pub(super) fn forward(weight: &[f32], dims: Dims) -> Self {
        let Dims { c, o, kt, k, .. } = dims;
        Self::build([kt, k, c, o], |[dt, dh, dw], c_i, o_i| {
            weight[(((o_i * c + c_i) * kt + dt) * k + dh) * k + dw]
        })
    }

    /// From `weight` `[O, C, kt, k, k]`, mirrored, and from `O` channels to `C`.
    pub(super) fn mirrored(weight: &[f32], dims: Dims) -> Self {
        let Dims { c, o, kt, k, .. } = dims;
        Self::build([kt, k, o, c], |[dt, dh, dw], o_i, c_i| {
            let (dt, dh, dw) = (kt - 1 - dt, k - 1 - dh, k - 1 - dw);
            weight[(((o_i * c + c_i) * kt + dt) * k + dh) * k + dw]
        })
    }

    fn build(
        [kt, k, c, o]: [usize; 4],
        tap: impl Fn([usize; 3], usize, usize) -> f32 + Sync,
    ) -> Self {
        let mut data = vec![0.0; kt * k * k * c * o];
        data.par_chunks_mut(o.max(1))
            .enumerate()
            .for_each(|(i, out)| {
                let (row, c_i) = (i / c, i % c);
                let taps = [row / k / k, row / k % k, row % k];
                for (o_i, out) in out.iter_mut().enumerate() {
                    *out = tap(taps, c_i, o_i);
                }
            });
        let factors = if tile::supported() {
            Factors::Tiles(Panels::from_rows(&data, o, [kt * k * k * c, o]))
        } else {
            Factors::Rows(data)
        };
        Self {
            factors,
            kt,
            k,
            c,
            o,
        }
    }

    /// Values from one position of sums to the next.
    fn stride(&self) -> usize {
        match &self.factors {
            Factors::Rows(_) => self.o,
            Factors::Tiles(panels) => panels.stride(),
        }
    }

    /// Writes `positions` consecutive results from `start` `[b, t, h, w]`, each [`Self::stride`] wide.
    fn apply(&self, x: &Padded, start: [usize; 4], positions: usize, sums: &mut Vec<f32>) {
        let rows = (0..self.kt).flat_map(|dt| (0..self.k).map(move |dh| (dt, dh)));
        sums.resize(tile::whole_tiles(positions) * self.stride(), 0.0);
        match &self.factors {
            Factors::Tiles(panels) => {
                let starts: Vec<usize> = rows.map(|(dt, dh)| x.offset([0, dt, dh, 0])).collect();
                let left = Left {
                    data: &x.values()[x.offset(start)..],
                    stride: self.c,
                    starts: &starts,
                    len: self.k * self.c,
                };
                let sums = (&mut sums[..], panels.stride());
                panels.multiply(left, positions, panels.all(), sums, false);
            }
            Factors::Rows(data) => {
                let [b, t, h, w] = start;
                let len = self.k * self.c * self.o;
                let mut held = Held::Dropped;
                for ((dt, dh), data) in rows.zip(data.chunks_exact(len)) {
                    let view = x.view([b, t + dt, h + dh, w], positions, self.k);
                    let factor = Mat::new(data, self.k * self.c, self.o);
                    let dst = MatMut::new(sums, positions, self.o);
                    matmul(dst, held, view, factor, 1.0, Parallelism::None);
                    held = Held::Kept;
                }
            }
        }
    }
}

/// Slides `kernel` over `x` and writes `[B, O, T, H, W]`, as many positions as fit.
pub(super) fn correlate(x: &Padded, kernel: &Kernel, bias: &[f32], out: &mut [f32]) {
    let (t, h, w) = (x.t + 1 - kernel.kt, x.h + 1 - kernel.k, x.w + 1 - kernel.k);
    let rows = (POSITIONS / x.w).clamp(1, h.max(1));
    let tiles = h.div_ceil(rows);
    // The slices of the result that belong to one tile: rows of one frame in every channel.
    let batches = out.len() / (kernel.o * t * h * w).max(1);
    let mut pieces: Vec<Vec<&mut [f32]>> = Vec::new();
    pieces.resize_with(batches * t * tiles, || Vec::with_capacity(kernel.o));
    for (i, frame) in out.chunks_mut((h * w).max(1)).enumerate() {
        let (batch, frame_index) = (i / (kernel.o * t), i % t);
        for (tile, piece) in frame.chunks_mut(rows * w).enumerate() {
            pieces[(batch * t + frame_index) * tiles + tile].push(piece);
        }
    }
    pieces
        .into_par_iter()
        .enumerate()
        .for_each_init(Vec::new, |sums, (i, mut channels)| {
            let (frame, first_row) = (i / tiles, i % tiles * rows);
            let rows = rows.min(h - first_row);
            let start = [frame / t, frame % t, first_row, 0];
            kernel.apply(x, start, x.positions(rows, w), sums);
            for row in 0..rows {
                let sums = &sums[row * x.w * kernel.stride()..][..w * kernel.stride()];
                scatter((sums, kernel.stride()), bias, row * w, &mut channels);
            }
        });
}

/// Adds the bias to one row of results `[W, O or more]` and writes it to its place in every channel.
fn scatter(
    (sums, stride): (&[f32], usize),
    bias: &[f32],
    first: usize,
    channels: &mut [&mut [f32]],
) {
    let width = sums.len() / stride.max(1);
    for w0 in (0..width).step_by(SQUARE) {
        let w1 = (w0 + SQUARE).min(width);
        for (i, channel) in channels.iter_mut().enumerate() {
            let bias = bias.get(i).copied().unwrap_or(0.0);
            for (w, out) in (w0..w1).zip(&mut channel[first + w0..first + w1]) {
                *out = sums[w * stride + i] + bias;
            }
        }
    }
}

//! A clip with channels last: the layout in which a convolution is a product of shifted views.

use rayon::prelude::*;

use super::SQUARE;
use crate::kernels::matmul::Mat;
use crate::kernels::tile;

/// Frames `[B, C, T, H, W]`, of which the first `skip` are left out.
pub(super) struct Frames<'a> {
    pub(super) data: &'a [f32],
    pub(super) frames: usize,
    pub(super) skip: usize,
}

/// A clip with channels last and a border of zeros: `[B, t, h, w, c]`, and room for whole register tiles.
pub(super) struct Padded {
    data: Vec<f32>,
    pub(super) t: usize,
    pub(super) h: usize,
    pub(super) w: usize,
    pub(super) c: usize,
}

/// How a clip is laid out: what surrounds it, and how often each pixel stands beside itself.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// Empty frames before and after it.
    pub(super) around: [usize; 2],
    /// Zeros on each side of a frame.
    pub(super) border: usize,
    /// Side of the square that a pixel becomes.
    pub(super) scale: usize,
}

impl Padded {
    /// `parts` one after the other at `place`; `size` is `B, c, H, W` of the parts.
    pub(super) fn new(parts: &[Frames], size: [usize; 4], place: Place) -> Self {
        let [b, c, h, w] = size;
        let Place {
            around: [front, back],
            border,
            scale,
        } = place;
        let sources: Vec<(usize, usize)> = parts
            .iter()
            .enumerate()
            .flat_map(|(i, part)| (part.skip..part.frames).map(move |frame| (i, frame)))
            .collect();
        let mut padded = Self {
            data: Vec::new(),
            t: front + sources.len() + back,
            h: scale * h + 2 * border,
            w: scale * w + 2 * border,
            c,
        };
        let len = b * padded.t * padded.h * padded.w * c;
        padded.data = vec![0.0; len + tile::ROWS * c];
        let (frames, rows) = (padded.t, padded.h);
        let row_len = (padded.w * c).max(1);
        padded.data[..len]
            .par_chunks_mut(row_len)
            .enumerate()
            .for_each(|(i, out)| {
                let (batch, frame, row) = (i / rows / frames, i / rows % frames, i % rows);
                let source = frame.checked_sub(front).and_then(|f| sources.get(f));
                let row = row.checked_sub(border).map(|row| row / scale);
                let row = row.filter(|&row| row < h);
                if let (Some(&(part, frame)), Some(row)) = (source, row) {
                    let part = &parts[part];
                    let first = ((batch * c * part.frames + frame) * h + row) * w;
                    let inner = &mut out[border * c..];
                    let channel_stride = part.frames * h * w;
                    exchange(&part.data[first..], channel_stride, inner, [c, w, scale]);
                }
            });
        padded
    }

    /// Where position `(t, h, w)` of clip `b` starts.
    pub(super) fn offset(&self, [b, t, h, w]: [usize; 4]) -> usize {
        (((b * self.t + t) * self.h + h) * self.w + w) * self.c
    }

    /// What `k` neighbours along a row hold at `positions` consecutive positions from `start`.
    pub(super) fn view(&self, start: [usize; 4], positions: usize, k: usize) -> Mat<'_> {
        let data = &self.data[self.offset(start)..];
        Mat::strided(data, positions, k * self.c, self.c)
    }

    /// All values, the room after the last included.
    pub(super) fn values(&self) -> &[f32] {
        &self.data
    }

    /// Positions from the first of a row of the result to the last, `rows` further down.
    pub(super) fn positions(&self, rows: usize, width: usize) -> usize {
        (rows - 1) * self.w + width
    }
}

/// `out[scale j + s][i] = planes[i][j]` for `i` below `channels`, `j` below `width`, `s` below `scale`.
fn exchange(planes: &[f32], stride: usize, out: &mut [f32], [channels, width, scale]: [usize; 3]) {
    for j0 in (0..width).step_by(SQUARE) {
        for i0 in (0..channels).step_by(SQUARE) {
            let i1 = (i0 + SQUARE).min(channels);
            for j in j0..(j0 + SQUARE).min(width) {
                let first = j * scale * channels;
                for (i, out) in (i0..i1).zip(&mut out[first + i0..first + i1]) {
                    *out = planes[i * stride + j];
                }
                for copy in 1..scale {
                    out.copy_within(first + i0..first + i1, first + copy * channels + i0);
                }
            }
        }
    }
}

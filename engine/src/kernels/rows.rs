//! Parallel loops over rows in pieces of fixed size.

use std::ops::RangeInclusive;

use rayon::prelude::*;

/// Values a piece of work should have at least, so that handing it to a thread pays.
const PIECE: usize = 1 << 14;

/// Rows of `width` values in one piece of work; depends on the width only.
pub(super) fn rows_per_piece(width: usize) -> usize {
    (PIECE / width.max(1)).max(1)
}

/// Calls `work(first_row, rows)` for pieces of `out`, in parallel.
///
/// `out`: `[rows, width]`.
pub(super) fn for_rows(out: &mut [f32], width: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    let rows = rows_per_piece(width);
    let piece = rows * width.max(1);
    if out.len() <= piece {
        work(0, out);
        return;
    }
    out.par_chunks_mut(piece)
        .enumerate()
        .for_each(|(i, chunk)| work(i * rows, chunk));
}

/// As [`for_rows`], with `width_sums` further values a piece, which are added up over the pieces.
///
/// Returns the sums: `[width_sums]`, independent of threads.
pub(super) fn for_rows_summing(
    out: &mut [f32],
    width: usize,
    width_sums: usize,
    work: impl Fn(usize, &mut [f32], &mut [f32]) + Sync,
) -> Vec<f32> {
    let rows = rows_per_piece(width);
    let piece = rows * width.max(1);
    let pieces = out.len().div_ceil(piece).max(1);
    let mut partial = vec![0.0; pieces * width_sums];
    if pieces == 1 || width_sums == 0 {
        work(0, out, &mut partial);
        return partial;
    }
    out.par_chunks_mut(piece)
        .zip(partial.par_chunks_mut(width_sums))
        .enumerate()
        .for_each(|(i, (chunk, sums))| work(i * rows, chunk, sums));
    sum_rows(&partial, width_sums)
}

/// Sums of the columns of `values` `[rows, width]`, row after row.
pub(super) fn sum_rows(values: &[f32], width: usize) -> Vec<f32> {
    let mut total = vec![0.0; width];
    for row in values.chunks_exact(width.max(1)) {
        for (t, v) in total.iter_mut().zip(row) {
            *t += v;
        }
    }
    total
}

/// As [`sum_rows`], in parallel over pieces of rows.
pub(super) fn par_sum_rows(values: &[f32], width: usize) -> Vec<f32> {
    let piece = rows_per_piece(width) * width.max(1);
    if values.len() <= piece {
        return sum_rows(values, width);
    }
    let partial: Vec<Vec<f32>> = values
        .par_chunks(piece)
        .map(|chunk| sum_rows(chunk, width))
        .collect();
    sum_rows(&partial.concat(), width)
}

/// Blocks that tiles are grouped in at least, so that there is work for several threads.
const MIN_BLOCKS: usize = 8;

/// How many of `tiles` to take as a block, if a block may have `sizes`: as many as let the threads end
/// together, with fewer only where there would be too few blocks.
pub(super) fn block_tiles(tiles: usize, sizes: RangeInclusive<usize>) -> usize {
    let most = tiles.div_ceil(MIN_BLOCKS).max(1);
    if most <= *sizes.start() {
        return most;
    }
    let threads = rayon::current_num_threads();
    let longest = |block: usize| tiles.div_ceil(block).div_ceil(threads) * block;
    let allowed = sizes.filter(|block| *block <= most).rev();
    allowed.min_by_key(|block| longest(*block)).unwrap_or(most)
}

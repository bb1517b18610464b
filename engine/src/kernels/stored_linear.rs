//! Linear layers whose weights stay as they are stored: bf16, 8-bit floats, blocks of integers.
//!
//! A panel of outputs is widened, packed and used for every row of `x`, so a weight is read once a
//! call and its wide form never takes more than a panel a thread. With AVX512-BF16 a panel is
//! rounded to bf16 and products are summed in f32 (`vdpbf16ps`); elsewhere a panel is f32.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::matmul::{Held, Mat, MatMut, Parallelism, matmul};
use super::rows::rows_per_piece;
use super::simd::vectorised;
use super::tensor_data::{read, values};

/// Outputs of a panel: three vectors of sixteen.
const WIDTH: usize = 48;
/// Rows of `x` that share one pass over a panel.
const TALL: usize = 8;
/// Pairs of inputs after which sums go back to memory, so that a panel's part stays in cache.
const PAIRS: usize = 2048;
/// Rows of `x` for which a panel is widened to f32.
const WIDE_ROWS: usize = 2048;
/// Fewest rows for which widening a panel anew on another thread pays.
const FEWEST_ROWS: usize = 128;

/// A matrix `[O, I]` whose rows can be widened one at a time.
pub(crate) trait StoredRows: Send + Sync {
    /// `(O, I)`.
    fn dims(&self) -> (usize, usize);

    /// Writes row `output` as f32.
    fn widen(&self, output: usize, row: &mut [f32]) -> Result<()>;
}

/// `x W^T + b` for f32 `x` `[.., I]`; has no gradient.
pub(crate) struct StoredLinear {
    pub(crate) weight: Arc<dyn StoredRows>,
    /// `[O]`, f32, contiguous.
    pub(crate) bias: Option<Tensor>,
}

/// Where the products are summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Engine {
    /// bf16 products, f32 sums.
    Bf16,
    /// f32 throughout.
    Wide,
}

impl Engine {
    fn of_this_machine() -> Self {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16") {
            return Self::Bf16;
        }
        Self::Wide
    }
}

/// Bytes that a call holds beside its arguments and its result, with `threads` threads.
pub(crate) fn scratch_bytes(rows: usize, (outputs, inputs): (usize, usize), threads: usize) -> u64 {
    let (rows, inputs) = (rows as u64, inputs as u64);
    let panels = (outputs.div_ceil(WIDTH)).min(threads) as u64;
    let width = WIDTH as u64;
    match Engine::of_this_machine() {
        Engine::Bf16 => rows * inputs.next_multiple_of(2) * 2 + panels * inputs * (2 * width + 4),
        Engine::Wide => panels * 4 * (width * inputs + width * rows.min(WIDE_ROWS as u64)),
    }
}

/// `x W^T + b` as `[rows, O]`.
pub(super) fn forward(
    x: &[f32],
    weight: &dyn StoredRows,
    bias: Option<&[f32]>,
) -> Result<Vec<f32>> {
    forward_with(Engine::of_this_machine(), x, weight, bias)
}

fn forward_with(
    engine: Engine,
    x: &[f32],
    weight: &dyn StoredRows,
    bias: Option<&[f32]>,
) -> Result<Vec<f32>> {
    let (outputs, inputs) = weight.dims();
    let rows = x.len() / inputs.max(1);
    let mut y = vec![0.0; rows * outputs];
    if y.is_empty() || inputs == 0 {
        return Ok(y);
    }
    let job = Job {
        weight,
        bias,
        rows,
        inputs,
        outputs,
        y: Columns(y.as_mut_ptr()),
    };
    match engine {
        Engine::Bf16 => {
            let pairs = to_pairs(x, inputs);
            job.run(job.rows_a_task(), |from, to, panel| {
                job.bf16_panel(&pairs, (from, to), panel)
            })?;
        }
        Engine::Wide => job.run(WIDE_ROWS, |from, to, panel| {
            job.wide_panel(x, (from, to), panel)
        })?,
    }
    Ok(y)
}

/// The result, written to by columns from several threads.
#[derive(Clone, Copy)]
struct Columns(*mut f32);

#[expect(unsafe_code, reason = "tasks write disjoint parts of one matrix")]
// SAFETY: `Job::store` and `Job::load` touch the rows and columns of their own task only.
unsafe impl Send for Columns {}
#[expect(unsafe_code, reason = "tasks write disjoint parts of one matrix")]
// SAFETY: as above.
unsafe impl Sync for Columns {}

struct Job<'a> {
    weight: &'a dyn StoredRows,
    bias: Option<&'a [f32]>,
    rows: usize,
    inputs: usize,
    outputs: usize,
    y: Columns,
}

impl Job<'_> {
    /// Calls `task(first row, one past the last, panel)` for every part of the result, in parallel.
    fn run(
        &self,
        rows_a_task: usize,
        task: impl Fn(usize, usize, usize) -> Result<()> + Sync,
    ) -> Result<()> {
        let panels = self.outputs.div_ceil(WIDTH);
        let parts = self.rows.div_ceil(rows_a_task);
        (0..panels * parts).into_par_iter().try_for_each(|index| {
            let (panel, part) = (index / parts, index % parts);
            let from = part * rows_a_task;
            task(from, (from + rows_a_task).min(self.rows), panel)
        })
    }

    /// All rows where there are panels enough for every thread, fewer otherwise. Sums do not depend on it.
    fn rows_a_task(&self) -> usize {
        let panels = self.outputs.div_ceil(WIDTH);
        let parts = (3 * rayon::current_num_threads()).div_ceil(panels);
        let rows = self.rows.div_ceil(parts).max(FEWEST_ROWS);
        rows.next_multiple_of(TALL)
    }

    fn columns(&self, panel: usize) -> std::ops::Range<usize> {
        panel * WIDTH..((panel + 1) * WIDTH).min(self.outputs)
    }

    /// Copies sums into the result.
    fn store(&self, row: usize, columns: &std::ops::Range<usize>, sums: &[f32]) {
        let count = columns.len();
        assert!(row < self.rows && columns.end <= self.outputs && sums.len() >= count);
        #[expect(unsafe_code, reason = "tasks write disjoint parts of one matrix")]
        // SAFETY: the part lies inside the matrix by the assertion, and belongs to this task alone.
        unsafe {
            let to = self.y.0.add(row * self.outputs + columns.start);
            std::ptr::copy_nonoverlapping(sums.as_ptr(), to, count);
        }
    }

    /// Copies what the result holds into `sums`.
    fn load(&self, row: usize, columns: &std::ops::Range<usize>, sums: &mut [f32]) {
        let count = columns.len();
        assert!(row < self.rows && columns.end <= self.outputs && sums.len() >= count);
        #[expect(unsafe_code, reason = "tasks read the part that they wrote")]
        // SAFETY: as in `store`.
        unsafe {
            let from = self.y.0.add(row * self.outputs + columns.start);
            std::ptr::copy_nonoverlapping(from, sums.as_mut_ptr(), count);
        }
    }

    fn bf16_panel(&self, x: &[u32], (from, to): (usize, usize), panel: usize) -> Result<()> {
        let columns = self.columns(panel);
        let all = self.inputs.div_ceil(2);
        let packed = self.pack(&columns)?;
        let mut first = [0.0; WIDTH];
        if let Some(bias) = self.bias {
            first[..columns.len()].copy_from_slice(&bias[columns.clone()]);
        }
        for start in (0..all).step_by(PAIRS) {
            let part = start..(start + PAIRS).min(all);
            let packed = &packed[part.start * WIDTH..part.end * WIDTH];
            let mut row = from;
            while row < to {
                let tall = TALL.min(to - row);
                let mut sums = [[0.0; WIDTH]; TALL];
                let mut lines: [&[u32]; TALL] = [&[]; TALL];
                for i in 0..TALL {
                    // Past the end the last row is computed again and dropped.
                    let at = row + i.min(tall - 1);
                    lines[i] = &x[at * all..][part.clone()];
                    if start == 0 {
                        sums[i] = first;
                    } else {
                        self.load(at, &columns, &mut sums[i]);
                    }
                }
                multiply(&lines, packed, &mut sums);
                for (i, sums) in sums.iter().enumerate().take(tall) {
                    self.store(row + i, &columns, sums);
                }
                row += tall;
            }
        }
        Ok(())
    }

    /// A panel as pairs of inputs, the outputs side by side: `[I / 2, WIDTH]`; missing outputs are zero.
    fn pack(&self, columns: &std::ops::Range<usize>) -> Result<Vec<u32>> {
        let mut packed = vec![0_u32; self.inputs.div_ceil(2) * WIDTH];
        let mut row = vec![0.0; self.inputs];
        for (i, output) in columns.clone().enumerate() {
            self.weight.widen(output, &mut row)?;
            let (pairs, last) = row.as_chunks::<2>();
            let mut at = i;
            for &[low, high] in pairs {
                packed[at] = pair(low, high);
                at += WIDTH;
            }
            if let [low] = last {
                packed[at] = pair(*low, 0.0);
            }
        }
        Ok(packed)
    }

    fn wide_panel(&self, x: &[f32], (from, to): (usize, usize), panel: usize) -> Result<()> {
        let columns = self.columns(panel);
        let (count, rows) = (columns.len(), to - from);
        let mut wide = vec![0.0; count * self.inputs];
        for (output, row) in columns.clone().zip(wide.chunks_exact_mut(self.inputs)) {
            self.weight.widen(output, row)?;
        }
        let mut sums = vec![0.0; rows * count];
        if let Some(bias) = self.bias {
            for sums in sums.chunks_exact_mut(count) {
                sums.copy_from_slice(&bias[columns.clone()]);
            }
        }
        let x = Mat::new(&x[from * self.inputs..to * self.inputs], rows, self.inputs);
        let dst = MatMut::new(&mut sums, rows, count);
        let wide = Mat::new(&wide, count, self.inputs).t();
        matmul(dst, Held::Kept, x, wide, 1.0, Parallelism::None);
        for (i, sums) in sums.chunks_exact(count).enumerate() {
            self.store(from + i, &columns, sums);
        }
        Ok(())
    }
}

/// Rows of `x` as pairs of bf16, the first in the low half: `[rows, ceil(I / 2)]`.
fn to_pairs(x: &[f32], inputs: usize) -> Vec<u32> {
    let width = inputs.div_ceil(2);
    let mut out = vec![0; x.len() / inputs * width];
    let rows = rows_per_piece(width);
    out.par_chunks_mut(rows * width)
        .zip(x.par_chunks(rows * inputs))
        .for_each(|(out, x)| {
            for (out, x) in out.chunks_exact_mut(width).zip(x.chunks_exact(inputs)) {
                vectorised(
                    #[inline(always)]
                    || {
                        let (pairs, last) = x.as_chunks::<2>();
                        for (out, &[low, high]) in out.iter_mut().zip(pairs) {
                            *out = pair(low, high);
                        }
                        if let ([low], Some(out)) = (last, out.last_mut()) {
                            *out = pair(*low, 0.0);
                        }
                    },
                );
            }
        });
    out
}

#[inline(always)]
fn pair(low: f32, high: f32) -> u32 {
    round(low) | (round(high) << 16)
}

/// To the nearest bf16, ties to even, as the bits of its upper half.
#[inline(always)]
fn round(x: f32) -> u32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    if x.is_nan() { 0x7fc0 } else { rounded }
}

/// `sums[i] += x[i] panel`.
#[cfg(target_arch = "x86_64")]
fn multiply(x: &[&[u32]; TALL], panel: &[u32], sums: &mut [[f32; WIDTH]; TALL]) {
    let pairs = x[0].len();
    assert!(panel.len() == pairs * WIDTH && x.iter().all(|row| row.len() == pairs));
    #[expect(unsafe_code, reason = "calls a function with target features")]
    // SAFETY: this engine runs where the features were detected; the lengths were just checked.
    unsafe {
        multiply_bf16(x, panel, sums);
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn multiply(_x: &[&[u32]; TALL], _panel: &[u32], _sums: &mut [[f32; WIDTH]; TALL]) {
    unreachable!("the bf16 engine is not chosen on this architecture")
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bf16")]
#[expect(unsafe_code, reason = "vector loads take raw pointers")]
unsafe fn multiply_bf16(x: &[&[u32]; TALL], panel: &[u32], sums: &mut [[f32; WIDTH]; TALL]) {
    use std::arch::x86_64::{
        __m512bh, __m512i, _mm512_dpbf16_ps, _mm512_loadu_ps, _mm512_loadu_si512,
        _mm512_set1_epi32, _mm512_setzero_ps, _mm512_storeu_ps,
    };
    const VECTORS: usize = WIDTH / 16;
    let lines = x.map(<[u32]>::as_ptr);
    let mut acc = [[_mm512_setzero_ps(); VECTORS]; TALL];
    // SAFETY: `sums` holds TALL x WIDTH values, `panel` WIDTH values a pair, and every line of `x` one
    // value a pair; a pair of bf16 has the bits of the integer that is loaded.
    unsafe {
        for (acc, sums) in acc.iter_mut().zip(sums.iter()) {
            for (v, acc) in acc.iter_mut().enumerate() {
                *acc = _mm512_loadu_ps(sums.as_ptr().add(16 * v));
            }
        }
        for k in 0..x[0].len() {
            let at = panel.as_ptr().add(k * WIDTH);
            let w: [__m512bh; VECTORS] = std::array::from_fn(|v| {
                std::mem::transmute::<__m512i, __m512bh>(_mm512_loadu_si512(at.add(16 * v).cast()))
            });
            for i in 0..TALL {
                let value = _mm512_set1_epi32((*lines[i].add(k)).cast_signed());
                let value = std::mem::transmute::<__m512i, __m512bh>(value);
                for v in 0..VECTORS {
                    acc[i][v] = _mm512_dpbf16_ps(acc[i][v], value, w[v]);
                }
            }
        }
        for (acc, sums) in acc.iter().zip(sums.iter_mut()) {
            for (v, acc) in acc.iter().enumerate() {
                _mm512_storeu_ps(sums.as_mut_ptr().add(16 * v), *acc);
            }
        }
    }
}

impl CustomOp1 for StoredLinear {
    fn name(&self) -> &'static str {
        "linear of stored weights"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (outputs, inputs) = self.weight.dims();
        let mut dims = layout.dims().to_vec();
        match dims.last_mut() {
            Some(last) if *last == inputs => *last = outputs,
            _ => candle_core::bail!(
                "linear: x is {:?}, weight has {inputs} inputs",
                layout.dims()
            ),
        }
        let bias = self.bias.as_ref().map(read).transpose()?;
        if bias.as_ref().is_some_and(|bias| bias.len() != outputs) {
            candle_core::bail!("linear: {outputs} outputs and another number of biases");
        }
        let y = forward(values(x, layout)?, &*self.weight, bias.as_deref())?;
        Ok((CpuStorage::F32(y), Shape::from(dims)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Plain(Vec<f32>, usize);

    impl StoredRows for Plain {
        fn dims(&self) -> (usize, usize) {
            (self.0.len() / self.1, self.1)
        }

        fn widen(&self, output: usize, row: &mut [f32]) -> Result<()> {
            row.copy_from_slice(&self.0[output * self.1..][..self.1]);
            Ok(())
        }
    }

    fn noise(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f32::from(u16::try_from(state >> 16).unwrap_or(0)) / 32_768.0 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    fn rounded(x: &[f32]) -> Vec<f64> {
        x.iter()
            .map(|&x| f64::from(f32::from_bits(round(x) << 16)))
            .collect()
    }

    /// The definition in f64.
    fn expected(x: &[f64], w: &[f64], bias: &[f32], inputs: usize) -> Vec<f64> {
        let mut y = Vec::new();
        for x in x.chunks_exact(inputs) {
            for (w, b) in w.chunks_exact(inputs).zip(bias) {
                y.push(x.iter().zip(w).map(|(x, w)| x * w).sum::<f64>() + f64::from(*b));
            }
        }
        y
    }

    #[test]
    fn both_engines_compute_the_definition_at_every_edge() {
        for (rows, inputs, outputs) in [
            (1, 1, 1),
            (3, 7, 5),
            (17, 64, 48),
            (9, 4099, 50),
            (300, 33, 97),
        ] {
            let (x, w, bias) = (
                noise(rows * inputs, 1),
                noise(outputs * inputs, 2),
                noise(outputs, 3),
            );
            let wide = |x: &[f32]| -> Vec<f64> { x.iter().map(|&x| f64::from(x)).collect() };
            let weight = Plain(w.clone(), inputs);
            let mut engines = vec![Engine::Wide];
            if Engine::of_this_machine() == Engine::Bf16 {
                engines.push(Engine::Bf16);
            } else {
                println!("skipped: no AVX512-BF16");
            }
            for engine in engines {
                let y = forward_with(engine, &x, &weight, Some(&bias)).unwrap();
                let truth = match engine {
                    Engine::Wide => expected(&wide(&x), &wide(&w), &bias, inputs),
                    Engine::Bf16 => expected(&rounded(&x), &rounded(&w), &bias, inputs),
                };
                let scale = (inputs as f64).sqrt();
                for (y, truth) in y.iter().zip(truth) {
                    let error = (f64::from(*y) - truth).abs() / scale;
                    assert!(
                        error < 1e-5,
                        "{engine:?} {rows} x {inputs} x {outputs}: {y} not {truth}"
                    );
                }
            }
        }
    }

    #[test]
    fn rounding_is_that_of_the_half_crate() {
        let special = [
            0.0,
            -0.0,
            1.0,
            1.003_906_3,
            1.011_718_8,
            f32::INFINITY,
            f32::MAX,
            1e-40,
        ];
        for x in noise(1000, 4).into_iter().chain(special) {
            assert_eq!(
                round(x),
                u32::from(half::bf16::from_f32(x).to_bits()),
                "{x}"
            );
        }
        assert!(f32::from_bits(round(f32::NAN) << 16).is_nan());
    }
}

//! Launches of operations that pass over their values once or twice.

use super::{Argument, Element, Launch, arguments, grid};

/// Threads of a block in all of these kernels.
const THREADS: usize = 256;
/// Partial sums of a block: one a warp.
const PARTIAL_BYTES: u32 = 4 * (THREADS as u32 / 32);

/// Sizes and kind of a norm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NormShape {
    /// Rows that are normed, each by itself.
    pub rows: usize,
    /// Values of a row.
    pub width: usize,
    /// Rows that share a weight and a bias.
    pub rows_per_group: usize,
    /// True for layer norm, false for root mean square.
    pub centred: bool,
    /// Added to the variance or mean square.
    pub eps: f32,
    /// Added to the weight: 1 for `1 + scale`.
    pub offset: f32,
}

/// A norm; slots `x`, weight, bias, result. Weight and bias are of the type `weight`, which is that of
/// `x` or f32, and may be empty.
pub fn norm(shape: &NormShape, element: Element, weight: Element) -> Option<Launch> {
    if weight != element && weight != Element::F32 || shape.rows_per_group == 0 {
        return None;
    }
    let centred = usize::from(shape.centred);
    let mut arguments = arguments(4, &[shape.width, shape.rows_per_group, centred])?;
    arguments.extend([Argument::Number(shape.eps), Argument::Number(shape.offset)]);
    Some(Launch {
        source: "norm",
        kernel: format!("norm_{}_{}", element.name(), weight.name()),
        grid: grid([shape.rows, 1, 1])?,
        threads: THREADS as u32,
        shared_bytes: PARTIAL_BYTES,
        arguments,
    })
}

/// `x + gate * y` for `rows` of `width` values; slots `x`, `y`, gate in f32, result.
pub fn gated_add(
    rows: usize,
    width: usize,
    rows_per_gate: usize,
    element: Element,
) -> Option<Launch> {
    if rows_per_gate == 0 {
        return None;
    }
    Some(Launch {
        source: "modulate",
        kernel: format!("gated_add_{}", element.name()),
        grid: grid([rows, 1, 1])?,
        threads: THREADS as u32,
        shared_bytes: 0,
        arguments: arguments(4, &[width, rows_per_gate])?,
    })
}

/// A pointwise function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pointwise {
    /// `x / (1 + exp(-x))`.
    Silu,
    /// GELU in its tanh approximation.
    GeluTanh,
    /// GELU by the error function.
    GeluErf,
}

/// A function of `count` values; slots `x`, result.
pub fn activation(function: Pointwise, count: usize, element: Element) -> Option<Launch> {
    let name = match function {
        Pointwise::Silu => "silu",
        Pointwise::GeluTanh => "gelu_tanh",
        Pointwise::GeluErf => "gelu_erf",
    };
    Some(Launch {
        source: "activation",
        kernel: format!("{name}_{}", element.name()),
        grid: grid([count.div_ceil(THREADS * element.packed()), 1, 1])?,
        threads: THREADS as u32,
        shared_bytes: 0,
        arguments: arguments(2, &[count])?,
    })
}

/// Sizes of `[R, N, A, D]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RopeShape {
    /// `R`.
    pub rows: usize,
    /// `N`.
    pub tokens: usize,
    /// `A`.
    pub heads: usize,
    /// `D`, even.
    pub width: usize,
}

/// A rotation; slots `x`, cosines, sines (f32, `[N, D / 2]`), result.
pub fn rope(shape: &RopeShape, element: Element) -> Option<Launch> {
    let RopeShape {
        rows,
        tokens,
        heads,
        width,
    } = *shape;
    if width % 2 != 0 {
        return None;
    }
    let count = rows
        .checked_mul(tokens)?
        .checked_mul(heads)?
        .checked_mul(width)?;
    Some(Launch {
        source: "rope",
        kernel: format!("rope_{}", element.name()),
        grid: grid([count.div_ceil(THREADS * element.packed()), 1, 1])?,
        threads: THREADS as u32,
        shared_bytes: 0,
        arguments: arguments(4, &[count, tokens, heads, width])?,
    })
}

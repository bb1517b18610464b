//! Which attention kernel takes which heads.

use super::{Argument, Element, Launch, arguments, grid};

/// Sizes of an attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionShape {
    /// `R`.
    pub rows: usize,
    /// `N`.
    pub queries: usize,
    /// `M`.
    pub keys: usize,
    /// `A`.
    pub heads: usize,
    /// `D`.
    pub width: usize,
    /// Rows of the bias `[1 or R, A, N, M]`, where there is one.
    pub bias_rows: Option<usize>,
}

/// Queries and keys of a tile of the kernels on tensor cores.
const MMA_TILE: [usize; 2] = [128, 64];
/// Queries and keys of a tile of the plain kernels.
const PLAIN_TILE: usize = 64;
/// Widest head; wider ones leave no registers for their sums.
const WIDEST: usize = 128;
/// Widest head with a bias on tensor cores.
const WIDEST_BIASED: usize = 64;

/// `softmax(scale q k^T + bias) v`, all of one type; slots `q`, `k`, `v`, bias, result.
///
/// - 16-bit heads whose width is a multiple of 8, up to 128, go to tensor cores, padded to 64 or 128;
///   with a bias up to 64;
/// - other heads up to 128 and all of f32 go to plain multiply-adds;
/// - wider heads, and a scale that is not positive, have no kernel.
///
/// Tensors must start at multiples of 16 bytes.
pub fn attention(shape: &AttentionShape, element: Element, scale: f64) -> Option<Launch> {
    let AttentionShape {
        rows,
        queries,
        keys,
        heads,
        width,
        bias_rows,
    } = *shape;
    let counted = |tokens: usize| tokens > 0 && tokens <= i32::MAX as usize - 2 * MMA_TILE[0];
    let fits = (1..=WIDEST).contains(&width)
        && counted(queries)
        && counted(keys)
        && i32::try_from(heads.checked_mul(width)?).is_ok()
        && scale > 0.0;
    if !fits {
        return None;
    }
    let widest = bias_rows.map_or(WIDEST, |_| WIDEST_BIASED);
    let on_tensor_cores = element != Element::F32 && width.is_multiple_of(8) && width <= widest;
    let padded = if width <= 64 && (on_tensor_cores || element == Element::F32) {
        64
    } else {
        WIDEST
    };
    let (way, tile, threads, shared) = if on_tensor_cores {
        let [tile, keys] = MMA_TILE;
        ("mma", tile, 128, (tile + 2 * keys) * padded * 2)
    } else {
        let rows = 2 * PLAIN_TILE * (padded + 1);
        let weights = PLAIN_TILE * (PLAIN_TILE + 1);
        ("plain", PLAIN_TILE, 256, (rows + weights) * 4)
    };
    let bias_rows = bias_rows.unwrap_or(1);
    let mut arguments = arguments(5, &[queries, keys, heads, width, bias_rows])?;
    arguments.push(Argument::Number(scale as f32));
    Some(Launch {
        source: "attention",
        kernel: format!("attention_{way}_{}_{padded}", element.name()),
        grid: grid([queries.div_ceil(tile), heads, rows])?,
        threads,
        shared_bytes: shared as u32,
        arguments,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: AttentionShape = AttentionShape {
        rows: 4,
        queries: 32_760,
        keys: 32_760,
        heads: 40,
        width: 128,
        bias_rows: None,
    };

    fn kernel(shape: AttentionShape, element: Element) -> Option<String> {
        Some(attention(&shape, element, 0.1)?.kernel)
    }

    #[test]
    fn heads_go_where_the_rule_says() {
        let wide = |width| AttentionShape { width, ..SHAPE };
        let biased = |width| AttentionShape {
            bias_rows: Some(1),
            ..wide(width)
        };
        let expected = [
            (wide(128), Element::Bf16, Some("attention_mma_bf16_128")),
            (wide(80), Element::F16, Some("attention_mma_f16_128")),
            (wide(64), Element::Bf16, Some("attention_mma_bf16_64")),
            (wide(12), Element::Bf16, Some("attention_plain_bf16_128")),
            (biased(64), Element::Bf16, Some("attention_mma_bf16_64")),
            (biased(128), Element::Bf16, Some("attention_plain_bf16_128")),
            (wide(12), Element::F32, Some("attention_plain_f32_64")),
            (biased(128), Element::F32, Some("attention_plain_f32_128")),
            (wide(136), Element::Bf16, None),
            (wide(384), Element::F32, None),
        ];
        for (shape, element, name) in expected {
            assert_eq!(
                kernel(shape, element).as_deref(),
                name,
                "{shape:?} {element:?}"
            );
        }
        assert!(attention(&SHAPE, Element::Bf16, -1.0).is_none());
        let endless = AttentionShape {
            keys: 1 << 31,
            ..SHAPE
        };
        assert!(kernel(endless, Element::Bf16).is_none());
    }

    #[test]
    fn the_large_shape_covers_every_query_and_fits_every_card() {
        let launch = attention(&SHAPE, Element::Bf16, 0.1).unwrap();
        assert_eq!(launch.grid, [256, 40, 4]);
        // Ada has 99 KiB of shared memory a block, the least of the cards with these instructions.
        for element in [Element::F32, Element::Bf16, Element::F16] {
            assert!(attention(&SHAPE, element, 0.1).unwrap().shared_bytes <= 99 << 10);
        }
    }
}

//! Memory of what is computed, counted along the code of the networks.

use super::parts::{CodecParts, TextParts};
use super::{DitParts, Holding, Machine, RunShape, Term};
use crate::kernels::{attention, linear, stored_linear};
use crate::models::wan::vae::Tiling;
use crate::nn::WeightForm;

/// Pixels along a side behind one latent, and frames behind one but the first.
const SPACE: usize = 8;
const TIME: usize = 4;
/// Image tokens of a model with an image path.
const IMAGE_TOKENS: usize = 257;
/// Working memory of the matrix kernels a thread: packed panels of both factors.
const KERNEL_BYTES: u64 = 512 << 10;
/// Largest piece of a clip at full resolution and base channels that the codec takes at a time.
const CODEC_PIECE_BYTES: u64 = 128 << 20;

/// Sizes of a run in tokens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tokens {
    /// Rows of the batch: branches times guidance halves.
    pub(super) rows: usize,
    /// Tokens of a row.
    pub(super) tokens: usize,
    /// Values of one latent clip.
    pub(super) latent_values: usize,
}

impl Tokens {
    pub(super) fn of(dit: &DitParts, codec: &CodecParts, run: &RunShape) -> Self {
        let frames = (run.frames.max(1) - 1) / TIME + 1;
        let (h, w) = (run.height / SPACE, run.width / SPACE);
        let [pt, ph, pw] = dit.config.patch;
        let grid = frames.div_ceil(pt.max(1)) * (h / ph.max(1)) * (w / pw.max(1));
        Self {
            rows: dit.adapters.branches * if run.guided { 2 } else { 1 },
            tokens: grid * dit.adapters.sequences,
            latent_values: codec.latent_channels * frames * h * w,
        }
    }
}

/// What one block holds at its widest, beside its weights; with `has_pairs`, low-rank pairs of LoRA
/// files lie beside its layers.
pub(super) fn block(
    (dit, has_pairs): (&DitParts, bool),
    size: Tokens,
    holding: &Holding,
    machine: &Machine,
) -> Vec<Term> {
    let cfg = &dit.config;
    let value = machine.value_bytes;
    let positions = (size.rows * size.tokens) as u64;
    let width = positions * cfg.dim as u64 * value;
    let piece = holding
        .hidden_tokens
        .unwrap_or(size.tokens)
        .min(size.tokens);
    let is_whole = piece == size.tokens;
    let hidden_rows = size.rows * piece;
    let hidden = (hidden_rows * cfg.ffn_dim) as u64 * value;
    let is_wide = holding.form == WeightForm::Plain
        || (holding.form == WeightForm::Stored && dit.stored.is_wide);
    let narrow = machine.value_bytes == 4 && !is_wide;
    let scratch = |[outputs, inputs]: [usize; 2], rows: usize| {
        if narrow {
            stored_linear::scratch_bytes(rows, (outputs, inputs), machine.threads)
        } else if machine.value_bytes == 4 {
            linear::scratch_bytes((outputs, inputs), machine.threads)
        } else {
            0
        }
    };
    // Pairs beside a layer: its result, what they add, and the sum; in bf16 the latter first has that
    // type, as has the layer's input.
    let narrows = value == 4 && dit.is_half(holding.form, value);
    let added = |[outputs, inputs]: [usize; 2], rows: usize| {
        let (outputs, inputs) = ((rows * outputs) as u64, (rows * inputs) as u64);
        match (has_pairs, narrows) {
            (false, _) => 0,
            (true, false) => 2 * outputs * value,
            (true, true) => 2 * outputs * value + 2 * (outputs + inputs),
        }
    };
    // The kernel's working memory is free again when the pairs' part begins.
    let extra = |layer: [usize; 2], rows: usize| scratch(layer, rows).max(added(layer, rows));
    let square = extra([cfg.dim, cfg.dim], size.rows * size.tokens);
    // Tokens, norm, queries, keys, values and the result of attention with its log-sum-exp.
    let lse = positions * cfg.num_heads as u64 * 4;
    let packed = match machine.value_bytes {
        4 => attention::scratch_bytes(size.tokens, cfg.num_heads, cfg.head_dim()),
        _ => 0,
    };
    let at_once = size.rows.min(machine.threads) as u64;
    let attention = 6 * width + lse + packed * at_once;
    let values = 5 * width + square;
    // Tokens before and after attention, the norm, and the hidden layer on both sides of its
    // activation; then the hidden layer and what comes of it. Pieces also keep their results.
    let kept = if is_whole { 0 } else { width };
    let up =
        3 * width + kept + 2 * hidden + hidden_piece_input(cfg.dim, hidden_rows, value, is_whole);
    let up_extra = 3 * width + kept + hidden + extra([cfg.ffn_dim, cfg.dim], hidden_rows);
    let out = (hidden_rows * cfg.dim) as u64 * value;
    let down = 3 * width + kept + hidden + out + extra([cfg.dim, cfg.ffn_dim], hidden_rows);
    let joined = if is_whole { 0 } else { 5 * width };
    let feed_forward = up.max(up_extra).max(down).max(joined);
    let most = attention.max(values).max(feed_forward);
    let what = if feed_forward >= attention {
        "activations of a block (feed-forward)"
    } else {
        "activations of a block (attention)"
    };
    vec![
        Term::new(what, most),
        Term::new(
            "workspace of the kernels",
            machine.threads as u64 * KERNEL_BYTES,
        ),
    ]
}

/// A piece of tokens is copied before it enters the feed-forward.
fn hidden_piece_input(dim: usize, rows: usize, value: u64, is_whole: bool) -> u64 {
    if is_whole {
        0
    } else {
        (rows * dim) as u64 * value
    }
}

/// What the step cache keeps between steps, or while the blocks run: the residual of the blocks or
/// the tokens after the first, and two samples of an eighth of the tokens.
pub(super) fn step_cache(dit: &DitParts, size: Tokens, run: &RunShape, machine: &Machine) -> Term {
    let values = (size.rows * size.tokens * dit.config.dim) as u64;
    let bytes = if run.step_cache > 0.0 {
        values * machine.value_bytes + values
    } else {
        0
    };
    Term::new("step cache", bytes)
}

/// What is given to every block: text and image tokens, angles, times.
pub(super) fn given(dit: &DitParts, text: &TextParts, size: Tokens, machine: &Machine) -> Term {
    let cfg = &dit.config;
    let image = if cfg.image_dim.is_some() {
        IMAGE_TOKENS
    } else {
        0
    };
    let context = size.rows * (text.len + image) * cfg.dim;
    let times = size.rows * 7 * cfg.dim;
    let rope = size.tokens * cfg.head_dim();
    Term::new(
        "context, times and rotary table",
        (context + times) as u64 * machine.value_bytes + 4 * rope as u64,
    )
}

/// Noise, latents, velocities, condition and mask.
pub(super) fn latents(size: Tokens, run: &RunShape) -> Term {
    let halves = if run.guided { 2 } else { 1 };
    // Both branches: noise, state, guess and guided velocity; velocities a half; condition and mask.
    let clips = 2 * (4 + 2 * halves) + 2;
    Term::new("latents", 4 * (clips * size.latent_values) as u64)
}

/// The codec at work on one clip, and what has been decoded. Encoding takes less at every size: its
/// layers remember fewer frames, and there is one clip, not two.
pub(super) fn decode(
    codec: &CodecParts,
    run: &RunShape,
    tile: Option<usize>,
    value_bytes: u64,
) -> Vec<Term> {
    // Frames of the other branch wait.
    decode_beside(codec, run, tile, (value_bytes, 1))
}

fn decode_beside(
    codec: &CodecParts,
    run: &RunShape,
    tile: Option<usize>,
    (value_bytes, waiting): (u64, u64),
) -> Vec<Term> {
    let clip = 3 * 4 * (run.frames * run.height * run.width) as u64;
    let term = |bytes| Term::new("decoded frames and points", bytes);
    let Some(channels) = codec.base_channels else {
        return vec![term((waiting + 2) * clip)];
    };
    let longest = tile.map_or(usize::MAX, |cells| Tiling::of(cells).tile * SPACE);
    let (height, width) = (run.height.min(longest), run.width.min(longest));
    let is_cut = (height, width) != (run.height, run.width);
    let frame = (channels * height * width) as u64 * value_bytes;
    let per_piece = (CODEC_PIECE_BYTES / (TIME as u64 * frame).max(1)).max(1);
    let latents = (run.frames.max(1) - 1) / TIME + 1;
    // The first latent is one frame, each other one four.
    let first = per_piece.min(latents as u64);
    let rest = (latents as u64 - first).min(per_piece);
    let frames = (1 + TIME as u64 * (first - 1)).max(TIME as u64 * rest);
    // A residual block at full size: its input, what the convolution is given, that laid out anew with
    // a border and the two frames before it, and the result.
    let bordered = (channels * (height + 2) * (width + 2)) as u64 * value_bytes;
    let widest = 3 * frames * frame + (frames + 2) * bordered;
    // Layers keep two frames each: six at full size, six with twice the channels at half of it, seven
    // with four times at a quarter, and the head. In a clip of one piece the widest layer comes before
    // the last two have anything to keep.
    let has_past = latents as u64 > first;
    let kept = frame * 47 / 2 - if has_past { 0 } else { 4 * frame };
    // A single frame is all that they can keep.
    let kept = if run.frames <= 1 { kept / 2 } else { kept };
    // Pieces are joined when the last is done. Tiles go into a picture of their own.
    let part = 3 * 4 * (run.frames * height * width) as u64;
    let picture = if is_cut {
        clip + 4 * (run.height * run.width) as u64
    } else {
        0
    };
    let codec_at_work = kept + picture + (widest + part).max(2 * part);
    // At the end the clip is clamped.
    let most = codec_at_work.max(2 * clip);
    vec![
        Term::new("activations of the codec", widest),
        Term::new("frames that the codec's layers remember", kept),
        term((waiting * clip + most).saturating_sub(widest + kept)),
    ]
}

/// What decoding one clip holds beside the codec's weights, nothing else having been decoded.
pub fn decode_bytes(
    codec: &CodecParts,
    run: &RunShape,
    tile: Option<usize>,
    value_bytes: u64,
) -> u64 {
    let terms = decode_beside(codec, run, tile, (value_bytes, 0));
    terms.iter().map(|term| term.bytes).sum()
}

/// The text encoder at work on one prompt.
pub(super) fn text(parts: &TextParts, value_bytes: u64) -> Term {
    let (len, width) = (parts.len as u64, parts.width as u64);
    let rows = len * (8 * width + 3 * parts.hidden as u64);
    let scores = len * len * parts.heads as u64 * 3;
    Term::new(
        "activations of the text encoder",
        (rows + scores) * value_bytes,
    )
}

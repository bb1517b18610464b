//! Memory of what is computed, counted along the code of the networks.

use super::parts::{CodecParts, TextParts};
use super::{DitParts, Holding, Machine, RunShape, Term};
use crate::kernels::stored_linear;
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

/// What one block holds at its widest, beside its weights.
pub(super) fn block(
    dit: &DitParts,
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
        } else {
            0
        }
    };
    let square = scratch([cfg.dim, cfg.dim], size.rows * size.tokens);
    // Tokens, norm, queries, keys, values and the result of attention with its log-sum-exp.
    let lse = positions * cfg.num_heads as u64 * 4;
    let attention = 6 * width + lse;
    let values = 5 * width + square;
    // Tokens before and after attention, the norm, and the hidden layer on both sides of its
    // activation; then the hidden layer and what comes of it. Pieces also keep their results.
    let kept = if is_whole { 0 } else { width };
    let up =
        3 * width + kept + 2 * hidden + hidden_piece_input(cfg.dim, hidden_rows, value, is_whole);
    let up_scratch = 3 * width + kept + hidden + scratch([cfg.ffn_dim, cfg.dim], hidden_rows);
    let out = (hidden_rows * cfg.dim) as u64 * value;
    let down = 3 * width + kept + hidden + out + scratch([cfg.dim, cfg.ffn_dim], hidden_rows);
    let joined = if is_whole { 0 } else { 5 * width };
    let feed_forward = up.max(up_scratch).max(down).max(joined);
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

/// The codec at work on one clip, and what has been decoded.
pub(super) fn decode(codec: &CodecParts, run: &RunShape, value_bytes: u64) -> Vec<Term> {
    let pixels = (run.frames * run.height * run.width) as u64;
    // Frames of one branch wait while the other is decoded, in pieces, joined, and clamped.
    let decoded = Term::new("decoded frames and points", 3 * 4 * pixels * 4);
    let Some(channels) = codec.base_channels else {
        return vec![decoded];
    };
    let frame = (channels * run.height * run.width) as u64 * value_bytes;
    let per_piece = (CODEC_PIECE_BYTES / (TIME as u64 * frame).max(1)).max(1);
    let latents = (run.frames.max(1) - 1) / TIME + 1;
    // The first latent is one frame, each other one four.
    let first = per_piece.min(latents as u64);
    let rest = (latents as u64 - first).min(per_piece);
    let frames = (1 + TIME as u64 * (first - 1)).max(TIME as u64 * rest);
    // The last doubling: the input with twice the channels at half the size, its pixels repeated,
    // laid out anew with a border, and the result. Layers keep two frames each: six at full size,
    // six with twice the channels at half of it, seven with four times at a quarter, and the head.
    let widest = frames * frame * 11 / 2;
    let kept = frame * 47 / 2;
    vec![
        Term::new("activations of the codec", widest),
        Term::new("frames that the codec's layers remember", kept),
        decoded,
    ]
}

/// What decoding one clip holds beside the codec's weights, nothing else having been decoded.
pub fn decode_bytes(codec: &CodecParts, run: &RunShape, value_bytes: u64) -> u64 {
    let clip = 3 * 4 * (run.frames * run.height * run.width) as u64;
    let terms = decode(codec, run, value_bytes);
    terms.iter().map(|term| term.bytes).sum::<u64>() - clip
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

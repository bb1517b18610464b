//! Seconds from operations counted and rates measured: an estimate, and shown as one.

use super::activations::Tokens;
use super::{DitParts, Holding, Machine, ModelParts, RunShape, TimeEstimate};
use crate::models::wan::vae::Tiling;
use crate::nn::WeightForm;

/// Attention and convolutions reach this share of the rate of plain matrix products.
const TILED_SHARE: f64 = 0.7;
/// Steps reused after each whole one, by threshold times number of steps, as a line: twice the steps
/// change half as much each. Fitted to 22 runs of the bundled model with 12 to 100 steps and
/// thresholds from 0.03 to 0.3, whose shares of reused steps it gives within 0.2; 50 steps at 0.08 come
/// to 0.57, which is the double speed that others report
/// (huggingface.co/docs/diffusers/optimization/para_attn).
const REUSED_SLOPE: f64 = 0.55;
const REUSED_OFFSET: f64 = -0.85;
/// Operations of the Wan codec a pixel and frame at 96 base channels, decoding and encoding:
/// counted on the published module.
const DECODE_GFLOP: f64 = 275_000.0 / (81.0 * 480.0 * 832.0);
const ENCODE_GFLOP: f64 = 164_000.0 / (81.0 * 480.0 * 832.0);

/// Operations of one step, 10^9: in linear layers, in attention.
fn step_gflop(dit: &DitParts, text_len: usize, size: Tokens) -> (f64, f64) {
    let cfg = &dit.config;
    let (rows, tokens) = (size.rows as f64, size.tokens as f64);
    let image = if cfg.image_dim.is_some() { 257.0 } else { 0.0 };
    let (dim, text) = (cfg.dim as f64, text_len as f64);
    // Keys and values of text and image see those tokens, everything else those of the clip.
    let context = 2.0 * dim * dim * (text + image);
    let on_clip =
        dit.linear_values() as f64 - 2.0 * dim * dim * if image > 0.0 { 2.0 } else { 1.0 };
    let low_rank = dit.adapters.block_values as f64 / dit.adapters.branches as f64;
    let linear = 2.0 * rows * ((on_clip + low_rank) * tokens + context);
    let attention = 4.0 * rows * tokens * (tokens + text + image) * dim;
    let layers = cfg.num_layers as f64;
    (linear * layers / 1e9, attention * layers / 1e9)
}

/// Steps of a run that a step cache is likely to reuse. The first and the last never are.
fn reused_steps(run: &RunShape) -> usize {
    let after_each = REUSED_SLOPE * run.step_cache * run.steps as f64 + REUSED_OFFSET;
    let after_each = after_each.max(0.0);
    (run.steps.saturating_sub(2) as f64 * after_each / (1.0 + after_each)) as usize
}

pub(super) fn estimate(
    model: &ModelParts,
    run: &RunShape,
    machine: &Machine,
    holding: &Holding,
    size: Tokens,
) -> TimeEstimate {
    let rates = &machine.rates;
    let (wide, narrow) = (rates.wide_gflops.max(1e-3), rates.narrow_gflops.max(1e-3));
    let is_plain = holding.form == WeightForm::Plain
        || (holding.form == WeightForm::Stored && model.dit.stored.is_wide);
    let linear_rate = if is_plain { wide } else { narrow };
    let (linear, attention) = step_gflop(&model.dit, model.text.len, size);
    let compute = linear / linear_rate + attention / (TILED_SHARE * wide);
    let read = if holding.streamed {
        let blocks = model.dit.config.num_layers as f64;
        let block = model.dit.stored.block_file_bytes + 4 * model.dit.adapters.block_values;
        blocks * block as f64 / rates.read_bytes.max(1.0)
    } else {
        0.0
    };
    let step_secs = compute.max(read);
    let halves = if run.guided { 2.0 } else { 1.0 };
    // A prompt is a few dozen tokens; padding is not computed.
    let prompt_tokens = 64.0_f64.min(model.text.len as f64);
    let text_gflop = 2.0 * (model.text.values as f64) * prompt_tokens / 1e9;
    let text_reading = if model.text.on_demand {
        2.0 * model.text.values as f64 / rates.read_bytes.max(1.0)
    } else {
        0.0
    };
    let image_gflop = match (&model.image, run.has_image) {
        (Some(tower), true) => 2.0 * tower.values as f64 * 257.0 / 1e9,
        _ => 0.0,
    };
    let text_secs = halves * (text_gflop / wide + text_reading) + image_gflop / wide;
    let pixels = (run.frames * run.height * run.width) as f64;
    let codec = |gflop: f64| match model.codec.base_channels {
        Some(channels) => gflop * pixels * (channels as f64 / 96.0).powi(2) / (TILED_SHARE * wide),
        None => 2e-9 * model.codec.values as f64 * pixels / 256.0 / wide,
    };
    // Tiles share a margin, which is computed in each.
    let cells = [run.height / 8, run.width / 8];
    let work = holding
        .codec_tile
        .map_or(1.0, |tile| Tiling::of(tile).work(cells));
    let encode_secs = work * codec(ENCODE_GFLOP);
    let decode_secs = 2.0 * work * codec(DECODE_GFLOP);
    let reused_steps = reused_steps(run);
    let blocks = model.dit.config.num_layers.max(1) as f64;
    let whole = (run.steps - reused_steps) as f64 + reused_steps as f64 / blocks;
    let denoise_secs = step_secs * whole;
    TimeEstimate {
        text_secs,
        encode_secs,
        step_secs,
        waiting_secs: step_secs - compute,
        reused_steps,
        denoise_secs,
        decode_secs,
        total_secs: text_secs + encode_secs + denoise_secs + decode_secs,
    }
}

//! Batches: which clips, which frames observed, which noise; a function of seed and step alone.

use candle_core::{Device, Tensor};
use rand::{Rng, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};

use super::cache::{ClipLatents, LatentCache};
use super::config::{CurriculumStep, DataPart, StageConfig};
use super::schedule::noise_level;
use crate::conditioning::{Task, fold_mask};
use crate::datasets::synthetic::WorldWidth;
use crate::{Error, Result};

/// Latents of both modalities.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    /// `[B, C, T', H', W']`
    pub(super) rgb: Tensor,
    /// `[B, C, T', H', W']`
    pub(super) xyz: Tensor,
}

/// Everything one micro-batch needs.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    /// Clean latents.
    pub(super) clean: Pair,
    /// Noise, independent in both.
    pub(super) noise: Pair,
    /// Noise level of each clip, `B`.
    pub(super) sigmas: Vec<f64>,
    /// `[B, 4, T', H', W']`, 1 = observed.
    pub(super) mask: Tensor,
    /// `[B, C, T', H', W']`: latents of the observed frames.
    pub(super) condition: Tensor,
    /// `B` captions; empty where the text is dropped.
    pub(super) captions: Vec<String>,
}

/// One clip of a batch before it becomes tensors.
pub(super) struct Choice {
    pub(super) index: usize,
    pub(super) known: Vec<bool>,
    pub(super) sigma: f64,
    pub(super) text: bool,
    /// Seed of its noise.
    pub(super) noise: u64,
}

/// The random stream of a micro-batch: independent of all others, so that a resumed run goes on
/// as an uninterrupted one.
fn stream(seed: u64, step: u64, micro: usize) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(step << 16 | micro as u64);
    rng
}

/// Draws the clips of a micro-batch.
pub(super) fn draw(
    cache: &LatentCache,
    config: &StageConfig,
    seed: u64,
    step: u64,
    micro: usize,
) -> Vec<Choice> {
    let mut rng = stream(seed, step, micro);
    let frames = cache.spec().size[0];
    // One draw in each of `batch` equal strata of noise levels: the same law, less variance.
    let offset: f64 = rng.random();
    (0..config.batch)
        .map(|row| {
            let u = (row as f64 + offset) / config.batch as f64;
            Choice {
                index: draw_clip(cache, &config.curriculum, step, &mut rng),
                known: config.tasks.draw(&mut rng).draw_known(frames, &mut rng),
                sigma: noise_level(config, u),
                text: rng.random::<f64>() >= config.text_drop,
                noise: rng.next_u64(),
            }
        })
        .collect()
}

/// One row a clip of `indices` for validation: all of `task`, at one noise level.
pub(super) fn fixed(cache: &LatentCache, indices: &[usize], task: Task, sigma: f64) -> Vec<Choice> {
    let frames = cache.spec().size[0];
    let row = |&index: &usize| {
        let mut rng = stream(index as u64, 0, 0);
        Choice {
            index,
            known: task.draw_known(frames, &mut rng),
            sigma,
            text: true,
            noise: rng.next_u64(),
        }
    };
    indices.iter().map(row).collect()
}

fn draw_clip(
    cache: &LatentCache,
    curriculum: &[CurriculumStep],
    step: u64,
    rng: &mut ChaCha8Rng,
) -> usize {
    let now = curriculum.iter().rev().find(|stage| stage.from <= step);
    let share = |part: &DataPart| match (now, part) {
        (None, _) => 1.0,
        (Some(now), DataPart::Files(_)) => now.files,
        (Some(now), DataPart::World(part)) => match part.world {
            WorldWidth::Narrow => now.narrow,
            WorldWidth::Medium => now.medium,
            WorldWidth::Wide => now.wide,
        },
    };
    let parts = &cache.spec().parts;
    // Without a curriculum every clip counts alike, with one every world by its share.
    let weight = |k: usize| {
        let size = if now.is_some() {
            1.0
        } else {
            parts[k].clips() as f64
        };
        if parts[k].clips() == 0 {
            0.0
        } else {
            size * share(&parts[k]).max(0.0)
        }
    };
    let total: f64 = (0..parts.len()).map(weight).sum();
    let mut left = rng.random::<f64>() * total;
    let mut first = 0;
    for (k, part) in parts.iter().enumerate() {
        left -= weight(k);
        if left < 0.0 && part.clips() > 0 {
            return first + rng.random_range(0..part.clips());
        }
        first += part.clips();
    }
    rng.random_range(0..cache.len().max(1))
}

/// Reads and assembles the clips of a batch.
pub(super) fn assemble(cache: &LatentCache, choices: &[Choice], device: &Device) -> Result<Batch> {
    let spec = cache.spec();
    let [frames, height, width] = spec.size;
    let (latent_frames, h, w) = ((frames - 1) / 4 + 1, height / 8, width / 8);
    let shape = (choices.len(), spec.channels, latent_frames, h, w);
    let cell = h * w;
    let mut planes: [Vec<f32>; 5] = Default::default();
    let [rgb, xyz, condition, noise_rgb, noise_xyz] = &mut planes;
    let mut masks = Vec::with_capacity(choices.len());
    for choice in choices {
        let ClipLatents {
            rgb_shares,
            xyz: points,
        } = cache.read(choice.index)?;
        let all = vec![true; frames];
        sum_shares(&rgb_shares, &all, cell, rgb);
        sum_shares(&rgb_shares, &choice.known, cell, condition);
        let mut rng = ChaCha8Rng::seed_from_u64(choice.noise);
        let mut normal = |_| -> f32 { StandardNormal.sample(&mut rng) };
        noise_rgb.extend((0..points.len()).map(&mut normal));
        noise_xyz.extend((0..points.len()).map(&mut normal));
        xyz.extend(points);
        masks.push(fold_mask(&choice.known, [h, w], device)?);
    }
    let [rgb, xyz, condition, noise_rgb, noise_xyz] =
        planes.map(|values| Tensor::from_vec(values, shape, device).map_err(Error::from));
    let caption = |choice: &Choice| {
        let text = if choice.text {
            cache.caption(choice.index)
        } else {
            ""
        };
        text.to_owned()
    };
    Ok(Batch {
        clean: Pair {
            rgb: rgb?,
            xyz: xyz?,
        },
        noise: Pair {
            rgb: noise_rgb?,
            xyz: noise_xyz?,
        },
        sigmas: choices.iter().map(|choice| choice.sigma).collect(),
        mask: Tensor::cat(&masks, 0)?,
        condition: condition?,
        captions: choices.iter().map(caption).collect(),
    })
}

/// Sums the shares of the known frames into latents and appends them.
///
/// # Shapes
/// - `shares`: `[C, T, cell]`; appends `[C, T', cell]`
fn sum_shares(shares: &[f32], known: &[bool], cell: usize, out: &mut Vec<f32>) {
    for channel in shares.chunks_exact(known.len() * cell) {
        let frames: Vec<&[f32]> = channel.chunks_exact(cell).collect();
        let later = (1..known.len()).step_by(4).map(|first| first..first + 4);
        for group in std::iter::once(0..1).chain(later) {
            let start = out.len();
            out.resize(start + cell, 0.0);
            for frame in group.filter(|&frame| known[frame]) {
                let sum = &mut out[start..];
                sum.iter_mut().zip(frames[frame]).for_each(|(s, v)| *s += v);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_known_frames_are_summed_by_group() {
        let shares: Vec<f32> = (0..9).map(|v| v as f32).collect();
        let mut out = Vec::new();
        let known = [true, false, true, false, true, false, false, false, true];
        sum_shares(&shares, &known, 1, &mut out);
        assert_eq!(out, [0.0, 2.0 + 4.0, 8.0]);
    }

    #[test]
    fn streams_differ_by_step_and_micro_batch() {
        let first = |step, micro| stream(3, step, micro).next_u64();
        assert_eq!(first(5, 1), first(5, 1));
        assert_ne!(first(5, 1), first(5, 2));
        assert_ne!(first(5, 1), first(6, 1));
    }
}

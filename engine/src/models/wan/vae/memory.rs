//! What the codec takes of memory beside its weights, from its shape.
//!
//! The causal caches hold two frames of the input of every convolution over time, whatever the length
//! of the clip; with them live the activations of one piece at the widest place. For the published
//! codec at 480 x 832 in f32 the caches of the decoder are 3.52 GiB and those of the encoder 2.09 GiB,
//! with 2.29 GiB of activations each: 5.8 and 4.4 GiB in all. Counted, not measured.

use super::WanVaeConfig;

/// Frames that a convolution over time remembers.
const REMEMBERED: usize = 2;
/// Activations that live at once at the widest place: input, its norm, the first convolution's output
/// and what is being added.
const LIVE: usize = 4;

/// Values a cell of the latent grid, one clip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CellValues {
    /// In the causal caches.
    pub cached: usize,
    /// In activations at the widest place, for a piece of one latent frame.
    pub active: usize,
}

impl CellValues {
    /// All values.
    pub fn total(self) -> usize {
        self.cached + self.active
    }

    /// Counts a convolution over `area` values of space a cell, and `frames` of a piece.
    fn convolution(&mut self, inputs: usize, outputs: usize, area: usize, frames: usize) {
        self.cached += REMEMBERED * inputs * area;
        self.active = self.active.max(LIVE * inputs.max(outputs) * area * frames);
    }

    fn residual(&mut self, inputs: usize, outputs: usize, area: usize, frames: usize) {
        self.convolution(inputs, outputs, area, frames);
        self.convolution(outputs, outputs, area, frames);
    }
}

impl WanVaeConfig {
    /// What decoding takes.
    pub fn decoder_values(&self) -> CellValues {
        let base = self.decoder_base_dim.unwrap_or(self.base_dim);
        let mut values = CellValues::default();
        let mut channels = base * self.dim_mult.last().copied().unwrap_or(1);
        let (mut area, mut frames) = (1, 1);
        values.convolution(self.z_dim, channels, area, frames);
        for _ in 0..2 {
            values.residual(channels, channels, area, frames);
        }
        let mut doublings = self.halvings().rev();
        for (level, mult) in self.dim_mult.iter().rev().enumerate() {
            for _ in 0..=self.num_res_blocks {
                values.residual(channels, base * mult, area, frames);
                channels = base * mult;
            }
            if level + 1 < self.dim_mult.len() {
                if doublings.next().unwrap_or(false) {
                    values.convolution(channels, 2 * channels, area, frames);
                    frames *= 2;
                }
                area *= 4;
                // The enlarged picture and the one made of it, which has half the channels.
                values.active = values.active.max(2 * channels * area * frames);
                channels /= 2;
            }
        }
        values.convolution(channels, self.out_channels, area, frames);
        values
    }

    /// What encoding takes.
    pub fn encoder_values(&self) -> CellValues {
        let base = self.base_dim;
        let mut values = CellValues::default();
        let levels = self.dim_mult.len();
        let mut area = self.spatial_factor().pow(2);
        let mut frames = self.temporal_factor();
        values.convolution(self.in_channels, base, area, frames);
        let (mut channels, mut halvings) = (base, self.halvings());
        for (level, mult) in self.dim_mult.iter().enumerate() {
            for _ in 0..self.num_res_blocks {
                values.residual(channels, base * mult, area, frames);
                channels = base * mult;
            }
            if level + 1 < levels {
                area /= 4;
                if halvings.next().unwrap_or(false) {
                    // One frame is remembered here.
                    values.cached += channels * area;
                    frames = (frames / 2).max(1);
                }
            }
        }
        for _ in 0..2 {
            values.residual(channels, channels, area, frames);
        }
        values.convolution(channels, 2 * self.z_dim, area, frames);
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_codec_takes_what_is_documented() {
        let config = WanVaeConfig::wan21();
        let gib = |values: usize| (values * 60 * 104 * 4) as f64 / f64::from(1 << 30);
        let (decoder, encoder) = (config.decoder_values(), config.encoder_values());
        assert!(
            (gib(decoder.cached) - 3.52).abs() < 0.01,
            "{}",
            gib(decoder.cached)
        );
        assert!(
            (gib(encoder.cached) - 2.09).abs() < 0.01,
            "{}",
            gib(encoder.cached)
        );
        // 96 channels of 4 frames at full size are 585 MiB; 192 enlarged ones twice that.
        assert!(gib(decoder.active) > 4.0 * 0.57 && gib(decoder.active) < 6.0);
    }
}

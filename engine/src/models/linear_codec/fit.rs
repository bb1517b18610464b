//! Fits the codec: second moments of sampled blocks, then their principal components.

use candle_core::{DType, Device, Tensor};

use super::{BLOCK, Basis, GROUP, LinearCodec, block_len, eigen};
use crate::{Error, Result};

/// Sums of outer products of the blocks seen so far.
pub struct LinearCodecFit {
    first: Moments,
    group: Moments,
}

struct Moments {
    frames: usize,
    /// `[n, n]`, f64.
    sum: Vec<f64>,
    blocks: usize,
}

impl Moments {
    fn new(frames: usize) -> Self {
        Self {
            frames,
            sum: vec![0.0; block_len(frames).pow(2)],
            blocks: 0,
        }
    }

    /// Adds all blocks of `[B, 3, t n, H, W]`.
    fn add(&mut self, video: &Tensor) -> Result<()> {
        let (b, c, t, height, width) = video.dims5()?;
        let (n, h, w) = (t / self.frames, height / BLOCK, width / BLOCK);
        let blocks = video
            .reshape(vec![b, c, n, self.frames, h, BLOCK, w, BLOCK])?
            .permute(vec![0, 2, 4, 6, 1, 3, 5, 7])? // [B, n, H', W', 3, t, 8, 8]
            .reshape((b * n * h * w, block_len(self.frames)))?;
        let outer = blocks
            .t()?
            .matmul(&blocks)?
            .flatten_all()?
            .to_vec1::<f32>()?;
        self.sum
            .iter_mut()
            .zip(outer)
            .for_each(|(s, v)| *s += f64::from(v));
        self.blocks += b * n * h * w;
        Ok(())
    }

    fn basis(&self, channels: usize, floor: f64) -> Result<Basis> {
        let n = block_len(self.frames);
        let (values, vectors) = eigen::leading(&self.sum, n, channels)?;
        let deviation = |value: &f64| (value / self.blocks.max(1) as f64).sqrt();
        let least = floor * values.first().map_or(1.0, deviation);
        let scale: Vec<f32> = values
            .iter()
            .map(|v| deviation(v).max(least) as f32)
            .collect();
        if scale.iter().any(|s| !s.is_finite() || *s <= 0.0) {
            return Err(Error::NonFinite {
                stage: "fitting the codec".to_owned(),
                count: scale
                    .iter()
                    .filter(|s| !s.is_finite() || **s <= 0.0)
                    .count(),
                total: scale.len(),
            });
        }
        let rows: Vec<f32> = vectors.into_iter().flatten().map(|v| v as f32).collect();
        Ok(Basis {
            rows: Tensor::from_vec(rows, (channels, n), &Device::Cpu)?,
            scale: Tensor::from_vec(scale, channels, &Device::Cpu)?,
        })
    }
}

impl Default for LinearCodecFit {
    fn default() -> Self {
        Self {
            first: Moments::new(1),
            group: Moments::new(GROUP),
        }
    }
}

impl LinearCodecFit {
    /// Adds the blocks of a clip of RGB or of normalised points.
    ///
    /// Every frame counts as a first frame too: the first-frame basis sees all of them.
    ///
    /// # Shapes
    /// - `video`: `[B, 3, T, H, W]` in `[-1, 1]`, `T % 4 == 1`, `H` and `W` multiples of 8
    ///
    /// # Errors
    /// [`Error::Shape`] if the clip does not fit the blocks.
    pub fn add(&mut self, video: &Tensor) -> Result<()> {
        let (_b, c, t, h, w) = video.dims5()?;
        if c != 3 || t % GROUP != 1 || h % BLOCK != 0 || w % BLOCK != 0 {
            return Err(Error::shape(
                "video for the codec's fit",
                "[B, 3, 4k + 1, 8h, 8w]",
                video.dims(),
            ));
        }
        let video = video.to_dtype(DType::F32)?.to_device(&Device::Cpu)?;
        self.first.add(&video)?;
        if t > 1 {
            self.group.add(&video.narrow(2, 1, t - 1)?)?;
        }
        Ok(())
    }

    /// The codec of the blocks seen.
    ///
    /// - `channels`: components kept of each kind of block, at most 192
    /// - `floor`: least scale, as a share of the largest
    ///
    /// # Errors
    /// [`Error::Invalid`] if there were too few blocks or too many channels are asked for.
    pub fn finish(&self, channels: usize, floor: f64) -> Result<LinearCodec> {
        if self.group.blocks < channels || !(0.0..=1.0).contains(&floor) || floor == 0.0 {
            let reason = format!(
                "{} blocks for {channels} channels, floor {floor}; needs more blocks than channels \
                 and a floor in (0, 1]",
                self.group.blocks
            );
            return Err(Error::invalid("codec fit", reason));
        }
        Ok(LinearCodec {
            first: self.first.basis(channels, floor)?,
            group: self.group.basis(channels, floor)?,
            channels,
        })
    }
}

//! Latents of clips on disk: made once, read at random, the same bytes whenever made.
//!
//! `latents.bin` holds a record of f16 values a clip, `latents.json` what it was made from and the
//! captions. The RGB side keeps every frame's share of its latent, because the codec is linear: the
//! latents of any choice of observed frames are sums of shares.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use candle_core::{Device, Tensor};
use half::f16;
use half::slice::HalfFloatSliceExt as _;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::config::DataPart;
use super::source::ClipSource;
use crate::atomic_file::{self, AtomicFile};
use crate::datasets::TrainingClip;
use crate::job::{JobCtx, Stage};
use crate::models::VideoVae as _;
use crate::models::linear_codec::LinearCodec;
use crate::models::one4d::{NormalisedPointmap, PointmapView, normalise_pointmap};
use crate::{Error, Result};

const CACHE_FORMAT: u32 = 1;
/// Clips rendered and encoded between two writes.
const CHUNK: usize = 32;

/// What a cache is made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CacheSpec {
    /// Version of the layout.
    pub(super) format: u32,
    /// Clips by source, in order.
    pub parts: Vec<DataPart>,
    /// Seed of the first clip; the others follow.
    pub first_seed: u64,
    /// Frames, height and width in pixels.
    pub size: [usize; 3],
    /// Channels of the codec.
    pub channels: usize,
    /// Fingerprint of the codec's file.
    pub codec: String,
}

#[derive(Serialize, Deserialize)]
struct Index {
    spec: CacheSpec,
    captions: Vec<String>,
}

/// Latents of one clip.
#[derive(Clone, Debug, PartialEq)]
pub struct ClipLatents {
    /// `[C, T, H', W']`: each frame's share of the RGB latents.
    pub rgb_shares: Vec<f32>,
    /// `[C, T', H', W']`.
    pub xyz: Vec<f32>,
}

/// An opened cache.
pub struct LatentCache {
    spec: CacheSpec,
    captions: Vec<String>,
    path: PathBuf,
    file: Mutex<File>,
}

impl CacheSpec {
    /// A specification of the present layout.
    pub fn new(
        parts: Vec<DataPart>,
        first_seed: u64,
        size: [usize; 3],
        channels: usize,
        codec: String,
    ) -> Self {
        Self {
            format: CACHE_FORMAT,
            parts,
            first_seed,
            size,
            channels,
            codec,
        }
    }

    /// Clips in all.
    pub fn clips(&self) -> usize {
        self.parts.iter().map(DataPart::clips).sum()
    }

    /// Values of the RGB shares and of the XYZ latents of a clip.
    fn lengths(&self) -> [usize; 2] {
        let [frames, height, width] = self.size;
        let cells = self.channels * (height / 8) * (width / 8);
        [cells * frames, cells * ((frames - 1) / 4 + 1)]
    }

    fn record_bytes(&self) -> u64 {
        2 * self.lengths().iter().sum::<usize>() as u64
    }
}

impl LatentCache {
    /// Opens the cache in `folder` if it was made from `spec`, else makes it.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Limit`] if the disk has too little room; [`Error::Cancelled`] between
    /// chunks, which leaves no half cache behind.
    pub fn open_or_make(
        folder: &Path,
        spec: CacheSpec,
        codec: &LinearCodec,
        ctx: &JobCtx,
    ) -> Result<Self> {
        let (index_path, path) = (folder.join("latents.json"), folder.join("latents.bin"));
        let held = std::fs::read(&index_path)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Index>(&bytes).ok())
            .filter(|index| index.spec == spec && index.captions.len() == spec.clips());
        let bytes = std::fs::metadata(&path).map_or(0, |data| data.len());
        let captions = match held {
            Some(index) if bytes == spec.record_bytes() * spec.clips() as u64 => index.captions,
            _ => make(folder, &spec, codec, ctx)?,
        };
        let file = File::open(&path).map_err(|e| Error::io(&path, e))?;
        Ok(Self {
            spec,
            captions,
            path,
            file: Mutex::new(file),
        })
    }

    /// What it was made from.
    pub fn spec(&self) -> &CacheSpec {
        &self.spec
    }

    /// Number of clips.
    pub fn len(&self) -> usize {
        self.captions.len()
    }

    /// True for a cache without clips, which [`super::TrainConfig::check`] refuses.
    pub fn is_empty(&self) -> bool {
        self.captions.is_empty()
    }

    /// Caption of a clip.
    pub fn caption(&self, index: usize) -> &str {
        &self.captions[index]
    }

    /// Reads a clip's latents.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read.
    pub fn read(&self, index: usize) -> Result<ClipLatents> {
        let [shares, xyz] = self.spec.lengths();
        let mut bytes = vec![0; 2 * (shares + xyz)];
        {
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            file.seek(SeekFrom::Start(index as u64 * self.spec.record_bytes()))
                .and_then(|_| file.read_exact(&mut bytes))
                .map_err(|e| Error::io(&self.path, e))?;
        }
        let halves: Vec<f16> = bytes
            .chunks_exact(2)
            .map(|pair| f16::from_le_bytes([pair[0], pair[1]]))
            .collect();
        let mut values = vec![0.0; halves.len()];
        halves.convert_to_f32_slice(&mut values);
        let xyz = values.split_off(shares);
        Ok(ClipLatents {
            rgb_shares: values,
            xyz,
        })
    }
}

fn make(folder: &Path, spec: &CacheSpec, codec: &LinearCodec, ctx: &JobCtx) -> Result<Vec<String>> {
    std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
    let count = spec.clips();
    let total = spec.record_bytes() * count as u64;
    let source = ClipSource::open(spec)?;
    let mut file = AtomicFile::create(folder.join("latents.bin"), total)?;
    let mut captions = Vec::with_capacity(count);
    for first in (0..count).step_by(CHUNK) {
        ctx.step(Stage::Render, first, count)?;
        let records = (first..(first + CHUNK).min(count))
            .into_par_iter()
            .map(|index| record(&source.clip(index, ctx)?, codec))
            .collect::<Result<Vec<_>>>()?;
        for (bytes, caption) in records {
            file.write_all(&bytes)?;
            captions.push(caption);
        }
    }
    file.commit()?;
    let index = Index {
        spec: spec.clone(),
        captions,
    };
    let path = folder.join("latents.json");
    let text = serde_json::to_vec(&index).map_err(|e| Error::format(&path, e.to_string()))?;
    atomic_file::write(&path, &text)?;
    ctx.step(Stage::Render, count, count)?;
    Ok(index.captions)
}

fn record(clip: &TrainingClip, codec: &LinearCodec) -> Result<(Vec<u8>, String)> {
    let shares = codec.encode_shares(&rgb_video(clip)?)?;
    let xyz = codec.encode(&xyz_video(clip)?.0, &JobCtx::silent())?;
    let mut bytes = Vec::new();
    for tensor in [shares, xyz] {
        for value in tensor.flatten_all()?.to_vec1::<f32>()? {
            bytes.extend_from_slice(&f16::from_f32(value).to_le_bytes());
        }
    }
    Ok((bytes, clip.caption.clone()))
}

/// Frames of a clip as the codec takes them.
///
/// # Shapes
/// - returns `[1, 3, T, H, W]` in `[-1, 1]`
pub(super) fn rgb_video(clip: &TrainingClip) -> Result<Tensor> {
    let pixels = clip.rgb.len() / 3;
    let mut values = vec![0.0_f32; clip.rgb.len()];
    for (at, pixel) in clip.rgb.chunks_exact(3).enumerate() {
        for (k, &byte) in pixel.iter().enumerate() {
            values[k * pixels + at] = f32::from(byte) / 127.5 - 1.0;
        }
    }
    video(clip, values)
}

/// Normalised points of a clip, and how to undo the normalisation.
///
/// # Shapes
/// - returns `[1, 3, T, H, W]` in `[-1, 1]`
pub(super) fn xyz_video(
    clip: &TrainingClip,
) -> Result<(Tensor, crate::models::one4d::PointmapNorm)> {
    let NormalisedPointmap { values, norm } = normalise_pointmap(&PointmapView {
        points: &clip.points,
        valid: &clip.valid,
        cameras: &clip.cameras,
        size: [clip.size[1], clip.size[2]],
    })?;
    Ok((video(clip, values)?, norm))
}

fn video(clip: &TrainingClip, values: Vec<f32>) -> Result<Tensor> {
    let [frames, height, width] = clip.size;
    let shape = (1, 3, frames, height, width);
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
}
